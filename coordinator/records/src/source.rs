//! Sources of records, defined as data: which fields become which columns of which table. Built-in sources and mapping
//! files of users have the same format.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hindcast_base::{Error, Result};
use hindcast_lake::{TableSpec, Tables};
use serde::Deserialize;

use super::each::{Each, Found, Take};
use super::format::Record;
use super::json;
use super::lines::LineFormat;
use super::made::Template;
pub use super::rule_values::OneOrMore;
pub use super::table_rule::TableRule;
use super::windows::Events;
use super::within::{PairsIn, is_list_path};

/// One source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// What it reads, in one sentence.
    #[serde(default)]
    pub doc: String,
    /// What it was tried with.
    #[serde(default)]
    pub tried: Vec<Tried>,
    /// Sets of fields, by names or paths. A record with all fields of one set is from this source.
    #[serde(default)]
    pub recognised_by: Vec<Vec<String>>,
    /// How records are events of Windows.
    #[serde(default)]
    pub events: Option<Events>,
    /// Whether records are CEF messages, even if the text looks like another format.
    #[serde(default)]
    pub is_cef: bool,
    /// How lines become records, if they are neither JSON, CEF nor CSV with a header.
    #[serde(default)]
    pub lines: Option<Arc<LineFormat>>,
    /// Further forms of its lines, for those of which the forms before find no message.
    #[serde(default)]
    other_lines: Vec<LineFormat>,
    /// Lists whose elements are records.
    #[serde(default)]
    pub each: Option<Each>,
    /// Fields whose objects are replaced by their fields, in this order.
    #[serde(default)]
    pub flatten: Vec<String>,
    /// Fields whose objects are replaced by all values within, which are named by their paths. What a rule names stays whole.
    #[serde(default)]
    pub leaves: Vec<String>,
    /// Fields whose text has `key=value` pairs, which become fields.
    #[serde(default)]
    pub pairs: Vec<PairsIn>,
    /// Names of the cells of rows without a header, which rules also name by position: `#3` is the third.
    #[serde(default)]
    positions: Vec<String>,
    /// Fields, and their new names, which all rules use.
    #[serde(default)]
    pub renames: BTreeMap<String, String>,
    /// Values that mean that the field is absent.
    #[serde(default)]
    pub unset: Vec<String>,
    /// Fields that are made of others, and how.
    #[serde(default)]
    pub made: BTreeMap<String, Template>,
    /// Names of files that say the kind of records that do not.
    #[serde(default)]
    file_names: Option<FileNames>,
    /// Fields with the kind of a record that belongs to no table, for the report.
    #[serde(default)]
    pub kind: Option<OneOrMore>,
    /// Rules. The first that matches a record takes it; after a rule with `also`, so does the next that matches.
    pub tables: Vec<TableRule>,
    /// Fields that rules name.
    #[serde(skip)]
    named: BTreeSet<String>,
    /// Those of them that can be paths of fields within objects, separated by dots.
    #[serde(skip)]
    pub paths: Vec<String>,
    /// The same within `leaves`.
    #[serde(skip)]
    pub leaf_paths: Vec<String>,
    /// Those of them that lead through lists.
    #[serde(skip)]
    pub list_paths: Vec<String>,
    /// The known tables.
    #[serde(skip)]
    pub known: Tables,
}

/// A version of a product whose files the source was tried with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The version, or the form of the file.
    pub version: String,
    /// Where the files came from.
    pub sample: String,
}

/// Names of files that say the kind of their records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileNames {
    /// The field that gets the name.
    field: String,
    /// A field that records of such files have.
    has: String,
    /// Names up to the first dot.
    names: BTreeSet<String>,
}

