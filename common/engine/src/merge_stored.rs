//! One task of a merge stage whose rows are stored: reads them, or computes what has changed since an earlier merge, or everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use tokio::sync::mpsc::Sender;

use super::combine_stage::Shard as ShardTask;
use super::merge_rows::MergeRows;
use super::merge_task::Shard;
use super::stage::MergeStage;
use super::state::StateStore;
use super::state_table::StateTable;
use super::stored_rows::{EarlierResult, KeptRows, StoredResult, shard_key};
use hindcast_detections::analyses::{Analysis, Scope, analysis};
use hindcast_functions::{KeySet, is_key_of, key_number};
use hindcast_lake::open_location;

/// Rows that are kept of an analysis with a limit, as a multiple of it: as rows change, the first ones are still known.
const KEPT_LIMITS: usize = 16;
/// Rows that are kept at least.
const LEAST_KEPT: usize = 1_024;
/// Rows per batch that is sent.
const SENT_ROWS: usize = 64 << 10;

/// Rows by analysis.
type Kept = BTreeMap<String, KeptRows>;

/// The keys whose state a shard reads: all others have the rows that are stored.
#[derive(Debug, Clone)]
pub(super) struct ChangedKeys {
    columns: Vec<String>,
    keys: Arc<KeySet>,
}

impl ChangedKeys {
    /// Whether a row belongs to one of the keys.
    pub(super) fn has_row(&self) -> Expr {
        is_key_of(columns_of(&self.columns), Arc::clone(&self.keys))
    }
}

fn columns_of(names: &[String]) -> Vec<Expr> {
    names.iter().map(ident).collect()
}

