//! Rules of a source: which records they take, and how these become rows of a table.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::format::Record;
use super::rule_values::{OneOrMore, TypeName};
use super::source::{field_value, is_table_name};
use super::time_format::TimeFormat;

/// How records become rows of a table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRule {
    /// The table.
    #[serde(default)]
    pub table: Option<String>,
    /// The field that names the table, if `table` is absent.
    #[serde(default)]
    pub named_by: Option<String>,
    /// Prefix that is removed from that name.
    #[serde(default)]
    pub name_prefix: String,
    /// Names in that field, and the tables they mean.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// Whether the rule applies only if the user names its table.
    #[serde(default)]
    pub on_request: bool,
    /// Whether later rules may take a record that this rule took.
    #[serde(default)]
    pub also: bool,
    /// Fields whose objects are replaced by their fields in the records that the rule takes.
    #[serde(default)]
    pub flatten: Vec<String>,
    /// Fields that are not stored, because another row of the record has them.
    #[serde(default)]
    pub leaves_out: BTreeSet<String>,
    /// Kinds of records that the rule takes, if they name their kind.
    #[serde(default)]
    kinds: Vec<String>,
    /// Fields a record must have, unless `kinds` decides.
    #[serde(default)]
    pub has: Vec<String>,
    /// Fields, and the values of which each must have one.
    #[serde(default)]
    pub when: BTreeMap<String, Vec<String>>,
    /// Fields, and values of which none may be theirs.
    #[serde(default)]
    unless: BTreeMap<String, Vec<String>>,
    /// Fields that may hold the row's time, the best first.
    #[serde(default)]
    pub time: Vec<String>,
    /// Fields whose times are UTC if they have no zone.
    #[serde(default)]
    pub utc: Vec<String>,
    /// Fields with the zone of the record's other times, the best first.
    #[serde(default)]
    pub zone: Vec<String>,
    /// Fields, and how their times are written.
    #[serde(default)]
    pub formats: BTreeMap<String, TimeFormat>,
    /// Columns, and the fields that may fill them, the best first.
    #[serde(default)]
    pub columns: BTreeMap<String, OneOrMore>,
    /// Columns, and the value of all rows.
    #[serde(default)]
    pub constants: BTreeMap<String, String>,
    /// Columns, and replacements for their values.
    #[serde(default)]
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// Columns, and a separator; the value starts after its last occurrence.
    #[serde(default)]
    pub behind: BTreeMap<String, String>,
    /// Columns, and a separator; the value ends before its first occurrence.
    #[serde(default)]
    pub before: BTreeMap<String, String>,
    /// Columns that are not text, and their types.
    #[serde(default)]
    pub types: BTreeMap<String, TypeName>,
    /// Column that clusters rows, for tables that Hindcast does not know.
    #[serde(default)]
    pub cluster_by: Option<String>,
    /// The column of record ids that the user names.
    #[serde(skip)]
    pub record_id: Option<String>,
}

impl TableRule {
    /// Whether it takes rows of any schema as they are.
    pub fn is_generic(&self) -> bool {
        self.table.is_none() && self.named_by.is_none() && self.columns.is_empty()
    }

    /// The fields that the rule names.
    pub fn named(&self) -> impl Iterator<Item = &String> {
        let columns = self.columns.values().flat_map(OneOrMore::all);
        columns
            .chain(&self.time)
            .chain(&self.has)
            .chain(self.when.keys())
            .chain(self.unless.keys())
            .chain(&self.named_by)
    }

    /// Whether the rule takes a record of this kind, in which these values mean that a field is absent.
    pub fn takes(&self, record: &Record<'_>, kind: Option<&str>, unset: &[String]) -> bool {
        let is_set = |value: &str| !unset.iter().any(|unset| unset == value);
        let has = |field: &String| field_value(record, field).is_some_and(is_set);
        let is = |(field, values): (&String, &Vec<String>)| {
            field_value(record, field).is_some_and(|value| values.iter().any(|wanted| wanted == value))
        };
        let fits = match kind {
            Some(kind) if !self.kinds.is_empty() => self.kinds.iter().any(|wanted| wanted == kind),
            _ => self.has.iter().all(has),
        };
        fits && self.when.iter().all(is) && !self.unless.iter().any(is)
    }

    /// The name of the table that a record states.
    pub fn name_in<'r>(&'r self, record: &'r Record<'_>) -> Option<&'r str> {
        let value = field_value(record, self.named_by.as_deref()?)?;
        let name = self.names.get(value).map_or(value, String::as_str);
        Some(name.strip_prefix(&self.name_prefix).unwrap_or(name)).filter(|name| is_table_name(name))
    }
}
