//! Counts the rows of each value of the columns by which suites choose rows.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;

use super::by_name::ByName;
use hindcast_detections::rollups::POPULATIONS;

/// Most values of a column that are counted; rows with further ones are counted together.
const MOST_VALUES: usize = 1_000;
/// The name under which those rows are counted.
const OTHERS: &str = "other values";

/// Rows by column and value.
#[derive(Debug, Default)]
pub(super) struct ValueCounts(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl ValueCounts {
    /// Counts of the columns of `table` that are counted and among those that are read.
    pub(super) fn of(table: &str, columns: &[&str]) -> Self {
        let counted = POPULATIONS.iter().filter(|population| {
            population.is_counted && population.table == table && columns.contains(&population.column)
        });
        Self(counted.map(|population| (population.column, BTreeMap::new())).collect())
    }

    /// Adds rows. Text columns are read as dictionaries.
    pub(super) fn add(&mut self, rows: &RecordBatch) {
        for (column, counts) in &mut self.0 {
            let dictionary =
                rows.column_by_name(column).and_then(|read| read.as_dictionary_opt::<Int32Type>());
            let Some((dictionary, values)) =
                dictionary.and_then(|read| Some((read, read.values().as_string_opt::<i32>()?)))
            else {
                continue;
            };
            let (mut by_key, mut without) = (vec![0_u64; values.len()], 0);
            for key in dictionary.keys() {
                match key.and_then(|key| by_key.get_mut(usize::try_from(key).ok()?)) {
                    Some(count) => *count += 1,
                    None => without += 1,
                }
            }
            let texts = values.iter().map(|value| value.unwrap_or_default());
            for (text, count) in texts.zip(by_key).chain([("", without)]) {
                add(counts, text, count);
            }
        }
    }

    /// The counts of the columns with rows.
    pub(super) fn into_counts(self) -> ByName<ByName<u64>> {
        let with_rows = self.0.into_iter().filter(|(_, counts)| !counts.is_empty());
        with_rows.map(|(column, counts)| (column, counts.into_iter().collect())).collect()
    }
}

fn add(counts: &mut BTreeMap<String, u64>, text: &str, rows: u64) {
    if rows == 0 {
        return;
    }
    if let Some(count) = counts.get_mut(text) {
        *count += rows;
        return;
    }
    let name = if counts.len() < MOST_VALUES { text } else { OTHERS };
    *counts.entry(name.to_owned()).or_default() += rows;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray};

    use super::*;

    fn batch(vendors: &[Option<&str>]) -> RecordBatch {
        let vendors: DictionaryArray<Int32Type> = vendors.iter().copied().collect();
        RecordBatch::try_from_iter_with_nullable([("DeviceVendor", Arc::new(vendors) as ArrayRef, true)])
            .unwrap()
    }

    #[test]
    fn rows_are_counted_by_value_over_batches() {
        let mut counts = ValueCounts::of("CommonSecurityLog", &["DeviceVendor", "SourceIP"]);
        counts.add(&batch(&[Some("Fortinet"), None, Some("Cisco"), Some("Fortinet")]));
        counts.add(&batch(&[Some("Cisco"), Some(""), Some("Zscaler")]));
        let counted = counts.into_counts();
        let counted = counted.get("DeviceVendor").unwrap().iter();
        let counted: Vec<(&str, u64)> = counted.map(|(value, rows)| (value, *rows)).collect();
        assert_eq!(counted, [("", 2), ("Cisco", 2), ("Fortinet", 2), ("Zscaler", 1)]);
    }

    #[test]
    fn columns_that_are_not_read_or_not_counted_have_no_counts() {
        assert!(ValueCounts::of("CommonSecurityLog", &["SourceIP"]).into_counts().is_empty());
        assert!(ValueCounts::of("AuditLogs", &["OperationName"]).into_counts().is_empty());
        let mut counts = ValueCounts::of("CommonSecurityLog", &["DeviceVendor"]);
        counts.add(&batch(&[]));
        assert!(counts.into_counts().is_empty());
    }

    #[test]
    fn values_beyond_the_most_are_counted_together() {
        let mut counts = BTreeMap::new();
        (0..MOST_VALUES + 5).for_each(|number| add(&mut counts, &number.to_string(), 2));
        assert_eq!((counts.len(), counts[OTHERS]), (MOST_VALUES + 1, 10));
    }
}
