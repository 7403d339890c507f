//! Values within a field that a mapping reaches: elements of lists, and `key=value` pairs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::documents::message_of;
use super::format::Record;
use super::json::owned;
use super::lines::{Pairs, REST};
use super::source::Source;

/// A field whose text has pairs: its name alone, or with what separates them.
#[derive(Debug, Deserialize)]
#[serde(from = "WrittenPairs")]
pub struct PairsIn {
    field: String,
    pairs: Pairs,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the name of a field, or { field, delimiter, assign }")]
enum WrittenPairs {
    Name(String),
    Separated(Separated),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Separated {
    field: String,
    #[serde(default = "space")]
    delimiter: char,
    #[serde(default = "equals_sign")]
    assign: char,
}

fn space() -> char {
    ' '
}

fn equals_sign() -> char {
    '='
}

impl From<WrittenPairs> for PairsIn {
    fn from(written: WrittenPairs) -> Self {
        let Separated { field, delimiter, assign } = match written {
            WrittenPairs::Name(field) => Separated { field, delimiter: space(), assign: equals_sign() },
            WrittenPairs::Separated(separated) => separated,
        };
        let byte = |character: char| u8::try_from(character).unwrap_or(b' ');
        Self { field, pairs: Pairs { assign: byte(assign), delimiter: byte(delimiter) } }
    }
}

/// Adds the pairs in fields of a record as fields. A key that is in use is named by its path, `message.user`, and so is one
/// that a rule names by its path. The text itself stays.
pub(crate) fn add_pairs(record: &mut Record<'_>, source: &Source) {
    for PairsIn { field: within, pairs } in &source.pairs {
        let Some((_, text)) = record.iter().find(|(name, _)| name == within) else { continue };
        let text = text.clone();
        let mut found = Record::new();
        match text {
            Cow::Borrowed(text) => pairs.read(text, &mut found),
            Cow::Owned(text) => {
                let mut borrowed = Record::new();
                pairs.read(&text, &mut borrowed);
                found.extend(borrowed.into_iter().map(|(name, value)| owned(name, value)));
            }
        }
        for (name, value) in found.into_iter().filter(|(name, _)| name != REST) {
            let path = format!("{within}.{name}");
            let is_used = record.iter().any(|(used, _)| *used == name);
            let name = if is_used || source.names_field(&path) { Cow::Owned(path) } else { name };
            record.push((name, value));
        }
    }
}

/// Whether a name is a path through a list: `users[0].name`, `users[*].name`.
pub fn is_list_path(name: &str) -> bool {
    let is_place = |place: &str| place == "*" || place.parse::<usize>().is_ok();
    name.split('[').skip(1).any(|part| part.split_once(']').is_some_and(|(place, _)| is_place(place)))
}

/// Adds the values at paths through lists of a record as fields with the paths as names: one value, or with `[*]` the JSON
/// list of all.
///
/// # Errors
/// Which field holds JSON that can't be read.
pub(crate) fn add_list_values(record: &mut Record<'_>, paths: &[String]) -> Result<(), String> {
    for path in paths {
        if record.iter().any(|(name, _)| name == path) {
            continue;
        }
        let mut found = Vec::new();
        for (name, value) in record.iter() {
            if let Some(rest) = rest_of(path, name) {
                select_in_text(value, rest, &mut found).map_err(|error| {
                    format!("its field {name} holds JSON that can't be read: {}", message_of(&error))
                })?;
            }
        }
        let value = match (path.contains("[*]"), found.first()) {
            (_, None) => continue,
            (true, _) => format!("[{}]", found.join(",")),
            (false, Some(json)) => serde_json::from_str::<String>(json).unwrap_or_else(|_| json.clone()),
        };
        record.push((Cow::Owned(path.clone()), Cow::Owned(value)));
    }
    Ok(())
}

/// What follows a name at the start of a path.
fn rest_of<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    path.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Selects within a text that is an object or a list; any other text has nothing within.
fn select_in_text(text: &str, path: &str, found: &mut Vec<String>) -> Result<(), serde_json::Error> {
    match text.trim_start().starts_with(['{', '[']) {
        true => select(text.trim_start(), path, found),
        false => Ok(()),
    }
}

/// Adds the JSON of all values at `path` within `json` to `found`, without nulls.
fn select(json: &str, path: &str, found: &mut Vec<String>) -> Result<(), serde_json::Error> {
    if path.is_empty() {
        found.extend((json != "null").then(|| json.to_owned()));
        return Ok(());
    }
    match (json.as_bytes().first(), path.strip_prefix('[').and_then(|path| path.split_once(']'))) {
        (Some(b'['), Some((place, rest))) => {
            let elements: Vec<&RawValue> = serde_json::from_str(json)?;
            let only = place.parse::<usize>().ok();
            let wanted =
                elements.iter().enumerate().filter(|(index, _)| only.is_none_or(|only| only == *index));
            wanted.into_iter().try_for_each(|(_, element)| select(element.get(), rest, found))
        }
        (Some(b'{'), None) => {
            let path = path.strip_prefix('.').unwrap_or(path);
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
            let mut wanted = members.iter().filter_map(|(name, value)| Some((rest_of(path, name)?, value)));
            wanted.try_for_each(|(rest, value)| select(value.get(), rest, found))
        }
        // JSON in a text.
        (Some(b'"'), _) => select_in_text(&serde_json::from_str::<String>(json)?, path, found),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use hindcast_lake::Tables;

    use super::super::json;
    use super::*;

    fn shaped(text: &str, mapping: &str) -> Result<BTreeMap<String, String>, String> {
        let source = Source::parse("test", mapping, Tables::built_in()).unwrap();
        let mut record = Record::new();
        json::read(text, &mut record).unwrap();
        json::shape(&mut record, &source, "")?;
        Ok(record.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    #[test]
    fn paths_lead_through_lists() {
        let text = r#"{"users":[{"name":"ada","ids":[1,2]},{"name":"bo\"b","ids":[3]},{"name":null}],"x[0]":"plain",
            "data":{"in":"[{\"ip\":\"192.0.2.1\"}]"},"n":5}"#;
        for (path, wanted) in [
            ("users[0].name", Some("ada")),
            ("users[1].name", Some("bo\"b")),
            ("users[2].name", None),
            ("users[3].name", None),
            ("users[*].name", Some(r#"["ada","bo\"b"]"#)),
            ("users[*].ids[0]", Some("[1,3]")),
            ("users[0].ids", Some("[1,2]")),
            ("users[0]", Some(r#"{"name":"ada","ids":[1,2]}"#)),
            ("users[*].none", None),
            ("x[0]", Some("plain")),
            ("data.in[0].ip", Some("192.0.2.1")),
            ("n[0]", None),
        ] {
            let found = shaped(text, &format!("[[tables]]\ncolumns = {{ A = \"{path}\" }}")).unwrap();
            assert_eq!(found.get(path).map(String::as_str), wanted, "{path}");
        }
        let flat = "flatten = [\"data\"]\n[[tables]]\ncolumns = { A = \"in[0].ip\" }";
        assert_eq!(shaped(text, flat).unwrap()["in[0].ip"], "192.0.2.1");
        let broken = shaped(r#"{"a":"[{\"b\":1"}"#, "[[tables]]\ntime = [\"a[0].b\"]").unwrap_err();
        assert!(broken.starts_with("its field a holds JSON that can't be read"), "{broken}");
        assert!(!is_list_path("Bytes [kB]") && !is_list_path("a.b") && !is_list_path("a[]"));
    }

    #[test]
    fn pairs_in_a_field_are_fields() {
        let text = r#"{"user":"outer","message":"login user=ada src=192.0.2.1 reason=\"bad password\""}"#;
        let found = shaped(text, "pairs = [\"message\"]\ntables = []").unwrap();
        let wanted = [
            ("message", "login user=ada src=192.0.2.1 reason=\"bad password\""),
            ("message.user", "ada"),
            ("reason", "bad password"),
            ("src", "192.0.2.1"),
            ("user", "outer"),
        ];
        assert_eq!(
            found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(),
            wanted
        );
        let named = shaped(text, "pairs = [\"message\"]\n[[tables]]\ntime = [\"message.src\"]").unwrap();
        assert_eq!(named["message.src"], "192.0.2.1");
        let separated = r#"{"m":"a:1;b: x=y"}"#;
        let mapping = "pairs = [{ field = \"m\", delimiter = \";\", assign = \":\" }]\ntables = []";
        let found = shaped(separated, mapping).unwrap();
        assert_eq!((found["a"].as_str(), found["b"].as_str()), ("1", "x=y"));
    }
}
