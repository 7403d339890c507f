//! Files in no folders by date: the dates of their rows come from the statistics in their footers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast_with_options, max, min};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use futures::StreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::basic::Type;

use super::partition::plain_name;
use crate::changes::View;
use crate::file_source::ListedFiles;
use crate::lake_file::LakeFile;
use crate::listing::{Wanted, file_of, folder_objects};
use crate::location::Location;
use crate::nanos::{is_nanos, to_micros};
use crate::normalise::lossless_options;
use crate::scan::canonical_type;
use crate::store_reader::{StoreReader, catch_decoder_panic, parquet_error};
use crate::tables::ColumnKind;
use hindcast_base::time::date_of_us;
use hindcast_base::{Error, Result};

/// Footers that are read at the same time.
const CONCURRENT_FOOTERS: usize = 32;
/// Bytes that the first request reads from a file's end.
const FOOTER_HINT_BYTES: usize = 64 << 10;
/// Most files whose times this process remembers.
const MAX_REMEMBERED: usize = 1_000_000;

/// Microseconds in a millisecond.
const MICROS_PER_MILLI: i64 = 1_000;

/// First and last time of a file's rows; none if its statistics do not show them.
type Times = Option<(i64, i64)>;

/// The times of files that were read before: by the table's store and the file's path, size and entity tag.
static REMEMBERED: LazyLock<Mutex<HashMap<(String, String, u64, String), Times>>> = LazyLock::new(Mutex::default);

/// The files of a table without folders by date, and the Parquet files in folders that are neither partition values nor numbers,
/// unless `is_any_folder`. `time_column` is the name of the column of times in the lake, if it is known.
///
/// # Errors
/// [`Error::Storage`] if a store fails.
pub(crate) async fn listed_files(
    table: &Location,
    time_column: Option<&str>,
    is_any_folder: bool,
    view: View,
) -> Result<(ListedFiles, Vec<Path>)> {
    let folder = vec![vec![table.prefix().clone()]];
    let (_, objects) = folder_objects(table, &Wanted::each(folder), Some(view)).await?;
    let (objects, others): (Vec<ObjectMeta>, Vec<ObjectMeta>) =
        objects.into_iter().flatten().partition(|object| is_any_folder || is_of_table(table, &object.location));
    let reads = objects.into_iter().map(|object| async move {
        let modified_ms = object.last_modified.timestamp_millis();
        let file = file_of(table, object);
        let times_us = match time_column {
            Some(column) => times_of(table, &file, column).await,
            None => None,
        };
        LakeFile { times_us, modified_ms, ..file }
    });
    let mut reads = futures::stream::iter(reads.collect::<Vec<_>>()).buffered(CONCURRENT_FOOTERS);
    let mut listed = ListedFiles::default();
    while let Some(file) = reads.next().await {
        let first_us = file.times_us.map_or(file.modified_ms * MICROS_PER_MILLI, |(first, _)| first);
        listed.by_date.entry(date_of_us(first_us)).or_default().push(file);
    }
    listed.by_date.values_mut().for_each(|files| files.sort_by(|left, right| left.path.cmp(&right.path)));
    Ok((listed, others.into_iter().map(|object| object.location).collect()))
}

/// Whether the folders between the table and its file are partition values or numbers, such as those of years and months.
fn is_of_table(table: &Location, path: &Path) -> bool {
    let Some(below) = path.prefix_match(table.prefix()) else { return false };
    let names: Vec<_> = below.collect();
    let folders = names.split_last().map(|(_, folders)| folders).unwrap_or_default();
    let mut is_in_value = false;
    folders.iter().all(|folder| {
        let name = plain_name(folder.as_ref());
        is_in_value |= name.ends_with('=');
        is_in_value || name.contains('=') || name.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The times of a file's rows, from its footer. A file that can't be read has none: the scan reads it in any window, and reports
/// its fault.
async fn times_of(table: &Location, file: &LakeFile, column: &str) -> Times {
    let tag = file.etag.as_ref();
    let key = tag.map(|tag| (table.url().to_owned(), file.path.clone(), file.bytes, format!("{column} {tag}")));
    let remembered = || REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(times) = key.as_ref().and_then(|key| remembered().get(key).copied()) {
        return times;
    }
    let read = catch_decoder_panic(file, footer_times(table, file, column)).await;
    if let (Some(key), Ok(_) | Err(Error::Input(_))) = (key, &read) {
        let mut remembered = remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, read.as_ref().copied().unwrap_or_default());
    }
    read.unwrap_or_default()
}

async fn footer_times(table: &Location, file: &LakeFile, column: &str) -> Result<Times> {
    let failed = |error| parquet_error(file, &error);
    let store = Arc::clone(table.store());
    let mut reader = StoreReader::of(store, file.store_path(), file.bytes, FOOTER_HINT_BYTES);
    let metadata = reader.get_metadata(None).await.map_err(failed)?;
    let read = ArrowReaderMetadata::try_new(metadata, Default::default()).map_err(failed)?;
    let (groups, schema) = (read.metadata().row_groups(), read.schema());
    let Some(name) = stored_name(schema.fields().iter().map(|field| field.name().as_str()), column) else {
        return Ok(None);
    };
    let stored = read.parquet_schema();
    let leaf = stored.columns().iter().position(|leaf| leaf.path().string() == name);
    // The statistics of the old 96-bit times have no order.
    let Some(leaf) = leaf.filter(|leaf| stored.column(*leaf).physical_type() != Type::INT96) else {
        return Ok(None);
    };
    let converter = StatisticsConverter::try_new(name, schema, stored).map_err(failed)?;
    let firsts = converter.row_group_mins(groups).map_err(failed)?;
    let lasts = converter.row_group_maxes(groups).map_err(failed)?;
    let (Some(firsts), Some(lasts)) = (as_times(&firsts), as_times(&lasts)) else { return Ok(None) };
    let (firsts, lasts) =
        (firsts.as_primitive::<TimestampMicrosecondType>(), lasts.as_primitive::<TimestampMicrosecondType>());
    for (index, group) in groups.iter().enumerate() {
        let nulls = group.column(leaf).statistics().and_then(|statistics| statistics.null_count_opt());
        let has_no_time = nulls == Some(group.num_rows().unsigned_abs());
        if !has_no_time && (firsts.is_null(index) || lasts.is_null(index)) {
            return Ok(None);
        }
    }
    Ok(min(firsts).zip(max(lasts)))
}

/// The one of `names` that is `column`: exactly, or in another case if only one is.
fn stored_name<'a>(names: impl Iterator<Item = &'a str> + Clone, column: &str) -> Option<&'a str> {
    if let Some(exact) = names.clone().find(|name| *name == column) {
        return Some(exact);
    }
    let mut alike = names.filter(|name| name.eq_ignore_ascii_case(column));
    alike.next().filter(|_| alike.next().is_none())
}

/// Statistics as times. Bounds of text are no bounds of its times: texts of several forms and zones have another order.
fn as_times(bounds: &ArrayRef) -> Option<ArrayRef> {
    match bounds.data_type() {
        nanos if is_nanos(nanos) => to_micros(bounds).ok(),
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => {
            cast_with_options(bounds, &canonical_type(ColumnKind::Time), &lossless_options()).ok()
        }
        _ => None,
    }
}
