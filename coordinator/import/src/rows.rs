//! Converts records to rows of a table. Columns are added as fields appear.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use hindcast_base::{Error, Result};
use hindcast_lake::{ADDITIONAL_FIELDS, ColumnKind, TableSpec, Tables};

use super::additional;
use super::columns::{Builder, Column, stored_type};
use super::row_time::{Candidates, TIME_FIELDS, TimeReader, UTC_SUFFIX};
use super::times::{Evidence, Times};
use hindcast_records::format::Record;
use hindcast_records::source::{TableRule, cluster_column, time_column};

/// Most columns of a table.
const MAX_COLUMNS: usize = 4_000;

/// Rows of one table being built.
pub(super) struct Rows<'r> {
    table: String,
    rule: &'r TableRule,
    times: &'r Times,
    unset: &'r [String],
    known: Tables,
    spec: Option<&'static TableSpec>,
    columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    /// Whether rows have the fields that the rule leaves out.
    has_all_fields: bool,
    /// The columns of each field; none if the table has no column for it.
    targets: HashMap<String, Arc<[Target]>>,
    in_order: Vec<(String, Arc<[Target]>)>,
    /// The fields that may hold the time of the current record, the best first.
    candidates: Candidates,
    /// The fields of the current record for which the table has no column, and their text.
    extras: Vec<usize>,
    /// Fields that gave way to a better one in a column. They are extras unless another column has them.
    losers: Vec<usize>,
    extras_text: String,
    /// The time of the current record, in UTC microseconds.
    time_us: i64,
    rows: usize,
    unreadable: BTreeMap<String, u64>,
    notes: BTreeMap<String, u64>,
}

/// A column that a field fills, and the field's rank among the column's fields: the lowest is the best.
struct Target {
    column: usize,
    rank: usize,
}

/// Finished rows of one table.
pub(super) struct TableRows {
    /// The table.
    pub(super) table: String,
    /// The column that clusters its rows, if there is one.
    pub(super) cluster: Option<String>,
    /// The rows.
    pub(super) batch: RecordBatch,
    /// Values that became null because they are not of the column's type, by column.
    pub(super) unreadable: BTreeMap<String, u64>,
    /// Assumptions about rows, and the number of rows they apply to.
    pub(super) notes: BTreeMap<String, u64>,
}

impl<'r> Rows<'r> {
    /// No rows yet, with the columns of the rule.
    pub(super) fn new(
        table: &str,
        rule: &'r TableRule,
        unset: &'r [String],
        times: &'r Times,
        known: Tables,
    ) -> Self {
        let mut rows = Self {
            table: table.to_owned(),
            rule,
            times,
            unset,
            known,
            spec: known.by_name(table),
            columns: Vec::new(),
            by_name: HashMap::new(),
            has_all_fields: false,
            targets: HashMap::new(),
            in_order: Vec::new(),
            candidates: Candidates::new(),
            extras: Vec::new(),
            losers: Vec::new(),
            extras_text: String::new(),
            time_us: 0,
            rows: 0,
            unreadable: BTreeMap::new(),
            notes: BTreeMap::new(),
        };
        // The time is the first column.
        rows.column(time_column(known, table), false);
        // Columns that a rule fills exist even if no record has them, so that analyses that need them run.
        let known_column = |name: &String| rows.spec.and_then(|spec| spec.column(name));
        let is_known = |name: &&String| known_column(name).is_some_and(|column| !column.is_optional);
        let filled: Vec<&String> =
            rule.constants.keys().chain(rule.columns.keys().filter(is_known)).collect();
        for column in filled {
            rows.column(column, false);
        }
        rows
    }

    /// The same, with all fields of records, because no other table has their rows.
    pub(super) fn with_all_fields(self) -> Self {
        Self { has_all_fields: true, ..self }
    }

    fn is_left_out(&self, field: &str) -> bool {
        !self.has_all_fields && self.rule.leaves_out.contains(field)
    }

