//! Cuts text into records without parsing them: lines, CEF messages, octet-counted records, CSV, JSON documents, or events.

use super::messages::{self, Gathering};
use super::rejects::Reject;
use super::windows::xml;
use super::{csv_records, documents, octet_counted};

/// Position of a record in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// First byte after it.
    pub end: usize,
    /// Line of its first byte, relative to the block's first line.
    pub line: u64,
}

/// The records of some text.
#[derive(Debug, Default)]
pub struct Framed {
    /// Whole records.
    pub spans: Vec<Span>,
    /// Text that is not a record.
    pub rejects: Vec<Reject>,
    /// Bytes that are done; the rest is the beginning of a record.
    pub consumed: usize,
    /// Names of the values of the rows that follow, if the rest is a list of rows.
    pub rows: Option<Vec<String>>,
}

#[cfg(test)]
impl Framed {
    /// The records of `text`, all of which was cut, and the number of rejects.
    pub(crate) fn records_of(&self, text: &str) -> (Vec<String>, usize) {
        assert_eq!(self.consumed, text.len());
        let records = self.spans.iter().map(|span| text[span.start..span.end].trim().to_owned());
        (records.collect(), self.rejects.len())
    }
}

/// How to cut text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// How records are separated.
    pub shape: Shape,
    /// The byte that ends lines in line numbers: the first of LF, CR and NUL that the file has.
    pub line_end: u8,
}

/// How records are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One record per line. A line ends with LF, CR, both, or NUL.
    Lines,
    /// CEF messages. A line may hold several messages, and a message may span several lines.
    Messages,
    /// Records after their length in bytes, the octet counting of syslog over TCP (RFC 6587).
    OctetCounted {
        /// Whether records hold CEF messages, possibly several each.
        has_messages: bool,
    },
    /// CSV records.
    Csv {
        /// Cells of a record.
        cells: usize,
        /// The byte between cells.
        delimiter: u8,
    },
    /// JSON objects of any number of lines, alone or in arrays.
    Documents,
    /// Windows events in XML, alone or in a list.
    Events,
}

impl Framing {
    /// Lines that end with LF.
    pub(crate) const LINES: Self = Self { shape: Shape::Lines, line_end: b'\n' };

    /// Cuts `text`. More text may follow unless it `is_last`.
    pub fn cut(self, text: &[u8], is_last: bool) -> Framed {
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
            Shape::Events => xml::events(text, is_last, line_end),
        }
    }

    /// Number of line ends in `text`.
    pub(crate) fn line_ends(self, text: &[u8]) -> u64 {
        memchr::memchr_iter(self.line_end, text).count() as u64
    }
}

/// The lines of a text, without blank ones. Several NULs in a row are a hole in the file, which is a reject.
pub fn lines(text: &[u8], is_last: bool, line_end: u8) -> Framed {
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

/// Replaces each record by its messages.
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
