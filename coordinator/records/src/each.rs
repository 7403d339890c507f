//! Makes a record of each element of a list within a record. It keeps the fields around the list.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::format::Record;
use super::json::{is_object, members, read, unescaped};

/// The lists of a source whose elements are records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// Paths of lists: of the first within the record, of each other within the elements of the one before.
    lists: Vec<String>,
    /// Names of the cells of an element of the last list if it is text.
    #[serde(default)]
    cells: Vec<String>,
    /// What separates the cells.
    #[serde(default = "comma")]
    delimiter: char,
}

fn comma() -> char {
    ','
}

/// What is found in a record.
pub enum Found<'f, 'r> {
    /// An element with the fields around it; the record itself if it has no such list.
    Element(&'f mut Record<'r>),
    /// A list without elements, by its path.
    Empty(&'f str),
    /// Why an element can't be read, and its text.
    Broken(String, &'f str),
}

/// Callback for what is found.
///
/// # Errors
/// Why an element can't be taken.
pub type Take<'t> = &'t mut dyn FnMut(Found<'_, '_>) -> Result<(), String>;

impl Each {
    /// Calls `take` for each element of the lists of `record`. An element that can't be read costs no other element.
    ///
    /// # Errors
    /// Why the record can't be read.
    pub fn expand(&self, record: Record<'_>, take: Take<'_>) -> Result<(), String> {
        self.expand_lists(&self.lists, record, take)
    }

    fn expand_lists(&self, lists: &[String], mut record: Record<'_>, take: Take<'_>) -> Result<(), String> {
        let Some((path, inner_lists)) = lists.split_first() else {
            return take(Found::Element(&mut record));
        };
        let Some(list) = take_list(&mut record, path)? else { return take(Found::Element(&mut record)) };
        let elements: Vec<&RawValue> =
            serde_json::from_str(&list).map_err(|error| format!("its list {path} can't be read: {error}"))?;
        if elements.is_empty() {
            return take(Found::Empty(path));
        }
        let outer: Record<'_> = record;
        for element in elements {
            let text = element.get();
            let is_last = inner_lists.is_empty();
            let expanded = self
                .element(outer.clone(), path, text, is_last)
                .and_then(|record| self.expand_lists(inner_lists, record, take));
            if let Err(reason) = expanded {
                take(Found::Broken(reason, text))?;
            }
        }
        Ok(())
    }

    /// The fields `around` the list at `path`, and those of its element `text`.
    fn element<'e>(
        &self,
        around: Record<'e>,
        path: &str,
        text: &'e str,
        is_last: bool,
    ) -> Result<Record<'e>, String> {
        let mut record = around;
        match text.as_bytes().first() {
            Some(b'{') => {
                let mut inner = Record::new();
                read(text, &mut inner)?;
                add(&mut record, inner, path);
            }
            Some(b'"') if is_last && !self.cells.is_empty() => {
                match unescaped(text).map_err(|error| format!("is not text: {error}"))? {
                    Cow::Borrowed(text) => self.add_cells(&mut record, text, Cow::Borrowed),
                    Cow::Owned(text) => {
                        self.add_cells(&mut record, &text, |cell| Cow::Owned(cell.to_owned()));
                    }
                }
            }
            Some(b'"') => {
                let value = unescaped(text).map_err(|error| format!("is not text: {error}"))?;
                add(&mut record, vec![(last_name(path), value)], path);
            }
            _ => add(&mut record, vec![(last_name(path), Cow::Borrowed(text))], path),
        }
        Ok(record)
    }

    /// Adds the cells of `text`. An empty cell is an absent value; cells behind the named ones have numbers.
    fn add_cells<'e, 't>(
        &self,
        record: &mut Record<'e>,
        text: &'t str,
        stored: impl Fn(&'t str) -> Cow<'e, str>,
    ) {
        for (index, cell) in text.split(self.delimiter).enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let name = self.cells.get(index).map_or_else(|| format!("cell_{}", index + 1), String::clone);
            record.push((Cow::Owned(name), stored(cell)));
        }
    }
}

fn last_name(path: &str) -> Cow<'static, str> {
    Cow::Owned(path.rsplit('.').next().unwrap_or(path).to_owned())
}

