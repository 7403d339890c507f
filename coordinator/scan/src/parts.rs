//! Rows of a result in parts, cut in one way whatever they came in: what a writer makes of rows depends on where they are cut.

use std::iter;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{BatchCoalescer, cast};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use hindcast_base::{Error, Result};

/// Rows that are written at a time: as a whole, a result of millions of rows would be held once more.
pub(super) const PART_ROWS: usize = 64 << 10;

/// Parts of a table, one after the other; at least one, which may be empty.
pub type Parts<'a> = Box<dyn Iterator<Item = Result<RecordBatch>> + Send + 'a>;

/// The rows of `parts` in parts of 65,536 rows with plain strings, of which only the last is shorter: what a writer makes of
/// rows, such as the pages of a Parquet file, depends on where they are cut. There is at least one part.
pub fn recut(parts: Parts<'_>) -> Parts<'_> {
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

/// A batch in parts of at most 65,536 rows: with plain strings it takes more memory.
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
