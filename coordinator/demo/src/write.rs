//! Writes the Parquet files of one table and day: inserts planted rows among ordinary ones, and splits them into files
//! and row groups.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::DemoError;
use super::columns::{BATCH_ROWS, OrdinaryRows, TableColumns};
use super::rng::{SeededRng, mix};

const ROW_GROUP_ROWS: usize = 200_000;
/// Approximate maximum of rows per file.
const FILE_ROWS: u64 = 800_000;
/// Columns with so many values that the writer would give up a dictionary.
const PLAIN_COLUMNS: [&str; 9] = [
    "TimeGenerated",
    "Timestamp",
    "SentBytes",
    "ReceivedBytes",
    "BytesSent",
    "FileSize",
    "OfficeId",
    "FlowStartTime",
    "FlowEndTime",
];

/// One day of a table: its folder, its files, and its rows.
pub(crate) struct DayOfTable<'a, R: OrdinaryRows> {
    pub folder: PathBuf,
    /// Files per day, if it has enough rows.
    pub(crate) files_wanted: u64,
    pub ordinary: R,
    pub(crate) ordinary_rows: u64,
    pub planted: &'a [<R::Columns as TableColumns>::Planted],
}

/// Rows, files and bytes written.
#[derive(Clone, Copy, Default)]
pub struct Written {
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
}

/// Writes one day of a table. If it has no rows, writes nothing and creates no folder.
pub(crate) fn write_day<R: OrdinaryRows>(
    mut day: DayOfTable<R>,
    rng: &mut SeededRng,
) -> Result<Written, DemoError> {
    let total_rows = day.ordinary_rows + day.planted.len() as u64;
    if total_rows == 0 {
        return Ok(Written::default());
    }
    fs::create_dir_all(&day.folder).map_err(|source| DemoError::io(&day.folder, source))?;
    let files = day.files_wanted.min(total_rows / 50 + 1).max(total_rows.div_ceil(FILE_ROWS));
    let slots = planted_slots(day.ordinary_rows, day.planted.len(), rng);
    let mut columns = R::Columns::empty();
    let mut next_planted = 0;
    let mut written = Written { rows: total_rows, files, bytes: 0 };
    for file in 0..files {
        let path = day.folder.join(format!("part-{file}.parquet"));
        let mut out = open(&path, R::Columns::schema())?;
        let end = (file + 1) * total_rows / files;
        let mut in_batch = 0;
        for position in file * total_rows / files..end {
            match slots.get(next_planted) {
                Some(&(slot, planted)) if slot == position => {
                    columns.push_planted(&day.planted[planted]);
                    next_planted += 1;
                }
                _ => day.ordinary.push(position - next_planted as u64, &mut columns),
            }
            in_batch += 1;
            if in_batch == BATCH_ROWS || position + 1 == end {
                flush(&mut columns, &mut out, &path)?;
                in_batch = 0;
            }
        }
        out.close().map_err(|source| DemoError::parquet(&path, source))?;
        written.bytes += fs::metadata(&path).map_err(|source| DemoError::io(&path, source))?.len();
    }
    Ok(written)
}

/// The planted rows with their distinct positions among all rows of the day, in ascending order.
fn planted_slots(ordinary_rows: u64, planted_rows: usize, rng: &mut SeededRng) -> Vec<(u64, usize)> {
    let mut gaps: Vec<(u64, usize)> =
        (0..planted_rows).map(|planted| (rng.between(0, ordinary_rows as i64 + 1) as u64, planted)).collect();
    // Hashed, so that planted rows between the same two ordinary rows are not sorted by time.
    gaps.sort_unstable_by_key(|&(gap, planted)| (gap, mix(planted as u64)));
    gaps.iter().enumerate().map(|(before, &(gap, planted))| (gap + before as u64, planted)).collect()
}

fn flush(columns: &mut impl TableColumns, out: &mut ArrowWriter<File>, path: &Path) -> Result<(), DemoError> {
    let batch =
        columns.take_batch().map_err(|source| DemoError::Arrow { path: PathBuf::from(path), source })?;
    out.write(&batch).map_err(|source| DemoError::parquet(path, source))
}

fn open(path: &Path, schema: SchemaRef) -> Result<ArrowWriter<File>, DemoError> {
    let file = File::create_new(path).map_err(|source| DemoError::io(path, source))?;
    let level = ZstdLevel::try_new(1).map_err(|source| DemoError::parquet(path, source))?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by("hindcast demo".to_owned());
    for column in PLAIN_COLUMNS {
        // Minimum and maximum of times and numbers let a reader skip row groups; those of random texts do not.
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(column), false)
            .set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::Chunk);
    }
    ArrowWriter::try_new(file, schema, Some(properties.build()))
        .map_err(|source| DemoError::parquet(path, source))
}