/// Adds fields within `path`. A field whose name is in use is named by its path.
fn add<'a>(record: &mut Record<'a>, fields: Record<'a>, path: &str) {
    let before = record.len();
    for (name, value) in fields {
        let is_used = record[..before].iter().any(|(used, _)| *used == name);
        record.push((if is_used { Cow::Owned(format!("{path}.{name}")) } else { name }, value));
    }
}

/// Takes the list at `path` out of the record. Objects on the path are replaced by their other fields.
fn take_list<'a>(record: &mut Record<'a>, path: &str) -> Result<Option<Cow<'a, str>>, String> {
    let is_list = |value: &str| value.trim_start().starts_with('[');
    if let Some(at) = record.iter().position(|(field, value)| field == path && is_list(value)) {
        return Ok(Some(record.remove(at).1));
    }
    let Some((head, rest)) = path.split_once('.') else { return Ok(None) };
    let Some(at) = record.iter().position(|(field, value)| field == head && is_object(value)) else {
        return Ok(None);
    };
    let mut inner = members(head, record[at].1.clone())?;
    let list = take_list(&mut inner, rest)?;
    if list.is_some() {
        record.remove(at);
        add(record, inner, head);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a record, as text.
    fn found(each: &str, text: &str) -> Result<Vec<String>, String> {
        let each: Each = toml::from_str(each).unwrap();
        let mut record = Record::new();
        read(text, &mut record).unwrap();
        let mut all = Vec::new();
        each.expand(record, &mut |found| {
            let fields = |record: &Record<'_>| {
                record.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            };
            match found {
                Found::Element(record) if record.iter().any(|(_, value)| value == "refused") => {
                    return Err("is refused".to_owned());
                }
                Found::Element(record) => all.push(fields(record)),
                Found::Empty(path) => all.push(format!("empty {path}")),
                Found::Broken(reason, text) => all.push(format!("broken {text}: {reason}")),
            }
            Ok(())
        })?;
        Ok(all)
    }

    const NESTED: &str = "lists = [\"in.flows\", \"flows\", \"tuples\"]\ncells = [\"at\", \"from\", \"to\"]";

    #[test]
    fn elements_keep_the_fields_around_their_lists() {
        let text = r#"{"id":1,"in":{"version":2,"id":7,"flows":[
            {"rule":"r","id":3,"flows":[{"mac":"m","tuples":["5,a,b","6,c,,d","7,\"e\",\n"]}]},
            {"rule":"s","flows":[{"tuples":["8"]}]}]},"end":9}"#;
        let outer = "id=1 end=9 version=2 in.id=7";
        let wanted = [
            format!("{outer} rule=r in.flows.id=3 mac=m at=5 from=a to=b"),
            format!("{outer} rule=r in.flows.id=3 mac=m at=6 from=c cell_4=d"),
            format!("{outer} rule=r in.flows.id=3 mac=m at=7 from=\"e\" to=\n"),
            format!("{outer} rule=s at=8"),
        ];
        assert_eq!(found(NESTED, text).unwrap(), wanted);
    }

    #[test]
    fn elements_of_any_type_are_records() {
        let list = "lists = [\"of.list\"]";
        let text = r#"{"of":{"list":[{"a":1},"te\u0078t",2,null,[3]]}}"#;
        assert_eq!(found(list, text).unwrap(), ["a=1", "list=text", "list=2", "list=null", "list=[3]"]);
        assert_eq!(found(list, r#"{"of":"{\"x\":1,\"list\":[{\"a\":1}]}"}"#).unwrap(), ["x=1 a=1"]);
    }

    #[test]
    fn nothing_is_lost() {
        assert_eq!(found(NESTED, r#"{"a":1}"#).unwrap(), ["a=1"]);
        assert_eq!(found(NESTED, r#"{"in":{"flows":"none"}}"#).unwrap(), [r#"in={"flows":"none"}"#]);
        let empty = r#"{"in":{"flows":[{"flows":[]},{"rule":"r"}]}}"#;
        assert_eq!(found(NESTED, empty).unwrap(), ["empty flows", "rule=r"]);
        let refused = r#"{"in":{"flows":[{"flows":[{"tuples":["1","refused","3"]}]}]}}"#;
        assert_eq!(found(NESTED, refused).unwrap(), ["at=1", "broken \"refused\": is refused", "at=3"]);
        assert!(found(NESTED, r#"{"in":{"flows":"[1"}}"#).unwrap_err().contains("in.flows"));
    }
}
