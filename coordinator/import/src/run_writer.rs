//! Writes rows to files in the background, in runs that fit in memory, while reading goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use hindcast_base::{Error, Result};
use hindcast_lake::Tables;
use tokio::task::{JoinHandle, spawn_blocking};

use super::ImportRequest;
use super::duplicates::{Counts, Duplicates};
use super::rows::TableRows;
use super::runs::{self, Staged};
use super::spills::{self, Spill};

/// Bytes of rows that are sorted together, while as many are read.
const RUN_BYTES: usize = 16 << 20;
/// Bytes of sorted runs that are merged to files of the lake.
const MERGE_BYTES: u64 = 512 << 20;

/// Takes rows, and writes them to files in a temporary folder.
pub(super) struct RunWriter<'a> {
    request: &'a ImportRequest,
    scratch: tempfile::TempDir,
    /// Rows to be written, by table.
    run: BTreeMap<String, PendingRows>,
    run_bytes: usize,
    runs: usize,
    /// Tables that were checked to have no transaction log, so that files may be added.
    tables_without_log: BTreeSet<String>,
    writing: Option<JoinHandle<Result<Written>>>,
    written: Written,
    duplicates: Option<Arc<Mutex<Duplicates>>>,
}

/// What was written so far.
#[derive(Default)]
pub(super) struct Written {
    /// Files of tables' dates.
    pub(super) staged: Vec<Staged>,
    /// Runs that are not yet merged to such files.
    spills: Vec<Spill>,
    /// Counts of repeated record ids.
    pub(super) counts: Counts,
}

impl Written {
    fn spilled_bytes(&self) -> u64 {
        self.spills.iter().map(|spill| spill.bytes).sum()
    }
}

/// Rows of a table to be written.
#[derive(Default)]
struct PendingRows {
    cluster: Option<String>,
    batches: Vec<RecordBatch>,
}

impl<'a> RunWriter<'a> {
    /// A writer that has no rows yet.
    ///
    /// # Errors
    /// [`Error::Io`] if there can be no temporary folder.
    pub(super) fn new(request: &'a ImportRequest) -> Result<Self> {
        let duplicates = request.record_id.as_ref().map(|column| {
            let duplicates = Duplicates::new(request.lake.clone(), column.clone(), request.known);
            Arc::new(Mutex::new(duplicates))
        });
        Ok(Self {
            request,
            scratch: tempfile::tempdir().map_err(Error::io("making a temporary folder"))?,
            run: BTreeMap::new(),
            run_bytes: 0,
            runs: 0,
            tables_without_log: BTreeSet::new(),
            writing: None,
            written: Written::default(),
            duplicates,
        })
    }

    /// Takes rows of a table.
    pub(super) fn add(&mut self, rows: TableRows) {
        self.run_bytes += rows.batch.get_array_memory_size();
        let pending = self.run.entry(rows.table).or_default();
        pending.cluster = rows.cluster;
        pending.batches.push(rows.batch);
    }

    /// Writes the rows of this run in the background if they are many.
    ///
    /// # Errors
    /// Those of the run before; [`Error::Invalid`] if rows of a table can't be written.
    pub(super) async fn write_if_full(&mut self) -> Result<()> {
        if self.run_bytes >= RUN_BYTES { self.write_run(false).await } else { Ok(()) }
    }

    /// Writes the remaining rows, and waits until all are in files.
    ///
    /// # Errors
    /// As [`Self::write_if_full`].
    pub(super) async fn finish(&mut self) -> Result<&Written> {
        self.write_run(true).await?;
        self.wait().await?;
        Ok(&self.written)
    }

    async fn write_run(&mut self, is_last: bool) -> Result<()> {
        self.wait().await?;
        let run = std::mem::take(&mut self.run);
        let run_bytes = std::mem::take(&mut self.run_bytes);
        for table in run.keys() {
            if self.tables_without_log.insert(table.clone()) {
                self.request.refuse_unwritable(table).await?;
            }
        }
        let (folder, number) = (self.scratch.path().to_owned(), self.runs);
        self.runs += 1;
        let (known, duplicates) = (self.request.known, self.duplicates.clone());
        let written = std::mem::take(&mut self.written);
        let is_merge = written.spilled_bytes() + run_bytes as u64 >= MERGE_BYTES;
        let write = move || write(known, run, written, (&folder, number, is_last), duplicates.as_deref());
        self.writing = Some(spawn_blocking(write));
        // A merge needs the memory that reading would take.
        if is_merge { self.wait().await } else { Ok(()) }
    }

    async fn wait(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            self.written = writing.await.map_err(|error| Error::Internal(error.to_string()))??;
        }
        Ok(())
    }
}

/// Adds the rows of a run to what was written: to files of dates if there is no other run, otherwise to a run that is merged
/// with others.
fn write(
    known: Tables,
    run: BTreeMap<String, PendingRows>,
    mut written: Written,
    (folder, number, is_last): (&Path, usize, bool),
    duplicates: Option<&Mutex<Duplicates>>,
) -> Result<Written> {
    for (table, pending) in run {
        let cluster = pending.cluster.as_deref();
        for (part, rows) in runs::combined(known, &table, cluster, pending.batches)?.iter().enumerate() {
            let keep = match duplicates {
                Some(duplicates) => {
                    let mut duplicates = duplicates.lock().unwrap_or_else(PoisonError::into_inner);
                    let first = |batch| duplicates.first_of_each(&table, batch, &mut written.counts);
                    Some(rows.batches.iter().map(first).collect::<Result<Vec<_>>>()?.concat())
                }
                None => None,
            };
            let sorted = runs::Sorted { table: &table, cluster, rows, keep: keep.as_deref() };
            let name = format!("{number}-{part}");
            match is_last && number == 0 {
                true => written.staged.extend(runs::write(known, &sorted, folder, &name)?),
                false => written.spills.extend(Spill::write(known, &sorted, folder, &name)?),
            }
        }
    }
    if is_last || written.spilled_bytes() >= MERGE_BYTES {
        let spills = std::mem::take(&mut written.spills);
        written.staged.extend(spills::merge(known, spills, folder, number)?);
    }
    Ok(written)
}
