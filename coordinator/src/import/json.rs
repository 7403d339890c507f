//! JSON objects as fields: text unescaped, numbers as they are written, nested values as their JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::format::Record;
use super::framing::told;

/// Adds the fields of the object that `text` is to `record`.
///
/// # Errors
/// Why it is no object.
pub(super) fn read<'a>(text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_map(Fields { record }).and_then(|()| deserializer.end());
    read.map_err(|error| format!("is no JSON object: {}", told(&error)))
}

/// Replaces the fields `names` that hold objects by the fields of those objects, in turn.
pub(super) fn flatten(record: &mut Record<'_>, names: &[String]) {
    for name in names {
        let Some(at) = record.iter().position(|(field, value)| field == name && value.starts_with('{'))
        else {
            continue;
        };
        let (_, value) = record.remove(at);
        match value {
            Cow::Borrowed(text) => {
                let _ = read(text, record);
            }
            // An object within a text, such as one in a CSV cell.
            Cow::Owned(text) => {
                let mut inner = Record::new();
                if read(&text, &mut inner).is_ok() {
                    let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
                    record.extend(inner.into_iter().map(|(field, value)| (owned(field), owned(value))));
                }
            }
        }
    }
}

/// Gives fields their other names.
pub(super) fn rename(record: &mut Record<'_>, names: &BTreeMap<String, String>) {
    if names.is_empty() {
        return;
    }
    for (field, _) in record.iter_mut() {
        if let Some(name) = names.get(field.as_ref()) {
            *field = Cow::Owned(name.clone());
        }
    }
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
fn unescaped(raw: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match raw.contains('\\') {
        false => Ok(Cow::Borrowed(&raw[1..raw.len() - 1])),
        true => serde_json::from_str::<String>(raw).map(Cow::Owned),
    }
}

/// A key, borrowed where it has no escapes.
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
