//! Result tables as Parquet, CSV, JSON and JSON lines.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::iter;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{BatchCoalescer, cast};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited};
use hindcast_common::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::escape::escaped;
use super::unwritten::{Unwritten, whole_or_none};
use super::{Choice, Format};
use crate::scan::{Parts, ResultTable};

/// Rows that are written at a time: as a whole, a result of millions of rows would be held once more.
pub(crate) const PART_ROWS: usize = 64 << 10;

/// Writes one table in each of the formats that has a file a table; gives the files that failed.
pub(crate) fn write(table: &ResultTable, folder: &Path, choice: Choice<'_>) -> Vec<Unwritten> {
    let write_as = |format: &Format| {
        let (extension, write) = match format {
            Format::Parquet => ("parquet", write_parquet as Writer),
            Format::Csv => ("csv", write_csv as Writer),
            Format::Json => ("json", write_json as Writer),
            Format::Jsonl => ("jsonl", write_jsonl as Writer),
            // Those have no file a table.
            _ => return None,
        };
        let name = format!("{}.{extension}", table.name);
        let written = whole_or_none(&folder.join(&name), &format!("tables/{name}"), |path| {
            let action = format!("writing {}", path.display());
            let file = File::create(path).map_err(Error::io(action.as_str()))?;
            let parts = recut(table.parts());
            let parts = match format {
                Format::Csv if choice.escapes_formulas => escaped(parts),
                _ => parts,
            };
            write(file, parts).map_err(|error| Error::io(action)(std::io::Error::other(error)))
        });
        written.err()
    };
    choice.formats.iter().filter_map(write_as).collect()
}

type Writer = fn(File, Parts<'_>) -> Result<(), BoxedError>;
pub(super) type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// One batch as Parquet.
pub(crate) fn write_batch(file: File, batch: &RecordBatch) -> Result<(), BoxedError> {
    write_parquet(file, recut(alone(batch)))
}

/// One batch as CSV.
pub(super) fn write_csv_batch(
    file: impl Write,
    batch: &RecordBatch,
    choice: Choice<'_>,
) -> Result<(), BoxedError> {
    let parts = recut(alone(batch));
    write_csv(file, if choice.escapes_formulas { escaped(parts) } else { parts })
}

fn write_parquet(file: File, mut parts: Parts<'_>) -> Result<(), BoxedError> {
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let first = parts.next().ok_or("a table without columns")??;
    let mut writer = ArrowWriter::try_new(file, first.schema(), Some(properties))?;
    writer.write(&first)?;
    for part in parts {
        writer.write(&part?)?;
    }
    writer.close()?;
    Ok(())
}

fn write_csv(file: impl Write, parts: Parts<'_>) -> Result<(), BoxedError> {
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(file);
    for part in parts {
        writer.write(&part?)?;
    }
    Ok(())
}

fn write_json(file: File, parts: Parts<'_>) -> Result<(), BoxedError> {
    write_json_as::<JsonArray>(file, parts)
}

fn write_jsonl(file: File, parts: Parts<'_>) -> Result<(), BoxedError> {
    write_json_as::<LineDelimited>(file, parts)
}

fn write_json_as<F: JsonFormat>(file: File, parts: Parts<'_>) -> Result<(), BoxedError> {
    let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, F>(BufWriter::new(file));
    for part in parts {
        writer.write(&part?)?;
    }
    writer.finish()?;
    Ok(())
}

fn alone(batch: &RecordBatch) -> Parts<'static> {
    Box::new(iter::once(Ok(batch.clone())))
}

/// The rows of `parts` in parts of [`PART_ROWS`] with plain strings, of which only the last is shorter: what a writer makes of
/// rows, such as the pages of a Parquet file, depends on where they are cut. There is at least one part.
fn recut(parts: Parts<'_>) -> Parts<'_> {
    Box::new(Recut { parts: Box::new(parts.flat_map(cut)), joined: None, has_given: false, is_end: false })
}

struct Recut<'a> {
    parts: Parts<'a>,
    joined: Option<BatchCoalescer>,
    has_given: bool,
    is_end: bool,
}

impl Recut<'_> {
    /// Takes a further part; at the end gives what is left.
    fn advance(&mut self) -> Result<()> {
        let arrow = |error: arrow::error::ArrowError| Error::Engine(error.into());
        match self.parts.next().transpose()? {
            Some(part) => {
                let rows = plain(&part)?;
                let joined = self.joined.get_or_insert_with(|| BatchCoalescer::new(rows.schema(), PART_ROWS));
                joined.push_batch(rows).map_err(arrow)
            }
            None => {
                self.is_end = true;
                self.joined.iter_mut().try_for_each(BatchCoalescer::finish_buffered_batch).map_err(arrow)
            }
        }
    }
}

impl Iterator for Recut<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(part) = self.joined.as_mut().and_then(BatchCoalescer::next_completed_batch) {
                self.has_given = true;
                return Some(Ok(part));
            }
            if self.is_end {
                // Rows there are none of have columns nevertheless.
                let is_empty = !std::mem::replace(&mut self.has_given, true);
                let joined = self.joined.as_ref().filter(|_| is_empty)?;
                return Some(Ok(RecordBatch::new_empty(joined.schema())));
            }
            if let Err(error) = self.advance() {
                (self.is_end, self.has_given) = (true, true);
                return Some(Err(error));
            }
        }
    }
}

/// A batch in parts that are not longer than [`PART_ROWS`]: with plain strings it takes more memory.
fn cut(batch: Result<RecordBatch>) -> Parts<'static> {
    match batch {
        Ok(batch) => {
            let starts = (0..batch.num_rows().max(1)).step_by(PART_ROWS);
            Box::new(starts.map(move |start| Ok(batch.slice(start, PART_ROWS.min(batch.num_rows() - start)))))
        }
        Err(error) => Box::new(iter::once(Err(error))),
    }
}

fn plain_schema(schema: &Schema) -> SchemaRef {
    let plain_field = |field: &FieldRef| {
        let is_view = *field.data_type() == DataType::Utf8View;
        let plain_type = if is_view { DataType::Utf8 } else { field.data_type().clone() };
        Field::new(field.name(), plain_type, true)
    };
    Arc::new(Schema::new(schema.fields().iter().map(plain_field).collect::<Vec<_>>()))
}

/// The batch with plain strings: not every reader of Parquet knows Arrow's string views.
pub fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let target = plain_schema(&batch.schema());
    let convert = || {
        let typed = batch.columns().iter().zip(target.fields());
        let columns = typed.map(|(column, field)| cast(column, field.data_type()));
        RecordBatch::try_new(Arc::clone(&target), columns.collect::<Result<_, _>>()?)
    };
    convert().map_err(|error| Error::Engine(error.into()))
}
