//! Finds an entity's rows in a batch. Each value of a dictionary is tested once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayData, AsArray, BooleanArray, DictionaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use datafusion::common::{Result, internal_datafusion_err};
use serde::{Deserialize, Serialize};

use super::words::find_word;
use super::{EntityColumn, Form, Role, Selection};
use crate::TableSpec;
use hindcast_base::entities::{EntityKind, address_or_text_of, host_name};
use hindcast_base::time::{MICROS_PER_DAY, Window};
use hindcast_functions::as_texts;

/// How much was read, and how much was skipped, to find an entity's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionStats {
    /// Row groups of the files.
    pub row_groups: u64,
    /// Row groups read.
    pub row_groups_read: u64,
    /// Stored bytes of all row groups.
    pub bytes: u64,
    /// Stored bytes of the row groups read.
    pub bytes_read: u64,
    /// Rows of the row groups read, the entity's and others.
    pub rows_read: u64,
    /// Names of the entity as rows write them, with the number of rows.
    pub names: BTreeMap<String, u64>,
}

/// Selects the rows of one table that belong to a [`Selection`].
#[derive(Debug)]
pub struct RowSelector<'a> {
    selection: &'a Selection,
    table: &'static TableSpec,
    window: &'a Window,
    /// Days on which a name is related to the entity.
    related_days: HashMap<(EntityKind, &'a str), Vec<i64>>,
    columns: Vec<Column>,
    names: BTreeMap<String, u64>,
}

/// An entity column, with the test results for the values of the last dictionary.
#[derive(Debug)]
struct Column {
    entity_column: &'static EntityColumn,
    last: Option<(ArrayData, Vec<Hit>)>,
}

/// Whether a value makes its row the entity's.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hit {
    /// The value is empty.
    Empty,
    /// The value names another entity.
    No,
    /// The row is the entity's on any day; with the name as it is written, if it is the entity's own.
    Always(Option<String>),
    /// The row is the entity's on these days.
    On(Vec<i64>),
}

/// Marks on a batch's rows.
struct Marks {
    days: Int64Array,
    in_window: Vec<bool>,
    own: Vec<bool>,
    related: Vec<bool>,
    /// Whether the row names its entity, in tables where not every row does.
    is_known: Vec<bool>,
}

impl<'a> RowSelector<'a> {
    /// A selector for rows of `table`. Names in rows outside `window` are not counted.
    pub fn new(selection: &'a Selection, table: &'static TableSpec, window: &'a Window) -> Self {
        let mut related_days: HashMap<(EntityKind, &str), Vec<i64>> = HashMap::new();
        for related in &selection.related {
            related_days.entry((related.kind, &related.name)).or_default().push(related.day);
        }
        let columns = selection
            .entity_columns(table)
            .map(|entity_column| Column { entity_column, last: None })
            .collect();
        Self { selection, table, window, related_days, columns, names: BTreeMap::new() }
    }

    /// Columns whose values may make a row the entity's. A row group without such a value is not read.
    pub fn columns(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> =
            self.columns.iter().map(|column| column.entity_column.column).collect();
        names.dedup();
        names
    }

    /// Whether a value of a column may make a row the entity's.
    pub fn may_select(&self, column: &str, value: &str) -> bool {
        let mut of_column = self.columns.iter().filter(|known| known.entity_column.column == column);
        of_column.any(|known| matches!(self.hit(known.entity_column, value), Hit::Always(_) | Hit::On(_)))
    }

    /// A mask of the rows of `batch` that are the entity's.
    ///
    /// # Errors
    /// If the batch lacks a column or has it with another type.
    pub fn select(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let rows = batch.num_rows();
        let time = batch.column_by_name(self.table.time_column);
        let time = time
            .and_then(|time| time.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| internal_datafusion_err!("a batch of {} lacks its time", self.table.name))?;
        let mut marks = Marks {
            days: time.unary(|micros| micros.div_euclid(MICROS_PER_DAY)),
            in_window: time
                .iter()
                .map(|time| time.is_some_and(|time| time >= self.window.from_us && time < self.window.to_us))
                .collect(),
            own: vec![false; rows],
            related: vec![false; rows],
            is_known: vec![false; rows],
        };
        let mut columns = std::mem::take(&mut self.columns);
        for column in &mut columns {
            self.mark(column, batch, &mut marks)?;
        }
        self.columns = columns;
        let Marks { own, related, is_known, .. } = marks;
        Ok((0..rows).map(|row| Some(own[row] || (related[row] && !is_known[row]))).collect())
    }

