//! Finds where CEF messages begin in a text: several may share a line, and each may have a syslog header.

use super::framing::Span;

/// The start of a CEF message.
const MARK: &[u8] = b"CEF:";
/// Fields of a CEF header; each ends with a `|`.
const HEADER_FIELDS: usize = 7;
/// Bytes before a message that are searched for its syslog header.
const SYSLOG_HEADER_BYTES: usize = 512;
/// A line without `CEF:` that has at least this many unescaped `|` is a broken message, not the continuation of another one.
const HEADER_BARS: usize = 4;
/// Longest message of several lines, in bytes. Lines after that are separate records.
const MAX_BYTES: usize = 64 << 10;

/// Names of months in syslog headers.
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Whether `text` contains a CEF message, whole or broken.
pub fn contains_message(text: &[u8]) -> bool {
    memchr::memmem::find(text, MARK).is_some()
}

/// The parts of `text` with one message each and the syslog header before it. Text without a message is one part. A message
/// that another one quotes in a value does not start a part: a quote has no space before it, or escapes its `=`.
pub fn split(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut marks = memchr::memmem::find_iter(text, MARK);
    let Some(mut last_mark) = marks.next() else {
        let whole = 0..text.len();
        return vec![whole];
    };
    let (mut parts, mut start) = (Vec::new(), 0);
    for mark in marks {
        if is_message(text, mark) {
            let next = header_start(text, last_mark + MARK.len(), mark);
            parts.push(start..next);
            (start, last_mark) = (next, mark);
        }
    }
    parts.push(start..text.len());
    parts
}

/// Whether a whole message begins at `mark`: a header of seven fields, then nothing or a first `key=`.
fn is_message(text: &[u8], mark: usize) -> bool {
    let is_quoted = mark > 0 && b"=\"'\\".contains(&text[mark - 1]);
    let rest = &text[mark + MARK.len()..];
    let version = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if is_quoted || version == 0 || rest.get(version) != Some(&b'|') {
        return false;
    }
    bars(rest).nth(HEADER_FIELDS - 1).is_some_and(|bar| {
        let extension = rest[bar + 1..].trim_ascii_start();
        extension.is_empty()
            || starts_with_key(extension)
            || extension.starts_with(MARK)
            || is_record(extension)
    })
}

/// Positions of the unescaped `|` in the first line.
fn bars(text: &[u8]) -> impl Iterator<Item = usize> {
    let mut escaped = false;
    let line = text.iter().take_while(|byte| !matches!(byte, b'\n' | b'\r' | 0));
    line.enumerate().filter_map(move |(at, byte)| {
        let is_bar = *byte == b'|' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_bar.then_some(at)
    })
}

/// Start of the syslog header before the message at `mark`, at or after `from`; `mark` if it has none.
fn header_start(text: &[u8], from: usize, mark: usize) -> usize {
    let from = from.max(mark.saturating_sub(SYSLOG_HEADER_BYTES));
    let before = &text[from..mark];
    let priority = memchr::memrchr(b'<', before).filter(|at| priority_bytes(&before[*at..]) > 0);
    if let Some(at) = priority.filter(|at| !before[*at..].contains(&b'|')) {
        // The octet count, if it is separated from the text before it.
        let digits = before[..at].trim_ascii_end();
        let count = digits.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let is_count = count > 0
            && digits.len() + 1 == at
            && digits.get(digits.len().wrapping_sub(count + 1)).is_none_or(u8::is_ascii_whitespace);
        return from + if is_count { digits.len() - count } else { at };
    }
    let mut words = (0..before.len()).filter(|at| *at == 0 || before[at - 1].is_ascii_whitespace());
    let time = words.find(|at| starts_with_time(&before[*at..]) && !before[*at..].contains(&b'='));
    from + time.unwrap_or(before.len())
}

/// Length of a syslog priority such as `<14>` at the beginning of `text`; 0 if there is none.
fn priority_bytes(text: &[u8]) -> usize {
    let Some(rest) = text.strip_prefix(b"<") else { return 0 };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if (1..=3).contains(&digits) && rest.get(digits) == Some(&b'>') { digits + 2 } else { 0 }
}

/// Whether `text` begins like a syslog message: with a priority, an octet count and a priority, or a time.
pub(crate) fn is_record(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let behind_count = match text[digits..].strip_prefix(b" ") {
        Some(rest) if digits > 0 => rest,
        _ => text,
    };
    priority_bytes(text) > 0 || priority_bytes(behind_count) > 0 || starts_with_time(text)
}

/// The octet count of a record such as `160 <14>1 ...`, and the position of its message.
pub(crate) fn count_of(text: &[u8]) -> Option<(usize, usize)> {
    let digits = text.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.get(digits..)?.strip_prefix(b" ")?;
    let count = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    (priority_bytes(rest) > 0).then_some((count, digits + 1))
}

