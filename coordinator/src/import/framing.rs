//! Cuts text into records without reading them: lines, CEF messages, records behind their length, CSV, or JSON documents.

use super::messages::{self, Gathering};
use super::rejects::Reject;
use super::{csv_records, documents, octet_counted};

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
pub(super) struct Framing {
    /// What a record is.
    pub(super) shape: Shape,
    /// The byte by which lines are counted, for people: of LF, CR and NUL the first that the file has.
    pub(super) line_end: u8,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One line each. A line ends with LF, CR, both, or NUL.
    Lines,
    /// CEF messages. A line may hold several, and one may go on over several lines.
    Messages,
    /// Records behind their length in bytes (RFC 6587), as syslog over TCP sends them.
    OctetCounted {
        /// Whether they hold CEF messages, of which there may be several in one.
        has_messages: bool,
    },
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
    /// Lines that end with LF.
    pub(super) const LINES: Self = Self { shape: Shape::Lines, line_end: b'\n' };

    /// Cuts `text`, of which more may follow unless it `is_last`.
    pub(super) fn cut(self, text: &[u8], is_last: bool) -> Framed {
        let line_end = self.line_end;
        match self.shape {
            Shape::Lines => lines(text, is_last, line_end),
            Shape::Messages => cef_messages(text, is_last, line_end),
            Shape::OctetCounted { has_messages: false } => octet_counted::records(text, is_last, line_end),
            Shape::OctetCounted { has_messages: true } => {
                split_messages(text, octet_counted::records(text, is_last, line_end))
            }
            Shape::Csv { cells, delimiter } => {
                csv_records::records(text, is_last, line_end, cells, delimiter)
            }
            Shape::Documents => documents::documents(text, is_last, line_end),
        }
    }

    /// Lines that end in `text`, as they are counted.
    pub(super) fn line_ends(self, text: &[u8]) -> u64 {
        memchr::memchr_iter(self.line_end, text).count() as u64
    }
}

/// The lines of a text, without blank ones. More than one NUL in turn is a hole, which is told.
pub(super) fn lines(text: &[u8], is_last: bool, line_end: u8) -> Framed {
    let mut framed = Framed::default();
    let (mut start, mut line) = (0, 0);
    for end in memchr::memchr3_iter(b'\n', b'\r', 0, text) {
        if end < start {
            continue;
        }
        push_line(&mut framed, text, Span { start, end, line });
        let mut next = end + 1;
        if text[end] == 0 {
            next = end + text[end..].iter().take_while(|byte| **byte == 0).count();
            if next == text.len() && !is_last {
                framed.consumed = end;
                return framed;
            }
            if next > end + 1 {
                let reason =
                    format!("is {} NUL bytes: the file has a hole, as a crash leaves it", next - end);
                framed.rejects.push(Reject::new(line, reason, &text[end..next]));
            }
        }
        line += match text[end] == line_end {
            true => (next - end) as u64,
            false => 0,
        };
        start = next;
    }
    if is_last && start < text.len() {
        push_line(&mut framed, text, Span { start, end: text.len(), line });
        start = text.len();
    }
    framed.consumed = start;
    framed
}

fn push_line(framed: &mut Framed, text: &[u8], span: Span) {
    if !text[span.start..span.end].trim_ascii_start().is_empty() {
        framed.spans.push(span);
    }
}

fn cef_messages(text: &[u8], is_last: bool, line_end: u8) -> Framed {
    let mut framed = lines(text, is_last, line_end);
    let mut gathering = Gathering::default();
    for span in std::mem::take(&mut framed.spans) {
        gathering.take(text, span);
    }
    (framed.spans, framed.consumed) = gathering.finish(text, framed.consumed, is_last);
    framed
}

/// Each record's messages in place of it.
fn split_messages(text: &[u8], mut framed: Framed) -> Framed {
    framed.spans = std::mem::take(&mut framed.spans)
        .into_iter()
        .flat_map(|span| {
            let parts = messages::split(&text[span.start..span.end]).into_iter();
            parts.map(move |part| Span { start: span.start + part.start, end: span.start + part.end, ..span })
        })
        .collect();
    framed
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
