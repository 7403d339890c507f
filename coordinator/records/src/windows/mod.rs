//! Brings Windows events of all forms (XML, and JSON of many agents) to the same fields, as a source's data says.

pub mod evtx;
pub mod xml;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::format::Record;
use super::json;
use super::source::field_value;

/// Levels of nested objects that are searched for an event or its data.
const DEPTH: usize = 6;
/// Prefix of a wrapper's field if the event has a field with the same name.
const WRAPPER: &str = "wrapper.";
/// Names of the text and of the name of an element of a list.
const ELEMENT_TEXTS: [&str; 4] = ["#text", "Value", "value", "text"];
const ELEMENT_NAMES: [&str; 3] = ["Name", "@Name", "name"];

/// How a source finds the fields of events.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// Fields that may hold a whole event, as an object or as text.
    wrappers: BTreeSet<String>,
    /// Forms of events. The first that fits a record is used.
    forms: Vec<Form>,
    /// Lists of the event's data in the order of its definition.
    lists: Vec<String>,
    /// By provider and event: the names of its data in that order, for each number of them.
    positions: BTreeMap<String, BTreeMap<String, Vec<Vec<String>>>>,
    /// Fields with text such as `MD5=..,SHA256=..`, which are replaced by one field for each part.
    pairs: Vec<String>,
    /// Accounts, and their fields for the domain and for the user.
    accounts: BTreeMap<String, (String, String)>,
}

/// A form of events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    /// Sets of fields, by names or paths, or with a value (`Type=Event`). A record with all fields of one set has this form.
    has: Vec<Vec<String>>,
    /// Fields that a record of this form does not have.
    #[serde(default)]
    without: Vec<String>,
    /// Objects that are replaced by their fields.
    #[serde(default)]
    open: BTreeSet<String>,
    /// Objects with data of the event, whose fields keep their names.
    #[serde(default)]
    data: BTreeSet<String>,
    /// Paths of other fields, and the names that rules use.
    #[serde(default)]
    names: BTreeMap<String, String>,
}

impl Events {
    /// The sets of fields by which forms are recognised.
    pub fn sets(&self) -> impl Iterator<Item = &Vec<String>> {
        self.forms.iter().flat_map(|form| &form.has)
    }

    /// Whether a record is an event of a known form, or wraps one.
    pub(crate) fn are_in(&self, record: &Record<'_>) -> bool {
        let mut record = record.clone();
        self.unwrap(&mut record).is_some()
    }

    /// Replaces the fields of an event, if a record is or wraps one.
    ///
    /// # Errors
    /// Which object or XML can't be read.
    pub fn shape(&self, record: &mut Record<'_>) -> Result<(), String> {
        let Some(form) = self.unwrap(record) else { return Ok(()) };
        let (mut fields, mut data) = (Record::new(), Record::new());
        for (name, value) in std::mem::take(record) {
            form.take("", name, value, DEPTH, (&mut fields, &mut data))?;
        }
        for (name, value) in data {
            let is_used = fields.iter().any(|(used, _)| *used == name);
            fields.push((if is_used { Cow::Owned(format!("EventData.{name}")) } else { name }, value));
        }
        *record = fields;
        self.name_listed(record);
        self.split_pairs(record);
        self.join_accounts(record);
        Ok(())
    }

