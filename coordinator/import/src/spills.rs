//! Keeps sorted rows in temporary files, and merges them to one file per date, so that an import of any size needs little
//! memory and leaves no small files.

use std::fs::File;
use std::io::BufReader;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use chrono::NaiveDate;
use hindcast_base::time::{MICROS_PER_DAY, date_of_us};
use hindcast_base::{Error, Result};
use hindcast_lake::Tables;
use hindcast_records::source::time_column;
use hindcast_tables::layout::{self, TARGET_FILE_BYTES};
use hindcast_tables::merge;
use parquet::arrow::ArrowWriter;

use super::runs::{self, Sorted, Staged, in_order, internal};

/// Bytes of a batch of a temporary file: one of each file is in memory in a merge.
const SPILL_BYTES: u64 = 128 << 10;
/// Rows of such a batch, however many bytes they have.
const SPILL_ROWS: RangeInclusive<u64> = 16..=1 << 10;
/// Bytes of rows that are merged before they are written.
const MERGE_BYTES: u64 = 4 << 20;
/// Rows that are merged before they are written, however many bytes they have.
const MERGE_ROWS: RangeInclusive<u64> = 256..=8 << 10;

/// Rows of a table in the order of their dates, the column that clusters them, and their times, in a temporary file.
#[derive(Debug)]
pub(super) struct Spill {
    table: String,
    cluster: Option<String>,
    schema: SchemaRef,
    path: PathBuf,
    rows: u64,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

/// Rows of `bytes`, within `range`, if there are `total_rows` of `total_bytes`.
fn rows_of(bytes: u64, range: &RangeInclusive<u64>, total_rows: u64, total_bytes: u64) -> usize {
    let rows = bytes.saturating_mul(total_rows) / total_bytes.max(1);
    rows.clamp(*range.start(), *range.end()) as usize
}

impl Spill {
    /// Writes rows to a file in `folder`, named after `run`. `None` if there are no rows.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be written.
    pub(super) fn write(
        known: Tables,
        sorted: &Sorted<'_>,
        folder: &Path,
        run: &str,
    ) -> Result<Option<Self>> {
        let by_date = runs::ordered_by_date(known, sorted)?;
        if by_date.is_empty() {
            return Ok(None);
        }
        let path = folder.join(format!("{run}-{}.arrow", sorted.table));
        let failed = |error: ArrowError| {
            Error::io(format!("writing {}", path.display()))(std::io::Error::other(error))
        };
        let file = File::create(&path).map_err(Error::io(format!("creating {}", path.display())))?;
        let mut writer = StreamWriter::try_new_buffered(file, &sorted.rows.schema).map_err(failed)?;
        let (total, in_memory) = sorted.rows.size();
        let batch_rows = rows_of(SPILL_BYTES, &SPILL_ROWS, total, in_memory);
        for order in by_date.values() {
            for chunk in order.chunks(batch_rows) {
                writer.write(&sorted.rows.batch_of(chunk)?).map_err(failed)?;
            }
        }
        writer.finish().map_err(failed)?;
        drop(writer);
        let bytes = std::fs::metadata(&path).map_err(Error::io(format!("reading {}", path.display())))?.len();
        Ok(Some(Self {
            table: sorted.table.to_owned(),
            cluster: sorted.cluster.map(str::to_owned),
            schema: Arc::clone(&sorted.rows.schema),
            path,
            rows: by_date.values().map(|order| order.len() as u64).sum(),
            bytes,
        }))
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // The folder is deleted with the import.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Merges the rows of each table to files of dates in `folder`, named after the run `number`. Rows whose columns have other
/// types are in other files.
///
/// # Errors
/// [`Error::Io`] if a file can't be read or written.
pub(super) fn merge(known: Tables, spills: Vec<Spill>, folder: &Path, number: usize) -> Result<Vec<Staged>> {
    let mut groups: Vec<(Schema, Vec<Spill>)> = Vec::new();
    for spill in spills {
        let fits = |(schema, members): &&mut (Schema, Vec<Spill>)| {
            members[0].table == spill.table && have_same_types(schema, &spill.schema)
        };
        match groups.iter_mut().find(fits) {
            Some((schema, members)) => {
                if let Ok(united) = merge::unify_schemas(schema, &spill.schema) {
                    *schema = united;
                }
                members.push(spill);
            }
            None => groups.push((spill.schema.as_ref().clone(), vec![spill])),
        }
    }
    let mut staged = Vec::new();
    for (part, (schema, spills)) in groups.into_iter().enumerate() {
        staged.extend(merge_group(known, &schema, &spills, folder, &format!("merged-{number}-{part}"))?);
    }
    Ok(staged)
}

/// Whether the columns that both schemas have are of the same types.
fn have_same_types(left: &Schema, right: &Schema) -> bool {
    let is_same = |field: &Arc<arrow::datatypes::Field>| {
        left.field_with_name(field.name()).map_or(true, |other| other.data_type() == field.data_type())
    };
    right.fields().iter().all(is_same)
}

fn merge_group(
    known: Tables,
    schema: &Schema,
    spills: &[Spill],
    folder: &Path,
    name: &str,
) -> Result<Vec<Staged>> {
    let Some(first) = spills.first() else { return Ok(Vec::new()) };
    let (table, cluster) = (first.table.as_str(), first.cluster.as_deref());
    let time = time_column(known, table);
    let schema = in_order(known, table, cluster, schema);
    let mut output = Output {
        table,
        in_order: cluster.into_iter().chain([time]).collect(),
        schema: Arc::clone(&schema),
        prefix: folder.join(format!("{name}-{table}")),
        flush_rows: rows_of(
            MERGE_BYTES,
            &MERGE_ROWS,
            spills.iter().map(|spill| spill.rows).sum(),
            spills.iter().map(|spill| spill.bytes).sum(),
        ),
        batches: Vec::new(),
        places: Vec::new(),
        open: None,
        staged: Vec::new(),
    };
    let mut sources = Vec::new();
    for spill in spills {
        sources.extend(Source::open(spill, &schema, (time, cluster), &mut output)?);
    }
    while let Some((best, next)) = first_two(&sources) {
        // Rows of one run are often next to each other.
        let is_ended = loop {
            let source = &sources[best];
            output.push(date_of_us(source.time_us()), (source.slot, source.row))?;
            if !sources[best].advance(&mut output)? {
                break true;
            }
            if output.is_due() || next.is_some_and(|next| sources[next].key() < sources[best].key()) {
                break false;
            }
        };
        if is_ended {
            sources.remove(best);
        }
        if output.is_due() {
            output.flush()?;
            sources.iter_mut().for_each(|source| source.slot = output.add(source.batch.clone()));
        }
    }
    output.close()?;
    Ok(output.staged)
}

/// The sources with the first and the second row, by their order.
fn first_two(sources: &[Source]) -> Option<(usize, Option<usize>)> {
    let first_but = |left_out: Option<usize>| {
        let others = (0..sources.len()).filter(|index| Some(*index) != left_out);
        others.min_by(|left, right| sources[*left].key().cmp(&sources[*right].key()))
    };
    let best = first_but(None)?;
    Some((best, first_but(Some(best))))
}

/// The rows of a temporary file, one batch at a time.
struct Source {
    reader: StreamReader<BufReader<File>>,
    schema: SchemaRef,
    columns: (usize, Option<usize>),
    batch: RecordBatch,
    times: TimestampMicrosecondArray,
    clusters: Option<StringArray>,
    row: usize,
    /// Place of the batch in the output.
    slot: usize,
}

impl Source {
    /// Opens a file; `None` if it has no rows.
    fn open(
        spill: &Spill,
        schema: &SchemaRef,
        (time, cluster): (&str, Option<&str>),
        output: &mut Output<'_>,
    ) -> Result<Option<Self>> {
        let file = File::open(&spill.path).map_err(Error::io(format!("opening {}", spill.path.display())))?;
        let mut source = Self {
            reader: StreamReader::try_new_buffered(file, None).map_err(internal)?,
            schema: Arc::clone(schema),
            columns: (
                schema.index_of(time).map_err(internal)?,
                cluster.and_then(|cluster| schema.index_of(cluster).ok()),
            ),
            batch: RecordBatch::new_empty(Arc::clone(schema)),
            times: TimestampMicrosecondArray::from(Vec::<i64>::new()),
            clusters: None,
            row: 0,
            slot: 0,
        };
        Ok(source.next_batch(output)?.then_some(source))
    }

    /// Goes to the next row; false after the last.
    fn advance(&mut self, output: &mut Output<'_>) -> Result<bool> {
        self.row += 1;
        if self.row < self.batch.num_rows() { Ok(true) } else { self.next_batch(output) }
    }

    fn next_batch(&mut self, output: &mut Output<'_>) -> Result<bool> {
        let Some(batch) = self.reader.next() else { return Ok(false) };
        let batch = batch.and_then(|batch| merge::widen_batch(&batch, &self.schema)).map_err(internal)?;
        let times = batch.column(self.columns.0).as_primitive_opt::<TimestampMicrosecondType>();
        self.times = times.ok_or_else(|| Error::Internal("rows without a time".to_owned()))?.clone();
        let clusters = self.columns.1.and_then(|column| batch.column(column).as_string_opt::<i32>());
        self.clusters = clusters.cloned();
        self.slot = output.add(batch.clone());
        self.batch = batch;
        self.row = 0;
        Ok(true)
    }

    fn time_us(&self) -> i64 {
        self.times.value(self.row)
    }

    /// The order of the row: its day, the text that clusters it, of which null is the first, and its time.
    fn key(&self) -> (i64, Option<&str>, i64) {
        let clusters = self.clusters.as_ref().filter(|clusters| clusters.is_valid(self.row));
        let time_us = self.time_us();
        (time_us.div_euclid(MICROS_PER_DAY), clusters.map(|clusters| clusters.value(self.row)), time_us)
    }
}

/// The files that merged rows are written to.
struct Output<'a> {
    table: &'a str,
    in_order: Vec<&'a str>,
    schema: SchemaRef,
    /// Beginning of the paths of the files.
    prefix: PathBuf,
    /// Rows that are written at once.
    flush_rows: usize,
    batches: Vec<RecordBatch>,
    /// Batches and rows in them that are to be written next.
    places: Vec<(usize, usize)>,
    open: Option<Open>,
    staged: Vec<Staged>,
}

/// The file of a date.
struct Open {
    date: NaiveDate,
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
}

impl Output<'_> {
    /// Takes a batch, of which rows are written later. Returns its place.
    fn add(&mut self, batch: RecordBatch) -> usize {
        self.batches.push(batch);
        self.batches.len() - 1
    }

