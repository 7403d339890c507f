//! Cuts text into records that follow their length in bytes: the octet counting of syslog over TCP (RFC 6587).

use super::framing::{Framed, Span};
use super::messages::count_of;
use super::rejects::Reject;

/// Longest length that is accepted.
const MAX_BYTES: usize = 16 << 20;
/// Bytes that decide whether a record begins: a length, a space and a priority.
const HEAD_BYTES: usize = 16;

/// Result of looking for a record at a position of the text.
enum Found {
    /// A record: start and end of its text.
    Record(usize, usize),
    /// It takes more text to decide.
    Unknown,
    /// No length, or one that does not lead to another record.
    None,
}

/// Whether `sample`, the beginning of a text or all of it, has octet-counted records. The first record may be partial:
/// after a log rotation, a file starts with the rest of a record.
pub(crate) fn has_octet_counts(sample: &[u8], is_whole: bool) -> bool {
    let first = blanks(sample, 0);
    match record_at(sample, first, is_whole) {
        Found::Record(..) => true,
        // Its end is not in the sample.
        Found::Unknown => count_of(&sample[first..]).is_some(),
        Found::None => next_record(sample, first, is_whole).is_some_and(|next| next < sample.len()),
    }
}

/// The records of `text`. After a wrong length, the text up to the next right one is a record, since it may be whole.
pub fn records(text: &[u8], is_last: bool, line_end: u8) -> Framed {
    let mut framed = Framed::default();
    let (mut at, mut line, mut counted_to) = (0, 0, 0);
    loop {
        at = blanks(text, at);
        if at == text.len() {
            break;
        }
        line += memchr::memchr_iter(line_end, &text[counted_to..at]).count() as u64;
        counted_to = at;
        let (start, end) = match record_at(text, at, is_last) {
            Found::Record(start, end) => (start, end),
            Found::Unknown => break,
            Found::None => match next_record(text, at + 1, is_last) {
                Some(next) => (at, next),
                None => break,
            },
        };
        match count_of(&text[at..]) {
            Some((count, offset)) if end == text.len() && at + offset + count > end => {
                let there = end - at - offset;
                let reason = format!("is cut off: its length says {count} bytes, but only {there} follow");
                framed.rejects.push(Reject::new(line, reason, &text[at..end]));
            }
            _ => framed.spans.push(Span { start, end, line }),
        }
        at = end;
    }
    framed.consumed = at;
    framed
}

/// Position of the first byte from `at` on that is not blank.
fn blanks(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0).count()
}

/// The record at `at`, if its length leads to the start of another record or to the end of the text.
fn record_at(text: &[u8], at: usize, is_last: bool) -> Found {
    let is_short = text.len() < at + HEAD_BYTES && !is_last;
    let Some((count, offset)) = count_of(&text[at..]) else {
        return if is_short { Found::Unknown } else { Found::None };
    };
    let (start, end) = (at + offset, at + offset + count);
    if count > MAX_BYTES || (end > text.len() && is_last) {
        return Found::None;
    }
    if end > text.len() {
        return Found::Unknown;
    }
    let next = blanks(text, end);
    match count_of(&text[next..]) {
        Some(_) => Found::Record(start, end),
        None if next == text.len() && is_last => Found::Record(start, end),
        None if text.len() < next + HEAD_BYTES && !is_last => Found::Unknown,
        None => Found::None,
    }
}

/// Position of the next record with a right length from `from` on: the end of the text if there is none, `None` if it takes
/// more text to decide.
fn next_record(text: &[u8], from: usize, is_last: bool) -> Option<usize> {
    for space in memchr::memmem::find_iter(&text[from..], b" <").map(|offset| from + offset) {
        let digits = text[from..space].iter().rev().take(8).take_while(|byte| byte.is_ascii_digit()).count();
        // Digits of a value may directly precede those of a length.
        for first in (space - digits..space).rev() {
            match record_at(text, first, is_last) {
                Found::Record(..) => return Some(first),
                Found::Unknown => return None,
                Found::None => {}
            }
        }
    }
    is_last.then_some(text.len())
}
