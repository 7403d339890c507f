//! Cuts text into CSV records of a known number of cells.

use csv_core::ReadRecordResult;

use super::framing::{Framed, Span};
use super::rejects::Reject;

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Cuts `text` into records. A record with the wrong number of cells costs only its first line: an unclosed quote swallows
/// the lines after it, so reading resumes at the next line.
pub fn records(text: &[u8], is_last: bool, line_end: u8, cells: usize, delimiter: u8) -> Framed {
    let mut framed = Framed::default();
    let (mut at, mut line) = (0, 0);
    // Making a reader costs more than reading a record.
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    while at < text.len() {
        if is_line_end(text[at]) {
            line += u64::from(text[at] == line_end);
            at += 1;
            continue;
        }
        let found = csv_record(&mut reader, &text[at..], is_last);
        let (length, found_cells) = match found {
            Some(found) => found,
            None if !is_last => break,
            None => (text.len() - at, 0),
        };
        let end = at + length;
        let is_whole = found_cells == cells && is_quoted_well(&text[at..end], delimiter);
        if is_whole {
            framed.spans.push(Span { start: at, end, line });
            line += memchr::memchr_iter(line_end, &text[at..end]).count() as u64;
            at = end;
            continue;
        }
        let end = memchr::memchr2(b'\n', b'\r', &text[at..]).map_or(text.len(), |offset| at + offset + 1);
        let reason = match found_cells {
            0 => "a quote is not closed".to_owned(),
            found_cells if found_cells == cells => "a quote is in the middle of a cell".to_owned(),
            found_cells => format!("has {found_cells} cells, but the header has {cells}"),
        };
        framed.rejects.push(Reject::new(line, reason, &text[at..end]));
        line += u64::from(text[end - 1] == line_end);
        at = end;
    }
    framed.consumed = at;
    framed
}

/// Length and number of cells of the record at the start of `text`; `None` if the text ends within the record.
fn csv_record(reader: &mut csv_core::Reader, text: &[u8], is_last: bool) -> Option<(usize, usize)> {
    reader.reset();
    let (mut cells, mut length) = (0, 0);
    let (mut output, mut ends) = ([0; 4096], [0; 256]);
    loop {
        // A line end after the last line ends the record, unless it is within quotes.
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

/// Whether a record of several lines has quotes only where cells begin and end. A quote that was never closed ends at
/// the next quote, in the middle of another record.
fn is_quoted_well(text: &[u8], delimiter: u8) -> bool {
    let record = text.trim_ascii_end();
    if memchr::memchr2(b'\n', b'\r', record).is_none() {
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
                if bytes.peek().is_some_and(|next| *next != delimiter && !is_line_end(*next)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cells: usize, text: &str) -> (Vec<String>, usize) {
        records(text.as_bytes(), true, b'\n', cells, b',').records_of(text)
    }

    #[test]
    fn a_broken_csv_record_costs_its_first_line() {
        for line_end in ["\n", "\r", "\r\n"] {
            let of = |text: &str| text.replace('\n', line_end);
            let text = of("1,\"two\nlines\"\nonly one\n2,\"open\n3,c\n4,\"d\"\n5,e");
            let (records, rejects) = texts(2, &text);
            assert_eq!(records, [of("1,\"two\nlines\"").as_str(), "3,c", "4,\"d\"", "5,e"]);
            assert_eq!(rejects, 2);
            assert_eq!(texts(3, &of("1,\"open,x\n2,\"y\",z")), (vec!["2,\"y\",z".to_owned()], 1));
            let (records, rejects) = texts(2, &of("1,\"open\n2,b\n3,c"));
            assert_eq!((records, rejects), (vec!["2,b".to_owned(), "3,c".to_owned()], 1));
        }
        assert_eq!(texts(2, "1,\"a \"\"b\"\"\"\n2,\"\"").0.len(), 2);
    }
}
