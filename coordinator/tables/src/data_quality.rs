//! Examines the quality of a table's data: hours without rows, silent devices, columns that are always null.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::functions::datetime::expr_fn::date_bin;
use datafusion::functions_aggregate::expr_fn::{count, max};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;
use hindcast_base::Result;
use hindcast_base::format::counted;
use hindcast_base::time::{MICROS_PER_HOUR, Window, date_of_us, date_start_us, format_micros};
use hindcast_lake::task_session;
use hindcast_lake::{Lake, LakeFile, LakeTable, UnreadableCounts, file_scan};
use serde::Serialize;

use crate::inventory::TableDetail;
use crate::save::ScanFeed;

/// Time without rows after which a device counts as silent.
const SILENT_AFTER_US: i64 = 24 * MICROS_PER_HOUR;
/// Most gaps and devices that are listed.
const MAX_LISTED: usize = 20;
/// Nanoseconds of an hour, for date_bin.
const HOUR_NANOS: i64 = 3_600_000_000_000;

/// The quality of a table's data.
#[derive(Debug, Default, Serialize)]
pub struct DataQuality {
    /// Rows without a time.
    pub rows_without_time: u64,
    /// Hours from the first row to the last.
    pub hours: u64,
    /// Hours without rows.
    pub empty_hours: u64,
    /// The longest gaps.
    pub gaps: Vec<Gap>,
    /// Column that shards the table.
    pub key: Option<String>,
    /// Distinct values of that column.
    pub keys: u64,
    /// Values with rows on several dates whose last row is more than a day before the table's last.
    pub silent: u64,
    /// The values that fell silent last.
    pub silent_keys: Vec<SilentKey>,
    /// Columns without values.
    pub always_null: Vec<String>,
    /// Columns with several types, or that some files lack.
    pub drift: Vec<String>,
}

/// Consecutive hours without rows.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Start of the first hour without rows.
    pub from: String,
    /// Start of the next hour with rows.
    pub to: String,
    /// Number of hours.
    pub hours: u64,
}

/// A device, address or user that fell silent.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct SilentKey {
    /// Its name.
    pub key: String,
    /// Its last row.
    pub last_seen: String,
}

/// Examines the rows of a table in `window`, or all rows.
///
/// # Errors
/// [`hindcast_base::Error::Input`] if a file can't be read, [`hindcast_base::Error::Storage`] if the store fails.
pub async fn examine(
    lake: &Lake,
    detail: &TableDetail,
    window: Option<&Window>,
    runtime: &Arc<RuntimeEnv>,
) -> Result<DataQuality> {
    let mut quality = DataQuality::default();
    for column in &detail.columns {
        if column.always_null {
            quality.always_null.push(column.name.clone());
        }
        let types = distinct_types(&column.types);
        if types.len() > 1 {
            let names: Vec<String> = types.into_iter().map(ToString::to_string).collect();
            quality.drift.push(format!("{} is stored as {}", column.name, names.join(" and ")));
        } else if column.files < detail.files_read {
            let (some, all) = (column.files, detail.files_read);
            quality.drift.push(format!("{} is in {some} of {all} files", column.name));
        }
    }
    let found = lake.tables(|name| name == detail.entry.table).await?;
    let tables = found.all_readable(|_| String::new())?;
    let Some(table) = tables.first() else {
        return Ok(quality);
    };
    let folders = match window {
        Some(window) => table.folders(window).await?,
        None => table.all_folders().await?,
    };
    if table.columns(&folders, &BTreeSet::from([table.spec.time_column])).await?.is_empty() {
        quality.rows_without_time = detail.entry.dates.iter().filter_map(|date| date.rows).sum();
        return Ok(quality);
    }
    let key = table.spec.shard_key;
    let mut rows: BTreeMap<i64, i64> = BTreeMap::new();
    let mut keys: BTreeMap<String, Seen> = BTreeMap::new();
    for file in folders.iter().flat_map(|folder| &folder.files) {
        let times = frame(table, &[table.spec.time_column], file, window, runtime).await?;
        quality.rows_without_time += add_hours(table, times, &mut rows).await?;
        if let Some(key) = key {
            let seen = frame(table, &[table.spec.time_column, key], file, window, runtime).await?;
            add_keys(table, key, seen, &mut keys).await?;
        }
    }
    quality.key = key.map(str::to_owned);
    quality.set_gaps(&rows);
    quality.set_silent(keys);
    Ok(quality)
}

