//! Reads one record of a file as fields, depending on the file's format.

use std::borrow::Cow;
use std::sync::Arc;

use super::built_in::Sources;
use super::cef;
use super::detect::{self, Sample};
use super::documents;
use super::encoding::text_of;
use super::envelopes::Wrapper;
use super::framing::{Framed, Framing};
use super::json;
use super::lines::Lines;
use super::messages;
use super::windows::xml;
use super::wrapped::Wrapped;
use super::zeek::ZeekHeader;

/// A record: names and values as text, in the order of the file. Null and absent fields have no entry; nested values
/// are JSON.
pub type Record<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The format of a file.
#[derive(Debug, Clone)]
pub struct FileFormat {
    /// How its text is cut into records.
    pub framing: Framing,
    /// How a record is written.
    pub kind: Kind,
    /// The messages in a field of records, if they wrap some.
    pub messages_in: Option<Wrapped>,
    /// The object within each record that holds its fields.
    pub wrapper: Option<Wrapper>,
    /// The name of the file up to its first dot, in lower case.
    pub file_name: String,
}

/// The format of a record.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A JSON object, with or without a syslog header.
    Json,
    /// Cells, named by a header.
    Csv {
        /// The names.
        header: Vec<String>,
        /// The byte between cells.
        delimiter: u8,
    },
    /// A list of values, with these names.
    Rows(Vec<String>),
    /// A CEF message.
    Cef,
    /// Cells, named by the last header before them.
    Zeek(ZeekHeader),
    /// Lines of text, as a source says.
    Lines(Lines),
    /// A Windows event in XML.
    Event,
}

impl FileFormat {
    /// Records of `kind` that `framing` cuts.
    pub fn new(framing: Framing, kind: Kind) -> Self {
        Self { framing, kind, messages_in: None, wrapper: None, file_name: String::new() }
    }

    /// JSON with one document per line.
    pub fn lines() -> Self {
        Self::new(Framing::LINES, Kind::Json)
    }

    /// The format of text that begins with `sample`, and the length of its header. A source that the user names decides
    /// whether the text is CEF.
    ///
    /// # Errors
    /// Why the text can't be read, and what to do.
    pub fn of(sample: Sample<'_>, sources: &Sources) -> Result<(Self, usize), String> {
        detect::detect_format(sample, sources)
    }

    /// Cuts `text` into records. Returns the format of the text after them, which a header among the rows changes.
    pub fn cut(format: &Arc<Self>, text: &[u8], is_last: bool) -> (Arc<Self>, Framed) {
        let with = |kind: Kind| Arc::new(Self { kind, ..format.as_ref().clone() });
        let header = match &format.kind {
            Kind::Zeek(header) => header,
            Kind::Rows(_) => {
                let (framed, has_ended) = documents::rows(text, is_last, format.framing.line_end);
                let next = if has_ended { with(Kind::Json) } else { Arc::clone(format) };
                return (next, framed);
            }
            _ => {
                let mut framed = format.framing.cut(text, is_last);
                let names = framed.rows.take();
                return (names.map_or_else(|| Arc::clone(format), |names| with(Kind::Rows(names))), framed);
            }
        };
        if text.first() == Some(&b'#') {
            let (header, consumed) = header.read(text, is_last);
            return (with(Kind::Zeek(header)), Framed { consumed, ..Framed::default() });
        }
        match memchr::memmem::find(text, b"\n#") {
            Some(end) => (Arc::clone(format), format.framing.cut(&text[..=end], true)),
            None => (Arc::clone(format), format.framing.cut(text, is_last)),
        }
    }

    /// Reads the fields of one record into `record`, which is cleared first.
    ///
    /// # Errors
    /// Why the text is not a record.
    pub fn read<'a>(&'a self, text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
        record.clear();
        match &self.kind {
            Kind::Json => {
                let (header, document) = document_in(text);
                if let Some(time) = cef::syslog_time(header) {
                    record.push((Cow::Borrowed("SyslogTime"), time));
                }
                json::read(document, record)?;
                self.wrapper.map_or(Ok(()), |wrapper| wrapper.unwrap(record))
            }
            Kind::Rows(names) => json::read_row(text, names, record),
            Kind::Cef => cef::read(text, record),
            Kind::Csv { header, delimiter } => csv_cells(text, *delimiter, header, record),
            Kind::Zeek(header) => header.row(text, record),
            Kind::Lines(lines) => lines.format.read(text, record),
            Kind::Event => xml::read(text, record),
        }
    }

    /// Calls `each` once with all of `texts` that can be read as records.
    pub fn with_records<T>(&self, texts: &[&[u8]], each: impl FnOnce(&[Record<'_>]) -> T) -> T {
        let texts: Vec<Cow<'_, str>> = texts.iter().filter_map(|text| text_of(text).ok()).collect();
        let mut records: Vec<Record<'_>> = Vec::new();
        for text in &texts {
            let mut record = Record::new();
            if self.read(text, &mut record).is_ok() {
                records.push(record);
            }
        }
        each(&records)
    }
}

/// The syslog header of a JSON document, empty if it has none, and the document.
pub(crate) fn document_in(text: &str) -> (&str, &str) {
    let trimmed = text.trim_start();
    match trimmed.find('{') {
        Some(start) if start > 0 && messages::is_record(trimmed.as_bytes()) => trimmed.split_at(start),
        _ => ("", text),
    }
}

fn csv_cells<'a>(
    text: &'a str,
    delimiter: u8,
    header: &'a [String],
    record: &mut Record<'a>,
) -> Result<(), String> {
    let mut push = |index: usize, cell: Cow<'a, str>| {
        // An empty cell is an absent value.
        if !cell.is_empty()
            && let Some(name) = header.get(index)
        {
            record.push((Cow::Borrowed(name.as_str()), cell));
        }
    };
    let line = text.trim_end_matches(['\r', '\n']);
    if !line.contains('"') {
        line.split(char::from(delimiter))
            .enumerate()
            .for_each(|(index, cell)| push(index, Cow::Borrowed(cell)));
        return Ok(());
    }
    let mut rest = Some(text);
    let mut index = 0;
    while let Some(text) = rest {
        let (cell, next) = quoted_cell(text, delimiter);
        push(index, cell);
        (rest, index) = (next, index + 1);
    }
    Ok(())
}

