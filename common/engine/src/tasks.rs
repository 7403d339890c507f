//! A stage split into what is sent: the stage without its tasks, and each task. A task is written when it is sent: a stage may have
//! hundreds of thousands.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::ExecutionPlan;

use super::codec::EncodedStage;
use super::merge_rows::MergeRows;
use super::plan::StageExec;
use super::stage::{MergeFault, Stage, UnitFault, UnitOutcome, encode_outcome};
use hindcast_base::Error;
use hindcast_base::storage_fault::StorageFault;

/// The tasks of a stage, ready to be distributed in batches.
#[derive(Debug, Clone)]
pub struct StageTasks {
    stage: Stage,
    header: Stage,
    schema: SchemaRef,
    encoded: EncodedStage,
}

impl StageTasks {
    /// Splits a stage into its tasks.
    ///
    /// # Errors
    /// If the stage names an unknown analysis or rollup, or can't be encoded.
    pub fn of(stage: Stage) -> Result<Self> {
        let (header, schema) = (stage.header(), stage.schema()?);
        Ok(Self { stage, header, schema, encoded: EncodedStage::default() })
    }

    /// Encodes the stage for all plans of its tasks, so that one that no worker accepts fails before it is sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is too long.
    pub fn encode(&self) -> Result<()> {
        self.encoded.of(&self.header).map(|_| ())
    }

    /// Number of tasks.
    pub fn count(&self) -> usize {
        self.stage.tasks()
    }