    /// Names of the entity in the rows tested so far that lie in the window, with the number of rows.
    pub fn into_names(self) -> BTreeMap<String, u64> {
        self.names
    }

    fn mark(&mut self, column: &mut Column, batch: &RecordBatch, marks: &mut Marks) -> Result<()> {
        let role = column.entity_column.role;
        let texts = texts_of(batch, column.entity_column.column)?;
        let instead_of = match role {
            Role::OwnUnless(other) => Some(texts_of(batch, other)?),
            _ => None,
        };
        let hits = self.hits(column, texts)?;
        let mut counts = vec![0u64; hits.len()];
        for (row, key) in texts.keys().iter().enumerate() {
            let Some(value) = key.and_then(|key| usize::try_from(key).ok()) else { continue };
            if instead_of.is_some_and(|other| has_text(other, row)) {
                continue;
            }
            marks.is_known[row] |= role == Role::OwnWhereKnown && hits[value] != Hit::Empty;
            match &hits[value] {
                Hit::Empty | Hit::No => {}
                Hit::Always(_) => {
                    marks.own[row] = true;
                    counts[value] += u64::from(marks.in_window[row]);
                }
                Hit::On(days) => {
                    marks.related[row] |= marks.days.is_valid(row) && days.contains(&marks.days.value(row));
                }
            }
        }
        for (hit, count) in hits.iter().zip(counts) {
            if let (Hit::Always(Some(name)), 1..) = (hit, count) {
                *self.names.entry(name.clone()).or_default() += count;
            }
        }
        Ok(())
    }

    fn hits<'b>(&self, column: &'b mut Column, texts: &DictionaryArray<Int32Type>) -> Result<&'b Vec<Hit>> {
        // Readers make new arrays over the same buffers for each batch, so the buffers are compared.
        let data = texts.values().to_data();
        if !column.last.as_ref().is_some_and(|(last, _)| last.ptr_eq(&data)) {
            let values = as_texts(texts.values())?;
            let hit =
                |value: Option<&str>| value.map_or(Hit::Empty, |value| self.hit(column.entity_column, value));
            column.last = Some((data, values.iter().map(hit).collect()));
        }
        let last = column.last.as_ref().map(|(_, hits)| hits);
        last.ok_or_else(|| internal_datafusion_err!("no values were tested"))
    }

    fn hit(&self, entity_column: &EntityColumn, value: &str) -> Hit {
        if value.trim().is_empty() || value == "<null>" {
            return Hit::Empty;
        }
        let mut test = |name: &str| match entity_column.role {
            Role::Related => self.related_on(entity_column.kind, name),
            Role::UsersAddress => self.is_users(name).then_some(Hit::Always(None)),
            Role::Own | Role::OwnWhereKnown | Role::OwnUnless(_) => {
                let contains = entity_column.form == Form::Contains
                    && name.to_lowercase().contains(self.selection.term());
                (contains || self.selection.is_named(name)).then(|| Hit::Always(Some(name.to_owned())))
            }
        };
        let hit = match entity_column.form {
            Form::Mentions => find_word(value, &mut test),
            Form::Is | Form::Contains => test(value),
        };
        hit.unwrap_or(Hit::No)
    }

    fn is_users(&self, name: &str) -> bool {
        let addresses = &self.selection.users_addresses;
        address_or_text_of(name).is_some_and(|address| addresses.contains(address.as_ref()))
    }

    fn related_on(&self, kind: EntityKind, name: &str) -> Option<Hit> {
        let lowered = name.trim().to_lowercase();
        let name: Cow<'_, str> = match kind {
            EntityKind::Device => host_name(&lowered).into(),
            _ => address_or_text_of(&lowered)?,
        };
        self.related_days.get(&(kind, name.as_ref())).map(|days| Hit::On(days.clone()))
    }
}

