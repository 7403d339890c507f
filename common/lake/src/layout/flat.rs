//! Files in no folders by date: the dates of their rows come from the statistics in their footers.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use futures::StreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::async_reader::AsyncFileReader;

use super::partition::plain_name;
use crate::changes::View;
use crate::file_source::ListedFiles;
use crate::lake_file::LakeFile;
use crate::listing::{Wanted, file_of, folder_objects};
use crate::location::Location;
use crate::store_reader::{StoreReader, catch_decoder_panic, parquet_error};
use hindcast_base::time::date_of_us;
use hindcast_base::{Error, Result};
use hindcast_schema::columns::{FileColumns, Found, GroupTimes, TimeSource, group_times};

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

/// A file of a table, by the table's URL and the file's path, size and entity tag, and the place of its times.
type FileKey = (String, String, u64, String);

/// The times of files that were read before.
static REMEMBERED: LazyLock<Mutex<HashMap<FileKey, Times>>> = LazyLock::new(Mutex::default);

/// The files of a table without folders by date, and the Parquet files in folders that are neither partition values nor numbers,
/// unless `is_any_folder`. `time` is the place of the rows' times, if it is known.
///
/// # Errors
/// [`Error::Storage`] if a store fails.
pub(crate) async fn listed_files(
    table: &Location,
    time: Option<TimeSource>,
    is_any_folder: bool,
    view: View,
) -> Result<(ListedFiles, Vec<Path>)> {
    let folder = vec![vec![table.prefix().clone()]];
    let (_, objects) = folder_objects(table, &Wanted::each(folder), Some(view)).await?;
    let (objects, others): (Vec<ObjectMeta>, Vec<ObjectMeta>) = objects
        .into_iter()
        .flatten()
        .partition(|object| is_any_folder || is_of_table(table, &object.location));
    let time = time.as_ref();
    let reads = objects.into_iter().map(|object| async move {
        let modified_ms = object.last_modified.timestamp_millis();
        let file = file_of(table, object);
        let times_us = match time {
            Some(time) => times_of(table, &file, time).await,
            None => None,
        };
        file.with(|file| (file.times_us, file.modified_ms) = (times_us, modified_ms))
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
async fn times_of(table: &Location, file: &LakeFile, time: &TimeSource) -> Times {
    let tag = file.etag.as_ref();
    let key =
        tag.map(|tag| (table.url().to_owned(), file.path.clone(), file.bytes, format!("{time:?} {tag}")));
    let remembered = || REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(times) = key.as_ref().and_then(|key| remembered().get(key).copied()) {
        return times;
    }
    let read = catch_decoder_panic(file, footer_times(table, file, time)).await;
    if let (Some(key), Ok(_) | Err(Error::Input(_))) = (key, &read) {
        let mut remembered = remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, read.as_ref().copied().unwrap_or_default());
    }
    read.unwrap_or_default()
}

async fn footer_times(table: &Location, file: &LakeFile, time: &TimeSource) -> Result<Times> {
    let failed = |error| parquet_error(file, &error);
    let store = Arc::clone(table.store());
    let mut reader = StoreReader::of(store, file.store_path(), file.bytes, FOOTER_HINT_BYTES);
    let metadata = reader.get_metadata(None).await.map_err(failed)?;
    let read = ArrowReaderMetadata::try_new(metadata, Default::default()).map_err(failed)?;
    let columns = FileColumns::new(Arc::clone(read.schema()), file.partition.clone());
    let Ok(Found::Stored(place)) = columns.find(&time.path) else { return Ok(None) };
    let Some(groups) = group_times(&place, read.metadata(), &time.forms).map_err(failed)? else {
        return Ok(None);
    };
    let mut times: Times = None;
    for group in groups {
        match group {
            GroupTimes::Between(first, last) => {
                times = Some(times.map_or((first, last), |(start, end)| (start.min(first), end.max(last))));
            }
            GroupTimes::Absent => {}
            GroupTimes::Unknown => return Ok(None),
        }
    }
    Ok(times)
}
