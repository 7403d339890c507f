//! Envelopes of records: the answers of APIs and the exports that hold records in a list, or each record in an object.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::format::Record;
use super::json;
use super::source::field_value;

/// Names of a list of records.
const LISTS: [&str; 9] =
    ["records", "Records", "value", "results", "Results", "result", "hits", LOG_EVENTS, "events"];
/// Name of the list in a message of a CloudWatch subscription.
const LOG_EVENTS: &str = "logEvents";
/// Other members of such a message, and of CloudWatch's answers with a list `events`.
#[rustfmt::skip]
const OTHERS_OF_CLOUDWATCH: [&str; 9] = [
    "messageType", "owner", "logGroup", "logStream", "subscriptionFilters",
    "searchedLogStreams", "nextToken", "nextForwardToken", "nextBackwardToken",
];
/// Those of them that records have as well, so that few other members may be in an envelope around them.
pub(crate) const STRICT_LISTS: [&str; 4] = ["records", "Records", "value", "result"];
/// Names of a list of tables, each with names of columns and a list of rows, or of several answers.
const ANSWERS: [&str; 3] = ["tables", "Tables", "responses"];
/// Names of the names of columns.
const COLUMNS: [&str; 3] = ["columns", "Columns", "fields"];
/// Names of a list of rows, each a list of values.
const ROWS: [&str; 2] = ["rows", "Rows"];
/// Names of an envelope's other members: of Elasticsearch, of Splunk, and of Log Analytics, Azure Data Explorer and the
/// hunting of Defender.
#[rustfmt::skip]
const OTHERS: [&str; 33] = [
    "took", "timed_out", "num_reduce_phases", "terminated_early", "max_score", "aggregations", "suggest", "profile", "pit_id",
    "_scroll_id", "_shards", "_clusters",
    "preview", "init_offset", "post_process_count", "messages", "highlighted", "offset", "lastrow",
    "statistics", "render", "dataSources", "schema", "Schema", "Stats", "FrameType", "TableId", "TableKind", "TableName",
    "HasErrors", "Cancelled", "nextLink", "count",
];
/// Members of an envelope whose list is not one of the strict ones.
const LOOSE: [&str; 6] = ["total", "next", "previous", "error", "errors", "status"];
/// Other members of a line in an export of Splunk, or a message of one of its alerts.
const OTHERS_OF_RESULT: [&str; 8] =
    ["preview", "offset", "lastrow", "sid", "search_name", "app", "owner", "results_link"];
/// Members of a hit of Elasticsearch that say nothing about its record.
const OTHERS_OF_HIT: [&str; 4] = ["_score", "_type", "sort", "_ignored"];

/// Bytes of an object that does not end, from which on it is an envelope if it begins like one.
pub(crate) const ENOUGH_BYTES: usize = 12 << 20;

/// How an object with records begins.
#[derive(Debug, PartialEq, Eq)]
pub enum Beginning {
    /// After this many bytes, objects follow.
    Objects(usize),
    /// After this many bytes, rows follow: lists of values with these names.
    Rows(usize, Vec<String>),
    /// The object has this many bytes and no records, such as the statistics of an answer.
    Nothing(usize),
    /// What follows decides whether it is an envelope or a record with a field of that name.
    Open,
}

/// The beginning of an envelope at the start of `text`, which is all there is if it `is_last`; `None` if the text starts with
/// something else, or ends within the beginning.
pub fn beginning(text: &[u8], is_last: bool) -> Option<Beginning> {
    let mut cursor = Cursor { text, at: 0 };
    let (mut names, mut is_side_table, mut has_name, mut has_loose) = (None, false, false, false);
    let mut is_of_cloudwatch = false;
    cursor.take(b'{')?;
    let (list, found) = loop {
        let name: &str = cursor.value()?;
        cursor.take(b':')?;
        match cursor.peek()? {
            b'[' if ROWS.contains(&name) && names.is_some() => {
                cursor.take(b'[')?;
                break (name, Beginning::Rows(cursor.at, names?));
            }
            b'[' if LISTS.contains(&name) && !has_name => {
                cursor.take(b'[')?;
                matches!(cursor.peek()?, b'{' | b']').then_some(())?;
                (!is_of_cloudwatch || is_list_of_cloudwatch(name)).then_some(())?;
                break (name, Beginning::Objects(cursor.at));
            }
            b'[' if ANSWERS.contains(&name) => {
                cursor.take(b'[')?;
                cursor.take(b'{')?;
                continue;
            }
            b'{' if name == "hits" => {
                cursor.take(b'{')?;
                continue;
            }
            b'[' if COLUMNS.contains(&name) => {
                let columns: Vec<ColumnName> = cursor.value()?;
                names = Some(columns.into_iter().map(ColumnName::name).collect());
            }
            b'"' => {
                let value: String = cursor.value()?;
                match name {
                    "status" => return None,
                    "messageType" if value == "CONTROL_MESSAGE" => return nothing(text),
                    "FrameType" if value.starts_with("DataSet") => return nothing(text),
                    "TableKind" => is_side_table = value != "PrimaryResult",
                    // Tables after the first one describe the query.
                    "TableName" => is_side_table |= value.starts_with("Table_") && value != "Table_0",
                    "name" => has_name = true,
                    name if is_other_member(name) => {}
                    name if OTHERS_OF_CLOUDWATCH.contains(&name) => is_of_cloudwatch = true,
                    _ => return None,
                }
            }
            _ if is_other_member(name) && name != "status" => _ = cursor.value::<IgnoredAny>()?,
            _ if OTHERS_OF_CLOUDWATCH.contains(&name) => {
                cursor.value::<IgnoredAny>()?;
                is_of_cloudwatch = true;
            }
            _ => return None,
        }
        has_loose |= LOOSE.contains(&name);
        cursor.take(b',')?;
    };
    if is_side_table {
        return nothing(text);
    }
    if has_loose && STRICT_LISTS.contains(&list) {
        return None;
    }
    match has_only_members(text, list) {
        Some(is_envelope) => is_envelope.then_some(found),
        None if is_last || text.len() >= ENOUGH_BYTES => Some(found),
        None => Some(Beginning::Open),
    }
}

