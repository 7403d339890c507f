//! Rows of a long result: written to a temporary file as they arrive, then sorted into another, within the memory budget.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{BatchCoalescer, concat_batches, partition};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::logical_expr::ident;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::DataFrame;
use futures::{StreamExt, stream};
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::{Analysis, HIDDEN_PREFIX};
use hindcast_detections::config::Config;
use hindcast_lake::task_session;

use super::parts::{PART_ROWS, plain};
use super::table::ResultTable;

/// Rows of one analysis that are held in memory; a longer result goes to a file. No result depends on it.
const HELD_ROWS: usize = 2 * PART_ROWS;
/// Rows that are spilled and read back together before they are sorted: jemalloc returns allocations of more than 8 MiB at once,
/// and each such block would need new pages.
const BLOCK_ROWS: usize = 8 << 10;

/// Rows in a temporary file, which is deleted with its last reader.
#[derive(Clone)]
pub(super) struct SpilledRows {
    file: Arc<dyn SpillFile>,
    schema: SchemaRef,
    count: usize,
}

impl std::fmt::Debug for SpilledRows {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SpilledRows").field("path", &self.file.path()).finish_non_exhaustive()
    }
}

impl SpilledRows {
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The rows in the order in which they were written.
    pub(super) fn parts(&self) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        let file = File::open(path_of(&self.file)?).map_err(Error::io("reading rows that were put aside"))?;
        let parts = StreamReader::try_new(BufReader::new(file), None).map_err(engine)?;
        Ok(parts.map(|part| part.map_err(engine)))
    }

    /// The rows as a table that can be read several times.
    pub(super) fn frame(&self, runtime: &Arc<RuntimeEnv>) -> Result<DataFrame> {
        let table = StreamingTable::try_new(Arc::clone(&self.schema), vec![Arc::new(self.clone())])?;
        Ok(task_session(Arc::clone(runtime)).read_table(Arc::new(table))?)
    }
}

impl PartitionStream for SpilledRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let external = |error| DataFusionError::External(Box::new(error));
        let parts = match self.parts() {
            Ok(parts) => stream::iter(parts.map(move |part| part.map_err(external))).boxed(),
            Err(error) => stream::iter([Err(external(error))]).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), parts))
    }
}

/// A file to which rows are spilled.
struct Spill {
    rows: SpilledRows,
    writer: StreamWriter<BufWriter<File>>,
}

impl Spill {
    fn create(runtime: &RuntimeEnv, schema: &SchemaRef) -> Result<Self> {
        let action = "putting rows of a result aside";
        let file = runtime.disk_manager.create_tmp_file(action)?;
        let opened = File::create(path_of(&file)?).map_err(Error::io(action))?;
        let writer = StreamWriter::try_new(BufWriter::new(opened), schema).map_err(engine)?;
        Ok(Self { rows: SpilledRows { file, schema: Arc::clone(schema), count: 0 }, writer })
    }

    fn put(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows.count += rows.num_rows();
        self.writer.write(rows).map_err(engine)
    }

    fn finish(mut self) -> Result<SpilledRows> {
        self.writer.finish().map_err(engine)?;
        Ok(self.rows)
    }
}

/// Collects the rows of one analysis as they arrive from its shards.
pub(super) struct RowCollector {
    schema: SchemaRef,
    may_spill: bool,
    held: Vec<RecordBatch>,
    held_rows: usize,
    spill: Option<Spill>,
}

/// All rows of one analysis: in their order, unless they are still to be finished.
pub(super) enum AnalysisRows {
    Held(RecordBatch),
    Spilled(SpilledRows),
}

impl AnalysisRows {
    /// The rows in memory: rows that findings are made of, and rows that are looked up, always are.
    pub(super) fn held(&self) -> Option<&RecordBatch> {
        match self {
            AnalysisRows::Held(rows) => Some(rows),
            AnalysisRows::Spilled(_) => None,
        }
    }

    /// The rows as a table.
    pub(super) fn frame(&self, runtime: &Arc<RuntimeEnv>) -> Result<DataFrame> {
        match self {
            AnalysisRows::Held(rows) => Ok(task_session(Arc::clone(runtime)).read_batch(rows.clone())?),
            AnalysisRows::Spilled(rows) => rows.frame(runtime),
        }
    }

    /// The result table, without hidden columns.
    pub(super) fn into_table(self, name: &str) -> Result<ResultTable> {
        match self {
            AnalysisRows::Held(rows) => ResultTable::held(name, &[rows]),
            AnalysisRows::Spilled(rows) => Ok(ResultTable::spilled(name, rows)),
        }
    }
}

impl RowCollector {
    /// An empty collector for `schema`. Rows that findings are made of, that are looked up, or that are still to be finished or
    /// limited are held, because they are needed together.
    pub(super) fn new(analysis: &Analysis, schema: SchemaRef) -> Self {
        let is_shown_only =
            analysis.finding.is_none() && analysis.finish.is_none() && analysis.limit.is_none();
        let has_hidden = schema.fields().iter().any(|field| field.name().starts_with(HIDDEN_PREFIX));
        let may_spill = analysis.is_reported() && is_shown_only && !has_hidden;
        Self { schema, may_spill, held: Vec::new(), held_rows: 0, spill: None }
    }