/// Destination of a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'s, 'r> {
    /// It is a row of a table, by the rule with this index.
    Row(usize, &'r str),
    /// No rule takes it; its kind is known.
    SetAside(&'r str),
    /// No rule takes it, and its kind is not known.
    NoRule(&'s str),
    /// The rule that takes it names no table, and the user named none.
    NoTable(&'s str),
}

impl Source {
    /// The source that a TOML text describes, of rows of the tables `known` and others.
    ///
    /// # Errors
    /// [`Error::Invalid`] with line and column if it is not a valid mapping file.
    pub fn parse(name: &str, text: &str, known: Tables) -> Result<Self> {
        let mut source: Source =
            toml::from_str(text).map_err(|error| Error::Invalid(format!("{name}: {error}")))?;
        source.name = name.to_owned();
        if let Some(first) = source.lines.as_mut().and_then(Arc::get_mut) {
            first.others = std::mem::take(&mut source.other_lines);
        }
        source.known = known;
        source.named = source.tables.iter().flat_map(TableRule::named).cloned().collect();
        let (lists, others): (Vec<String>, Vec<String>) =
            source.named.iter().cloned().partition(|name| is_list_path(name));
        source.list_paths = lists;
        let paths = others.into_iter().filter(|name| name.contains('.'));
        let is_leaf = |path: &String| {
            source.leaves.iter().any(|leaf| path.strip_prefix(leaf).is_some_and(|rest| rest.starts_with('.')))
        };
        (source.leaf_paths, source.paths) = paths.partition(is_leaf);
        Ok(source)
    }

    /// The source with the column of record ids that the user names.
    pub(crate) fn with_record_id(mut self, record_id: Option<&str>) -> Self {
        self.tables.iter_mut().for_each(|rule| rule.record_id = record_id.map(str::to_owned));
        self
    }

    /// Whether a record has all fields of one of the sets by which the source is recognised.
    pub fn is_recognised(&self, record: &Record<'_>, file_name: &str) -> bool {
        let of_file = self.field_of_file_name(record, file_name);
        let has = |name: &String| of_file == Some(name) || Self::has_field(record, name);
        let are_events = self.events.as_ref().is_some_and(|events| events.are_in(record));
        are_events || self.recognised_by.iter().any(|set| set.iter().all(has))
    }

    /// Whether a record has a field, by its name or path.
    pub fn has_field(record: &Record<'_>, name: &str) -> bool {
        record.iter().any(|(field, _)| field == name) || matches!(json::nested(record, name), Ok(Some(_)))
    }

    /// Calls `take` for each element of the lists whose elements are records; for the record if there are none.
    ///
    /// # Errors
    /// Why the record can't be read or taken.
    pub fn elements(&self, mut record: Record<'_>, take: Take<'_>) -> Result<(), String> {
        match &self.each {
            Some(each) => each.expand(record, take),
            None => take(Found::Element(&mut record)),
        }
    }

    /// Whether a rule makes rows of a table.
    pub(crate) fn has_rule(&self, table: &str) -> bool {
        self.tables.iter().any(|rule| rule.table.as_deref() == Some(table))
    }

    /// Names of `cells` cells of rows without a header; `None` if the source does not name cells by position.
    pub fn names_by_position(&self, cells: usize) -> Option<Vec<String>> {
        let is_position =
            |name: &String| name.strip_prefix('#').is_some_and(|place| place.parse::<usize>().is_ok());
        if self.positions.is_empty() && !self.named.iter().any(is_position) {
            return None;
        }
        let name_of = |index: usize| {
            let position = format!("#{}", index + 1);
            let name =
                self.positions.get(index).filter(|name| !name.is_empty() && !self.names_field(&position));
            name.cloned().unwrap_or(position)
        };
        Some((0..cells).map(name_of).collect())
    }

    /// The field that gets the name of a record's file as its kind, if the record lacks it and the name says the kind.
    pub(crate) fn field_of_file_name(&self, record: &Record<'_>, file_name: &str) -> Option<&str> {
        let names = self.file_names.as_ref()?;
        let says_kind = names.names.contains(file_name)
            && field_value(record, &names.has).is_some()
            && self.kind_of(record).is_none();
        says_kind.then_some(names.field.as_str())
    }

    /// The kind that a record names.
    fn kind_of<'r>(&self, record: &'r Record<'_>) -> Option<&'r str> {
        self.kind.iter().flat_map(OneOrMore::all).find_map(|kind| field_value(record, kind))
    }

    /// Whether a rule names a field.
    pub(crate) fn names_field(&self, field: &str) -> bool {
        self.named.contains(field)
    }

    /// Finds the first rule and its table for `record`: the requested table if there is one.
    pub fn route<'s, 'r>(&'s self, record: &'r Record<'_>, requested_table: Option<&'r str>) -> Route<'s, 'r>
    where
        's: 'r,
    {
        self.route_from(0, record, requested_table)
    }

    /// Finds the rule and the table for another row of `record`, which the rule `earlier` turned into a row of `table`.
    pub fn next_route<'s, 'r>(
        &'s self,
        (earlier, table): (usize, &str),
        record: &'r Record<'_>,
        requested_table: Option<&'r str>,
    ) -> Option<(usize, &'r str)>
    where
        's: 'r,
    {
        let rule = &self.tables[earlier];
        // A table that is not built in has one row per record.
        if !rule.also || rule.table.as_deref().is_some_and(|named| named != table) {
            return None;
        }
        match self.route_from(earlier + 1, record, requested_table) {
            Route::Row(rule, table) => Some((rule, table)),
            Route::SetAside(_) | Route::NoRule(_) | Route::NoTable(_) => None,
        }
    }

    fn route_from<'s, 'r>(
        &'s self,
        first_rule: usize,
        record: &'r Record<'_>,
        requested_table: Option<&'r str>,
    ) -> Route<'s, 'r>
    where
        's: 'r,
    {
        let kind = self.kind_of(record);
        let is_own =
            requested_table.is_some_and(|requested_table| TableSpec::by_name(requested_table).is_none());
        for (index, rule) in self.tables.iter().enumerate().skip(first_rule) {
            if !rule.takes(record, kind, &self.unset) {
                continue;
            }
            let named = rule.table.as_deref().or_else(|| rule.name_in(record));
            match (named, requested_table) {
                (Some(named), Some(requested_table)) if named == requested_table => {
                    return Route::Row(index, named);
                }
                // A table that is not built in uses the rule of one that is.
                (Some(_), Some(requested_table)) if rule.table.is_some() && is_own && !rule.on_request => {
                    return Route::Row(index, requested_table);
                }
                (Some(_), Some(_)) if rule.table.is_some() => {}
                (_, Some(requested_table)) if rule.table.is_none() => {
                    return Route::Row(index, requested_table);
                }
                (Some(named), None) if !rule.on_request => return Route::Row(index, named),
                (None, None) if kind.is_none() => return Route::NoTable(&self.name),
                _ => {}
            }
        }
        kind.map_or(Route::NoRule(&self.name), Route::SetAside)
    }
}

/// Whether `name` is valid as the name of a table and its folder.
pub fn is_table_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The value of the first field with that name.
pub fn field_value<'r>(record: &'r Record<'_>, field: &str) -> Option<&'r str> {
    record.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_ref())
}

/// The column that holds a row's time in a table, which may be one of `known`.
pub fn time_column(known: Tables, table: &str) -> &'static str {
    known.by_name(table).map_or("TimeGenerated", |spec| spec.time_column)
}

/// The column that clusters a table's rows: that of a known table, otherwise the declared one.
pub fn cluster_column<'a>(known: Tables, table: &str, declared: Option<&'a str>) -> Option<&'a str> {
    known.by_name(table).map_or(declared, |spec| spec.shard_key)
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
