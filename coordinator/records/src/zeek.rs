//! Reads rows of Zeek's logs of cells, whose header lines name the separators, the fields, and the values that mean unset
//! and empty.

use std::borrow::Cow;

use super::format::Record;

/// First words of the report that Zeek's trace-summary writes as conn-summary.log.
const SUMMARY: &[u8] = b">== ";

/// The header lines before the rows of a Zeek log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZeekHeader {
    fields: Vec<String>,
    /// Whether each field is a set or a vector.
    are_lists: Vec<bool>,
    path: String,
    /// Text between cells.
    separator: String,
    /// Text between the elements of a set or vector.
    set_separator: String,
    /// Value of an unset field.
    unset: String,
    /// Value of an empty set or text.
    empty: String,
}

impl Default for ZeekHeader {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            are_lists: Vec::new(),
            path: String::new(),
            separator: "\t".to_owned(),
            set_separator: ",".to_owned(),
            unset: "-".to_owned(),
            empty: "(empty)".to_owned(),
        }
    }
}

impl ZeekHeader {
    /// The format of a file that begins with these lines, if it is a log of cells or a summary of connections, each of whose
    /// lines is then a record of that path.
    pub fn of_lines(lines: &[&[u8]]) -> Option<Self> {
        if lines.iter().any(|line| line.starts_with(b"#separator ") || line.starts_with(b"#fields\t")) {
            return Some(Self::default());
        }
        let summary = Self {
            fields: vec!["line".to_owned()],
            path: "conn-summary".to_owned(),
            separator: "\n".to_owned(),
            ..Self::default()
        };
        lines.first().is_some_and(|line| line.starts_with(SUMMARY)).then_some(summary)
    }

    /// The header with the `#` lines at the start of `text` applied, and their length.
    pub fn read(&self, text: &[u8], is_last: bool) -> (Self, usize) {
        let mut header = self.clone();
        let mut consumed = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if line.first() != Some(&b'#') || !(line.ends_with(b"\n") || is_last) {
                break;
            }
            consumed += line.len();
            let line = String::from_utf8_lossy(line);
            let line = line.trim_end_matches(['\r', '\n']);
            match line.strip_prefix("#separator ").filter(|separator| !separator.is_empty()) {
                Some(separator) => header.separator = unescaped(separator).into_owned(),
                None => header.apply(line),
            }
        }
        (header, consumed)
    }

    fn apply(&mut self, line: &str) {
        let mut words = line.split(self.separator.as_str());
        let name = words.next();
        let mut value = || words.next().unwrap_or_default().to_owned();
        match name {
            Some("#path") => self.path = value(),
            Some("#set_separator") => self.set_separator = value(),
            Some("#unset_field") => self.unset = value(),
            Some("#empty_field") => self.empty = value(),
            Some("#fields") => {
                self.fields = words.map(str::to_owned).collect();
                self.are_lists.clear();
            }
            Some("#types") => {
                self.are_lists =
                    words.map(|kind| kind.starts_with("set[") || kind.starts_with("vector[")).collect();
            }
            _ => {}
        }
    }

    /// Adds the fields of a row to `record`.
    ///
    /// # Errors
    /// The row has another number of fields than the header.
    pub fn row<'a>(&'a self, text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
        let line = text.trim_end_matches(['\r', '\n']);
        // Splitting at one character is faster than at a text.
        let mut characters = self.separator.chars();
        match (characters.next(), characters.next()) {
            (Some(separator), None) => self.cells(line.split(separator), record),
            _ => self.cells(line.split(self.separator.as_str()), record),
        }
    }

    fn cells<'a>(
        &'a self,
        cells: impl Iterator<Item = &'a str> + Clone,
        record: &mut Record<'a>,
    ) -> Result<(), String> {
        let found = cells.clone().count();
        if found != self.fields.len() {
            return Err(format!("has {found} fields, but the header has {}", self.fields.len()));
        }
        if !self.path.is_empty() {
            record.push((Cow::Borrowed("_path"), Cow::Borrowed(self.path.as_str())));
        }
        let has_commas = self.set_separator == ",";
        for (place, (name, value)) in self.fields.iter().zip(cells).enumerate() {
            if value == self.unset {
                continue;
            }
            let value = match value {
                value if value == self.empty => Cow::Borrowed(""),
                value if !has_commas && self.are_lists.get(place) == Some(&true) => {
                    Cow::Owned(unescaped(&value.replace(&self.set_separator, ",")).into_owned())
                }
                value => unescaped(value),
            };
            record.push((Cow::Borrowed(name.as_str()), value));
        }
        Ok(())
    }
}