/// The first cell of a record of CSV, and what follows its delimiter, if one does. Text behind a closing quote belongs to the
/// cell.
fn quoted_cell(text: &str, delimiter: u8) -> (Cow<'_, str>, Option<&str>) {
    let mut cell = Cow::Borrowed("");
    let mut rest = text;
    if let Some(quoted) = text.strip_prefix('"') {
        rest = quoted;
        loop {
            let end = rest.find('"').unwrap_or(rest.len());
            cell += &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            let Some(after) = rest.strip_prefix('"') else { break };
            cell += "\"";
            rest = after;
        }
    }
    let end = memchr::memchr3(delimiter, b'\n', b'\r', rest.as_bytes()).unwrap_or(rest.len());
    cell += &rest[..end];
    let next = rest[end..].strip_prefix(char::from(delimiter));
    (cell, next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    fn records(text: &str) -> Vec<String> {
        let sample = Sample { text: text.as_bytes(), is_whole: true };
        let (format, header_bytes) = FileFormat::of(sample, &Sources::for_tests()).unwrap();
        let mut format = Arc::new(format);
        let mut rest = &text[header_bytes..];
        let mut read = Vec::new();
        while !rest.is_empty() {
            let (next, framed) = FileFormat::cut(&format, rest.as_bytes(), true);
            for span in &framed.spans {
                let mut record = Record::new();
                format.read(&rest[span.start..span.end], &mut record).unwrap();
                let fields = record.iter().map(|(name, value)| format!("{name}={value}"));
                read.push(fields.collect::<Vec<_>>().join(" "));
            }
            rest = &rest[framed.consumed..];
            format = next;
        }
        read
    }

    #[test]
    fn each_kind_is_read_as_fields() {
        assert_eq!(
            records("{\"a\":1,\"b\":null,\"c\":\"x\\ny\",\"d\":{\"e\":[]}}\n{\"a\":2}"),
            ["a=1 c=x\ny d={\"e\":[]}", "a=2"]
        );
        assert_eq!(records("[{\"a\":1}]"), ["a=1"]);
        assert_eq!(records("{\"records\":[{\"a\":1},\n{\"a\":2}]}"), ["a=1", "a=2"]);
        assert_eq!(records("A;B\n1;\"x;\"\"y\"\n"), ["A=1 B=x;\"y"]);
        assert_eq!(records("A,\n1,\n,2"), ["A=1", "column_2=2"]);
        assert_eq!(records("a b-c d e\n1 - x 2\n3 4 y 5\n"), ["a=1 b-c=- d=x e=2", "a=3 b-c=4 d=y e=5"]);
        let zeek = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\n1.5\t-\n#fields\tuid\n(empty)\n";
        assert_eq!(records(zeek), ["_path=conn ts=1.5", "_path=conn uid="]);
    }

    /// The rules and examples of RFC 4180, section 2.
    #[test]
    fn csv_follows_its_rfc() {
        let rows = ["a=aaa b=bbb c=ccc", "a=zzz b=yyy c=xxx"];
        for text in [
            "a,b,c\r\naaa,bbb,ccc\r\nzzz,yyy,xxx\r\n",
            "a,b,c\r\naaa,bbb,ccc\r\nzzz,yyy,xxx",
            "a,b,c\r\n\"aaa\",\"bbb\",\"ccc\"\r\nzzz,yyy,xxx\r\n",
            "\"a\",\"b\",\"c\"\naaa,bbb,ccc\nzzz,yyy,\"xxx\"",
        ] {
            assert_eq!(records(text), rows, "{text:?}");
        }
        assert_eq!(records("a,b,c\r\n\"aaa\",\"b\r\nbb\",\"ccc\"\r\n"), ["a=aaa b=b\r\nbb c=ccc"]);
        assert_eq!(records("a,b,c\r\n\"aaa\",\"b\"\"bb\",\"ccc\"\r\n"), ["a=aaa b=b\"bb c=ccc"]);
        // Spaces are part of a cell; an empty cell is an absent field.
        assert_eq!(records("a,b,c\n x , y,\r\n"), ["a= x  b= y"]);
        assert_eq!(records("a,b,c\n,,\"\"\n1,,2\n"), ["", "a=1 c=2"]);
    }

    proptest! {
        /// Cells are those of the crate `csv`, whatever the quotes.
        #[test]
        fn quoted_cells_are_those_of_csv(text in "[a\";é ]{1,12}(\r\n|\n)?") {
            let mut reader =
                csv::ReaderBuilder::new().delimiter(b';').has_headers(false).from_reader(text.as_bytes());
            let mut wanted = csv::StringRecord::new();
            reader.read_record(&mut wanted).unwrap();
            let (mut found, mut rest) = (Vec::new(), Some(text.as_str()));
            while let Some(text) = rest {
                let (cell, next) = quoted_cell(text, b';');
                found.push(cell.into_owned());
                rest = next;
            }
            prop_assert_eq!(found, wanted.iter().map(str::to_owned).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_column_of_csv_hides_another() {
        assert_eq!(records("A,B,A,,A_2,A\n1,2,3,4,5,6\n"), ["A=1 B=2 A_2=3 column_4=4 A_2_2=5 A_3=6"]);
    }
}