/// Arrow types with different values. All layouts of text count as one type.
fn distinct_types(types: &[DataType]) -> Vec<&DataType> {
    let mut distinct: Vec<&DataType> = Vec::new();
    for data_type in types {
        let is_known = |known: &&DataType| *known == data_type || (is_text(known) && is_text(data_type));
        if !distinct.iter().any(is_known) {
            distinct.push(data_type);
        }
    }
    distinct
}

/// Whether a type is text, or a dictionary of text.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

#[derive(Default)]
struct Seen {
    last_us: i64,
    dates: u64,
    last_date_us: i64,
}

/// Columns of a file. A scan's stream can be read only once, so each use needs its own frame.
async fn frame(
    table: &LakeTable,
    columns: &[&str],
    file: &LakeFile,
    window: Option<&Window>,
    runtime: &Arc<RuntimeEnv>,
) -> Result<DataFrame> {
    let unreadable = UnreadableCounts::of(table.spec);
    let scan = file_scan(table, columns, file, window, None, &unreadable).await?;
    let rows = StreamingTable::try_new(scan.schema(), vec![Arc::new(ScanFeed::new(scan))])?;
    Ok(task_session(Arc::clone(runtime)).read_table(Arc::new(rows))?)
}

/// Adds a file's rows by hour. Returns the number of rows without a time.
async fn add_hours(table: &LakeTable, frame: DataFrame, rows: &mut BTreeMap<i64, i64>) -> Result<u64> {
    let hour = ScalarValue::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano {
        months: 0,
        days: 0,
        nanoseconds: HOUR_NANOS,
    }));
    let origin = lit(ScalarValue::TimestampMicrosecond(Some(0), Some("UTC".into())));
    let bin = date_bin(lit(hour), ident(table.spec.time_column), origin).alias("hour");
    let mut without = 0;
    for batch in frame.aggregate(vec![bin], vec![count(lit(1)).alias("rows")])?.collect().await? {
        let micros = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        let hours = cast(batch.column(0), &micros).map_err(datafusion::error::DataFusionError::from)?;
        let hours = hours.as_primitive::<TimestampMicrosecondType>();
        let counts = batch.column(1).as_primitive::<Int64Type>();
        for (hour, count) in hours.iter().zip(counts.values()) {
            match hour {
                Some(hour) => *rows.entry(hour).or_default() += count,
                None => without += count.unsigned_abs(),
            }
        }
    }
    Ok(without)
}

/// Adds when a file's keys were last seen. Files come in order of date, so that each date counts once.
async fn add_keys(
    table: &LakeTable,
    key: &str,
    frame: DataFrame,
    keys: &mut BTreeMap<String, Seen>,
) -> Result<()> {
    let last = max(ident(table.spec.time_column)).alias("last");
    for batch in frame.aggregate(vec![ident(key)], vec![last])?.collect().await? {
        let names =
            cast(batch.column(0), &DataType::Utf8).map_err(datafusion::error::DataFusionError::from)?;
        let lasts = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        for (name, last_us) in names.as_string::<i32>().iter().zip(lasts.iter()) {
            let (Some(name), Some(last_us)) = (name, last_us) else { continue };
            let seen = keys.entry(name.to_owned()).or_default();
            let date_us = date_start_us(date_of_us(last_us));
            seen.dates += u64::from(seen.dates == 0 || date_us != seen.last_date_us);
            seen.last_date_us = date_us;
            seen.last_us = seen.last_us.max(last_us);
        }
    }
    Ok(())
}

