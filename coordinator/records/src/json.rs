//! Reads JSON objects as fields: text unescaped, numbers as written, nested values as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::documents::message_of;
use super::format::Record;
use super::paths::{add_paths, spread_leaves};
use super::source::Source;
use super::within;

/// Adds the fields of the object in `text` to `record`.
///
/// # Errors
/// Why the text is not an object.
pub fn read<'a>(text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_map(Fields { record }).and_then(|()| deserializer.end());
    read.map_err(|error| format!("is not a JSON object: {}", message_of(&error)))
}

/// Adds the values of the list in `text` to `record`, with these names.
///
/// # Errors
/// Why the text is not a list of as many values.
pub(crate) fn read_row<'a>(
    text: &'a str,
    names: &'a [String],
    record: &mut Record<'a>,
) -> Result<(), String> {
    let values: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| format!("is not a row of values: {}", message_of(&error)))?;
    if values.len() != names.len() {
        return Err(format!("has {} values, but the answer has {} columns", values.len(), names.len()));
    }
    for (name, value) in names.iter().zip(values) {
        let raw = value.get();
        let value = match raw.as_bytes().first() {
            Some(b'"') => unescaped(raw).map_err(|error| message_of(&error))?,
            Some(b'n') => continue,
            _ => Cow::Borrowed(raw),
        };
        record.push((Cow::Borrowed(name.as_str()), value));
    }
    Ok(())
}

/// Shapes a record of a file with this name as its source says: brings events of Windows to the same fields, adds the kind
/// that the file's name means, renames fields, adds fields within objects by their paths, flattens objects, and makes
/// fields of others.
///
/// # Errors
/// Which object can't be read, or which name is ambiguous.
pub fn shape(record: &mut Record<'_>, source: &Source, file_name: &str) -> Result<(), String> {
    if let Some(events) = &source.events {
        events.shape(record)?;
    }
    if let Some(field) = source.field_of_file_name(record, file_name) {
        record.push((Cow::Owned(field.to_owned()), Cow::Owned(file_name.to_owned())));
    }
    rename(record, &source.renames);
    within::add_pairs(record, source);
    within::add_list_values(record, &source.list_paths)?;
    add_paths(record, &source.paths)?;
    flatten(record, &source.flatten, source)?;
    spread_leaves(record, source)?;
    add_paths(record, &source.leaf_paths)?;
    within::add_list_values(record, &source.list_paths)?;
    for (field, template) in &source.made {
        if let Some(text) = template.text_of(record) {
            record.push((Cow::Owned(field.clone()), Cow::Owned(text)));
        }
    }
    Ok(())
}

fn rename(record: &mut Record<'_>, names: &BTreeMap<String, String>) {
    if names.is_empty() {
        return;
    }
    for (field, _) in record.iter_mut() {
        if let Some(name) = names.get(field.as_ref()) {
            *field = Cow::Owned(name.clone());
        }
    }
}

