//! A result in a file equals one in memory, down to the parts in which it is written.

use arrow::array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};
use hindcast_engine::runtime;

use super::*;
use crate::parts::recut;

const ROWS: usize = 3 * PART_ROWS + 17;
const BATCH_ROWS: usize = 5_000;

/// Unsorted rows, with equal times, nulls and equal rows among them.
fn rows() -> RecordBatch {
    let shuffled = |index: usize| (index * 48_271) % ROWS;
    let times: TimestampMicrosecondArray =
        (0..ROWS).map(|index| Some((shuffled(index) / 7) as i64 * 1_000_000)).collect();
    let texts: StringViewArray =
        (0..ROWS).map(|index| (index % 5 > 0).then(|| format!("host-{}", shuffled(index) % 1_000))).collect();
    let sizes: Int64Array =
        (0..ROWS).map(|index| (index % 3 > 0).then_some((shuffled(index) % 90) as i64)).collect();
    let long: StringViewArray = (0..ROWS)
        .map(|index| Some(format!("https://files.example.com/a/long/path/{:040}", shuffled(index) % 9)))
        .collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("time_generated", Arc::new(times.with_timezone("UTC"))),
        ("source_ip", Arc::new(texts)),
        ("request_url", Arc::new(long)),
        ("bytes_sent", Arc::new(sizes)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

async fn whole(may_spill: bool, memory_bytes: usize) -> AnalysisRows {
    let (config, runtime) = (Config::load("default", &[]).unwrap(), runtime(memory_bytes, None).unwrap());
    let (analysis, all) = (config.detections.by_id("attack_timeline").unwrap(), rows());
    let mut collector = RowCollector::new(analysis, all.schema());
    assert!(collector.may_spill);
    collector.may_spill = may_spill;
    for start in (0..ROWS).step_by(BATCH_ROWS) {
        collector.add(all.slice(start, BATCH_ROWS.min(ROWS - start)), &runtime).unwrap();
    }
    collector.finish(analysis, &config, &runtime).await.unwrap()
}

/// The parts in which writers get the rows of `table`.
fn written(table: &ResultTable) -> Vec<RecordBatch> {
    recut(table.parts()).collect::<Result<_>>().unwrap()
}

#[tokio::test]
async fn a_result_in_a_file_is_that_in_memory() {
    let held = whole(false, 1 << 30).await;
    assert!(matches!(held, AnalysisRows::Held(_)));
    let held = held.into_table("t").unwrap();
    assert_eq!(held.rows(), ROWS);
    let bytes = written(&held);
    // With plenty of memory, and with so little that the sort spills.
    for (name, memory_bytes) in [("plenty", 1 << 30), ("little", 8 << 20)] {
        let spilled = whole(true, memory_bytes).await;
        assert!(matches!(spilled, AnalysisRows::Spilled(_)));
        let spilled = spilled.into_table("t").unwrap();
        assert_eq!(spilled.rows(), ROWS);
        assert!(written(&spilled) == bytes, "{name}");
    }
}

#[tokio::test]
async fn what_is_written_does_not_depend_on_where_rows_are_cut() {
    let whole = whole(false, 1 << 30).await.into_table("t").unwrap();
    let bytes = written(&whole);
    let rows = &whole.batches().unwrap()[0];
    // As a coordinator sends them, and with a part without rows.
    for part_rows in [1_000, 14_321, PART_ROWS, 2 * PART_ROWS + 1] {
        let starts = (0..ROWS).step_by(part_rows);
        let mut parts: Vec<_> = starts.map(|start| rows.slice(start, part_rows.min(ROWS - start))).collect();
        parts.insert(1, rows.slice(0, 0));
        let table = ResultTable::held("t", &parts).unwrap();
        assert!(written(&table) == bytes, "{part_rows}");
    }
    let none = ResultTable::held("t", &[rows.slice(0, 0), rows.slice(0, 0)]).unwrap();
    let none = written(&none);
    assert_eq!((none.len(), none[0].num_rows(), none[0].num_columns()), (1, 0, 4));
}

#[tokio::test]
async fn rows_in_a_file_can_be_read_again_and_go_with_their_last_reader() {
    let AnalysisRows::Spilled(rows) = whole(true, 1 << 30).await else { panic!("held") };
    let path = path_of(&rows.file).unwrap().to_owned();
    for _ in 0..2 {
        let count: usize = rows.parts().unwrap().map(|part| part.unwrap().num_rows()).sum();
        assert_eq!(count, ROWS);
    }
    drop(rows);
    assert!(!path.exists());
}