impl DataQuality {
    fn set_gaps(&mut self, rows: &BTreeMap<i64, i64>) {
        let (Some((first, _)), Some((last, _))) = (rows.first_key_value(), rows.last_key_value()) else {
            return;
        };
        self.hours = ((last - first) / MICROS_PER_HOUR).unsigned_abs() + 1;
        self.empty_hours = self.hours - rows.len() as u64;
        let following = rows.keys().skip(1);
        let mut gaps: Vec<(i64, i64)> = rows
            .keys()
            .zip(following)
            .filter(|(hour, next)| **next - **hour > MICROS_PER_HOUR)
            .map(|(hour, next)| (hour + MICROS_PER_HOUR, *next))
            .collect();
        gaps.sort_by_key(|(from, to)| (from - to, *from));
        gaps.truncate(MAX_LISTED);
        gaps.sort_unstable();
        self.gaps = gaps
            .into_iter()
            .map(|(from, to)| Gap {
                from: format_micros(from),
                to: format_micros(to),
                hours: ((to - from) / MICROS_PER_HOUR).unsigned_abs(),
            })
            .collect();
    }

    fn set_silent(&mut self, keys: BTreeMap<String, Seen>) {
        self.keys = keys.len() as u64;
        let Some(newest) = keys.values().map(|seen| seen.last_us).max() else { return };
        let mut silent: Vec<(i64, String)> = keys
            .into_iter()
            .filter(|(_, seen)| seen.dates > 1 && newest - seen.last_us > SILENT_AFTER_US)
            .map(|(key, seen)| (-seen.last_us, key))
            .collect();
        silent.sort_unstable();
        self.silent = silent.len() as u64;
        self.silent_keys = silent
            .into_iter()
            .take(MAX_LISTED)
            .map(|(last, key)| SilentKey { key, last_seen: format_micros(-last) })
            .collect();
    }