/// The value at a path of names separated by dots, within an object of the record; `None` if the path is the name of a
/// field or does not exist.
///
/// # Errors
/// Which object on the path can't be read.
pub fn nested(record: &Record<'_>, path: &str) -> Result<Option<String>, String> {
    if record.iter().any(|(field, _)| field == path) {
        return Ok(None);
    }
    for (dot, _) in path.match_indices('.') {
        let (head, rest) = (&path[..dot], &path[dot + 1..]);
        let Some((_, object)) = record.iter().find(|(field, value)| field == head && is_object(value)) else {
            continue;
        };
        let mut inner = Record::new();
        read(object, &mut inner).map_err(|reason| broken_field(head, &reason))?;
        let found =
            inner.iter().find(|(field, _)| field == rest).map(|(_, value)| value.clone().into_owned());
        if let Some(value) = found.map_or_else(|| nested(&inner, rest), |value| Ok(Some(value)))? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Whether a value is the text of an object.
pub fn is_object(value: &str) -> bool {
    value.trim_start().starts_with('{')
}

/// Why a record can't be read whose field holds broken JSON.
pub(crate) fn broken_field(field: &str, reason: &str) -> String {
    let reason = reason.trim_start_matches("is not a JSON object: ");
    format!("its field {field} holds JSON that can't be read: {reason}")
}

/// Replaces each field that is named by the fields of its object, one after the other.
///
/// # Errors
/// Which object can't be read, or which name is ambiguous.
pub fn flatten<'a>(record: &mut Record<'a>, names: &[String], source: &Source) -> Result<(), String> {
    // Number of fields that were in no object.
    let mut outer = record.len();
    for name in names {
        let Some(at) = record.iter().position(|(field, value)| field == name && is_object(value)) else {
            continue;
        };
        let (_, value) = record.remove(at);
        outer -= usize::from(at < outer);
        let mut inner = members(name, value)?;
        rename(&mut inner, &source.renames);
        let before = record.len();
        for (field, value) in inner {
            place(record, (before, outer), name, (field, value), source)?;
        }
    }
    Ok(())
}

/// The fields of the object that is the value of `field`.
///
/// # Errors
/// Why it can't be read.
pub fn members<'a>(field: &str, value: Cow<'a, str>) -> Result<Record<'a>, String> {
    let mut inner: Record<'a> = Record::new();
    match value {
        Cow::Borrowed(text) => read(text, &mut inner).map_err(|reason| broken_field(field, &reason))?,
        // An object within text, such as in a CSV cell.
        Cow::Owned(text) => {
            let mut borrowed = Record::new();
            read(&text, &mut borrowed).map_err(|reason| broken_field(field, &reason))?;
            inner = borrowed.into_iter().map(|(field, value)| owned(field, value)).collect();
        }
    }
    Ok(inner)
}

/// The field as owned text.
pub fn owned(field: Cow<'_, str>, value: Cow<'_, str>) -> (Cow<'static, str>, Cow<'static, str>) {
    (Cow::Owned(field.into_owned()), Cow::Owned(value.into_owned()))
}

/// Adds a field of `object`. It keeps its name if none of the first `before` fields has it, and is named by its path
/// otherwise. The first `outer` fields were in no object.
fn place<'a>(
    record: &mut Record<'a>,
    (before, outer): (usize, usize),
    object: &str,
    (field, value): (Cow<'a, str>, Cow<'a, str>),
    source: &Source,
) -> Result<(), String> {
    let is_path = |path: &String| {
        path.strip_prefix(object).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest == field)
    };
    if source.paths.iter().any(is_path) {
        return Ok(());
    }
    match record[..before].iter().position(|(name, _)| *name == field) {
        None => record.push((field, value)),
        Some(at) if record[at].1 == value => {}
        Some(at) if at >= outer && source.names_field(&field) => {
            return Err(format!(
                "{field} is in {object} and in another object: the mapping must name it by its path, such as {object}.{field}"
            ));
        }
        Some(_) => record.push((Cow::Owned(format!("{object}.{field}")), value)),
    }
    Ok(())
}

struct Fields<'r, 'a> {
    record: &'r mut Record<'a>,
}

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let raw = map.next_value::<&'de RawValue>()?.get();
            match raw.as_bytes().first() {
                Some(b'"') => self.record.push((name, unescaped(raw).map_err(serde::de::Error::custom)?)),
                Some(b'n') => {}
                _ => self.record.push((name, Cow::Borrowed(raw))),
            }
        }
        Ok(())
    }
}

/// The text of a JSON string.
///
/// # Errors
/// Why it is none.
pub fn unescaped(raw: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match raw.contains('\\') {
        false => Ok(Cow::Borrowed(&raw[1..raw.len() - 1])),
        true => serde_json::from_str::<String>(raw).map(Cow::Owned),
    }
}

