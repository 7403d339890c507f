//! What kind of text a file is, and how one record of it is read as fields.

use std::borrow::Cow;
use std::sync::Arc;

use super::cef;
use super::framing::{Framed, Framing};
use super::json;

/// A record: names and values as text, in the order told. What is null or absent has no entry; what is nested is JSON.
pub(super) type Record<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Lines that tell what kind of text a file is.
const TELLING_LINES: usize = 20;

/// How a file's text is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    framing: Framing,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Json,
    Csv { header: Vec<String>, delimiter: u8 },
    Cef,
    Zeek(ZeekHeader),
}

/// What the lines before the rows of a Zeek log say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct ZeekHeader {
    fields: Vec<String>,
    path: String,
}

impl Reading {
    /// JSON, a document a line.
    pub(super) fn lines() -> Self {
        Self { framing: Framing::Lines, kind: Kind::Json }
    }

    /// How text that begins with `sample` is read, and the length of its header. Its first lines decide together: one
    /// of them may be broken.
    pub(super) fn of(sample: &[u8]) -> (Self, usize) {
        let start = sample.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let lines: Vec<&[u8]> = sample[start..].split(|byte| *byte == b'\n').take(TELLING_LINES).collect();
        let most = |is_so: &dyn Fn(&[u8]) -> bool| {
            let told = lines.iter().filter(|line| !line.is_empty());
            2 * told.clone().filter(|line| is_so(line)).count() > told.count()
        };
        let kind = |framing, kind| (Self { framing, kind }, 0);
        if most(&|line| memchr::memmem::find(line, b"CEF:").is_some()) {
            return kind(Framing::Lines, Kind::Cef);
        }
        if lines.iter().any(|line| line.starts_with(b"#fields")) {
            return kind(Framing::Lines, Kind::Zeek(ZeekHeader::default()));
        }
        if most(&is_document) {
            return kind(Framing::Lines, Kind::Json);
        }
        match sample.get(start) {
            Some(b'[' | b'{') => kind(Framing::Documents, Kind::Json),
            _ => Self::csv(sample),
        }
    }

    fn csv(sample: &[u8]) -> (Self, usize) {
        let first_line = sample.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |delimiter: u8| first_line.iter().filter(|byte| **byte == delimiter).count();
        let delimiter = [b';', b'\t']
            .into_iter()
            .fold(b',', |best, delimiter| if count(delimiter) > count(best) { delimiter } else { best });
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(sample);
        let mut names = csv::ByteRecord::new();
        let _ = reader.read_byte_record(&mut names);
        let header_bytes = (reader.position().byte() as usize).min(sample.len());
        let header: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(index, name)| match String::from_utf8_lossy(name).trim() {
                "" => format!("column_{}", index + 1),
                name => name.to_owned(),
            })
            .collect();
        let framing = Framing::Csv { cells: header.len(), delimiter };
        (Self { framing, kind: Kind::Csv { header, delimiter } }, header_bytes)
    }

    /// Cuts `text` into records; a header among the rows changes how those after it are read.
    pub(super) fn cut(reading: &Arc<Self>, text: &[u8], is_last: bool) -> (Arc<Self>, Framed) {
        let Kind::Zeek(header) = &reading.kind else {
            return (Arc::clone(reading), reading.framing.cut(text, is_last));
        };
        if text.first() == Some(&b'#') {
            let (header, consumed) = header.read(text, is_last);
            let next = Self { framing: reading.framing, kind: Kind::Zeek(header) };
            return (Arc::new(next), Framed { consumed, ..Framed::default() });
        }
        match memchr::memmem::find(text, b"\n#") {
            Some(end) => (Arc::clone(reading), reading.framing.cut(&text[..=end], true)),
            None => (Arc::clone(reading), reading.framing.cut(text, is_last)),
        }
    }

    /// The fields of one record, in place of what `record` held.
    ///
    /// # Errors
    /// Why it is no record.
    pub(super) fn read<'a>(&'a self, text: &'a [u8], record: &mut Record<'a>) -> Result<(), String> {
        record.clear();
        let text = std::str::from_utf8(text)
            .map_err(|error| format!("is not UTF-8 text, from its byte {} on", error.valid_up_to() + 1))?;
        match &self.kind {
            Kind::Json => json::read(text, record),
            Kind::Cef => cef::read(text, record),
            Kind::Csv { header, delimiter } => csv_cells(text, *delimiter, header, record),
            Kind::Zeek(header) => header.row(text, record),
        }
    }
}

