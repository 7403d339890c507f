//! Cuts text into JSON objects of any number of lines, alone or within arrays and envelopes.

use serde::de::IgnoredAny;

use super::envelopes::{Beginning, beginning, is_other_member};
use super::framing::{Framed, Span};
use super::rejects::Reject;

/// Failures within one broken document after which its rest is skipped.
const TRIES_IN_BROKEN_DOCUMENT: usize = 64;

/// The objects of `text`. Skips what separates them and the envelopes around lists of them. Stops before rows.
pub fn documents(text: &[u8], is_last: bool, line_end: u8) -> Framed {
    let mut framed = Framed::default();
    let mut counter = LineCounter { line_end, ..LineCounter::default() };
    let (mut at, mut broken_until, mut tries) = (0, 0, 0);
    loop {
        at += text[at..].iter().take_while(|b| b.is_ascii_whitespace() || b",[]}\0".contains(b)).count();
        if at >= text.len() {
            break;
        }
        if text[at] != b'{' {
            match member(&text[at..], is_last) {
                Member::Whole(length) if at >= broken_until => {
                    at += length;
                    continue;
                }
                Member::Begun if at >= broken_until => break,
                _ => {}
            }
            let end = memchr::memchr(b'{', &text[at..]).map_or(text.len(), |offset| at + offset);
            if at >= broken_until {
                framed.rejects.push(Reject::new(
                    counter.line(text, at),
                    "is not a JSON object",
                    &text[at..end],
                ));
            }
            at = end;
            continue;
        }
        match beginning(&text[at..], is_last) {
            Some(Beginning::Open) => break,
            Some(Beginning::Objects(length) | Beginning::Nothing(length)) => {
                at += length;
                continue;
            }
            Some(Beginning::Rows(length, names)) => {
                at += length;
                framed.rows = Some(names);
                break;
            }
            None => {}
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
                    let reason = format!("is not JSON: {}", message_of(&error));
                    framed.rejects.push(Reject::new(counter.line(text, at), reason, &text[at..end]));
                    (broken_until, tries) = (end, 0);
                }
                // A whole object can be within the text of a broken one.
                tries += 1;
                let from = if tries > TRIES_IN_BROKEN_DOCUMENT { broken_until.max(at + 1) } else { at + 1 };
                at = memchr::memchr(b'{', &text[from.min(text.len())..])
                    .map_or(text.len(), |next| from + next);
            }
            None => break,
        }
    }
    framed.consumed = at.min(text.len());
    framed
}

/// The rows of `text`, each a list of values, and whether their list ends.
pub fn rows(text: &[u8], is_last: bool, line_end: u8) -> (Framed, bool) {
    let mut framed = Framed::default();
    let mut counter = LineCounter { line_end, ..LineCounter::default() };
    let (mut at, mut has_ended) = (0, false);
    loop {
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b',').count();
        if at >= text.len() {
            break;
        }
        if text[at] == b']' {
            (at, has_ended) = (at + 1, true);
            break;
        }
        let mut values = serde_json::Deserializer::from_slice(&text[at..]).into_iter::<Vec<IgnoredAny>>();
        match values.next() {
            Some(Ok(_)) => {
                let end = at + values.byte_offset();
                framed.spans.push(Span { start: at, end, line: counter.line(text, at) });
                at = end;
            }
            Some(Err(error)) if error.is_eof() && !is_last => break,
            Some(Err(error)) => {
                let end = text.len().min(at + offset_of(&error, &text[at..]).max(1));
                let end = memchr::memchr(b'[', &text[end..]).map_or(text.len(), |next| end + next);
                let reason = format!("is not a row of values: {}", message_of(&error));
                framed.rejects.push(Reject::new(counter.line(text, at), reason, &text[at..end]));
                at = end;
            }
            None => break,
        }
    }
    framed.consumed = at;
    (framed, has_ended)
}

/// The error's message without line and column, which would count from the start of the record.
pub fn message_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// Bytes of `text` before the position of `error`, where the next record may begin.
fn offset_of(error: &serde_json::Error, text: &[u8]) -> usize {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', text).nth(line - 2).map_or(text.len(), |newline| newline + 1),
    };
    line_start + error.column().saturating_sub(1)
}

/// Text at a position where an object is expected.
enum Member {
    /// A name such as `@odata.nextLink` and its value: a member of an envelope, behind its list. The number is its length in
    /// bytes. Any other name is a field of a broken record.
    Whole(usize),
    /// The beginning of such a member.
    Begun,
    /// Something else.
    Other,
}

