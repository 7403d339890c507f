//! How the rows of state are spread over the buckets: only to divide work, never to decide what is in a result.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt16Type;
use serde::{Deserialize, Serialize};

use hindcast_detections::rollups::BUCKET_COLUMN;
use hindcast_functions::BUCKETS;

/// Equal parts of the buckets, each with a weight.
pub const PARTS: usize = 64;
/// Buckets of a part.
pub const PART_BUCKETS: u16 = BUCKETS / PARTS as u16;
/// Weight of a row without its sets, which weigh their bytes: about the bytes that a row takes without them.
const ROW_WEIGHT: u64 = 16;
/// Rows of state below which its weights are not stored: it costs little, whatever its spread.
const LEAST_ROWS: u64 = 4_096;
/// Steps of stored weights per power of two.
const STEPS: u32 = 8;

/// The weight of each part of the buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    of_parts: [u64; PARTS],
    rows: u64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { of_parts: [0; PARTS], rows: 0 }
    }
}

impl Weights {
    /// Weights of the parts.
    pub fn of_parts(&self) -> &[u64; PARTS] {
        &self.of_parts
    }

    /// Adds rows of state.
    pub(super) fn add_rows(&mut self, rows: &RecordBatch) {
        self.rows += rows.num_rows() as u64;
        let buckets =
            rows.column_by_name(BUCKET_COLUMN).and_then(|column| column.as_primitive_opt::<UInt16Type>());
        let Some(buckets) = buckets else { return };
        let sets: Vec<&[i32]> = rows
            .columns()
            .iter()
            .filter_map(|column| column.as_binary_opt::<i32>())
            .map(|sets| sets.value_offsets())
            .collect();
        for (row, bucket) in buckets.values().iter().enumerate() {
            let bytes: i32 = sets.iter().map(|ends| ends[row + 1] - ends[row]).sum();
            if let Some(weight) = self.of_parts.get_mut(usize::from(bucket / PART_BUCKETS)) {
                *weight += ROW_WEIGHT + u64::from(bytes.unsigned_abs());
            }
        }
    }

    /// The weights as they are stored; none for few rows.
    pub fn stored(&self) -> StoredWeights {
        let parts = self.of_parts.iter().map(|weight| step_of(*weight));
        StoredWeights(if self.rows < LEAST_ROWS { Box::default() } else { parts.collect() })
    }

    /// Adds stored weights.
    pub fn add(&mut self, stored: &StoredWeights) {
        if !stored.is_empty() {
            self.rows = self.rows.max(LEAST_ROWS);
        }
        self.of_parts.iter_mut().zip(&stored.0).for_each(|(weight, step)| *weight += weight_of(*step));
    }
}

/// Weights of the parts, each rounded down to a step of an eighth of a power of two. Empty if they are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredWeights(Box<[u8]>);

impl StoredWeights {
    /// Whether they are not known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// 0 for 0, otherwise 1 + 8 times the binary logarithm, interpolated linearly between powers of two; at most 255.
fn step_of(weight: u64) -> u8 {
    let Some(power) = weight.checked_ilog2() else { return 0 };
    let within = (u128::from(weight - (1 << power)) * u128::from(STEPS)) >> power;
    u8::try_from(u128::from(1 + STEPS * power) + within).unwrap_or(u8::MAX)
}

/// The least weight of a step.
fn weight_of(step: u8) -> u64 {
    let Some(step) = u32::from(step).checked_sub(1) else { return 0 };
    let (power, within) = (step / STEPS, u64::from(step % STEPS));
    (1 << power) + ((u128::from(within) << power) / u128::from(STEPS)) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, UInt16Array};

    use super::*;

    fn rows(buckets: Vec<u16>, set: &[u8]) -> RecordBatch {
        let sets = BinaryArray::from_iter_values(buckets.iter().map(|_| set));
        let columns: [(&str, ArrayRef); 2] =
            [("seconds", Arc::new(sets)), (BUCKET_COLUMN, Arc::new(UInt16Array::from(buckets)))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn stored_weights_are_at_most_an_eighth_too_small() {
        for weight in (0..2_000).chain((0..29).map(|power| (3u64 << power) - 1)) {
            let stored = weight_of(step_of(weight));
            assert!(stored <= weight && weight - stored <= stored / 8, "{weight} is stored as {stored}");
        }
        assert_eq!(step_of(u64::MAX), u8::MAX);
    }

    #[test]
    fn rows_and_sets_weigh_on_the_parts_of_their_buckets() {
        let mut weights = Weights::default();
        weights.add_rows(&rows(vec![0, PART_BUCKETS - 1, PART_BUCKETS, BUCKETS - 1], &[1, 2]));
        assert!(weights.stored().is_empty(), "few rows");
        let own = ROW_WEIGHT + 2;
        assert_eq!(
            (weights.of_parts[0], weights.of_parts[1], weights.of_parts[PARTS - 1]),
            (2 * own, own, own)
        );
        weights.add_rows(&rows(vec![7; 5_000], &[]));
        let mut read = Weights::default();
        read.add(&weights.stored());
        assert!(read.of_parts[0] > 70_000 && read.of_parts[1] <= own, "{read:?}");
    }
}
