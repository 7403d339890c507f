//! The Arrow types in which the columns of tables are read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::tables::{ColumnKind, TableSpec};

/// The Arrow type in which a column is read.
pub fn canonical_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnKind::Text => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ColumnKind::Integer => DataType::Int64,
    }
}

/// Schema of the named columns of a table, as a scan returns them.
pub fn canonical_schema(spec: &TableSpec, columns: &[&str]) -> SchemaRef {
    let chosen = spec.columns.iter().filter(|column| columns.contains(&column.name));
    let fields: Vec<Field> =
        chosen.map(|column| Field::new(column.name, canonical_type(column.kind), true)).collect();
    Arc::new(Schema::new(fields))
}