fn member(text: &[u8], is_last: bool) -> Member {
    let mut at = 0;
    for part in 0..2 {
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let is_name = part == 0;
        if is_name && matches!(text.get(at), Some(b'{' | b'[')) {
            return Member::Other;
        }
        let mut values = serde_json::Deserializer::from_slice(&text[at..]).into_iter::<serde_json::Value>();
        match values.next() {
            Some(Ok(value)) if is_name && !value.as_str().is_some_and(is_other_member) => {
                return Member::Other;
            }
            Some(Ok(_)) => at += values.byte_offset(),
            Some(Err(error)) if error.is_eof() && !is_last => return Member::Begun,
            None if !is_last => return Member::Begun,
            _ => return Member::Other,
        }
        if is_name {
            at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            match text.get(at) {
                Some(b':') => at += 1,
                None if !is_last => return Member::Begun,
                _ => return Member::Other,
            }
        }
    }
    Member::Whole(at)
}

/// Counts lines from left to right.
#[derive(Default)]
struct LineCounter {
    line_end: u8,
    counted_to: usize,
    lines: u64,
}

impl LineCounter {
    fn line(&mut self, text: &[u8], at: usize) -> u64 {
        if at > self.counted_to {
            self.lines += memchr::memchr_iter(self.line_end, &text[self.counted_to..at]).count() as u64;
            self.counted_to = at;
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> (Vec<String>, usize) {
        documents(text.as_bytes(), true, b'\n').records_of(text)
    }

    #[test]
    fn documents_are_found_in_any_wrapping() {
        let (records, rejects) = texts("[\n {\"a\": [1]},\n {\"b\": {}}\n]\n{\"records\": [{\"c\":1}]}");
        assert_eq!(records, ["{\"a\": [1]}", "{\"b\": {}}", "{\"c\":1}"]);
        assert_eq!(rejects, 0);
        let page = "{\"@odata.context\": \"x\", \"@odata.count\": 2, \"value\": [{\"a\":1}, {\"value\":[1]}], \"@odata.nextLink\": \"y\"}";
        assert_eq!(texts(&format!("{page}\n{page}")).0.len(), 4);
        assert_eq!(texts(page), (vec!["{\"a\":1}".to_owned(), "{\"value\":[1]}".to_owned()], 0));
        assert_eq!(texts("{\"Records\":[]}"), (Vec::new(), 0));
        let record = "{\"name\":\"x\",\"value\":[{\"k\":1}]}";
        assert_eq!(texts(record), (vec![record.to_owned()], 0));
        let lists = "[[{\"a\":1}, {\"b\":[[2]]}], [], [{\"c\":3}]]";
        assert_eq!(texts(lists).0, ["{\"a\":1}", "{\"b\":[[2]]}", "{\"c\":3}"]);
        let answer = "{\"took\":1,\"hits\":{\"total\":{\"value\":2},\"hits\":[{\"_source\":{}}]},\"aggregations\":{\"a\":[{}]}}";
        assert_eq!(texts(answer), (vec!["{\"_source\":{}}".to_owned()], 0));
    }

    #[test]
    fn rows_are_cut_up_to_the_end_of_their_list() {
        let text = "[1,\"a]\"],\n[2,[{}]], nonsense, [3,null]]}]}";
        let (framed, has_ended) = rows(text.as_bytes(), true, b'\n');
        let found: Vec<&str> = framed.spans.iter().map(|span| &text[span.start..span.end]).collect();
        assert_eq!(found, ["[1,\"a]\"]", "[2,[{}]]", "[3,null]"]);
        assert_eq!((framed.rejects.len(), has_ended, &text[framed.consumed..]), (1, true, "}]}"));
        assert_eq!((framed.spans[1].line, framed.rejects[0].line), (1, 1));
        let (framed, has_ended) = rows(b"[1],[2,", false, b'\n');
        assert_eq!((framed.spans.len(), has_ended, framed.consumed), (1, false, 4));
        let columns =
            "{\"tables\":[{\"name\":\"PrimaryResult\",\"columns\":[{\"name\":\"A\"}],\"rows\":[[1]]}]}";
        let framed = documents(columns.as_bytes(), true, b'\n');
        assert_eq!((framed.rows, &columns[framed.consumed..]), (Some(vec!["A".to_owned()]), "[1]]}]}"));
    }

    #[test]
    fn a_broken_document_costs_no_other_document() {
        for (text, whole) in [
            ("[{\"a\":\"x},\n{\"b\":1}]", "{\"b\":1}"),
            ("{\"a\":\"x},{\"b\":1}", "{\"b\":1}"),
            ("{\"a\":1,{\"b\":1}", "{\"b\":1}"),
            ("junk {\"b\":1}", "{\"b\":1}"),
            ("\"junk\" {\"b\":1}", "{\"b\":1}"),
            ("{\"b\":1}{\"a\":", "{\"b\":1}"),
        ] {
            let (records, rejects) = texts(text);
            assert_eq!((records, rejects), (vec![whole.to_owned()], 1), "{text}");
        }
        let deep = "{\"a\":".repeat(100_000);
        assert_eq!(texts(&deep).1, 1);
    }
}