/// Whether `text` begins with a time of RFC 3164 (`Jan  5 08:00:00`) or ISO 8601.
fn starts_with_time(text: &[u8]) -> bool {
    let is_digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
    };
    if is_digits(0..4) {
        return text.get(4) == Some(&b'-')
            && is_digits(5..7)
            && text.get(7) == Some(&b'-')
            && is_digits(8..10);
    }
    MONTHS.iter().any(|month| text.starts_with(month))
        && text.get(3) == Some(&b' ')
        && text.get(4..).is_some_and(|rest| {
            let day = rest.trim_ascii_start();
            let digits = day.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (1..=2).contains(&digits) && day.get(digits) == Some(&b' ')
        })
}

/// Whether `text` begins with `key=`.
fn starts_with_key(text: &[u8]) -> bool {
    let key = text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_.-[]".contains(b)).count();
    key > 0 && text.get(key) == Some(&b'=')
}

/// Collects lines into messages: splits a line with several messages, and appends a line that continues a message.
#[derive(Default)]
pub struct Gathering {
    messages: Vec<Span>,
    /// The last message, which may continue.
    open: Option<Span>,
}

impl Gathering {
    /// Adds the next line of `text`.
    pub fn take(&mut self, text: &[u8], line: Span) {
        let bytes = &text[line.start..line.end];
        if contains_message(bytes) {
            self.close();
            for part in split(bytes) {
                self.close();
                self.open = Some(Span {
                    start: line.start + part.start,
                    end: line.start + part.end,
                    line: line.line,
                });
            }
            return;
        }
        match &mut self.open {
            Some(open) if continues(text, *open, line) => open.end = line.end,
            _ => {
                self.close();
                self.messages.push(line);
            }
        }
    }

    fn close(&mut self) {
        self.messages.extend(self.open.take());
    }

    /// The messages and the end of what is done. If the text after it may continue the last message, that message is
    /// left out and its start is the end. `lines_end` is the end of the last whole line.
    pub fn finish(mut self, text: &[u8], lines_end: usize, is_last: bool) -> (Vec<Span>, usize) {
        let may_go_on = |open: &Span| {
            !is_last && text.len() - open.start < MAX_BYTES && !text[open.end..lines_end].contains(&0)
        };
        match self.open.filter(may_go_on) {
            Some(open) => (self.messages, open.start),
            None => {
                self.close();
                (self.messages, lines_end)
            }
        }
    }
}

/// Whether `line` continues the message `open`: it does not begin a record, and the last value of the message can have
/// another line, which a number can't.
fn continues(text: &[u8], open: Span, line: Span) -> bool {
    let (message, next) = (&text[open.start..open.end], text[line.start..line.end].trim_ascii_start());
    if line.end - open.start > MAX_BYTES || text[open.end..line.start].contains(&0) {
        return false;
    }
    let header = memchr::memmem::find(message, MARK).map_or(message, |mark| &message[mark..]);
    if bars(header).nth(HEADER_FIELDS - 1).is_none() {
        return false;
    }
    if is_record(next) || next.starts_with(b"{") || bars(next).count() >= HEADER_BARS {
        return false;
    }
    let last_value = message.rsplit(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    starts_with_key(next) || !last_value.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        split(text.as_bytes()).into_iter().map(|part| text[part].trim()).collect()
    }

    #[test]
    fn messages_of_one_line_are_split_before_their_headers() {
        for between in [
            "<14>1 2026-01-05T08:00:00Z fw - - - - ",
            "Jan  5 08:00:00 fw ",
            "2026-01-05T08:00:00Z fw ",
            "170 <14>Jan 15 08:00:00 fw ",
            "",
        ] {
            let first =
                "<14>1 2026-01-05T08:00:00Z fw - - - - CEF:0|V|P|1|c|n|1|rt=Jan 05 2026 08:00:00 out=16";
            let second = format!("{between}CEF:0|V|P|1|c|n|1|out=17 suser=u");
            assert_eq!(parts(&format!("{first} {second} {second}")), [first, &second, &second], "{between}");
        }
        let touching = "CEF:0|V|P|1|c|n|1|suser=a<14>Jan  5 08:00:00 fw CEF:0|V|P|1|c|n|1|";
        assert_eq!(parts(touching).len(), 2);
    }

    #[test]
    fn a_quoted_message_does_not_start_a_part() {
        for quote in [
            "CEF:0|V|P|1|c|n|1|msg=can't read CEF:0|a|b",
            "CEF:0|V|P|1|c|n|1|msg=can't read CEF:0|V|P|1|c|n|1|src\\=10.0.0.1",
            "CEF:0|V|P|1|c|n|1|cs1=CEF:0|V|P|1|c|n|1|src=10.0.0.1",
            "CEF:0|V|P|1|c|n|1|msg=\"CEF:0|V|P|1|c|n|1|src=10.0.0.1\"",
            "no message at all",
        ] {
            assert_eq!(parts(quote), [quote]);
        }
    }
}
