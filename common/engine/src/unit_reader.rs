//! Reads a unit's files one by one, selects the requested rows, and counts them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, max, min};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::manifest::UnitStats;
use super::row_pass::{RowPass, SheetRows};
use super::stage::RollupUnit;
use super::value_counts::ValueCounts;
use hindcast_base::error::{Error, InputFault, input_fault, is_exhausted};
use hindcast_base::storage_fault::storage_fault;
use hindcast_lake::selection::{RowSelector, SelectionStats};
use hindcast_lake::{
    LakeFile, LakeTable, RowGroups, UnreadableCounts, file_scan, locate_fault, row_groups_that_may_hold,
};

/// The reader of a unit's files, of all rows or those of one entity.
pub(super) struct UnitReader<'a> {
    table: &'a LakeTable,
    unit: &'a RollupUnit,
    columns: &'a [&'static str],
    unreadable: UnreadableCounts,
    selector: Option<RowSelector<'a>>,
    values: ValueCounts,
    stats: UnitStats,
}

impl<'a> UnitReader<'a> {
    pub(super) fn new(table: &'a LakeTable, unit: &'a RollupUnit, columns: &'a [&'static str]) -> Self {
        let unreadable = UnreadableCounts::of(table.spec);
        let selector =
            unit.selection.as_deref().map(|selection| RowSelector::new(selection, table.spec, &unit.window));
        let read = selector.as_ref().map(|_| Box::default());
        let stats = UnitStats { selection: read, ..UnitStats::default() };
        let values = ValueCounts::of(table.spec.name, columns);
        Self { table, unit, columns, unreadable, selector, values, stats }
    }

    pub(super) async fn read_all(
        &mut self,
        context: &Arc<TaskContext>,
        pass: &RowPass,
        feeds: &[mpsc::Sender<Arc<SheetRows>>],
    ) -> hindcast_base::Result<()> {
        for file in &self.unit.files {
            if let Err(error) = self.read_file(file, context, pass, feeds).await {
                return Err(match error {
                    Error::Engine(error) => self.explain(file, error).await,
                    other => other,
                });
            }
        }
        Ok(())
    }

    async fn read_file(
        &mut self,
        file: &LakeFile,
        context: &Arc<TaskContext>,
        pass: &RowPass,
        feeds: &[mpsc::Sender<Arc<SheetRows>>],
    ) -> hindcast_base::Result<()> {
        let groups = self.groups_to_read(file).await?;
        if groups.as_ref().is_some_and(|groups| groups.counts()[1].0 == 0) {
            return Ok(());
        }
        let clip = self.unit.is_clipped.then_some(&self.unit.window);
        let scan = file_scan(self.table, self.columns, file, clip, groups.as_ref(), &self.unreadable).await?;
        let mut batches = scan.execute(Arc::clone(context))?;
        while let Some(batch) = batches.next().await.transpose()? {
            let Some(selected) = self.select(batch)? else { continue };
            let Some(taken) = self.take(selected)? else { continue };
            self.values.add(&taken);
            let rows = pass.rows(taken)?;
            for feed in feeds {
                // The receiver is gone only if its rollup failed, which reports its own error.
                let sent = feed.send(Arc::clone(&rows)).await;
                sent.map_err(|_| Error::Internal("a rollup stopped before its input ended".into()))?;
            }
        }
        Ok(())
    }

    /// The row groups of `file` that may hold the entity's rows, which are also counted; `None` if all rows are read.
    async fn groups_to_read(&mut self, file: &LakeFile) -> hindcast_base::Result<Option<RowGroups>> {
        let (Some(selector), Some(counted)) = (&self.selector, &mut self.stats.selection) else {
            return Ok(None);
        };
        let may_select = |column: &str, value: &str| selector.may_select(column, value);
        let groups = row_groups_that_may_hold(self.table, file, &selector.columns(), may_select).await?;
        let [(all, bytes), (read, bytes_read)] = groups.counts();
        counted.row_groups += all;
        counted.bytes += bytes;
        counted.row_groups_read += read;
        counted.bytes_read += bytes_read;
        Ok(Some(groups))
    }

    /// The entity's rows if only those are read, otherwise all; `None` if there are none.
    fn select(&mut self, batch: RecordBatch) -> hindcast_base::Result<Option<RecordBatch>> {
        let Some(selector) = &mut self.selector else { return Ok(Some(batch)) };
        if let Some(counted) = &mut self.stats.selection {
            counted.rows_read += batch.num_rows() as u64;
        }
        let is_selected = selector.select(&batch)?;
        match is_selected.true_count() {
            0 => Ok(None),
            count if count == batch.num_rows() => Ok(Some(batch)),
            _ => Ok(Some(filter_record_batch(&batch, &is_selected).map_err(DataFusionError::from)?)),
        }
    }

    /// The rows of the batch in the window; `None` if there are none.
    fn take(&mut self, batch: RecordBatch) -> hindcast_base::Result<Option<RecordBatch>> {
        let Some(column) = batch.column_by_name(self.table.spec.time_column) else {
            return Err(Error::Internal(format!(
                "a scan lacks its time column {}",
                self.table.spec.time_column
            )));
        };
        let times = column.as_primitive::<TimestampMicrosecondType>();
        let window = &self.unit.window;
        let (first, last) = (min(times), max(times));
        let all_inside = times.null_count() == 0
            && first.is_some_and(|first| first >= window.from_us)
            && last.is_some_and(|last| last < window.to_us);
        if all_inside {
            self.count_taken(batch.num_rows(), first, last);
            return Ok(Some(batch));
        }
        let inside: BooleanArray = times
            .iter()
            .map(|time| Some(time.is_some_and(|time| time >= window.from_us && time < window.to_us)))
            .collect();
        self.stats.rows_without_time += times.null_count() as u64;
        self.stats.rows_outside += (batch.num_rows() - times.null_count() - inside.true_count()) as u64;
        if inside.true_count() == 0 {
            return Ok(None);
        }
        let taken = filter_record_batch(&batch, &inside).map_err(DataFusionError::from)?;
        let bounds = times.iter().flatten().filter(|time| *time >= window.from_us && *time < window.to_us);
        self.count_taken(taken.num_rows(), bounds.clone().min(), bounds.max());
        Ok(Some(taken))
    }

    fn count_taken(&mut self, rows: usize, first: Option<i64>, last: Option<i64>) {
        self.stats.rows += rows as u64;
        self.stats.min_us = [self.stats.min_us, first].into_iter().flatten().min();
        self.stats.max_us = self.stats.max_us.max(last);
    }

    pub(super) fn finish(self) -> UnitStats {
        let names = self.selector.map(RowSelector::into_names).unwrap_or_default();
        let selection = self.stats.selection.map(|read| Box::new(SelectionStats { names, ..*read }));
        let values = self.values.into_counts();
        let unreadable = self.unreadable.counts().into_iter().collect();
        UnitStats { unreadable, values, selection, ..self.stats }
    }

    /// The error of reading `file`; if the file is at fault, an input fault with its place.
    async fn explain(&self, file: &LakeFile, error: DataFusionError) -> Error {
        if is_exhausted(&error) {
            return Error::Engine(error);
        }
        if let Some(fault) = input_fault(&error) {
            return Error::Input(InputFault { file: file.path.clone(), ..fault.clone() });
        }
        if let Some(fault) = storage_fault(&file.path, &error) {
            return Error::Storage(fault);
        }
        let fault = locate_fault(self.table, file, self.columns).await;
        Error::Input(fault.unwrap_or_else(|| InputFault {
            file: file.path.clone(),
            row_group: None,
            column: None,
            reason: error.to_string(),
        }))
    }
}
