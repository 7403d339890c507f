//! Sorts rows by shard key and time, and writes one file per date.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef, TimestampMicrosecondType};
use chrono::NaiveDate;
use hindcast_base::time::date_of_us;
use hindcast_base::{Error, Result};
use hindcast_lake::Tables;

use hindcast_records::source::time_column;
use hindcast_tables::layout;
use hindcast_tables::merge;

/// Rows per batch for the file writer.
const WRITE_ROWS: usize = 8 << 10;

/// A file of a table's date in a temporary folder.
#[derive(Debug)]
pub(super) struct Staged {
    /// The table.
    pub(super) table: String,
    /// The date of all its rows.
    pub(super) date: NaiveDate,
    /// Its path.
    pub(super) path: PathBuf,
    /// Its rows.
    pub(super) rows: u64,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

/// Rows of one schema, in the batches in which they were read. They are not copied into one, as this takes their memory again.
#[derive(Debug)]
pub(super) struct Rows {
    /// Their schema.
    pub(super) schema: SchemaRef,
    /// Batches of that schema.
    pub(super) batches: Vec<RecordBatch>,
}

impl Rows {
    /// The number of rows, and the bytes that they take in memory.
    pub(super) fn size(&self) -> (u64, u64) {
        let size = |batch: &RecordBatch| (batch.num_rows() as u64, batch.get_array_memory_size() as u64);
        self.batches.iter().map(size).fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }

    /// The rows at these places.
    ///
    /// # Errors
    /// [`Error::Internal`] if Arrow can't copy them.
    pub(super) fn batch_of(&self, places: &[Place]) -> Result<RecordBatch> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        interleave_record_batch(&batches, places).map_err(internal)
    }
}

/// The place of a row: its batch, and its index in that.
pub(super) type Place = (usize, usize);

/// Rows of a table, and how to sort them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sorted<'a> {
    /// The table.
    pub(super) table: &'a str,
    /// The column that clusters its rows.
    pub(super) cluster: Option<&'a str>,
    /// The rows.
    pub(super) rows: &'a Rows,
    /// Which of them to keep; all if absent.
    pub(super) keep: Option<&'a [bool]>,
}

/// Brings `batches` into one schema with all their columns: the time, the cluster column, the known columns of the
/// table, then the others in order of appearance; or into several if no type holds all values of a column.
///
/// # Errors
/// [`Error::Internal`] if Arrow can't widen the rows.
pub(super) fn combined(
    known: Tables,
    table: &str,
    cluster: Option<&str>,
    batches: Vec<RecordBatch>,
) -> Result<Vec<Rows>> {
    let mut groups: Vec<(Schema, Vec<RecordBatch>)> = Vec::new();
    for batch in batches {
        let mut with_batch = groups.iter_mut().filter_map(|(schema, members)| {
            let united = merge::unify_schemas(schema, batch.schema_ref()).ok()?;
            let is_lossless = members.iter().chain([&batch]).all(|rows| merge::keeps_all(rows, &united));
            is_lossless.then_some((united, schema, members))
        });
        match with_batch.next() {
            Some((united, schema, members)) => {
                *schema = united;
                members.push(batch);
            }
            None => groups.push((batch.schema_ref().as_ref().clone(), vec![batch])),
        }
    }
    let rows_of = |(schema, members): (Schema, Vec<RecordBatch>)| {
        let schema = in_order(known, table, cluster, &schema);
        let widened = members.into_iter().map(|batch| merge::widen_batch(&batch, &schema));
        let batches = widened.collect::<std::result::Result<_, _>>().map_err(internal)?;
        Ok(Rows { schema, batches })
    };
    groups.into_iter().map(rows_of).collect()
}

/// The error that Arrow can't do what it always can.
pub(super) fn internal(error: arrow::error::ArrowError) -> Error {
    Error::Internal(error.to_string())
}

/// The schema with its columns in the order in which they are written, all nullable.
pub(super) fn in_order(known: Tables, table: &str, cluster: Option<&str>, schema: &Schema) -> SchemaRef {
    let (time, spec) = (time_column(known, table), known.by_name(table));
    let mut fields: Vec<Field> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let rank =
        |name: &str| match spec.and_then(|spec| spec.columns.iter().position(|column| column.name == name)) {
            _ if name == time => 0,
            _ if Some(name) == cluster => 1,
            Some(place) => 2 + place,
            None => usize::MAX,
        };
    // The sort is stable: unknown columns stay in order of appearance.
    fields.sort_by_key(|field| rank(field.name()));
    Arc::new(Schema::new(fields))
}

/// Writes rows to one file per date in `folder`, named after `run`.
///
/// # Errors
/// [`Error::Io`] if a file can't be written.
pub(super) fn write(
    known: Tables,
    sorted: &Sorted<'_>,
    folder: &std::path::Path,
    run: &str,
) -> Result<Vec<Staged>> {
    let in_order: Vec<&str> = sorted.cluster.into_iter().chain([time_column(known, sorted.table)]).collect();
    let mut staged = Vec::new();
    for (date, order) in ordered_by_date(known, sorted)? {
        let path = folder.join(format!("{run}-{}-{date}.parquet", sorted.table));
        let bytes = write_file(&path, &in_order, sorted.rows, &order)?;
        staged.push(Staged { table: sorted.table.to_owned(), date, path, rows: order.len() as u64, bytes });
    }
    Ok(staged)
}

