//! Rows of a case as record batches: every column has its table's type, as if read from the lake's files.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use toml::{Table, Value};

use super::form::Place;
use hindcast_base::log_time::TimeForms;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::time::Window;
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::LOCATIONS;
use hindcast_lake::{TableSpec, Tables, canonical_schema, canonical_type, read_as};

/// The rows of one table.
#[derive(Debug)]
pub(super) struct TableRows {
    pub(super) spec: &'static TableSpec,
    /// All columns of the table, null if no row has them.
    pub(super) batch: RecordBatch,
    /// The columns that any row has.
    pub(super) columns: BTreeSet<String>,
}

impl TableRows {
    /// The rows of the table of that name among `tables`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such table or column.
    pub(super) fn of(name: &str, rows: &[Table], tables: Tables) -> Result<Self> {
        let spec = table_named(name, tables).map_err(Error::Invalid)?;
        let columns: BTreeSet<String> = rows.iter().flat_map(Table::keys).cloned().collect();
        columns.iter().try_for_each(|column| check_column(spec, column)).map_err(Error::Invalid)?;
        let names: Vec<&str> = spec.columns.iter().map(|column| column.name).collect();
        let arrays = spec.columns.iter().map(|column| {
            let values: Vec<Option<&Value>> = rows.iter().map(|row| row.get(column.name)).collect();
            if values.iter().all(Option::is_none) {
                return Ok(new_null_array(&canonical_type(column.kind), rows.len()));
            }
            read_as(&stored(&values), column.kind, &TimeForms::default()).map(|(array, _)| array)
        });
        let arrays = arrays.collect::<datafusion::common::Result<Vec<ArrayRef>>>()?;
        let batch = RecordBatch::try_new(canonical_schema(spec, &names), arrays).map_err(engine)?;
        Ok(Self { spec, batch, columns })
    }

    /// The instants of the rows.
    pub(super) fn times(&self) -> Vec<Option<i64>> {
        let times = self.batch.column_by_name(self.spec.time_column);
        let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        times.map(|times| times.iter().collect()).unwrap_or_default()
    }

    /// The rows whose instant lies in `window`.
    ///
    /// # Errors
    /// If Arrow can't take them.
    pub(super) fn within(&self, window: &Window) -> Result<RecordBatch> {
        let times = self.times().into_iter().enumerate();
        let inside =
            times.filter(|(_, time)| time.is_some_and(|time| window.from_us <= time && time < window.to_us));
        taken(&self.batch, inside.map(|(index, _)| index))
    }
}

/// The table of that name among `tables`.
///
/// # Errors
/// A message if there is none.
pub(super) fn table_named(name: &str, tables: Tables) -> Result<&'static TableSpec, String> {
    tables.by_name(name).ok_or_else(|| {
        let hint = did_you_mean(name, tables.names());
        format!("there is no table {name}{hint}")
    })
}

/// Fails if a table has no column of that name.
///
/// # Errors
/// A message with a hint.
pub(super) fn check_column(table: &TableSpec, column: &str) -> Result<(), String> {
    if table.column(column).is_some() {
        return Ok(());
    }
    let hint = did_you_mean(column, table.columns.iter().map(|column| column.name));
    Err(format!("{} has no column {column}{hint}", table.name))
}

/// The rows at these indices.
///
/// # Errors
/// If Arrow can't take them.
pub(super) fn taken(batch: &RecordBatch, rows: impl IntoIterator<Item = usize>) -> Result<RecordBatch> {
    let rows: arrow::array::UInt64Array = rows.into_iter().map(|row| Some(row as u64)).collect();
    take_record_batch(batch, &rows).map_err(engine)
}

/// Places as rows of the side table of locations.
///
/// # Errors
/// If Arrow can't make a batch of them.
pub(super) fn locations(places: &[Place]) -> Result<RecordBatch> {
    let texts = |value: fn(&Place) -> Option<&str>| -> ArrayRef {
        Arc::new(places.iter().map(value).collect::<arrow::array::StringViewArray>())
    };
    let numbers = |value: fn(&Place) -> Option<f64>| -> ArrayRef {
        Arc::new(places.iter().map(value).collect::<arrow::array::Float64Array>())
    };
    let columns = vec![
        texts(|place| Some(&place.address)),
        texts(|place| place.country_code.as_deref()),
        texts(|place| place.country.as_deref()),
        texts(|place| place.city.as_deref()),
        numbers(|place| place.latitude),
        numbers(|place| place.longitude),
    ];
    RecordBatch::try_new(LOCATIONS.schema(), columns).map_err(engine)
}

/// Values as a file would store them: whole numbers if all values are, else text.
fn stored(values: &[Option<&Value>]) -> ArrayRef {
    if values.iter().flatten().all(|value| value.is_integer()) {
        let numbers = values.iter().map(|value| value.and_then(Value::as_integer));
        return Arc::new(numbers.collect::<Int64Array>());
    }
    Arc::new(values.iter().map(|value| value.map(text_of)).collect::<StringArray>())
}

/// A value as text; nested values as JSON, as exports write them.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(_) | Value::Table(_) => serde_json::to_string(value).unwrap_or_default(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
    }
}

fn engine(error: arrow::error::ArrowError) -> Error {
    Error::Engine(error.into())
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use arrow::datatypes::{Int32Type, Int64Type};

    use super::*;

    #[test]
    fn values_have_the_types_of_the_table() {
        let rows: Table = toml::from_str(
            "rows = [{ TimeGenerated = 2026-03-01T10:00:00Z, DestinationPort = '53', SourceIP = '10.0.0.1' }, { SentBytes = 7 }]",
        )
        .unwrap();
        let rows: Vec<Table> = rows["rows"].clone().try_into().unwrap();
        let table = TableRows::of("CommonSecurityLog", &rows, Tables::built_in()).unwrap();
        assert_eq!(table.times(), [Some(1_772_359_200_000_000), None]);
        let ports = table.batch.column_by_name("DestinationPort").unwrap().as_primitive::<Int64Type>();
        assert_eq!((ports.value(0), ports.is_null(1)), (53, true));
        let sources = table.batch.column_by_name("SourceIP").unwrap().as_dictionary::<Int32Type>();
        assert_eq!((sources.values().len(), sources.is_null(1)), (2, true));
        let error = TableRows::of("CommonSecurityLogs", &rows, Tables::built_in()).unwrap_err().to_string();
        assert_eq!(error, "there is no table CommonSecurityLogs; did you mean CommonSecurityLog?");
    }
}