/// Sends the rows of all analyses of a shard, and stores them.
pub(super) async fn merge_stored(
    stage: &MergeStage,
    stored: &StoredResult,
    task: &ShardTask,
    schema: &SchemaRef,
    sender: &Sender<Result<RecordBatch>>,
    context: &TaskContext,
) -> Result<()> {
    let state = StateStore::new(open_location(&stage.state_url, context)?);
    let key = shard_key(&stored.key, task.buckets);
    let mut shard = Shard::new(stage, task, context);
    let kept = match shard.stored_rows(&state, &key).await {
        Some(kept) => kept,
        None => {
            let moved = match &stored.earlier {
                Some(earlier) => shard.moved(&state, stored, earlier).await,
                None => Ok(None),
            };
            let moved =
                moved.inspect_err(|error| tracing::warn!(%error, "stored rows can't be used")).ok().flatten();
            let kept = match moved {
                Some(kept) => kept,
                None => shard.computed().await?,
            };
            if let Err(error) = state.commit_rows(&key, &kept).await {
                tracing::warn!(%error, "the rows of a shard can't be stored");
            }
            kept
        }
    };
    for (id, KeptRows { rows, .. }) in kept {
        let limit = analysis(&stage.config, &id)?.shard_limit(&stage.config);
        let count = rows.num_rows().min(limit.unwrap_or(usize::MAX));
        for start in (0..count).step_by(SENT_ROWS) {
            let part = rows.slice(start, SENT_ROWS.min(count - start));
            if sender.send(MergeRows::widen(schema, &id, &part)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Shard<'_> {
    /// The rows of all analyses, computed from all state of the shard.
    async fn computed(&mut self) -> Result<Kept> {
        self.read_only(None);
        self.hold_shared().await?;
        let mut kept = Kept::new();
        for id in &self.stage().analyses {
            let analysis = analysis(&self.stage().config, id)?;
            kept.insert(id.clone(), self.kept_rows(analysis).await?);
        }
        Ok(kept)
    }

    /// The rows under `key`; `None` if any of them can't be used.
    async fn stored_rows(&self, state: &StateStore, key: &str) -> Option<Kept> {
        let stored = state.find_rows(key).await;
        let stored =
            stored.inspect_err(|error| tracing::warn!(%error, "stored rows can't be read")).ok()??;
        let mut kept = Kept::new();
        for id in &self.stage().analyses {
            let is_all = stored.analyses.get(id)?.is_all;
            let read = async {
                let schema = Arc::clone(self.frame(analysis(&self.stage().config, id)?)?.schema().inner());
                let Some(file) = stored.file(id) else { return Ok(empty(&schema)) };
                let table = StateTable::new(Arc::clone(&schema), state.location().clone(), vec![file]);
                concat(&schema, self.session().read_table(Arc::new(table))?).await
            };
            let rows = read.await;
            let rows = rows.inspect_err(|error| tracing::warn!(%error, "stored rows can't be read")).ok()?;
            kept.insert(id.clone(), KeptRows { rows, is_all });
        }
        Some(kept)
    }

    /// The rows of all analyses, those of unchanged keys from the earlier merge; `None` if it does not have all of them.
    async fn moved(
        &mut self,
        state: &StateStore,
        stored: &StoredResult,
        earlier: &EarlierResult,
    ) -> Result<Option<Kept>> {
        let key = shard_key(&earlier.key, self.task().buckets);
        let Some(before) = self.stored_rows(state, &key).await else { return Ok(None) };
        let keys = Arc::new(self.changed_keys(&stored.per_key, earlier).await?);
        let changed = ChangedKeys { columns: stored.per_key.clone(), keys };
        self.read_only(Some(changed.clone()));
        self.hold_shared().await?;
        let mut kept = Kept::new();
        for (id, before) in before {
            let analysis = analysis(&self.stage().config, &id)?;
            let computed = self.kept_rows(analysis).await?;
            let schema = computed.rows.schema();
            let of_others = self.session().read_batch(before.rows)?.filter(!changed.has_row())?;
            let others = KeptRows { rows: concat(&schema, of_others).await?, is_all: before.is_all };
            let Some(united) = self.united(analysis, others, computed).await? else { return Ok(None) };
            kept.insert(id, united);
        }
        Ok(Some(kept))
    }

    /// The keys of the state that only one of both merges reads.
    async fn changed_keys(&self, columns: &[String], earlier: &EarlierResult) -> Result<KeySet> {
        let mut keys = KeySet::default();
        for (rollup, files) in &earlier.changed {
            let states = self.states(rollup, files.clone(), Scope::Shard)?;
            let numbers = states.select(vec![key_number(columns_of(columns)).alias("key")])?;
            let mut batches = numbers.execute_stream().await?;
            while let Some(batch) = batches.next().await.transpose()? {
                keys.extend(batch.column(0))?;
            }
        }
        Ok(keys)
    }

    /// The rows of an analysis: the first ones, if it has a limit.
    async fn kept_rows(&self, analysis: &Analysis) -> Result<KeptRows> {
        let frame = self.frame(analysis)?;
        let schema = Arc::clone(frame.schema().inner());
        let most = self.most_kept(analysis);
        let frame = match most {
            Some(most) => analysis.first(frame, most)?,
            None => frame,
        };
        let rows = concat(&schema, frame).await?;
        let is_all = most.is_none_or(|most| rows.num_rows() < most);
        Ok(KeptRows { rows, is_all })
    }

    /// The rows of keys that have not changed, and of those that have. With a limit they are the first ones as far as those of
    /// unchanged keys are known; `None` if these do not suffice for the limit.
    async fn united(
        &self,
        analysis: &Analysis,
        unchanged: KeptRows,
        changed: KeptRows,
    ) -> Result<Option<KeptRows>> {
        let schema = changed.rows.schema();
        let all = concat_batches(&schema, [&unchanged.rows, &changed.rows])?;
        let Some(most) = self.most_kept(analysis) else {
            return Ok(Some(KeptRows { rows: all, is_all: true }));
        };
        let known = if unchanged.is_all { most } else { unchanged.rows.num_rows().min(most) };
        if analysis.shard_limit(&self.stage().config).is_some_and(|limit| known < limit) {
            return Ok(None);
        }
        let is_all = unchanged.is_all && changed.is_all && all.num_rows() < known;
        let rows = concat(&schema, analysis.first(self.session().read_batch(all)?, known)?).await?;
        Ok(Some(KeptRows { rows, is_all }))
    }

    /// Rows that are kept of an analysis with a limit.
    fn most_kept(&self, analysis: &Analysis) -> Option<usize> {
        let limit = analysis.shard_limit(&self.stage().config)?;
        Some(limit.saturating_mul(KEPT_LIMITS).max(LEAST_KEPT))
    }
}

fn empty(schema: &SchemaRef) -> RecordBatch {
    RecordBatch::new_empty(Arc::clone(schema))
}

/// The rows of a frame as one batch.
async fn concat(schema: &SchemaRef, frame: DataFrame) -> Result<RecordBatch> {
    Ok(concat_batches(schema, &frame.collect().await?)?)
}