/// Writes the rows `order`, which are in the order of the columns `in_order`.
fn write_file(path: &PathBuf, in_order: &[&str], rows: &Rows, order: &[Place]) -> Result<u64> {
    let failed = |error: parquet::errors::ParquetError| {
        Error::io(format!("writing {}", path.display()))(std::io::Error::other(error))
    };
    let file = File::create(path).map_err(Error::io(format!("creating {}", path.display())))?;
    let mut writer = layout::writer(file, &rows.schema, in_order)?;
    for chunk in order.chunks(WRITE_ROWS) {
        writer.write(&rows.batch_of(chunk)?).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(std::fs::metadata(path).map_err(Error::io(format!("reading {}", path.display())))?.len())
}

/// Places of the rows to keep by date, in the order in which they are written.
///
/// # Errors
/// [`Error::Internal`] if the rows have no times.
pub(super) fn ordered_by_date(known: Tables, sorted: &Sorted<'_>) -> Result<BTreeMap<NaiveDate, Vec<Place>>> {
    let (rows, time) = (sorted.rows, time_column(known, sorted.table));
    let column = sorted.cluster.and_then(|name| rows.schema.index_of(name).ok());
    let ranks = column.map(|column| ranks(rows, column));
    let mut places: Vec<(NaiveDate, u32, i64, (u32, u32))> = Vec::new();
    let mut number = 0;
    for (index, batch) in rows.batches.iter().enumerate() {
        let times = batch
            .column_by_name(time)
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| Error::Internal(format!("rows of {} without {time}", sorted.table)))?;
        for row in 0..batch.num_rows() {
            if sorted.keep.is_none_or(|keep| keep[number]) {
                let rank = ranks.as_ref().map_or(0, |ranks| ranks[number]);
                places.push((
                    date_of_us(times.value(row)),
                    rank,
                    times.value(row),
                    (index as u32, row as u32),
                ));
            }
            number += 1;
        }
    }
    places.sort_unstable();
    let mut by_date: BTreeMap<NaiveDate, Vec<Place>> = BTreeMap::new();
    for (date, _, _, (batch, row)) in places {
        by_date.entry(date).or_default().push((batch as usize, row as usize));
    }
    Ok(by_date)
}

/// Rank of each row's text among the distinct texts of a column; null is first.
fn ranks(rows: &Rows, column: usize) -> Vec<u32> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut distinct: Vec<&str> = Vec::new();
    let mut numbered: Vec<Option<u32>> = Vec::new();
    for batch in &rows.batches {
        let Some(texts) = batch.column(column).as_string_opt::<i32>() else {
            numbered.extend(std::iter::repeat_n(None, batch.num_rows()));
            continue;
        };
        numbered.extend(texts.iter().map(|text| {
            let text = text?;
            Some(*numbers.entry(text).or_insert_with(|| {
                distinct.push(text);
                distinct.len() as u32 - 1
            }))
        }));
    }
    let mut sorted: Vec<u32> = (0..distinct.len() as u32).collect();
    sorted.sort_unstable_by_key(|number| distinct[*number as usize]);
    let mut rank_of = vec![0; distinct.len()];
    sorted.iter().zip(1..).for_each(|(number, rank)| rank_of[*number as usize] = rank);
    numbered.into_iter().map(|number| number.map_or(0, |number| rank_of[number as usize])).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn batch(column: &str, values: ArrayRef) -> RecordBatch {
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC"));
        RecordBatch::try_from_iter_with_nullable([(column, values, true), ("TimeGenerated", time, true)])
            .unwrap()
    }

    #[test]
    fn rows_are_combined_unless_no_type_holds_both() {
        let text = || Arc::new(StringArray::from(vec!["7"])) as ArrayRef;
        let number = Arc::new(Int64Array::from(vec![7])) as ArrayRef;
        let batches = [batch("Note", text()), batch("Note", number), batch("Other", text())];
        let combined = combined(Tables::built_in(), "AuditLogs", Some("Other"), batches.to_vec()).unwrap();
        let shapes: Vec<(usize, Vec<String>)> = combined
            .iter()
            .map(|rows| {
                let names = rows.schema.fields().iter().map(|field| field.name().clone()).collect();
                (rows.batches.iter().map(RecordBatch::num_rows).sum(), names)
            })
            .collect();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected =
            [(2, names(&["TimeGenerated", "Other", "Note"])), (1, names(&["TimeGenerated", "Note"]))];
        assert_eq!(shapes, expected);
        let notes = |batch: usize| combined[0].batches[batch].column_by_name("Note").unwrap().clone();
        assert_eq!(notes(0).as_string::<i32>().value(0), "7");
        assert!(notes(1).is_null(0));
    }

    #[test]
    fn rows_of_all_batches_are_in_the_order_of_their_cluster_column_and_time() {
        let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
        let batches = ["b", "a", "c"].map(|value| batch("Other", text(vec![value])));
        let rows = combined(Tables::built_in(), "Own", Some("Other"), batches.to_vec()).unwrap();
        let places = |keep: Option<&[bool]>| {
            let sorted = Sorted { table: "Own", cluster: Some("Other"), rows: &rows[0], keep };
            let by_date = ordered_by_date(Tables::built_in(), &sorted).unwrap();
            by_date.into_values().flatten().map(|(batch, _)| batch).collect::<Vec<_>>()
        };
        assert_eq!(places(None), [1, 0, 2]);
        assert_eq!(places(Some(&[true, false, true])), [0, 2]);
    }
}
