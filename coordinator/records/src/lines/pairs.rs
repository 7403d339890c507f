//! Messages of `key=value` pairs, quoted or not.

use std::borrow::Cow;

use super::super::format::Record;

/// Field for text that belongs to no pair.
pub const REST: &str = "text";

/// Pairs of keys and values.
#[derive(Debug, Clone, Copy)]
pub struct Pairs {
    /// The byte between key and value.
    pub assign: u8,
    /// The byte between pairs.
    pub delimiter: u8,
}

impl Pairs {
    /// Adds the pairs in `text` to `record`. An unquoted value between spaces ends before the next key, so it may contain
    /// spaces. A text that breaks off in a value gives the value up to there.
    pub fn read<'a>(self, text: &'a str, record: &mut Record<'a>) {
        let mut rest = text;
        while let Some(assign) = memchr::memchr(self.assign, rest.as_bytes()) {
            let before = &rest[..assign];
            let key_start = before.rfind(|c: char| self.is_between(c)).map_or(0, |at| at + 1);
            push_rest(&before[..key_start], record);
            // A list of Check Point has a second colon.
            let key = before[key_start..].trim().trim_start_matches(['[', ',', ';']);
            let value = &rest[assign + 1..];
            let value = value
                .strip_prefix(char::from(self.assign))
                .filter(|text| text.starts_with('"'))
                .unwrap_or(value);
            let (value, behind) = match value.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted),
                None => {
                    let (value, behind) = value.split_at(self.value_end(value));
                    (Cow::Borrowed(value.trim()), behind)
                }
            };
            if !(value.is_empty() || key.is_empty()) {
                record.push((Cow::Borrowed(key), value));
            }
            rest = behind;
        }
        push_rest(rest, record);
    }

    /// Whether a character ends a key or a value. Only a delimiter that is no space allows spaces in keys.
    fn is_between(self, character: char) -> bool {
        character == char::from(self.delimiter) || (self.delimiter == b' ' && character.is_whitespace())
    }

    /// Length of an unquoted value at the start of `text`: up to a delimiter that is before a key, or is the end.
    fn value_end(self, text: &str) -> usize {
        let may_be_key = |byte: &u8| {
            byte.is_ascii_alphanumeric()
                || b"_.-[]/".contains(byte)
                || (*byte == b' ' && self.delimiter != b' ')
        };
        let mut end = text.find(|c: char| self.is_between(c));
        while let Some(at) = end {
            let word = text[at + 1..].trim_start();
            let key = word.bytes().take_while(may_be_key).count();
            if word.is_empty() || (key > 0 && word.as_bytes().get(key) == Some(&self.assign)) {
                return at;
            }
            end = text[at + 1..].find(|c: char| self.is_between(c)).map(|next| at + 1 + next);
        }
        text.len()
    }

    /// The value that begins after a quote, and what is behind it. `\"` and `\\` are escapes. A quote before other text
    /// than a delimiter is part of the value.
    fn quoted(self, text: &str) -> (Cow<'_, str>, &str) {
        let (mut from, mut has_escapes) = (0, false);
        let end = loop {
            let Some(at) = memchr::memchr2(b'"', b'\\', &text.as_bytes()[from..]).map(|at| from + at) else {
                break text.len();
            };
            let next = text.as_bytes().get(at + 1).copied();
            if text.as_bytes()[at] == b'\\' {
                let is_escape = matches!(next, Some(b'"' | b'\\'));
                has_escapes |= is_escape;
                from = at + if is_escape { 2 } else { 1 };
            } else if next.is_none_or(|next| next == self.delimiter || b" \t,;])|".contains(&next)) {
                break at;
            } else {
                from = at + 1;
            }
        };
        let value = match has_escapes {
            true => Cow::Owned(unescaped(&text[..end])),
            false => Cow::Borrowed(&text[..end]),
        };
        (value, text.get(end + 1..).unwrap_or_default())
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = characters.next_if(|next| character == '\\' && matches!(next, '"' | '\\'));
        plain.push(escaped.unwrap_or(character));
    }
    plain
}

/// Keeps text between pairs, unless it is only punctuation.
fn push_rest<'a>(text: &'a str, record: &mut Record<'a>) {
    if text.contains(char::is_alphanumeric) {
        record.push((Cow::Borrowed(REST), Cow::Borrowed(text.trim())));
    }
}
