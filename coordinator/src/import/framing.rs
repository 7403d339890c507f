//! Cuts text into records without reading them: lines, CSV records, or JSON documents one after the other.

use csv_core::ReadRecordResult;
use serde::de::IgnoredAny;

use super::rejects::Reject;

/// Failures within one broken document after which the rest of it is passed over.
const TRIES_IN_BROKEN_DOCUMENT: usize = 64;

/// Where a record lies in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte.
    pub(super) start: usize,
    /// First byte after it.
    pub(super) end: usize,
    /// Line of its first byte, counted from the block's first line.
    pub(super) line: u64,
}

/// What was found in some text.
#[derive(Debug, Default)]
pub(super) struct Framed {
    /// Whole records.
    pub(super) spans: Vec<Span>,
    /// Text that is no record.
    pub(super) rejects: Vec<Reject>,
    /// Bytes dealt with; the rest is the beginning of a record.
    pub(super) consumed: usize,
}

/// How text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A record a line.
    Lines,
    /// CSV records of so many cells.
    Csv {
        /// Cells of a record.
        cells: usize,
        /// What stands between cells.
        delimiter: u8,
    },
    /// JSON objects, in arrays or not, of any number of lines.
    Documents,
}

impl Framing {
    /// Cuts `text`, of which more may follow unless it `is_last`.
    pub(super) fn cut(self, text: &[u8], is_last: bool) -> Framed {
        match self {
            Framing::Lines => lines(text, is_last),
            Framing::Csv { cells, delimiter } => csv_records(text, is_last, cells, delimiter),
            Framing::Documents => documents(text, is_last),
        }
    }
}

fn lines(text: &[u8], is_last: bool) -> Framed {
    let mut framed = Framed::default();
    let mut line = 0;
    let mut push = |start: usize, end: usize, line: u64| {
        let blank = text[start..end].iter().all(u8::is_ascii_whitespace);
        if !blank {
            framed.spans.push(Span { start, end, line });
        }
    };
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        push(start, end, line);
        line += 1;
        start = end + 1;
    }
    if is_last && start < text.len() {
        push(start, text.len(), line);
        start = text.len();
    }
    framed.consumed = start;
    framed
}

fn line_end(text: &[u8], from: usize) -> Option<usize> {
    memchr::memchr(b'\n', &text[from..]).map(|offset| from + offset + 1)
}

/// A record with the wrong number of cells costs its first line alone: an unclosed quote swallows what follows it, which
/// is then read again from the next line on.
fn csv_records(text: &[u8], is_last: bool, cells: usize, delimiter: u8) -> Framed {
    let mut framed = Framed::default();
    let (mut at, mut line) = (0, 0);
    while at < text.len() {
        if matches!(text[at], b'\n' | b'\r') {
            line += u64::from(text[at] == b'\n');
            at += 1;
            continue;
        }
        let found = csv_record(&text[at..], is_last, delimiter);
        let (length, found_cells) = match found {
            Some(found) => found,
            None if !is_last => break,
            None => (text.len() - at, 0),
        };
        let end = at + length;
        let is_whole = found_cells == cells && is_quoted_well(&text[at..end], delimiter);
        if is_whole {
            framed.spans.push(Span { start: at, end, line });
            line += memchr::memchr_iter(b'\n', &text[at..end]).count() as u64;
            at = end;
            continue;
        }
        let end = line_end(text, at).unwrap_or(text.len());
        let reason = match found_cells {
            0 => "a quote is not closed".to_owned(),
            found_cells if found_cells == cells => "a quote stands within a cell".to_owned(),
            found_cells => format!("has {found_cells} cells, the header {cells}"),
        };
        framed.rejects.push(Reject::new(line, reason, &text[at..end]));
        line += 1;
        at = end;
    }
    framed.consumed = at;
    framed
}