    /// The form of a record, whose wrappers are replaced by what they hold.
    fn unwrap(&self, record: &mut Record<'_>) -> Option<&Form> {
        for _ in 0..DEPTH {
            if let Some(form) = self.forms.iter().find(|form| form.fits(record)) {
                return Some(form);
            }
            let is_wrapper = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
                self.wrappers.contains(name.as_ref()) && is_nested(value)
            };
            let wrapper = record.iter().position(is_wrapper)?;
            let mut event = fields_in(record[wrapper].1.clone()).ok()?;
            record.remove(wrapper);
            let own = event.len();
            for (name, value) in record.drain(..) {
                let is_taken = event[..own].iter().any(|(used, _)| *used == name);
                event.push((if is_taken { Cow::Owned(format!("{WRAPPER}{name}")) } else { name }, value));
            }
            *record = event;
        }
        None
    }

    /// Gives names to the data of an event that is a list of values, if its definition is known.
    fn name_listed(&self, record: &mut Record<'_>) {
        let is_list = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
            self.lists.iter().any(|list| list == name) && value.starts_with('[')
        };
        let Some(place) = record.iter().position(is_list) else { return };
        let Ok(elements) = serde_json::from_str::<Vec<Value>>(&record[place].1) else { return };
        let of_provider = field_value(record, "EventSourceName").and_then(|name| self.positions.get(name));
        let known = field_value(record, "EventID").and_then(|event| of_provider?.get(event));
        let names = known.into_iter().flatten().find(|names| names.len() == elements.len());
        let own_name = |element: &Value| {
            ELEMENT_NAMES.iter().find_map(|name| element.get(name)).and_then(Value::as_str).map(str::to_owned)
        };
        let named = elements
            .iter()
            .enumerate()
            .map(|(index, element)| own_name(element).or_else(|| names.map(|names| names[index].clone())));
        let Some(named) = named.collect::<Option<Vec<String>>>().filter(|named| !named.is_empty()) else {
            return;
        };
        record.remove(place);
        for (name, element) in named.into_iter().zip(&elements) {
            let text = text_in(element);
            if !text.is_empty() && !record.iter().any(|(used, _)| *used == name) {
                record.push((Cow::Owned(name), Cow::Owned(text)));
            }
        }
    }

    fn split_pairs(&self, record: &mut Record<'_>) {
        for field in &self.pairs {
            let Some(place) = record.iter().position(|(name, value)| name == field && value.contains('='))
            else {
                continue;
            };
            let text = record.remove(place).1;
            let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            record.extend(pairs.map(|(name, value)| json::owned(name.trim().into(), value.trim().into())));
        }
    }

    fn join_accounts(&self, record: &mut Record<'_>) {
        for (account, (domain, user)) in &self.accounts {
            let value = |name: &str| field_value(record, name).filter(|value| !matches!(*value, "" | "-"));
            if value(account).is_some() {
                continue;
            }
            let joined = value(user).map(|user| match value(domain) {
                Some(domain) => format!("{domain}\\{user}"),
                None => user.to_owned(),
            });
            record.extend(joined.map(|joined| (Cow::Owned(account.clone()), Cow::Owned(joined))));
        }
    }
}

impl Form {
    fn fits(&self, record: &Record<'_>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((name, value)) => field_value(record, name) == Some(value),
            None => {
                field_value(record, wanted).is_some() || matches!(json::nested(record, wanted), Ok(Some(_)))
            }
        };
        self.has.iter().any(|set| set.iter().all(has)) && !self.without.iter().any(has)
    }

    /// Adds a field to the fields of the event or to its data, or the fields within it.
    fn take<'a>(
        &self,
        path: &str,
        name: Cow<'a, str>,
        value: Cow<'a, str>,
        depth: usize,
        (fields, data): (&mut Record<'a>, &mut Record<'a>),
    ) -> Result<(), String> {
        let segment = segment(&name);
        let own_path = match (path, segment) {
            ("", segment) => Cow::Borrowed(segment),
            (path, "") => Cow::Owned(path.to_owned()),
            (path, segment) => Cow::Owned(format!("{path}.{segment}")),
        };
        if depth > 0 && is_nested(&value) {
            if self.data.contains(own_path.as_ref()) {
                return take_data(value, depth - 1, data).map_err(|reason| broken(&own_path, &reason));
            }
            let is_open = self.open.contains(own_path.as_ref());
            if is_open || segment.is_empty() || self.names_below(&own_path) {
                let path = if is_open { "" } else { own_path.as_ref() };
                for (name, value) in fields_in(value).map_err(|reason| broken(&own_path, &reason))? {
                    self.take(path, name, value, depth - 1, (fields, data))?;
                }
                return Ok(());
            }
        }
        if segment.starts_with("xmlns") {
            return Ok(());
        }
        let own_name = if own_path == name { None } else { Some(own_path.clone().into_owned()) };
        let rule_name = self.names.get(own_path.as_ref());
        let used = rule_name.and_then(|rule_name| fields.iter().find(|(used, _)| used == rule_name));
        match (rule_name, used) {
            (Some(_), Some((_, other))) if *other == value => {}
            (Some(rule_name), None) => fields.push((Cow::Owned(rule_name.clone()), value)),
            _ => fields.push((own_name.map_or(name, Cow::Owned), value)),
        }
        Ok(())
    }

    /// Whether a path of a field below `path` has a name.
    fn names_below(&self, path: &str) -> bool {
        let prefix = format!("{path}.");
        let mut behind = self.names.range(prefix.clone()..);
        behind.next().is_some_and(|(name, _)| name.starts_with(&prefix))
    }
}

