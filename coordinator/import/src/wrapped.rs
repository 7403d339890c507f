//! Unwraps CEF messages from a field of JSON or CSV records, in which collectors put what they receive.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::format::Record;
use super::json::{nested, owned};
use super::{cef, json, messages};

/// Levels of nested objects that are searched for a message.
const DEPTH: usize = 3;
/// Prefix of a wrapper's field if the message has a field with the same name.
const WRAPPER: &str = "wrapper.";

/// The path of the field that holds a CEF message in most of `records`.
pub(super) fn messages_in(records: &[Record<'_>]) -> Option<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for path in records.iter().filter_map(|record| path_in(record, DEPTH)) {
        *found.entry(path).or_default() += 1;
    }
    let (path, count) = found.into_iter().max_by_key(|(_, count)| *count)?;
    (2 * count > records.len()).then_some(path)
}

fn path_in(record: &Record<'_>, depth: usize) -> Option<String> {
    let is_message = |text: &str| {
        messages::contains_message(text.as_bytes()) && cef::read(text, &mut Record::new()).is_ok()
    };
    record.iter().find_map(|(field, value)| match value.starts_with('{') {
        false => is_message(value).then(|| field.clone().into_owned()),
        true if depth == 0 => None,
        true => {
            let mut inner = Record::new();
            json::read(value, &mut inner).ok()?;
            path_in(&inner, depth - 1).map(|path| format!("{field}.{path}"))
        }
    })
}

/// The messages in the field at `path` as records. Each also gets the record's other fields, after its own.
///
/// # Errors
/// The field does not exist. A message that can't be read is an error in the list.
pub(super) fn unwrap<'a>(
    record: &mut Record<'a>,
    path: &str,
) -> Result<Vec<Result<Record<'a>, String>>, String> {
    let text = match record.iter().position(|(field, _)| field == path) {
        Some(at) => record.remove(at).1,
        None => nested(record, path)?
            .map(Cow::Owned)
            .ok_or_else(|| format!("has no field {path} with a CEF message"))?,
    };
    let read = |part: std::ops::Range<usize>| -> Result<Record<'a>, String> {
        let mut message: Record<'a> = Record::new();
        match &text {
            Cow::Borrowed(text) => cef::read(&text[part], &mut message)?,
            Cow::Owned(text) => {
                let mut borrowed = Record::new();
                cef::read(&text[part], &mut borrowed)?;
                message = borrowed.into_iter().map(|(field, value)| owned(field, value)).collect();
            }
        }
        let own = message.len();
        for (field, value) in record.iter() {
            let is_taken = message[..own].iter().any(|(name, _)| name == field);
            let name = if is_taken { Cow::Owned(format!("{WRAPPER}{field}")) } else { field.clone() };
            message.push((name, value.clone()));
        }
        Ok(message)
    };
    Ok(messages::split(text.as_bytes()).into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_and_unwrapped() {
        let lines = [
            r#"{"@timestamp":"2026-01-05T08:00:00Z","event":{"original":"<14>CEF:0|V|P|1|c|n|1|src=10.1.1.5 act=deny CEF:0|V|P|1|c|n|1|act=\"a\""},"act":"x"}"#,
            r#"{"message":"not CEF:0|a quotation"}"#,
        ];
        let records: Vec<Record<'_>> = [lines[0], lines[0], lines[1]]
            .into_iter()
            .map(|line| {
                let mut record = Record::new();
                json::read(line, &mut record).unwrap();
                record
            })
            .collect();
        assert_eq!(messages_in(&records), Some("event.original".to_owned()));
        assert_eq!(messages_in(&records[2..]), None);
        let messages = unwrap(&mut records[0].clone(), "event.original").unwrap();
        let value = |message: usize, name: &str| {
            let message = messages[message].as_ref().unwrap();
            message.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone().into_owned())
        };
        assert_eq!(
            (value(0, "src").as_deref(), value(0, "act").as_deref()),
            (Some("10.1.1.5"), Some("deny"))
        );
        assert_eq!(
            (value(1, "act").as_deref(), value(1, "wrapper.act").as_deref()),
            (Some("\"a\""), Some("x"))
        );
        assert!(unwrap(&mut records[2].clone(), "event.original").is_err());
    }
}
