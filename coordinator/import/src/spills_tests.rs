//! Tests that merged runs have the rows of all, in order, whatever run they are in.

use arrow::array::{ArrayRef, Int64Array};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::runs::combined;
use super::*;

const TABLE: &str = "Own";

/// A row: its time, the text that clusters it, and a number that identifies it.
type Row = (i64, Option<String>, i64);

fn batch(rows: &[Row], names: &[&str]) -> RecordBatch {
    let times =
        TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0)).with_timezone("UTC");
    let columns = names.iter().map(|name| {
        let column: ArrayRef = match *name {
            "TimeGenerated" => Arc::new(times.clone()),
            "Host" => Arc::new(rows.iter().map(|row| row.1.as_deref()).collect::<StringArray>()),
            _ => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
        };
        (*name, column, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Merges these batches, each in a run of its own. Returns the dates of the files with the numbers of their rows.
fn merged(batches: Vec<RecordBatch>) -> Vec<(String, Vec<i64>)> {
    let folder = tempfile::tempdir().unwrap();
    let known = Tables::built_in();
    let spill = |(number, batch): (usize, RecordBatch)| {
        let rows = combined(known, TABLE, Some("Host"), vec![batch]).unwrap();
        let sorted = Sorted { table: TABLE, cluster: Some("Host"), rows: &rows[0], keep: None };
        Spill::write(known, &sorted, folder.path(), &number.to_string()).unwrap()
    };
    let spills: Vec<Spill> = batches.into_iter().enumerate().filter_map(spill).collect();
    let staged = merge(known, spills, folder.path(), 0).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), staged.len());
    let numbers_of = |staged: &Staged| {
        let reader = ParquetRecordBatchReader::try_new(File::open(&staged.path).unwrap(), 1024).unwrap();
        let column = |batch: RecordBatch| {
            let numbers = batch.column_by_name("Number").unwrap().clone();
            numbers.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
        };
        let numbers: Vec<i64> = reader.flat_map(|batch| column(batch.unwrap())).collect();
        assert_eq!((staged.rows, staged.table.as_str()), (numbers.len() as u64, TABLE));
        (staged.date.to_string(), numbers)
    };
    staged.iter().map(numbers_of).collect()
}

#[test]
fn runs_are_merged_in_the_order_of_dates_texts_and_times() {
    for seed in 0..20 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let hosts = random.random_range(1..40);
        let mut rows: Vec<Row> = (0..random.random_range(1..30_000))
            .map(|number| {
                let host = random.random_range(0..=hosts);
                let time = random.random_range(-MICROS_PER_DAY..2 * MICROS_PER_DAY);
                (time, (host > 0).then(|| format!("host-{host}")), number)
            })
            .collect();
        let names = ["TimeGenerated", "Host", "Number"];
        let runs = random.random_range(1..12).min(rows.len());
        let batches = rows.chunks(rows.len().div_ceil(runs)).map(|rows| batch(rows, &names)).collect();
        let found = merged(batches);
        rows.sort_by_key(|row| (row.0.div_euclid(MICROS_PER_DAY), row.1.clone(), row.0));
        let wanted: Vec<i64> = rows.iter().map(|row| row.2).collect();
        let numbers: Vec<i64> = found.iter().flat_map(|(_, numbers)| numbers.clone()).collect();
        assert_eq!(numbers.len(), wanted.len(), "seed {seed}");
        let keys = |numbers: &[i64]| {
            let by_number: std::collections::HashMap<i64, &Row> =
                rows.iter().map(|row| (row.2, row)).collect();
            numbers
                .iter()
                .map(|number| (by_number[number].0, by_number[number].1.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&numbers), keys(&wanted), "seed {seed}");
        let dates: Vec<&str> = found.iter().map(|(date, _)| date.as_str()).collect();
        assert!(dates.is_sorted() && dates.len() <= 3, "{dates:?}");
    }
}

#[test]
fn columns_that_a_run_lacks_are_null_and_other_types_are_other_files() {
    let row = |number| vec![(number, Some("a".to_owned()), number)];
    let without = batch(&row(1), &["TimeGenerated", "Number"]);
    let whole = batch(&row(2), &["TimeGenerated", "Host", "Number", "Extra"]);
    let other = batch(&row(3), &["TimeGenerated", "Number"]);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let other = RecordBatch::try_from_iter_with_nullable([
        ("TimeGenerated", other.column(0).clone(), true),
        ("Number", other.column(1).clone(), true),
        ("Extra", text, true),
    ])
    .unwrap();
    let found = merged(vec![without, whole, other]);
    let numbers: Vec<&[i64]> = found.iter().map(|(_, numbers)| numbers.as_slice()).collect();
    assert_eq!(numbers, [&[1, 2][..], &[3]]);
}

#[test]
fn batches_have_as_many_rows_as_fit_their_bytes() {
    for (total_rows, total_bytes, wanted) in
        [(1_000, 1_000 << 10, 128), (1_000, 10_000 << 20, 16), (1_000, 1_000, 1_024), (0, 0, 16)]
    {
        assert_eq!(rows_of(SPILL_BYTES, &SPILL_ROWS, total_rows, total_bytes), wanted);
    }
}