fn texts_of<'b>(batch: &'b RecordBatch, column: &str) -> Result<&'b DictionaryArray<Int32Type>> {
    let texts = batch.column_by_name(column).and_then(|array| array.as_dictionary_opt::<Int32Type>());
    texts.ok_or_else(|| internal_datafusion_err!("a batch lacks the texts of {column}"))
}

fn has_text(texts: &DictionaryArray<Int32Type>, row: usize) -> bool {
    let values = texts.values().as_string_opt::<i32>();
    let value = texts.key(row).and_then(|key| values.map(|values| values.value(key)));
    value.is_some_and(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, TimestampMicrosecondArray};

    use super::*;
    use crate::selection::RelatedName;
    use hindcast_base::entities::Entity;

    /// A batch of days and text columns.
    fn batch(days: &[i64], columns: &[(&str, &[Option<&str>])]) -> RecordBatch {
        let times = days.iter().map(|day| day * MICROS_PER_DAY + 1);
        let mut arrays: Vec<(&str, ArrayRef)> =
            vec![("TimeGenerated", Arc::new(TimestampMicrosecondArray::from_iter_values(times)))];
        for (name, texts) in columns {
            let texts: DictionaryArray<Int32Type> = texts.iter().copied().collect();
            arrays.push((name, Arc::new(texts)));
        }
        RecordBatch::try_from_iter_with_nullable(arrays.into_iter().map(|(name, array)| (name, array, true)))
            .unwrap()
    }

    fn selected(selection: &Selection, table: &str, batch: &RecordBatch) -> Vec<usize> {
        let window = Window::new(0, 9 * MICROS_PER_DAY).unwrap();
        let mut selector = RowSelector::new(selection, TableSpec::by_name(table).unwrap(), &window);
        let mask = selector.select(batch).unwrap();
        (0..batch.num_rows()).filter(|row| mask.value(*row)).collect()
    }

    #[test]
    fn a_firewall_row_belongs_to_a_device_by_its_name_or_else_by_its_address_of_the_day() {
        let mut device = Selection::of(Entity::of(EntityKind::Device, "ws-1").unwrap());
        device.related.insert(RelatedName { day: 1, kind: EntityKind::Ip, name: "10.0.0.5".into() });
        let rows = batch(
            &[1, 2, 1, 1, 2, 1],
            &[
                ("SourceHostName", &[None, None, Some("ws-2"), Some("WS-1.corp"), Some("ws-1"), Some("")]),
                (
                    "SourceIP",
                    &[Some("10.0.0.5"), Some("10.0.0.5"), Some("10.0.0.5"), None, None, Some("9.9.9.9")],
                ),
                ("DestinationIP", &[None, None, None, None, None, Some("::ffff:10.0.0.5")]),
            ],
        );
        // On the day of row 1 another device had the address, and row 2 names another device.
        assert_eq!(selected(&device, "CommonSecurityLog", &rows), [0, 3, 4, 5]);
    }

    #[test]
    fn cloud_ids_contain_the_name_and_lists_count_if_the_row_has_no_address_of_its_own() {
        let ada = Selection::of(Entity::of(EntityKind::User, "CORP\\Ada").unwrap());
        let rows = batch(
            &[1, 1, 1],
            &[
                ("UserId", &[Some("ada@corp.example"), Some("Adam@corp.example"), Some("eve")]),
                ("UserKey", &[None, None, Some("i:0h.f|membership|xADAx@live.com")]),
            ],
        );
        assert_eq!(selected(&ada, "OfficeActivity", &rows), [0, 1, 2]);

        let ip = Selection::of(Entity::of(EntityKind::Ip, "13.71.172.130").unwrap());
        let list = Some("['13.71.172.130', '13.71.172.128']");
        let none = [None, None, None];
        let rows = batch(
            &[1, 1, 1],
            &[
                ("VMIPAddress", &none),
                ("SrcIP", &none),
                ("DestIP", &none),
                ("AllExtIPs", &[Some("13.71.172.130"), Some("13.71.172.128"), None]),
                ("PublicIPs", &[list, list, list]),
            ],
        );
        assert_eq!(selected(&ip, "AzureNetworkAnalytics_CL", &rows), [0, 2]);
    }
}