    /// Adds rows.
    pub(super) fn add(&mut self, rows: RecordBatch, runtime: &RuntimeEnv) -> Result<()> {
        self.held_rows += rows.num_rows();
        self.held.push(rows);
        if self.may_spill && self.held_rows > HELD_ROWS { self.put_aside(runtime) } else { Ok(()) }
    }

    fn put_aside(&mut self, runtime: &RuntimeEnv) -> Result<()> {
        self.held_rows = 0;
        for batch in std::mem::take(&mut self.held) {
            // Plain strings: a batch of string views would keep everything that its views point into.
            let rows = plain(&batch)?;
            let spill = match &mut self.spill {
                Some(spill) => spill,
                None => self.spill.insert(Spill::create(runtime, rows.schema_ref())?),
            };
            for start in (0..rows.num_rows()).step_by(BLOCK_ROWS) {
                spill.put(&rows.slice(start, BLOCK_ROWS.min(rows.num_rows() - start)))?;
            }
        }
        Ok(())
    }

    /// All rows.
    pub(super) async fn finish(
        mut self,
        analysis: &Analysis,
        config: &Config,
        runtime: &Arc<RuntimeEnv>,
    ) -> Result<AnalysisRows> {
        if self.spill.is_some() {
            self.put_aside(runtime)?;
        }
        match self.spill {
            Some(spill) => {
                ordered(&spill.finish()?, analysis, config, runtime).await.map(AnalysisRows::Spilled)
            }
            None if analysis.finish.is_some() => {
                concat_batches(&self.schema, &self.held).map_err(engine).map(AnalysisRows::Held)
            }
            None => Ok(AnalysisRows::Held(analysis.ordered(&self.schema, self.held, config)?)),
        }
    }
}

/// Sorts the rows in the order of the analysis's result.
///
/// DataFusion sorts them by the leading column only: with several columns its sort holds all rows a second time, as keys, when it
/// has to make room, and fails if they do not fit. Rows with neighbouring values are then sorted by all columns in memory.
async fn ordered(
    rows: &SpilledRows,
    analysis: &Analysis,
    config: &Config,
    runtime: &Arc<RuntimeEnv>,
) -> Result<SpilledRows> {
    let schema = &rows.schema;
    let leading = analysis.leading_column(schema);
    let (column, descending) = leading.ok_or_else(|| Error::Internal("a result without columns".into()))?;
    let sorted = rows.frame(runtime)?.sort(vec![ident(&column).sort(!descending, false)])?;
    let mut batches = sorted.execute_stream().await?;
    let mut spill = Spill::create(runtime, schema)?;
    // The parts are the same whatever the batches, and so are the bytes written from them.
    let mut parts = BatchCoalescer::new(Arc::clone(schema), PART_ROWS);
    let (mut waiting, mut waiting_rows, mut wanted_rows) = (Vec::new(), 0, PART_ROWS);
    loop {
        let batch = batches.next().await.transpose()?;
        let is_end = batch.is_none();
        waiting_rows += batch.as_ref().map_or(0, RecordBatch::num_rows);
        waiting.extend(batch);
        if !is_end && waiting_rows < wanted_rows {
            continue;
        }
        let all = concat_batches(schema, &waiting).map_err(engine)?;
        // Further rows may have the last value.
        let known = if is_end { all.num_rows() } else { start_of_last_value(&all, &column)? };
        let ordered = analysis.ordered(schema, vec![all.slice(0, known)], config)?;
        parts.push_batch(ordered).map_err(engine)?;
        if is_end {
            parts.finish_buffered_batch().map_err(engine)?;
        }
        while let Some(part) = parts.next_completed_batch() {
            spill.put(&part)?;
        }
        if is_end {
            return spill.finish();
        }
        waiting_rows = all.num_rows() - known;
        waiting = vec![all.slice(known, waiting_rows)];
        wanted_rows = PART_ROWS.max(2 * waiting_rows);
    }
}

/// The first of the rows at the end that share the last value.
fn start_of_last_value(rows: &RecordBatch, column: &str) -> Result<usize> {
    let values = rows.column_by_name(column).into_iter().cloned().collect::<Vec<_>>();
    let ranges = partition(&values).map_err(engine)?.ranges();
    Ok(ranges.last().map_or(0, |range| range.start))
}

fn path_of(file: &Arc<dyn SpillFile>) -> Result<&Path> {
    file.path().ok_or_else(|| Error::Internal("temporary files are on no disk".into()))
}

fn engine(error: arrow::error::ArrowError) -> Error {
    Error::Engine(error.into())
}

#[cfg(test)]
#[path = "spilled_tests.rs"]
mod tests;