/// A key, borrowed if it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use hindcast_lake::Tables;

    use super::*;

    fn shaped(text: &str, mapping: &str) -> Result<Vec<String>, String> {
        let source = Source::parse("test", mapping, Tables::built_in()).unwrap();
        let mut record = Record::new();
        read(text, &mut record).unwrap();
        shape(&mut record, &source, "")?;
        Ok(record.iter().map(|(field, value)| format!("{field}={value}")).collect())
    }

    const FLOW: &str = r#"{"id.x":"1","a":"outer","src":{"ip":"10.1.1.5","a":"inner","deep":{"port":5}},"dst":{"ip":"203.0.113.9"}}"#;

    #[test]
    fn fields_of_objects_have_paths_and_do_not_collide() {
        let paths = "[[tables]]\ncolumns = { A = \"src.ip\", B = \"dst.ip\", C = \"src.deep.port\", D = \"id.x\", E = \"no.where\" }";
        let fields = shaped(FLOW, paths).unwrap();
        assert_eq!(fields[4..], ["dst.ip=203.0.113.9", "src.deep.port=5", "src.ip=10.1.1.5"]);
        let fields = shaped(FLOW, &format!("flatten = [\"src\", \"dst\"]\n{paths}")).unwrap();
        let wanted = [
            "id.x=1",
            "a=outer",
            "dst.ip=203.0.113.9",
            "src.deep.port=5",
            "src.ip=10.1.1.5",
            "src.a=inner",
            "deep={\"port\":5}",
        ];
        assert_eq!(fields, wanted);
        let fields = shaped(FLOW, "flatten = [\"src\", \"dst\"]\ntables = []").unwrap();
        assert_eq!(fields[2..], ["ip=10.1.1.5", "src.a=inner", "deep={\"port\":5}", "dst.ip=203.0.113.9"]);
        let both = "flatten = [\"src\", \"dst\"]\n[[tables]]\ncolumns = { A = \"ip\", B = \"ip\" }";
        assert!(shaped(FLOW, both).unwrap_err().contains("such as dst.ip"));
    }

    #[test]
    fn leaves_are_named_by_their_paths() {
        let text =
            r#"{"a":1,"user":{"a":2,"of":{"deep":{"x":"y"},"list":[{"b":1}]},"whole":{"c":3},"none":{}}}"#;
        let mapping =
            "leaves = [\"user\"]\n[[tables]]\ncolumns = { X = \"user.of.deep.x\", W = \"user.whole\" }";
        let wanted =
            ["a=1", "user.a=2", "user.of.deep.x=y", "user.of.list=[{\"b\":1}]", "user.whole={\"c\":3}"];
        assert_eq!(shaped(text, mapping).unwrap(), wanted);
        assert!(shaped(r#"{"user":"{\"a\":x}"}"#, mapping).unwrap_err().contains("its field user"));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_an_error() {
        let flat = "flatten = [\"data\"]\ntables = []";
        for text in [r#"{"data":"{\"a\":1,\"b\":\"x"}"#, r#"{"data":" {\"a\":1} x"}"#] {
            assert!(shaped(text, flat).unwrap_err().contains("data"), "{text}");
            assert!(shaped(text, "[[tables]]\ntime = [\"data.a\"]").unwrap_err().contains("data"), "{text}");
        }
        assert_eq!(shaped(r#"{"data":"text"}"#, flat).unwrap(), ["data=text"]);
        assert_eq!(shaped(r#"{"data":" {\"a\":1}"}"#, flat).unwrap(), ["a=1"]);
    }

    /// The fields of a text, as RFC 8259 says.
    fn fields(text: &str) -> Result<Vec<String>, String> {
        let mut record = Record::new();
        read(text, &mut record)?;
        Ok(record.iter().map(|(field, value)| format!("{field}={value}")).collect())
    }

    #[test]
    fn text_is_unescaped_and_other_values_are_as_written() {
        let text = r#" { "a\u0062" : "\"\\\/\b\f\n\r\t\u20AC\ud83d\ude00" , "n":-0.10E+02,"big":123456789012345678901,
            "t":true,"f":false,"none":null,"list":[1, "\n"],"object":{"x": null},"empty":"" } "#;
        let wanted = [
            "ab=\"\\/\u{8}\u{c}\n\r\t€😀",
            "n=-0.10E+02",
            "big=123456789012345678901",
            "t=true",
            "f=false",
            "list=[1, \"\\n\"]",
            "object={\"x\": null}",
            "empty=",
        ];
        assert_eq!(fields(text).unwrap(), wanted);
        assert_eq!(fields("{}").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn text_that_is_not_one_object_is_an_error() {
        for text in [
            "",
            "[]",
            "\"a\"",
            "{\"a\":1",
            "{\"a\":1} {\"b\":2}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":1,}",
            "{'a':1}",
            "{a:1}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":NaN}",
        ] {
            let error = fields(text).unwrap_err();
            assert!(
                error.starts_with("is not a JSON object: ") && !error.contains(" at line "),
                "{text}: {error}"
            );
        }
    }
}
