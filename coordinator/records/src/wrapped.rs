//! Unwraps messages from a field of JSON or CSV records, in which collectors put what they receive: CEF, lines of a source,
//! or JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::built_in::{GENERIC, Sources};
use super::format::{Record, document_in};
use super::json::{nested, owned};
use super::lines::{Lines, SYSLOG_TIME};
use super::source::{Source, field_value};
use super::{cef, json, messages};

/// Levels of nested objects that are searched for a message.
const DEPTH: usize = 3;
/// Prefix of a wrapper's field if the message has a field with the same name.
const WRAPPER: &str = "wrapper.";
/// Fields with a message in JSON.
const JSON_FIELDS: [&str; 7] =
    ["_raw", "event.original", "message", "Message", "msg", "log", "SyslogMessage"];
/// Records that are searched for lines of a source.
const SAMPLE: usize = 20;
/// Fields with the time of a collector, for lines without one.
const COLLECTED: [&str; 5] = ["@timestamp", "_time", "timestamp", "TimeGenerated", "time"];

/// The messages in records.
#[derive(Debug, Clone)]
pub struct Wrapped {
    /// Path of their field.
    pub path: String,
    /// What the field holds.
    pub message: Message,
}

/// What a message is.
#[derive(Debug, Clone)]
pub enum Message {
    /// CEF, of which a field may hold several.
    Cef,
    /// A line of a source.
    Line(Lines),
    /// A JSON object, alone or after a syslog header.
    Json,
}

