//! Log Event Extended Format (LEEF) 1.0 and 2.0: five or six header fields, and attributes.

use std::borrow::Cow;

use super::super::format::Record;
use super::pairs::Pairs;

/// Names of the header fields.
const HEADER: [&str; 5] =
    ["LEEFVersion", "DeviceVendor", "DeviceProduct", "DeviceVersion", "DeviceEventClassID"];
/// What separates attributes if the header does not say: a tab, a tab that rsyslog escaped, or what PAN-OS writes.
const DELIMITERS: [&str; 3] = ["\t", "#011", "|"];

/// Adds the fields of the message in `text` to `record`.
///
/// # Errors
/// Why it is not a LEEF message.
pub fn read<'a>(text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
    let start = text.find("LEEF:").ok_or("has no LEEF header")?;
    let mut rest = &text[start + 5..];
    for name in HEADER {
        let (value, behind) = rest.split_once('|').ok_or("has fewer than five header fields")?;
        record.push((Cow::Borrowed(name), Cow::Borrowed(value)));
        rest = behind;
    }
    let is_second = !text[start + 5..].starts_with('1');
    let stated = rest.split_once('|').filter(|_| is_second);
    let stated = stated.and_then(|(written, behind)| Some((delimiter(written)?, behind)));
    match stated {
        Some((delimiter, behind)) => attributes(behind, delimiter.encode_utf8(&mut [0; 4]), record),
        None => match DELIMITERS.into_iter().find(|delimiter| rest.contains(delimiter)) {
            Some(delimiter) => attributes(rest, delimiter, record),
            None => Pairs { assign: b'=', delimiter: b' ' }.read(rest, record),
        },
    }
    Ok(())
}

/// The delimiter that a header of LEEF 2.0 states: a character, or its code such as `x09` or `0x5E`; a tab if empty.
fn delimiter(written: &str) -> Option<char> {
    let mut characters = written.chars();
    match (characters.next(), characters.next()) {
        (None, _) => Some('\t'),
        (Some(character), None) => Some(character),
        _ => {
            let digits = written.strip_prefix("0x").or_else(|| written.strip_prefix('x'))?;
            u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
        }
    }
}

/// Adds the attributes. A piece that does not begin with a key continues the value before it.
fn attributes<'a>(text: &'a str, delimiter: &str, record: &mut Record<'a>) {
    let key_of = |piece: &'a str| {
        let (key, _) = piece.split_once('=')?;
        let is_key = |b: u8| b.is_ascii_alphanumeric() || b"_.-/".contains(&b);
        (!key.trim().is_empty() && key.trim().bytes().all(is_key)).then_some(key)
    };
    let mut start = 0;
    let mut open: Option<(&'a str, usize, usize)> = None;
    let mut close = |attribute: Option<(&'a str, usize, usize)>| {
        let Some((key, start, end)) = attribute else { return };
        let value = text[start..end].trim();
        // PAN-OS quotes some values.
        let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = quoted.filter(|inner| !inner.contains('"')).unwrap_or(value);
        if !value.is_empty() {
            record.push((Cow::Borrowed(key.trim()), Cow::Borrowed(value)));
        }
    };
    for piece in text.split(delimiter) {
        let end = start + piece.len();
        match (key_of(piece), &mut open) {
            (Some(key), _) => close(open.replace((key, start + key.len() + 1, end))),
            (None, Some((.., last))) if !piece.is_empty() => *last = end,
            (None, _) => {}
        }
        start = end + delimiter.len();
    }
    close(open);
}