/// Length and number of cells of the record that `text` starts with; `None` where it ends within one.
fn csv_record(text: &[u8], is_last: bool, delimiter: u8) -> Option<(usize, usize)> {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let (mut cells, mut length) = (0, 0);
    let (mut output, mut ends) = ([0; 4096], [0; 256]);
    loop {
        // A line's end behind the last line ends a record, unless it is within quotes.
        let all_read = is_last && length == text.len();
        let rest = if all_read { &b"\n"[..] } else { &text[length..] };
        let (result, read, _, found) = reader.read_record(rest, &mut output, &mut ends);
        cells += found;
        length += if all_read { 0 } else { read };
        match result {
            ReadRecordResult::Record => return Some((length, cells)),
            ReadRecordResult::InputEmpty if !is_last || all_read => return None,
            ReadRecordResult::End => return None,
            _ => {}
        }
    }
}

/// Whether a record of several lines has its quotes where cells begin and end. One that was never closed shows itself
/// there: it ends at the next one, in the middle of another record.
fn is_quoted_well(text: &[u8], delimiter: u8) -> bool {
    let record = text.strip_suffix(b"\n").unwrap_or(text);
    if !record.contains(&b'\n') {
        return true;
    }
    let (mut is_quoted, mut before) = (false, delimiter);
    let mut bytes = record.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if is_quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
            }
            b'"' if is_quoted => {
                is_quoted = false;
                if bytes.peek().is_some_and(|next| *next != delimiter && *next != b'\r') {
                    return false;
                }
            }
            b'"' if before == delimiter => is_quoted = true,
            b'"' => return false,
            _ => {}
        }
        before = byte;
    }
    true
}

/// Objects one after the other. What stands between them, and envelopes that only hold a list of them, is passed over.
fn documents(text: &[u8], is_last: bool) -> Framed {
    let mut framed = Framed::default();
    let mut counter = LineCounter::default();
    let (mut at, mut broken_until, mut tries) = (0, 0, 0);
    loop {
        at += text[at..].iter().take_while(|b| b.is_ascii_whitespace() || b",[]}".contains(b)).count();
        if at >= text.len() {
            break;
        }
        if text[at] != b'{' {
            let end = memchr::memchr(b'{', &text[at..]).map_or(text.len(), |offset| at + offset);
            if at >= broken_until {
                framed.rejects.push(Reject::new(counter.line(text, at), "is no JSON object", &text[at..end]));
            }
            at = end;
            continue;
        }
        if let Some(length) = envelope(&text[at..]) {
            at += length;
            continue;
        }
        let mut values = serde_json::Deserializer::from_slice(&text[at..]).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {
                let end = at + values.byte_offset();
                framed.spans.push(Span { start: at, end, line: counter.line(text, at) });
                at = end;
            }
            Some(Err(error)) if error.is_eof() && !is_last => break,
            Some(Err(error)) => {
                let end = text.len().min(at + offset_of(&error, &text[at..]).max(1));
                if at >= broken_until {
                    let reason = format!("is no JSON: {}", told(&error));
                    framed.rejects.push(Reject::new(counter.line(text, at), reason, &text[at..end]));
                    (broken_until, tries) = (end, 0);
                }
                // A whole object can lie within what a broken one seems to hold.
                tries += 1;
                let from = if tries > TRIES_IN_BROKEN_DOCUMENT { broken_until.max(at + 1) } else { at + 1 };
                at = memchr::memchr(b'{', &text[from.min(text.len())..])
                    .map_or(text.len(), |next| from + next);
            }
            None => break,
        }
    }
    framed.consumed = at;
    framed
}

/// The error without its place, which is one within the record.
pub(super) fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Bytes before what `error` stumbled over in `text`: that can be where the next record begins.
fn offset_of(error: &serde_json::Error, text: &[u8]) -> usize {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', text).nth(line - 2).map_or(text.len(), |newline| newline + 1),
    };
    line_start + error.column().saturating_sub(1)
}