impl Wrapped {
    /// The CEF messages in most of `records`.
    pub(crate) fn cef_in(records: &[Record<'_>]) -> Option<Self> {
        let is_message = |text: &str| {
            messages::contains_message(text.as_bytes()) && cef::read(text, &mut Record::new()).is_ok()
        };
        Some(Self { path: path_in_most(records, &is_message)?, message: Message::Cef })
    }

    /// The lines of a source in most of the first `records`.
    pub(crate) fn lines_in(records: &[Record<'_>], sources: &Sources) -> Option<Self> {
        let records = &records[..records.len().min(SAMPLE)];
        sources.with_lines().find_map(|lines| {
            let path = path_in_most(records, &|text| lines.format.takes(text.as_bytes()))?;
            Some(Self { path, message: Message::Line(lines) })
        })
    }

    /// JSON of a known source in most of the first `records`, and the source. If the user names one, it must be that.
    pub(crate) fn json_in(
        records: &[Record<'_>],
        sources: &Sources,
        requested_table: Option<&str>,
    ) -> Option<(Self, Arc<Source>)> {
        let records = &records[..records.len().min(SAMPLE)];
        JSON_FIELDS.iter().find_map(|path| {
            let texts: Vec<String> = records.iter().filter_map(|record| text_at(record, path)).collect();
            let read = |text| {
                let mut record = Record::new();
                document(text, &mut record).ok().map(|()| record)
            };
            let found: Vec<Record<'_>> = texts.iter().filter_map(|text| read(text)).collect();
            let source = sources.of_records(&found, "", requested_table).ok()?;
            let is_named = sources.named().is_none_or(|named| named.name == source.name);
            let is_so = 2 * found.len() > records.len() && source.name != GENERIC && is_named;
            is_so.then(|| (Self { path: (*path).to_owned(), message: Message::Json }, source))
        })
    }

    fn read<'a>(&'a self, text: &'a str, message: &mut Record<'a>) -> Result<(), String> {
        match &self.message {
            Message::Line(lines) => lines.format.read(text, message),
            Message::Cef => cef::read(text, message),
            Message::Json => document(text, message),
        }
    }
}

/// The text of the field at `path`.
fn text_at(record: &Record<'_>, path: &str) -> Option<String> {
    let own = field_value(record, path).map(str::to_owned);
    own.or_else(|| nested(record, path).ok().flatten())
}

/// Adds the fields of a JSON object, alone or after a syslog header, to `record`.
fn document<'a>(text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
    let (header, object) = document_in(text);
    if let Some(time) = cef::syslog_time(header) {
        record.push((Cow::Borrowed(SYSLOG_TIME), time));
    }
    json::read(object, record)
}

/// The path of a field that is a message in most of `records`.
fn path_in_most(records: &[Record<'_>], is_message: &dyn Fn(&str) -> bool) -> Option<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for path in records.iter().filter_map(|record| path_in(record, DEPTH, is_message)) {
        *found.entry(path).or_default() += 1;
    }
    let (path, count) = found.into_iter().max_by_key(|(_, count)| *count)?;
    (2 * count > records.len()).then_some(path)
}

fn path_in(record: &Record<'_>, depth: usize, is_message: &dyn Fn(&str) -> bool) -> Option<String> {
    record.iter().find_map(|(field, value)| match value.starts_with('{') {
        false => is_message(value).then(|| field.clone().into_owned()),
        true if depth == 0 => None,
        true => {
            let mut inner = Record::new();
            json::read(value, &mut inner).ok()?;
            path_in(&inner, depth - 1, is_message).map(|path| format!("{field}.{path}"))
        }
    })
}

/// The messages in a field of `record`, as records. Each also gets the record's other fields, after its own.
///
/// # Errors
/// The field does not exist. A message that can't be read is an error in the list.
pub fn unwrap<'a>(
    record: &mut Record<'a>,
    wrapped: &'a Wrapped,
) -> Result<Vec<Result<Record<'a>, String>>, String> {
    let path = wrapped.path.as_str();
    let text = match record.iter().position(|(field, _)| field == path) {
        Some(at) => record.remove(at).1,
        None => nested(record, path)?
            .map(Cow::Owned)
            .ok_or_else(|| format!("has no field {path} with a message"))?,
    };
    let read = |part: std::ops::Range<usize>| -> Result<Record<'a>, String> {
        let mut message: Record<'a> = Record::new();
        match &text {
            Cow::Borrowed(text) => wrapped.read(&text[part], &mut message)?,
            Cow::Owned(text) => {
                let mut borrowed = Record::new();
                wrapped.read(&text[part], &mut borrowed)?;
                message = borrowed.into_iter().map(|(field, value)| owned(field, value)).collect();
            }
        }
        if matches!(wrapped.message, Message::Line(_)) && field_value(&message, SYSLOG_TIME).is_none() {
            let collected = COLLECTED.iter().find_map(|name| record.iter().find(|(field, _)| field == name));
            message.extend(collected.map(|(_, time)| (Cow::Borrowed(SYSLOG_TIME), time.clone())));
        }
        let own = message.len();
        for (field, value) in record.iter() {
            let taken = message[..own].iter().find(|(name, _)| name == field);
            let name = match (taken, &wrapped.message) {
                // An export repeats the fields of its JSON.
                (Some((_, own)), Message::Json) if own == value => continue,
                (Some(_), _) => Cow::Owned(format!("{WRAPPER}{field}")),
                (None, _) => field.clone(),
            };
            message.push((name, value.clone()));
        }
        Ok(message)
    };
    let parts = match wrapped.message {
        Message::Cef => messages::split(text.as_bytes()),
        Message::Line(_) | Message::Json => std::iter::once(0..text.len()).collect(),
    };
    Ok(parts.into_iter().map(read).collect())
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
        let wrapped = Wrapped::cef_in(&records).unwrap();
        assert_eq!(wrapped.path, "event.original");
        assert!(Wrapped::cef_in(&records[2..]).is_none());
        let messages = unwrap(&mut records[0].clone(), &wrapped).unwrap();
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
        assert!(unwrap(&mut records[2].clone(), &wrapped).is_err());
    }

    #[test]
    fn lines_of_a_source_are_found_and_get_the_time_of_the_collector() {
        let message = "LEEF:1.0|V|P|1|e|src=10.1.1.5\tact=deny";
        let record = |text: &str| -> Record<'static> {
            let fields = [("@timestamp", "2026-01-05T08:00:00Z"), ("host", "c1"), ("message", text)];
            fields.map(|(field, value)| owned(Cow::Borrowed(field), Cow::Borrowed(value))).into()
        };
        let records = [record(message), record(message), record("up")];
        let wrapped = Wrapped::lines_in(&records, &Sources::for_tests()).unwrap();
        let Message::Line(lines) = &wrapped.message else { panic!("not lines") };
        assert_eq!((wrapped.path.as_str(), lines.source.name.as_str()), ("message", "leef"));
        assert!(Wrapped::lines_in(&records[1..], &Sources::naming("pan-os")).is_none());
        let messages = unwrap(&mut record(&format!("<14>{message}")), &wrapped).unwrap();
        let value = |name| field_value(messages[0].as_ref().unwrap(), name);
        assert_eq!((value("src"), value("SyslogTime")), (Some("10.1.1.5"), Some("2026-01-05T08:00:00Z")));
        assert_eq!((value("host"), value("message")), (Some("c1"), None));
        assert!(unwrap(&mut record("up"), &wrapped).unwrap()[0].is_err());
    }

    /// The source of the JSON in records of this line, and the fields of its message.
    fn json_of(line: &str, sources: &Sources) -> Option<(String, String)> {
        let mut record = Record::new();
        json::read(line, &mut record).unwrap();
        let (wrapped, source) = Wrapped::json_in(&[record.clone()], sources, None)?;
        let messages = unwrap(&mut record, &wrapped).unwrap();
        let fields = messages[0].as_ref().unwrap().iter().map(|(name, value)| format!("{name}={value}"));
        Some((source.name.clone(), fields.collect::<Vec<_>>().join(" ")))
    }

    #[test]
    fn json_of_a_known_source_is_found_in_an_export() {
        let all = Sources::for_tests();
        let conn = r#"{\"_path\":\"conn\",\"ts\":1767600000.5,\"uid\":\"C1\"}"#;
        let export = format!("{{\"_time\":\"t\",\"uid\":\"C1\",\"ts\":\"x\",\"_raw\":\"{conn}\"}}");
        let fields = "_path=conn ts=1767600000.5 uid=C1 _time=t wrapper.ts=x";
        assert_eq!(json_of(&export, &all), Some(("zeek".to_owned(), fields.to_owned())));
        assert!(json_of(&export, &Sources::naming("zeek")).is_some());
        assert!(json_of(&export, &Sources::naming("cef")).is_none());
        let beat =
            format!("{{\"@timestamp\":\"t\",\"event\":{{\"original\":\"<14>Jan  5 08:00:00 c {conn}\"}}}}");
        assert!(json_of(&beat, &all).unwrap().1.starts_with("SyslogTime=Jan  5 08:00:00 _path=conn"));
        // Texts of no known source stay as they are.
        assert!(json_of(r#"{"time":"t","_raw":"{\"a\":1}"}"#, &all).is_none());
        assert!(json_of(r#"{"time":"t","message":"free text"}"#, &all).is_none());
    }
}