/// A value with each `\xHH` replaced by its byte, as Zeek writes separators, control characters, and values that would mean
/// unset or empty. A value whose bytes are then not UTF-8 stays as it is written.
fn unescaped(value: &str) -> Cow<'_, str> {
    let Some(first) = value.find("\\x") else { return Cow::Borrowed(value) };
    let mut bytes = value.as_bytes()[..first].to_vec();
    let mut rest = &value.as_bytes()[first..];
    while let Some((byte, behind)) = rest.split_first() {
        match escaped_byte(rest) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// The byte of the `\xHH` at the start of `text`.
fn escaped_byte(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of one row below header lines.
    fn fields(header: &str, row: &str) -> Result<Vec<String>, String> {
        let (header, consumed) = ZeekHeader::default().read(header.as_bytes(), true);
        assert!(consumed > 0);
        let mut record = Record::new();
        header.row(row, &mut record)?;
        Ok(record.iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn a_dns_log_is_read_by_its_header() {
        let header = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n\
                      #open\t2026-01-05-08-00-00\n#fields\tts\tuid\tid.orig_h\tquery\tanswers\trejected\n\
                      #types\ttime\tstring\taddr\tstring\tvector[string]\tbool\n";
        let row = "1767600000.123456\tCHhAvV\t10.0.0.5\texample.com\t203.0.113.1,203.0.113.2\tF\n";
        let wanted = [
            "_path=dns",
            "ts=1767600000.123456",
            "uid=CHhAvV",
            "id.orig_h=10.0.0.5",
            "query=example.com",
            "answers=203.0.113.1,203.0.113.2",
            "rejected=F",
        ];
        assert_eq!(fields(header, row).unwrap(), wanted);
        let unset = "1767600000.123456\tCHhAvV\t10.0.0.5\t-\t(empty)\tF\r\n";
        assert_eq!(fields(header, unset).unwrap()[4..], ["answers=", "rejected=F"]);
        let short = fields(header, "1767600000.123456\tCHhAvV").unwrap_err();
        assert_eq!(short, "has 2 fields, but the header has 6");
    }

    #[test]
    fn the_header_says_what_means_unset_and_empty() {
        let header = "#empty_field\tEMPTY\n#unset_field\t\n#fields\ta\tb\tc\td\n";
        assert_eq!(fields(header, "\tEMPTY\t-\t(empty)").unwrap(), ["b=", "c=-", "d=(empty)"]);
    }

    #[test]
    fn the_header_names_the_separators() {
        let header = "#separator ||\n#set_separator|||\n#empty_field||EMPTY\n#unset_field||NONE\n#path||ssh\n\
                      #fields||ts||status||hosts||note\n#types||time||string||set[addr]||string\n";
        let wanted = ["_path=ssh", "ts=1.5", "status=fa||ure", "hosts=a,b", "note=a|b"];
        assert_eq!(fields(header, "1.5||fa\\x7c\\x7cure||a|b||a|b").unwrap(), wanted);
        assert_eq!(
            fields(header, "1.5||NONE||EMPTY||-").unwrap(),
            ["_path=ssh", "ts=1.5", "hosts=", "note=-"]
        );
        let commas = "#separator ,\n#set_separator,|\n#fields,a,b\n#types,vector[string],count\n";
        assert_eq!(fields(commas, "x|y,1").unwrap(), ["a=x,y", "b=1"]);
        let escaped = "#separator \\x7c\n#path|x\n#fields|a|b\n";
        assert_eq!(fields(escaped, "1|2").unwrap(), ["_path=x", "a=1", "b=2"]);
    }

    #[test]
    fn a_summary_of_connections_is_lines_of_its_path() {
        let header = ZeekHeader::of_lines(&[b">== Total === 2026-01-05", b"   - Connections 1.9k"]).unwrap();
        let mut record = Record::new();
        header.row(">== Total === 2026-01-05\t1", &mut record).unwrap();
        assert_eq!(record[0], (Cow::Borrowed("_path"), Cow::Borrowed("conn-summary")));
        assert_eq!(ZeekHeader::of_lines(&[b"a", b">== b"]), None);
    }

    #[test]
    fn escaped_bytes_are_replaced() {
        let header = "#fields\ta\tb\n";
        for (written, wanted) in [
            ("\\x2d", "-"),
            ("\\x28empty)", "(empty)"),
            ("a\\x09b\\x0ac", "a\tb\nc"),
            ("m\\xc3\\xbcller", "müller"),
            ("M\\xC3\\x9CLLER", "MÜLLER"),
            ("C:\\\\temp\\xyz", "C:\\\\temp\\xyz"),
            ("tail\\x4", "tail\\x4"),
            ("not utf8 \\xff", "not utf8 \\xff"),
        ] {
            let row = format!("{written}\t{written}");
            let wanted = [format!("a={wanted}"), format!("b={wanted}")];
            assert_eq!(fields(header, &row).unwrap(), wanted, "{written}");
        }
    }

    #[test]
    fn a_header_line_that_is_cut_is_not_read_yet() {
        let text = "#path\tconn\n#fields\tts\tui";
        let (header, consumed) = ZeekHeader::default().read(text.as_bytes(), false);
        assert_eq!((header.path.as_str(), header.fields.len(), consumed), ("conn", 0, "#path\tconn\n".len()));
        let (header, consumed) = ZeekHeader::default().read(text.as_bytes(), true);
        assert_eq!((header.fields, consumed), (vec!["ts".to_owned(), "ui".to_owned()], text.len()));
    }
}