/// Length of the beginning of an envelope `{"records": [`, where `text` starts with one.
fn envelope(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut expect = |token: &[&[u8]]| {
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let found = token.iter().find(|token| text[at..].starts_with(token))?;
        at += found.len();
        Some(at)
    };
    expect(&[b"{"])?;
    expect(&[b"\"records\"", b"\"value\""])?;
    expect(&[b":"])?;
    expect(&[b"["])
}

/// Counts lines as it goes.
#[derive(Default)]
struct LineCounter {
    counted_to: usize,
    lines: u64,
}

impl LineCounter {
    fn line(&mut self, text: &[u8], at: usize) -> u64 {
        if at > self.counted_to {
            self.lines += memchr::memchr_iter(b'\n', &text[self.counted_to..at]).count() as u64;
            self.counted_to = at;
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(framing: Framing, text: &str) -> (Vec<String>, usize) {
        let framed = framing.cut(text.as_bytes(), true);
        assert_eq!(framed.consumed, text.len());
        let records = framed.spans.iter().map(|span| text[span.start..span.end].trim().to_owned());
        (records.collect(), framed.rejects.len())
    }

    #[test]
    fn what_is_not_whole_waits_for_the_rest() {
        assert_eq!(Framing::Lines.cut(b"a\nb", false).consumed, 2);
        assert_eq!(Framing::Documents.cut(b"{\"a\":1},{\"b\"", false).consumed, 8);
        let csv = Framing::Csv { cells: 2, delimiter: b',' };
        assert_eq!(csv.cut(b"a,b\nc,\"d\n", false).consumed, 4);
    }

    #[test]
    fn a_broken_csv_record_costs_its_first_line() {
        let csv = Framing::Csv { cells: 2, delimiter: b',' };
        let text = "1,\"two\nlines\"\nonly one\n2,\"open\n3,c\n4,\"d\"\n5,e";
        let (records, rejects) = texts(csv, text);
        assert_eq!(records, ["1,\"two\nlines\"", "3,c", "4,\"d\"", "5,e"]);
        assert_eq!(rejects, 2);
        let swallowing = Framing::Csv { cells: 3, delimiter: b',' };
        assert_eq!(texts(swallowing, "1,\"open,x\n2,\"y\",z"), (vec!["2,\"y\",z".to_owned()], 1));
        let (records, rejects) = texts(csv, "1,\"open\n2,b\n3,c");
        assert_eq!((records, rejects), (vec!["2,b".to_owned(), "3,c".to_owned()], 1));
        assert_eq!(texts(csv, "1,\"a \"\"b\"\"\"\n2,\"\"").0.len(), 2);
    }

    #[test]
    fn documents_are_found_in_any_wrapping() {
        let (records, rejects) =
            texts(Framing::Documents, "[\n {\"a\": [1]},\n {\"b\": {}}\n]\n{\"records\": [{\"c\":1}]}");
        assert_eq!(records, ["{\"a\": [1]}", "{\"b\": {}}", "{\"c\":1}"]);
        assert_eq!(rejects, 0);
    }

    #[test]
    fn a_broken_document_takes_no_neighbour_with_it() {
        for (text, whole) in [
            ("[{\"a\":\"x},\n{\"b\":1}]", "{\"b\":1}"),
            ("{\"a\":\"x},{\"b\":1}", "{\"b\":1}"),
            ("{\"a\":1,{\"b\":1}", "{\"b\":1}"),
            ("junk {\"b\":1}", "{\"b\":1}"),
            ("{\"b\":1}{\"a\":", "{\"b\":1}"),
        ] {
            let (records, rejects) = texts(Framing::Documents, text);
            assert_eq!((records, rejects), (vec![whole.to_owned()], 1), "{text}");
        }
        let deep = "{\"a\":".repeat(100_000);
        assert_eq!(texts(Framing::Documents, &deep).1, 1);
    }
}
