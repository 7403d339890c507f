//! State files with random damage: reading one returns the rows that were written, or an error. `HINDCAST_MUTATIONS` sets their
//! number.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt16Array,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{ident, lit};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::state_table::StateTable;
use super::write_state::{EncodedState, encode_batch};
use hindcast_detections::rollups::BUCKET_COLUMN;
use hindcast_functions::BUCKETS;
use hindcast_lake::task_session;
use hindcast_lake::{Location, StateFile};

/// Default number of files of each size.
const RUNS: u64 = 60;
/// Rows of a file that takes one request, and of one that takes several.
const SIZES: [i64; 2] = [80, 30_000];

fn runs() -> u64 {
    std::env::var("HINDCAST_MUTATIONS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

/// Rows with the types of state, sorted by bucket.
fn rows(count: i64) -> RecordBatch {
    let mix = |row: i64| (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = |row: i64| (row % 7 != 0).then(|| format!("10.{}.0.{}", mix(row) % 9, row % 250));
    let keys: StringArray = (0..count).map(key).collect();
    let numbers: Int64Array = (0..count).map(|row| (row % 5 != 0).then(|| mix(row) as i64 >> 20)).collect();
    let times: TimestampMicrosecondArray = (0..count).map(|row| Some(row * 1_000_003)).collect();
    let sets: BinaryArray = (0..count).map(|row| (row % 3 != 0).then(|| mix(row).to_le_bytes())).collect();
    let bucket = |row: i64| Some((row * i64::from(BUCKETS) / count) as u16);
    let buckets: UInt16Array = (0..count).map(bucket).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("key", Arc::new(keys) as ArrayRef, true),
        ("number", Arc::new(numbers), true),
        ("time", Arc::new(times), true),
        ("set", Arc::new(sets), true),
        (BUCKET_COLUMN, Arc::new(buckets), true),
    ])
    .unwrap()
}

fn text_of(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default();
    let of_batch = |batch: &RecordBatch| -> Vec<String> {
        let cells: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        let row = |row| cells.iter().map(|cell| cell.value(row).to_string()).collect::<Vec<_>>().join("|");
        (0..batch.num_rows()).map(row).collect()
    };
    batches.iter().flat_map(of_batch).collect()
}

async fn read(
    folder: &Path,
    file: &StateFile,
    rows: &RecordBatch,
    buckets: (u16, u16),
) -> Result<Vec<String>> {
    let session = task_session(Arc::new(RuntimeEnv::default()));
    let state = Location::parse(&folder.display().to_string()).unwrap();
    let table = StateTable::new(rows.schema(), state, vec![file.clone()]);
    let in_shard = ident(BUCKET_COLUMN).gt_eq(lit(buckets.0)).and(ident(BUCKET_COLUMN).lt(lit(buckets.1)));
    let frame = session.read_table(Arc::new(table))?.filter(in_shard)?;
    Ok(text_of(&frame.collect().await?))
}

fn broken(state: &EncodedState, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = state.bytes.clone();
    let length = bytes.len();
    let at = rng.random_range(0..length);
    let run = rng.random_range(1..200).min(length - at);
    match rng.random_range(0..10) {
        0 => bytes.truncate(at),
        1 => bytes[at..at + run].fill(0),
        2 => drop(bytes.drain(at..at + run)),
        3 => bytes.extend_from_within(at..at + run),
        4 => {
            let other = rng.random_range(0..=length - run);
            bytes.copy_within(at..at + run, other);
        }
        5..7 => {
            let in_tail = rng.random_range(length - state.tail_bytes as usize..length);
            bytes[in_tail] ^= 1 << rng.random_range(0..8);
        }
        _ => bytes[at] ^= 1 << rng.random_range(0..8),
    }
    bytes
}

#[tokio::test]
async fn mutations_of_state_files_give_their_rows_or_an_error() {
    for (place, rows) in SIZES.map(rows).iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let state = encode_batch(rows).unwrap();
        let file = state.data().file("table");
        let path = folder.path().join(&file.path);
        std::fs::write(&path, &state.bytes).unwrap();
        let shards = [(0, BUCKETS), (200, 600), (BUCKETS - BUCKETS / 40, BUCKETS)];
        let mut whole = Vec::new();
        for shard in shards {
            whole.push(read(folder.path(), &file, rows, shard).await.unwrap());
        }
        assert_eq!(whole[0], text_of(std::slice::from_ref(rows)));
        assert!(whole.iter().all(|rows| !rows.is_empty()));
        let mut noticed = 0;
        for seed in 0..runs() {
            let mut rng = ChaCha8Rng::seed_from_u64(seed * 10 + place as u64);
            let bytes = broken(&state, &mut rng);
            std::fs::write(&path, &bytes).unwrap();
            let shard = rng.random_range(0..shards.len());
            match read(folder.path(), &file, rows, shards[shard]).await {
                Ok(rows) => assert!(rows == whole[shard], "size {place}, seed {seed}: other rows"),
                Err(_) => noticed += 1,
            }
            if shard == 0 && bytes.get(..state.bytes.len()) != Some(&state.bytes[..]) {
                // A file that is read whole must be read with its damage.
                assert!(
                    read(folder.path(), &file, rows, (0, BUCKETS)).await.is_err(),
                    "size {place}, seed {seed}"
                );
            }
        }
        assert!(noticed > runs() / 4, "{noticed} of {} noticed", runs());
    }
}

/// Replaces the file by another one of the same size and schema.
#[tokio::test]
async fn another_file_in_its_place_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(50);
    let file = encode_batch(&rows).unwrap().data().file("table");
    let other = encode_batch(&rows.slice(0, 49)).unwrap();
    std::fs::write(folder.path().join(&file.path), &other.bytes).unwrap();
    let of_other = StateFile { path: file.path.clone(), ..other.data().file("table") };
    for file in [file, of_other] {
        let error = read(folder.path(), &file, &rows, (0, BUCKETS)).await.unwrap_err().to_string();
        assert!(error.contains(&file.path), "{error}");
    }
}
