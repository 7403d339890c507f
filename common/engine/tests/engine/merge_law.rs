//! The law of rollups: the states of parts, merged in any order and by any shards, equal the state of the whole.

use std::sync::Arc;

use crate::rows::{batch, rows_of};
use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, take_record_batch};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use hindcast_detections::Detections;
use hindcast_detections::config::Config;
use hindcast_detections::rollups::{BUCKET_COLUMN, Rollup};
use hindcast_functions::BUCKETS;
use hindcast_lake::task_session;
use proptest::prelude::*;

struct Bench {
    session: SessionContext,
    config: Config,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        Self {
            session: task_session(Arc::new(RuntimeEnv::default())),
            config: Config::load("default", &[]).expect("the preset"),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        }
    }

    fn collect(&self, frame: DataFrame) -> RecordBatch {
        let schema = Arc::clone(frame.schema().inner());
        let batches = self.runtime.block_on(frame.collect()).expect("rows");
        concat_batches(&schema, &batches).expect("one batch")
    }

    fn state(&self, rollup: &Rollup, rows: RecordBatch) -> RecordBatch {
        let table = self.session.read_batch(rows).expect("a frame");
        self.collect(rollup.build(table, &self.config).expect("a plan"))
    }

    /// One stored state of several, with the columns of stored state.
    fn combined(&self, rollup: &Rollup, states: RecordBatch) -> RecordBatch {
        let schema = states.schema();
        let states = self.session.read_batch(states).expect("a frame");
        let combined = self.collect(rollup.combine(states).expect("a plan"));
        RecordBatch::try_new(schema, combined.columns().to_vec()).expect("the columns of state")
    }

    fn merged(&self, rollup: &Rollup, states: RecordBatch, buckets: (u16, u16)) -> Vec<String> {
        let in_shard =
            ident(BUCKET_COLUMN).gt_eq(lit(buckets.0)).and(ident(BUCKET_COLUMN).lt(lit(buckets.1)));
        let states = self.session.read_batch(states).expect("a frame").filter(in_shard).expect("a filter");
        rows_of(&self.collect(rollup.merge(states).expect("a plan")))
    }
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn parts_unite_to_the_whole(
        rows in prop::collection::vec((any::<u64>(), 0usize..4), 1..120),
        order in Just([0usize, 1, 2, 3]).prop_shuffle(),
        cut in 1u16..BUCKETS,
    ) {
        let bench = Bench::new();
        for rollup in Detections::built_in().rollups() {
            let seeds: Vec<u64> = rows.iter().map(|(seed, _)| *seed).collect();
            let whole = bench.state(rollup, batch(rollup, &seeds));
            let expected = sorted(bench.merged(rollup, whole, (0, BUCKETS)));

            let parts: Vec<RecordBatch> = order
                .iter()
                .map(|part| {
                    let of_part: Vec<u64> = rows.iter().filter(|(_, p)| p == part).map(|(seed, _)| *seed).collect();
                    bench.state(rollup, batch(rollup, &of_part))
                })
                .collect();
            let states = concat_batches(&parts[0].schema(), &parts).expect("states");
            prop_assert_eq!(&expected, &sorted(bench.merged(rollup, states.clone(), (0, BUCKETS))), "{} in parts", rollup.id);

            // Some states combined into one, and that one with the others.
            let combined = bench.combined(rollup, concat_batches(&parts[0].schema(), &parts[..2]).expect("states"));
            let with_others = concat_batches(&combined.schema(), [&combined, &parts[2], &parts[3]]).expect("states");
            let again = bench.combined(rollup, with_others.clone());
            prop_assert_eq!(&expected, &sorted(bench.merged(rollup, with_others, (0, BUCKETS))), "{} combined", rollup.id);
            prop_assert_eq!(&expected, &sorted(bench.merged(rollup, again, (0, BUCKETS))), "{} combined twice", rollup.id);

            let low = bench.merged(rollup, states.clone(), (0, cut));
            let high = bench.merged(rollup, states, (cut, BUCKETS));
            prop_assert_eq!(&expected, &sorted([low, high].concat()), "{} in shards", rollup.id);
        }
    }
}

/// The generated rows give state to each rollup: with empty states the law would hold trivially.
#[test]
fn generated_rows_give_every_rollup_state() {
    let bench = Bench::new();
    for rollup in Detections::built_in().rollups() {
        let seeds: Vec<u64> = (0..500u64).map(|seed| seed.wrapping_mul(0x2545_f491_4f6c_dd1d)).collect();
        let rows = batch(rollup, &seeds);
        let state = bench.state(rollup, rows.clone());
        assert!(state.num_rows() > 1, "{}", rollup.id);
        // Rows in a different order give the same state.
        let reversed: arrow::array::UInt32Array = (0..rows.num_rows() as u32).rev().collect();
        let reversed = take_record_batch(&rows, &reversed).expect("rows");
        assert_eq!(sorted(rows_of(&state)), sorted(rows_of(&bench.state(rollup, reversed))), "{}", rollup.id);
    }
}