    /// Schema of the tasks' results.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// A plan with one partition for each of `tasks`, in their order.
    ///
    /// # Errors
    /// If a task does not exist.
    pub fn plan(&self, tasks: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = Arc::new(Schema::new(vec![Field::new("task", DataType::Utf8, false)]));
        let partition = |task: &usize| {
            let texts = Arc::new(StringArray::from(vec![self.stage.task_text(*task)?]));
            Ok(vec![RecordBatch::try_new(Arc::clone(&schema), vec![texts])?])
        };
        let partitions = tasks.iter().map(partition).collect::<Result<Vec<_>>>()?;
        let source = MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&schema), None)?;
        let plan = StageExec::new(self.header.clone(), self.schema(), source);
        Ok(Arc::new(plan.with_encoded(self.encoded.clone())))
    }

    /// The fault of the store that a task reports in place of its rows: if it runs again, it may succeed.
    ///
    /// # Errors
    /// If a batch does not belong to the stage.
    pub fn storage_fault(&self, batches: &[RecordBatch]) -> Result<Option<StorageFault>> {
        let Stage::Merge(_) = self.header else { return Ok(None) };
        let of_store = |fault| match fault {
            MergeFault::Storage(fault) => Some(fault),
            _ => None,
        };
        Ok(MergeRows::faults(batches)?.into_iter().find_map(of_store))
    }

    /// The result of a task that is given up because of `error`: for a unit, an outcome that says so.
    ///
    /// # Errors
    /// For other tasks, an error of the same kind: their stages need all of them.
    pub fn given_up(&self, task: usize, error: Error) -> Result<RecordBatch> {
        let what = match self.header {
            Stage::Rollup(_) => {
                let result = Err(UnitFault::Failed(error.to_string()));
                return encode_outcome(&self.schema, &UnitOutcome { unit: task, result });
            }
            Stage::Merge(_) => format!("shard {task} could not be merged"),
            Stage::Combine(_) => format!("state could not be combined by task {task}"),
            Stage::Names(_) => format!("the names in state could not be read by task {task}"),
        };
        Err(match error {
            // It names the state.
            Error::Storage(_) => error,
            _ => Error::of_kind(error.kind(), format!("{what}: {error}")),
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use datafusion::physical_plan::ExecutionPlanProperties;

    use super::super::combine_stage::{CombineStage, CombinedPart, LevelFile, Shard};
    use super::super::stage::{
        MergeStage, NamesStage, RollupStage, RollupUnit, StateRead, Task, decode_outcomes,
    };
    use super::*;
    use hindcast_base::ErrorKind;
    use hindcast_base::storage_fault::{StorageOperation, is_of_store};
    use hindcast_base::time::Window;
    use hindcast_detections::config::Config;
    use hindcast_lake::StateFile;
    use hindcast_observability::Origin;

    const WINDOW: Window = Window { from_us: 0, to_us: 1 };

    fn rollups() -> Stage {
        let unit = RollupUnit {
            table: 0,
            date: "2026-03-01".parse().unwrap(),
            files: vec![],
            window: WINDOW,
            is_clipped: false,
            rollups: vec![].into(),
            selection: None,
        };
        RollupStage {
            config: Config::load("default", &[]).unwrap(),
            tables: vec![],
            state_url: "file:///state/".into(),
            origin: Origin::default(),
            units: vec![unit.clone(), unit],
        }
        .into()
    }

    fn merges() -> Stage {
        MergeStage {
            config: Config::load("default", &[]).unwrap(),
            state_url: "file:///state/".into(),
            window: WINDOW,
            shards: vec![(0, 32), (32, 64)],
            inputs: BTreeMap::new(),
            levels: BTreeMap::new(),
            stored: None,
            past: BTreeMap::new(),
            side_tables: BTreeMap::new(),
            columns: BTreeMap::new(),
            analyses: vec![],
            investigated: None,
            origin: Origin::default(),
        }
        .into()
    }

    fn combinations() -> Stage {
        let part = CombinedPart { level: 0, buckets: (0, 32), pieces: 1 };
        CombineStage {
            config: Config::load("default", &[]).unwrap(),
            state_url: "file:///state/".into(),
            levels: vec![],
            parts: vec![part.clone(), part],
            origin: Origin::default(),
        }
        .into()
    }

    #[test]
    fn a_shard_gets_the_parts_with_its_buckets() {
        let Stage::Merge(stage) = merges() else { panic!("no merge") };
        let part = |from, to| {
            let path = format!("levels/{from}.0123456789abcdef.parquet");
            LevelFile { buckets: (from, to), file: StateFile { path, bytes: 9, tail_bytes: 4 } }
        };
        let parts = vec![part(0, 20), part(20, 40), part(40, 4_096)];
        let levels = BTreeMap::from([("external_pairs".to_owned(), parts.clone())]);
        let stage: Stage = MergeStage { levels, ..(*stage).clone() }.into();
        let Stage::Merge(header) = stage.header() else { panic!("no merge") };
        assert!(header.levels.is_empty() && header.shards.is_empty());
        let of_task =
            |index| serde_json::from_str::<Task<Shard>>(&stage.task_text(index).unwrap()).unwrap().work;
        let shards: Vec<Shard> = (0..stage.tasks()).map(of_task).collect();
        assert_eq!(shards[0].buckets, (0, 32));
        assert_eq!(shards[0].parts["external_pairs"], parts[..2]);
        assert_eq!(shards[1].parts["external_pairs"], parts[1..]);
    }

    fn names() -> Stage {
        let read = StateRead { rollup: "external_pairs".into(), files: vec![] };
        NamesStage {
            config: Config::load("default", &[]).unwrap(),
            state_url: "file:///state/".into(),
            wanted: vec![],
            reads: vec![read.clone(), read],
            origin: Origin::default(),
        }
        .into()
    }

    #[test]
    fn a_plan_has_one_partition_per_task_and_its_stage_no_tasks() {
        for stage in [rollups(), merges(), combinations(), names()] {
            let tasks = StageTasks::of(stage).unwrap();
            assert_eq!(tasks.count(), 2);
            assert_eq!(tasks.plan(&[1, 0]).unwrap().output_partitioning().partition_count(), 2);
            assert!(tasks.plan(&[2]).is_err());
            match crate::stage_in(tasks.plan(&[1]).unwrap().as_ref()) {
                Some(Stage::Rollup(stage)) => assert!(stage.units.is_empty()),
                Some(Stage::Merge(stage)) => assert!(stage.shards.is_empty()),
                Some(Stage::Combine(stage)) => assert!(stage.parts.is_empty()),
                Some(Stage::Names(stage)) => assert!(stage.reads.is_empty()),
                None => panic!("the plan is not that of a stage"),
            }
        }
    }

    #[test]
    fn a_unit_that_is_given_up_has_an_outcome_and_a_shard_fails_its_stage() {
        let lost = || Error::Unavailable("its worker was lost".into());
        let outcome = StageTasks::of(rollups()).unwrap().given_up(1, lost()).unwrap();
        let outcome = decode_outcomes(&outcome).unwrap().remove(0);
        assert_eq!((outcome.unit, outcome.result), (1, Err(UnitFault::Failed("its worker was lost".into()))));
        let failed = StageTasks::of(merges()).unwrap().given_up(1, lost());
        let failed = Error::from(failed.unwrap_err());
        assert_eq!(failed.kind(), ErrorKind::Unavailable);
        assert!(failed.to_string().contains("shard 1 could not be merged"), "{failed}");
    }

    #[test]
    fn a_shard_whose_store_failed_is_recognised_and_given_up_as_a_failure_of_the_store() {
        let tasks = StageTasks::of(merges()).unwrap();
        let fault = StorageFault::temporary(StorageOperation::Reading, "the state at s3://a/b", "it is slow");
        let row = |fault: &MergeFault| vec![MergeRows::fault_row(&tasks.schema(), fault).unwrap()];
        let reported = tasks.storage_fault(&row(&MergeFault::Storage(fault.clone()))).unwrap();
        assert_eq!(reported.as_ref(), Some(&fault));
        let failed = MergeFault::Failed { kind: ErrorKind::InvalidInput, message: "wrong".into() };
        assert_eq!(tasks.storage_fault(&row(&failed)).unwrap(), None);
        let given_up = tasks.given_up(0, Error::Storage(fault)).unwrap_err();
        assert!(is_of_store(&given_up));
        assert_eq!(Error::from(given_up).kind(), ErrorKind::Unavailable);
    }
}