    /// Adds a record as a row.
    ///
    /// # Errors
    /// Why it can't be a row of the table, mostly because it has no time.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<(), String> {
        let time_us = self.offer_all(record).and_then(|()| self.time_of(record));
        if time_us.is_err() {
            self.columns.iter_mut().for_each(|column| column.value = None);
        }
        self.time_us = time_us?;
        self.append(record);
        Ok(())
    }

    /// Adds to `evidence` what the dates of a record prove, and no row. The record begins in line `line` (from 1).
    pub(super) fn gather(&mut self, record: &Record<'_>, line: u64, evidence: &mut Evidence) {
        let is_offered = self.offer_all(record).is_ok();
        let is_time = |column: &&Column| column.kind == ColumnKind::Time;
        let places = self.columns[1..].iter().filter(is_time).filter_map(|column| column.value);
        let columns: Vec<usize> = places.map(|(_, place)| place).collect();
        if is_offered {
            self.time_reader().gather(record, line, (&self.candidates, &columns), evidence);
        }
        self.columns.iter_mut().for_each(|column| column.value = None);
    }

    /// Finds the value of each column.
    fn offer_all(&mut self, record: &Record<'_>) -> Result<(), String> {
        self.candidates.clear();
        self.extras.clear();
        self.losers.clear();
        for (place, (name, value)) in record.iter().enumerate() {
            if self.unset.iter().any(|unset| unset == value)
                || (self.is_left_out(name) && !self.rule.time.iter().any(|time| time == name))
            {
                continue;
            }
            let targets = self.targets_of(place, name)?;
            if targets.is_empty() {
                self.extras.push(place);
            }
            for target in targets.iter() {
                self.offer(target, place, record);
            }
        }
        self.candidates.sort_unstable();
        Ok(())
    }

    fn time_reader(&self) -> TimeReader<'r> {
        TimeReader { times: self.times, rule: self.rule }
    }

    fn time_of(&mut self, record: &Record<'_>) -> Result<i64, String> {
        let chosen = self.time_reader().choose(record, &self.candidates, &self.columns[0].name)?;
        if let Some(lost) = chosen.unread {
            let field = &record[lost].0;
            self.keep(field, lost);
            self.note(format!("{field} is not a time, and {} is taken", record[chosen.place].0));
        }
        if let Some(assumed) = chosen.parsed.assumed {
            self.note(assumed.note(&record[chosen.place].0));
        }
        Ok(chosen.parsed.micros)
    }

    fn note(&mut self, note: String) {
        *self.notes.entry(note).or_default() += 1;
    }

    /// The rows as a batch.
    ///
    /// # Errors
    /// [`Error::Internal`] if columns do not fit together.
    pub(super) fn finish(self) -> Result<Option<TableRows>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for column in self.columns {
            fields.push(Field::new(column.name, stored_type(column.kind), true));
            arrays.push(column.builder.finish());
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let cluster =
            cluster_column(self.known, &self.table, self.rule.cluster_by.as_deref()).map(str::to_owned);
        Ok(Some(TableRows {
            table: self.table,
            cluster,
            batch,
            unreadable: self.unreadable,
            notes: self.notes,
        }))
    }

    fn append(&mut self, record: &Record<'_>) {
        let has_column = |place: &usize| {
            self.columns[1..].iter().any(|column| column.value.is_some_and(|(_, value)| value == *place))
        };
        self.extras.extend(self.losers.drain(..).filter(|place| !has_column(place)));
        let additional = (!self.extras.is_empty()).then(|| self.additional(record));
        let reader = self.time_reader();
        for (index, column) in self.columns.iter_mut().enumerate() {
            let place = column.value.take().map(|(_, place)| place);
            let value = match place {
                Some(place) => Some(translated(self.rule, &column.name, &record[place].1)),
                None => self.rule.constants.get(&column.name).map(String::as_str),
            };
            let value = if additional == Some(index) { Some(self.extras_text.as_str()) } else { value };
            let time_of = |text: &str| match place {
                _ if index == 0 => Some(self.time_us),
                Some(place) => {
                    reader.read(record, place, text, &self.candidates).ok().map(|read| read.micros)
                }
                None => None,
            };
            if !column.builder.append(value, time_of) {
                *self.unreadable.entry(column.name.clone()).or_default() += 1;
            }
        }
        self.rows += 1;
    }

    /// Writes the additional fields of a record, together with those that it has as such. Returns the column.
    fn additional(&mut self, record: &Record<'_>) -> usize {
        let column = self.column(ADDITIONAL_FIELDS, false);
        self.extras.sort_unstable();
        self.extras.dedup();
        let own = match self.columns[column].value {
            Some((_, place)) => Some(translated(self.rule, ADDITIONAL_FIELDS, &record[place].1)),
            None => self.rule.constants.get(ADDITIONAL_FIELDS).map(String::as_str),
        };
        additional::write(own, record, &self.extras, &mut self.extras_text);
        column
    }

    /// Offers a field's value to a column. The better field wins; the other value goes to a column named after its field.
    fn offer(&mut self, target: &Target, place: usize, record: &Record<'_>) {
        if target.column == 0 {
            self.candidates.push((target.rank, place));
        }
        let column = &mut self.columns[target.column];
        let giving_way = match column.value {
            Some((rank, _)) if rank <= target.rank => (rank < target.rank).then_some(place),
            earlier => {
                column.value = Some((target.rank, place));
                earlier.map(|(_, place)| place)
            }
        };
        let kept = column.value.map(|(_, place)| record[place].1.as_ref());
        if let Some(place) = giving_way
            && let field = record[place].0.as_ref()
            && field != self.columns[target.column].name
            && kept != Some(record[place].1.as_ref())
        {
            self.keep(field, place);
        }
    }

    /// Keeps the value of a field that gave way: in a column with its name, or with the additional fields.
    fn keep(&mut self, field: &str, place: usize) {
        if self.is_left_out(field) {
            return;
        }
        if self.is_extra(field) {
            return self.losers.push(place);
        }
        let spare = self.column(field, false);
        self.columns[spare].value.get_or_insert((usize::MAX, place));
    }

    /// Whether the table is known and has no column with the name of a field.
    fn is_extra(&self, field: &str) -> bool {
        self.spec.is_some_and(|spec| !additional::is_column(spec, self.rule, field))
    }

    fn targets_of(&mut self, place: usize, field: &str) -> Result<Arc<[Target]>, String> {
        if let Some((name, targets)) = self.in_order.get(place)
            && name == field
        {
            return Ok(Arc::clone(targets));
        }
        let targets = match self.targets.get(field) {
            Some(targets) => Arc::clone(targets),
            None => {
                let targets = self.new_targets(field)?;
                if self.targets.len() < MAX_COLUMNS {
                    self.targets.insert(field.to_owned(), Arc::clone(&targets));
                }
                targets
            }
        };
        if self.in_order.len() == place {
            self.in_order.push((field.to_owned(), Arc::clone(&targets)));
        } else if let Some(entry) = self.in_order.get_mut(place) {
            *entry = (field.to_owned(), Arc::clone(&targets));
        }
        Ok(targets)
    }

    fn new_targets(&mut self, field: &str) -> Result<Arc<[Target]>, String> {
        if self.columns.len() >= MAX_COLUMNS {
            return Err(format!(
                "the table has {MAX_COLUMNS} columns, the most that are possible: {field} would be one more"
            ));
        }
        let (plain, is_time) = match field.strip_suffix(UTC_SUFFIX) {
            Some(plain) => (plain, true),
            None => (field, false),
        };
        let mut targets = Vec::new();
        if let Some(rank) = self.rank_as_time(plain) {
            targets.push(Target { column: 0, rank });
        }
        let rule = self.rule;
        for (column, fields) in &rule.columns {
            if let Some(rank) = fields.all().iter().position(|name| name == plain) {
                targets.push(Target { column: self.column(column, is_time), rank });
            }
        }
        if targets.is_empty() && !self.is_extra(plain) {
            targets.push(Target { column: self.column(plain, is_time), rank: 0 });
        } else if targets.is_empty()
            && let Some(name) = self.in_other_case(plain)
        {
            // Below the fields of the rule. Of several such names, the first wins.
            let rank = usize::MAX / 2 + self.targets.len();
            targets.push(Target { column: self.column(name, is_time), rank });
        }
        Ok(targets.into())
    }

    /// The column of a known table, other than the row's time, whose name differs from a field's only in case.
    fn in_other_case(&self, field: &str) -> Option<&'static str> {
        let spec = self.spec?;
        let names = spec.columns.iter().map(|column| column.name);
        names.filter(|name| *name != spec.time_column).find(|name| name.eq_ignore_ascii_case(field))
    }

    /// Rank of a field as the row's time; `None` if it does not hold it.
    fn rank_as_time(&self, field: &str) -> Option<usize> {
        match self.rule.time.as_slice() {
            [] if field == self.columns[0].name => Some(0),
            [] => TIME_FIELDS.iter().position(|name| *name == field).map(|rank| rank + 1),
            names => names.iter().position(|name| name == field),
        }
    }

    /// Index of a column, which is added if it is missing.
    fn column(&mut self, name: &str, is_time: bool) -> usize {
        if let Some(column) = self.by_name.get(name) {
            return *column;
        }
        let known = self.spec.and_then(|spec| spec.column(name)).map(|column| column.kind);
        let declared = self.rule.types.get(name).map(|kind| ColumnKind::from(*kind));
        let is_time = is_time || name == time_column(self.known, &self.table);
        let kind = known.or(declared).unwrap_or(if is_time { ColumnKind::Time } else { ColumnKind::Text });
        let column =
            Column { name: name.to_owned(), kind, builder: Builder::new(kind, self.rows), value: None };
        self.columns.push(column);
        self.by_name.insert(name.to_owned(), self.columns.len() - 1);
        self.columns.len() - 1
    }
}

/// The column's value for a field's value.
fn translated<'a>(rule: &'a TableRule, column: &str, value: &'a str) -> &'a str {
    let behind = rule.behind.get(column).and_then(|mark| value.rsplit_once(mark.as_str()));
    let value = behind.map_or(value, |(_, rest)| rest);
    let before = rule.before.get(column).and_then(|mark| value.split_once(mark.as_str()));
    let value = before.map_or(value, |(first, _)| first);
    rule.values.get(column).and_then(|values| values.get(value)).map_or(value, String::as_str)
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