/// Whether a list holds events of CloudWatch.
fn is_list_of_cloudwatch(name: &str) -> bool {
    matches!(name, LOG_EVENTS | "events")
}

fn nothing(text: &[u8]) -> Option<Beginning> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.value::<IgnoredAny>()?;
    Some(Beginning::Nothing(cursor.at))
}

/// Whether a name is of a member of envelopes other than the records, or an annotation of OData or JSON Schema.
pub(crate) fn is_other_member(name: &str) -> bool {
    name.starts_with(['@', '$'])
        || [&OTHERS[..], &COLUMNS[..], &LOOSE[..]].iter().any(|names| names.contains(&name))
}

/// Whether the object at the start of `text` has no members but those of an envelope around `list`; `None` if the text ends
/// before the object.
fn has_only_members(text: &[u8], list: &str) -> Option<bool> {
    struct Members<'l>(&'l str);
    impl<'de> Visitor<'de> for Members<'_> {
        type Value = bool;
        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            let mut are_members = true;
            while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                map.next_value::<IgnoredAny>()?;
                let name = name.as_ref();
                are_members &= match LOOSE.contains(&name) {
                    true => !STRICT_LISTS.contains(&self.0),
                    false => {
                        is_other_member(name)
                            || name == "hits"
                            || name == "name" && ROWS.contains(&self.0)
                            || name == self.0
                            || ANSWERS.contains(&name)
                            || is_list_of_cloudwatch(self.0) && OTHERS_OF_CLOUDWATCH.contains(&name)
                    }
                };
            }
            Ok(are_members)
        }
    }
    match serde_json::Deserializer::from_slice(text).deserialize_map(Members(list)) {
        Ok(are_members) => Some(are_members),
        Err(error) if error.is_eof() => None,
        // A broken envelope still has records.
        Err(_) => Some(true),
    }
}

/// The name of a column: alone, or in an object with its type.
#[derive(Deserialize)]
#[serde(untagged)]
enum ColumnName {
    Alone(String),
    Typed {
        #[serde(alias = "ColumnName", alias = "Name")]
        name: String,
    },
}

impl ColumnName {
    fn name(self) -> String {
        match self {
            Self::Alone(name) | Self::Typed { name } => name,
        }
    }
}

/// A position in a text of JSON.
struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Cursor<'t> {
    fn peek(&mut self) -> Option<u8> {
        self.at += self.text[self.at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn value<T: Deserialize<'t>>(&mut self) -> Option<T> {
        self.peek()?;
        let mut values = serde_json::Deserializer::from_slice(&self.text[self.at..]).into_iter::<T>();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }
}

/// An object within a record that holds its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapper {
    /// A hit of Elasticsearch, or a line of a dump.
    Hit,
    /// A line of a Splunk export.
    SplunkResult,
}

impl Wrapper {
    /// The wrapper of most of these records.
    pub fn of(records: &[Record<'_>]) -> Option<Self> {
        let is_so = |wrapper: &Self| {
            2 * records.iter().filter(|record| wrapper.wraps(record)).count() > records.len()
        };
        [Self::Hit, Self::SplunkResult].into_iter().find(is_so)
    }

    fn field(self) -> &'static str {
        match self {
            Self::Hit => "_source",
            Self::SplunkResult => "result",
        }
    }

    fn wraps(self, record: &Record<'_>) -> bool {
        let is_object = |name: &str| field_value(record, name).is_some_and(|value| value.starts_with('{'));
        is_object(self.field())
            && match self {
                Self::Hit => field_value(record, "_index").is_some() || field_value(record, "_id").is_some(),
                Self::SplunkResult => record
                    .iter()
                    .all(|(name, _)| name == "result" || OTHERS_OF_RESULT.contains(&name.as_ref())),
            }
    }

    /// Replaces the object by its fields, and leaves out what only describes the answer.
    ///
    /// # Errors
    /// Why the object can't be read.
    pub fn unwrap<'a>(self, record: &mut Record<'a>) -> Result<(), String> {
        let Some(at) = record.iter().position(|(name, value)| name == self.field() && value.starts_with('{'))
        else {
            return Ok(());
        };
        let (_, object) = record.remove(at);
        match self {
            Self::Hit => record.retain(|(name, _)| !OTHERS_OF_HIT.contains(&name.as_ref())),
            Self::SplunkResult => {
                record.retain(|(name, value)| match name.as_ref() {
                    "preview" => value == "true",
                    name => !matches!(name, "offset" | "lastrow"),
                });
            }
        }
        match object {
            Cow::Borrowed(text) => json::read(text, record),
            Cow::Owned(text) => {
                let mut inner = Record::new();
                json::read(&text, &mut inner)?;
                record.extend(inner.into_iter().map(|(name, value)| json::owned(name, value)));
                Ok(())
            }
        }
    }

    /// The kind of a record that holds no fields of its own, or preliminary ones: Splunk sends them again.
    pub fn set_aside(self, record: &Record<'_>) -> Option<&'static str> {
        let is_preview = field_value(record, "preview") == Some("true");
        match self {
            Self::SplunkResult if is_preview => Some("preview of results"),
            Self::SplunkResult
                if record.iter().all(|(name, _)| OTHERS_OF_RESULT.contains(&name.as_ref())) =>
            {
                Some("no result")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "envelopes_tests.rs"]
mod tests;