/// Adds the values within an object or XML to the data of an event, by the innermost names.
fn take_data<'a>(value: Cow<'a, str>, depth: usize, data: &mut Record<'a>) -> Result<(), String> {
    for (name, value) in fields_in(value)? {
        if name.starts_with("xmlns") || name.ends_with("attributes") {
            continue;
        }
        let is_text_of_data = |value: &str| {
            fields_in(Cow::Borrowed(value))
                .is_ok_and(|inner| inner.iter().all(|(name, _)| segment(name).is_empty()))
        };
        // Identifiers and scripts begin with a brace too.
        let is_object = value.starts_with('{') && fields_in(Cow::Borrowed(&value)).is_ok();
        match depth > 0 && is_object {
            true if name == "Data" && is_text_of_data(&value) => {
                let texts = fields_in(value)?.into_iter().filter(|(name, _)| name == "#text");
                data.extend(texts.map(|(_, text)| (Cow::Borrowed("Data"), text)));
            }
            true => take_data(value, depth - 1, data)?,
            false => data.push((name, value)),
        }
    }
    Ok(())
}

/// A name without the marks that converters of XML put on attributes and texts; empty if it only is a mark.
fn segment(name: &str) -> &str {
    match name {
        "#attributes" | "#text" | "$" | "_" | "@attributes" => "",
        // Not an attribute: collectors put their time there.
        "@timestamp" | "@version" => name,
        _ => name.strip_prefix('@').unwrap_or(name).trim_end_matches("_attributes"),
    }
}

/// Whether a value holds fields: an object, or the XML of an event or of its data.
fn is_nested(value: &str) -> bool {
    let text = value.trim_start();
    text.starts_with('{')
        || ["<Event", "<UserData", "<DataItem", "<?xml"].iter().any(|begin| text.starts_with(begin))
}

/// The fields of an object or of XML.
fn fields_in(value: Cow<'_, str>) -> Result<Record<'_>, String> {
    fn read<'t>(text: &'t str) -> Result<Record<'t>, String> {
        let mut fields = Record::new();
        match text.trim_start().starts_with('<') {
            true => xml::read(text, &mut fields)?,
            false => json::read(text, &mut fields)?,
        }
        Ok(fields)
    }
    match value {
        Cow::Borrowed(text) => read(text),
        Cow::Owned(text) => {
            Ok(read(&text)?.into_iter().map(|(name, value)| json::owned(name, value)).collect())
        }
    }
}

fn broken(field: &str, reason: &str) -> String {
    format!("its field {field} can't be read: {reason}")
}

/// The text of a list's element, which may be in an object.
fn text_in(element: &Value) -> String {
    match element {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Object(object) => {
            ELEMENT_TEXTS.iter().find_map(|name| object.get(*name)).map_or(String::new(), text_in)
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