    /// The problems as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.rows_without_time > 0 {
            let rows = counted(self.rows_without_time, "row");
            lines.push(format!("{rows} without a readable time"));
        }
        if self.empty_hours > 0 {
            lines.push(format!("{} of {} hours have no rows:", self.empty_hours, self.hours));
            let gap = |gap: &Gap| format!("  {} to {} ({} h)", gap.from, gap.to, gap.hours);
            lines.extend(self.gaps.iter().map(gap));
        }
        if let Some(key) = self.key.as_ref().filter(|_| self.silent > 0) {
            lines.push(format!(
                "{} of {} values of {key} fell silent a day or more ago:",
                self.silent, self.keys
            ));
            let silent = |silent: &SilentKey| format!("  {}, last seen {}", silent.key, silent.last_seen);
            lines.extend(self.silent_keys.iter().map(silent));
        }
        for (what, columns) in [("always null", &self.always_null), ("columns differ", &self.drift)] {
            if !columns.is_empty() {
                let more = columns.len().saturating_sub(MAX_LISTED);
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                lines.push(format!("{what}: {}{more}", columns[..columns.len().min(MAX_LISTED)].join(", ")));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn hour(number: i64) -> i64 {
        date_start_us("2026-01-05".parse().unwrap()) + number * MICROS_PER_HOUR
    }

    #[test]
    fn hours_without_rows_are_gaps() {
        let rows = BTreeMap::from([(hour(0), 5), (hour(1), 1), (hour(5), 2), (hour(30), 1)]);
        let mut quality = DataQuality::default();
        quality.set_gaps(&rows);
        assert_eq!((quality.hours, quality.empty_hours), (31, 27));
        let gap = |from: &str, to: &str, hours| Gap { from: from.into(), to: to.into(), hours };
        let wanted = [
            gap("2026-01-05T02:00:00Z", "2026-01-05T05:00:00Z", 3),
            gap("2026-01-05T06:00:00Z", "2026-01-06T06:00:00Z", 24),
        ];
        assert_eq!(quality.gaps, wanted);
        let lines = [
            "27 of 31 hours have no rows:",
            "  2026-01-05T02:00:00Z to 2026-01-05T05:00:00Z (3 h)",
            "  2026-01-05T06:00:00Z to 2026-01-06T06:00:00Z (24 h)",
        ];
        assert_eq!(quality.lines(), lines);
    }

    #[test]
    fn the_longest_gaps_are_listed_in_order_of_time() {
        // Gaps of 1 to 25 hours, the longest first.
        let mut rows = BTreeMap::from([(hour(0), 1)]);
        let mut last = 0;
        for gap in (1..=25).rev() {
            last += gap + 1;
            rows.insert(hour(last), 1);
        }
        let mut quality = DataQuality::default();
        quality.set_gaps(&rows);
        let hours: Vec<u64> = quality.gaps.iter().map(|gap| gap.hours).collect();
        assert_eq!(hours, (6..=25).rev().collect::<Vec<u64>>());
        assert_eq!(quality.empty_hours, 25 * 26 / 2);
        let mut none = DataQuality::default();
        none.set_gaps(&BTreeMap::new());
        assert_eq!((none.hours, none.lines().len()), (0, 0));
    }

    #[test]
    fn keys_of_several_dates_are_silent_after_a_day() {
        let seen = |last, dates| Seen { last_us: hour(last), dates, last_date_us: 0 };
        let keys = [("newest", seen(40, 2)), ("silent", seen(10, 3)), ("longer", seen(2, 2))];
        let others = [("one date", seen(10, 1)), ("a day", seen(16, 2))];
        let keys = keys.into_iter().chain(others).map(|(key, seen)| (key.to_owned(), seen));
        let mut quality = DataQuality { key: Some("DeviceName".into()), ..DataQuality::default() };
        quality.set_silent(keys.collect());
        assert_eq!((quality.keys, quality.silent), (5, 2));
        let lines = [
            "2 of 5 values of DeviceName fell silent a day or more ago:",
            "  silent, last seen 2026-01-05T10:00:00Z",
            "  longer, last seen 2026-01-05T02:00:00Z",
        ];
        assert_eq!(quality.lines(), lines);
    }

    #[test]
    fn long_lists_of_columns_are_cut() {
        let always_null: Vec<String> = (0..MAX_LISTED + 2).map(|number| format!("c{number}")).collect();
        let drift = vec!["x is in 1 of 3 files".to_owned()];
        let quality = DataQuality { rows_without_time: 4, always_null, drift, ..DataQuality::default() };
        let lines = quality.lines();
        assert_eq!(lines[0], "4 rows without a readable time");
        assert!(
            lines[1].starts_with("always null: c0, c1, ") && lines[1].ends_with(", c19, and 2 more"),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2..], ["columns differ: x is in 1 of 3 files"]);
    }

    #[test]
    fn all_layouts_of_text_are_one_type() {
        let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        let distinct = |types: &[DataType]| -> Vec<String> {
            distinct_types(types).into_iter().map(ToString::to_string).collect()
        };
        let texts = [
            DataType::Utf8View,
            DataType::Utf8,
            DataType::LargeUtf8,
            dictionary(DataType::Utf8),
            dictionary(DataType::Utf8View),
        ];
        assert_eq!(distinct(&texts), ["Utf8View"]);
        let numbers = dictionary(DataType::Int64);
        let others = [DataType::Utf8, DataType::Int64, numbers, DataType::Utf8View, DataType::Binary];
        assert_eq!(distinct(&others), ["Utf8", "Int64", "Dictionary(Int32, Int64)", "Binary"]);
        let times =
            [TimeUnit::Millisecond, TimeUnit::Microsecond].map(|unit| DataType::Timestamp(unit, None));
        assert_eq!(distinct(&times).len(), 2);
    }
}
