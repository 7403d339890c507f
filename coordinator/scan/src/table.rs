//! Result tables: in memory, or in a temporary file if they are long.

use std::iter;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::HIDDEN_PREFIX;

use super::parts::Parts;
use super::spilled::SpilledRows;

/// One result table: its rows in their order, without hidden columns.
#[derive(Debug)]
pub struct ResultTable {
    /// Its name.
    pub name: String,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Held(Vec<RecordBatch>),
    Spilled(SpilledRows),
}

impl ResultTable {
    /// A table of `batches`, of which there must be at least one.
    ///
    /// # Errors
    /// If there is none, because the columns are then unknown.
    pub fn held(name: impl Into<String>, batches: &[RecordBatch]) -> Result<Self> {
        let name = name.into();
        if batches.is_empty() {
            return Err(Error::Internal(format!("result table {name} has no columns")));
        }
        let shown = batches.iter().map(without_hidden).collect::<Result<_>>()?;
        Ok(Self { name, rows: Rows::Held(shown) })
    }

    /// A table of rows in a temporary file.
    pub(super) fn spilled(name: impl Into<String>, rows: SpilledRows) -> Self {
        Self { name: name.into(), rows: Rows::Spilled(rows) }
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        match &self.rows {
            Rows::Held(batches) => batches[0].schema(),
            Rows::Spilled(rows) => Arc::clone(rows.schema()),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match &self.rows {
            Rows::Held(batches) => batches.iter().map(RecordBatch::num_rows).sum(),
            Rows::Spilled(rows) => rows.count(),
        }
    }

    /// The rows, part by part, so that a table longer than memory can be read.
    pub fn parts(&self) -> Parts<'_> {
        match &self.rows {
            Rows::Held(batches) => Box::new(batches.iter().cloned().map(Ok)),
            Rows::Spilled(rows) => match rows.parts() {
                Ok(parts) => Box::new(parts),
                Err(error) => Box::new(iter::once(Err(error))),
            },
        }
    }

    /// All rows at once, for users that need them together.
    ///
    /// # Errors
    /// If the file of a long table can't be read.
    pub fn batches(&self) -> Result<Vec<RecordBatch>> {
        self.parts().collect()
    }
}

fn without_hidden(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let is_shown = |column: &usize| !schema.field(*column).name().starts_with(HIDDEN_PREFIX);
    let columns: Vec<usize> = (0..batch.num_columns()).filter(is_shown).collect();
    batch.project(&columns).map_err(|error| Error::Engine(error.into()))
}
