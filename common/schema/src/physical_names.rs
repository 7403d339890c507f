//! The names that a Delta table's columns have in its files: column mapping makes them differ from those that users see.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use serde::{Deserialize, Serialize};

use super::mapping::TableMapping;

/// Key of a field's id in the metadata of an Arrow field that was read from Parquet.
const FIELD_ID: &str = "PARQUET:field_id";

/// The columns of a table with column mapping, by the names that users see; empty for any other table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhysicalNames {
    /// Whether a file's columns are found by their ids, not by their names.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_id: bool,
    /// The columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, PhysicalColumn>,
}

/// A column, or a field of a nested one, in the files of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhysicalColumn {
    /// Its name in the files.
    pub name: String,
    /// Its id in the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Its own fields, those of its elements or those of its values, by the names that users see.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, PhysicalColumn>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl PhysicalNames {
    /// Whether the table has no column mapping: its files have the names that users see.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The schema of a file with the names that users see, at every depth, with the fields in the same places. A column that the
    /// table does not have any more keeps its place under a name that no user can give.
    pub fn logical_schema(&self, stored: &Schema) -> Schema {
        if self.is_empty() {
            return stored.clone();
        }
        Schema::new_with_metadata(self.logical(stored.fields(), &self.columns), stored.metadata().clone())
    }

    /// The part of these names that decides how `columns`, by Hindcast's names, are read.
    pub fn used_by<'a>(&self, mapping: &TableMapping, columns: impl IntoIterator<Item = &'a str>) -> Self {
        let names = mapping.names_read(columns);
        let is_used = |name: &String| names.iter().any(|used| used.eq_ignore_ascii_case(name));
        let used = self.columns.iter().filter(|(name, _)| is_used(name));
        let columns = used.map(|(name, column)| (name.clone(), column.clone())).collect();
        Self { by_id: self.by_id, columns }
    }

    fn logical(&self, stored: &Fields, columns: &BTreeMap<String, PhysicalColumn>) -> Fields {
        let renamed = stored.iter().map(|field| {
            let found = columns.iter().find(|(_, column)| self.is_stored_as(column, field));
            match found {
                Some((name, column)) => {
                    let data_type = self.logical_type(field.data_type(), &column.fields);
                    Arc::new(field.as_ref().clone().with_name(name).with_data_type(data_type))
                }
                None => Arc::new(field.as_ref().clone().with_name(format!("\0{}", field.name()))),
            }
        });
        renamed.collect()
    }

    fn is_stored_as(&self, column: &PhysicalColumn, field: &Field) -> bool {
        let id = || field.metadata().get(FIELD_ID).and_then(|id| id.parse::<i64>().ok());
        match (self.by_id, column.id) {
            (true, Some(wanted)) => id() == Some(wanted),
            _ => column.name == *field.name(),
        }
    }

    fn logical_type(&self, stored: &DataType, fields: &BTreeMap<String, PhysicalColumn>) -> DataType {
        let inner = |field: &Arc<Field>| {
            let data_type = self.logical_type(field.data_type(), fields);
            Arc::new(field.as_ref().clone().with_data_type(data_type))
        };
        match stored {
            DataType::Struct(stored) if !fields.is_empty() => DataType::Struct(self.logical(stored, fields)),
            DataType::List(element) => DataType::List(inner(element)),
            DataType::LargeList(element) => DataType::LargeList(inner(element)),
            DataType::Map(entries, is_sorted) => match entries.data_type() {
                DataType::Struct(key_value) if key_value.len() == 2 => {
                    let key_value = Fields::from(vec![Arc::clone(&key_value[0]), inner(&key_value[1])]);
                    let entries = entries.as_ref().clone().with_data_type(DataType::Struct(key_value));
                    DataType::Map(Arc::new(entries), *is_sorted)
                }
                _ => stored.clone(),
            },
            _ => stored.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::ColumnSource;

    fn column(name: &str, id: i64, fields: &[(&str, PhysicalColumn)]) -> PhysicalColumn {
        let fields = fields.iter().map(|(name, field)| ((*name).to_owned(), field.clone())).collect();
        PhysicalColumn { name: name.into(), id: Some(id), fields }
    }

    fn names(by_id: bool) -> PhysicalNames {
        let endpoint = column("col-2", 2, &[("ip", column("col-3", 3, &[]))]);
        let columns = [("Time", column("col-1", 1, &[])), ("Source", endpoint)];
        PhysicalNames { by_id, columns: columns.map(|(name, column)| (name.to_owned(), column)).into() }
    }

    fn field(name: &str, id: i64, data_type: DataType) -> Field {
        Field::new(name, data_type, true).with_metadata(HashMap::from([(FIELD_ID.into(), id.to_string())]))
    }

    #[test]
    fn columns_and_their_fields_get_the_names_that_users_see() {
        let names = names(false);
        let element = DataType::Struct(Fields::from(vec![field("col-3", 3, DataType::Utf8)]));
        let list = DataType::List(Arc::new(Field::new("element", element, true)));
        let stored = Schema::new(vec![
            field("col-9", 9, DataType::Utf8),
            field("col-2", 2, list),
            field("col-1", 1, DataType::Int64),
        ]);
        let logical = names.logical_schema(&stored);
        let found: Vec<&str> = logical.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(found, ["\0col-9", "Source", "Time"]);
        let DataType::List(element) = logical.field(1).data_type() else { panic!("another type") };
        let DataType::Struct(fields) = element.data_type() else { panic!("another type") };
        assert_eq!(fields[0].name(), "ip");
        assert_eq!(PhysicalNames::default().logical_schema(&stored), stored);
    }

    #[test]
    fn columns_are_found_by_their_ids_if_the_table_says_so() {
        let stored =
            Schema::new(vec![field("renamed", 1, DataType::Int64), field("col-1", 7, DataType::Utf8)]);
        let names = |by_id: bool| {
            let logical = names(by_id).logical_schema(&stored);
            logical.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(true), ["Time", "\0col-1"]);
        assert_eq!(names(false), ["\0renamed", "Time"]);
    }

    #[test]
    fn a_part_has_the_columns_that_are_read() {
        let mut mapping = TableMapping::default();
        mapping.columns.insert("SourceIP".into(), ColumnSource::Path("source.ip".parse().unwrap()));
        let used = |mapping: &TableMapping, columns: &[&str]| {
            let part = names(true).used_by(mapping, columns.iter().copied());
            part.columns.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(used(&mapping, &["SourceIP", "Absent"]), ["Source"]);
        assert_eq!(used(&mapping, &["Time"]), ["Time"]);
        mapping.columns.insert("Time".into(), ColumnSource::Sql("upper(source.ip)".into()));
        assert_eq!(used(&mapping, &["Time"]), ["Source"]);
    }
}
