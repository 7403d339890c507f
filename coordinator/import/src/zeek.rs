//! Reads rows of Zeek's tab-separated logs, whose header lines name the fields and the values that mean unset and empty.

use std::borrow::Cow;

use super::format::Record;

/// The header lines before the rows of a Zeek log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ZeekHeader {
    fields: Vec<String>,
    path: String,
    /// Value of an unset field.
    unset: String,
    /// Value of an empty set or text.
    empty: String,
}

impl Default for ZeekHeader {
    fn default() -> Self {
        Self { fields: Vec::new(), path: String::new(), unset: "-".to_owned(), empty: "(empty)".to_owned() }
    }
}

impl ZeekHeader {
    /// The header with the `#` lines at the start of `text` applied, and their length.
    pub(super) fn read(&self, text: &[u8], is_last: bool) -> (Self, usize) {
        let mut header = self.clone();
        let mut consumed = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if line.first() != Some(&b'#') || !(line.ends_with(b"\n") || is_last) {
                break;
            }
            consumed += line.len();
            let line = String::from_utf8_lossy(line);
            let mut words = line.trim_end().split('\t');
            let name = words.next();
            let mut value = || words.next().unwrap_or_default().to_owned();
            match name {
                Some("#path") => header.path = value(),
                Some("#unset_field") => header.unset = value(),
                Some("#empty_field") => header.empty = value(),
                Some("#fields") => header.fields = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        (header, consumed)
    }

    /// Adds the fields of a row to `record`.
    ///
    /// # Errors
    /// The row has another number of fields than the header.
    pub(super) fn row<'a>(&'a self, text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
        let line = text.trim_end_matches(['\r', '\n']);
        let found = line.split('\t').count();
        if found != self.fields.len() {
            return Err(format!("has {found} fields, but the header has {}", self.fields.len()));
        }
        if !self.path.is_empty() {
            record.push((Cow::Borrowed("_path"), Cow::Borrowed(self.path.as_str())));
        }
        for (name, value) in self.fields.iter().zip(line.split('\t')) {
            if value != self.unset {
                let value = if value == self.empty { Cow::Borrowed("") } else { unescaped(value) };
                record.push((Cow::Borrowed(name.as_str()), value));
            }
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