/// Whether a line is a whole JSON object, and no envelope that only holds a list of them.
fn is_document(line: &[u8]) -> bool {
    let mut record = Record::new();
    let is_whole = std::str::from_utf8(line).is_ok_and(|line| json::read(line, &mut record).is_ok());
    let is_envelope = record.len() == 1 && matches!(record[0].0.as_ref(), "records" | "value");
    is_whole && !is_envelope
}

fn csv_cells<'a>(
    text: &'a str,
    delimiter: u8,
    header: &'a [String],
    record: &mut Record<'a>,
) -> Result<(), String> {
    let mut push = |index: usize, cell: Cow<'a, str>| {
        // An empty cell is a value that is not there.
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
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(text.as_bytes());
    let mut cells = csv::StringRecord::new();
    reader.read_record(&mut cells).map_err(|error| error.to_string())?;
    cells.iter().enumerate().for_each(|(index, cell)| push(index, Cow::Owned(cell.to_owned())));
    Ok(())
}

/// What a Zeek log writes for a field that is not set.
const ZEEK_UNSET: &str = "-";
/// And for a set or text that is empty.
const ZEEK_EMPTY: &str = "(empty)";

impl ZeekHeader {
    /// The header after the `#` lines that `text` starts with, and their length.
    fn read(&self, text: &[u8], is_last: bool) -> (Self, usize) {
        let mut header = self.clone();
        let mut consumed = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if line.first() != Some(&b'#') || !(line.ends_with(b"\n") || is_last) {
                break;
            }
            consumed += line.len();
            let line = String::from_utf8_lossy(line);
            let mut words = line.trim_end().split('\t');
            match words.next() {
                Some("#fields") => header.fields = words.map(str::to_owned).collect(),
                Some("#path") => header.path = words.next().unwrap_or_default().to_owned(),
                _ => {}
            }
        }
        (header, consumed)
    }

    fn row<'a>(&'a self, text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
        let line = text.trim_end_matches(['\r', '\n']);
        let found = line.split('\t').count();
        if found != self.fields.len() {
            return Err(format!("has {found} fields, the header {}", self.fields.len()));
        }
        if !self.path.is_empty() {
            record.push((Cow::Borrowed("_path"), Cow::Borrowed(self.path.as_str())));
        }
        for (name, value) in self.fields.iter().zip(line.split('\t')) {
            if value != ZEEK_UNSET {
                let value = if value == ZEEK_EMPTY { "" } else { value };
                record.push((Cow::Borrowed(name.as_str()), Cow::Borrowed(value)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<String> {
        let (reading, header_bytes) = Reading::of(text.as_bytes());
        let mut reading = Arc::new(reading);
        let mut rest = &text.as_bytes()[header_bytes..];
        let mut told = Vec::new();
        while !rest.is_empty() {
            let (next, framed) = Reading::cut(&reading, rest, true);
            for span in &framed.spans {
                let mut record = Record::new();
                reading.read(&rest[span.start..span.end], &mut record).unwrap();
                let fields = record.iter().map(|(name, value)| format!("{name}={value}"));
                told.push(fields.collect::<Vec<_>>().join(" "));
            }
            rest = &rest[framed.consumed..];
            reading = next;
        }
        told
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
        let zeek = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\n1.5\t-\n#fields\tuid\n(empty)\n";
        assert_eq!(records(zeek), ["_path=conn ts=1.5", "_path=conn uid="]);
    }
}