    /// Writes a row of a date.
    fn push(&mut self, date: NaiveDate, place: (usize, usize)) -> Result<()> {
        if self.open.as_ref().is_none_or(|open| open.date != date) {
            self.close()?;
            let path = self.prefix.with_file_name(format!(
                "{}-{date}-{}.parquet",
                self.prefix.file_name().unwrap_or_default().display(),
                self.staged.len()
            ));
            let file = File::create(&path).map_err(Error::io(format!("creating {}", path.display())))?;
            let writer = layout::writer(file, &self.schema, &self.in_order)?;
            self.open = Some(Open { date, path, writer, rows: 0 });
        }
        self.places.push(place);
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.places.len() >= self.flush_rows
    }

    /// Writes the rows, and forgets the batches.
    fn flush(&mut self) -> Result<()> {
        self.write()?;
        self.batches.clear();
        match &self.open {
            Some(open) if open.writer.bytes_written() as u64 >= TARGET_FILE_BYTES => self.close(),
            _ => Ok(()),
        }
    }

    fn write(&mut self) -> Result<()> {
        let Some(open) = self.open.as_mut().filter(|_| !self.places.is_empty()) else { return Ok(()) };
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let rows = interleave_record_batch(&batches, &self.places).map_err(internal)?;
        let failed = Error::io(format!("writing {}", open.path.display()));
        open.writer.write(&rows).map_err(|error| failed(std::io::Error::other(error)))?;
        open.rows += self.places.len() as u64;
        self.places.clear();
        Ok(())
    }

    /// Ends the file of a date.
    fn close(&mut self) -> Result<()> {
        self.write()?;
        let Some(Open { date, path, writer, rows }) = self.open.take() else { return Ok(()) };
        let failed = Error::io(format!("writing {}", path.display()));
        writer.close().map_err(|error| failed(std::io::Error::other(error)))?;
        let bytes = std::fs::metadata(&path).map_err(Error::io(format!("reading {}", path.display())))?.len();
        self.staged.push(Staged { table: self.table.to_owned(), date, path, rows, bytes });
        Ok(())
    }
}

#[cfg(test)]
#[path = "spills_tests.rs"]
mod tests;
