//! Divides the buckets into the shards of a merge, which weigh about the same.

use super::weights::{PART_BUCKETS, Weights};
use hindcast_functions::BUCKETS;

/// All buckets, in at most `count` ranges of nearly equal weight. A bucket that weighs more than a range is a range of its own, with
/// few others. Without weights, the ranges have nearly equal length.
pub fn shards(count: usize, weights: &Weights) -> Vec<(u16, u16)> {
    let count = count.clamp(1, usize::from(BUCKETS)) as u128;
    // What is not known weighs a little, so that ranges without known weight are divided too.
    let known: u64 = weights.of_parts().iter().sum();
    let least = (known / u64::from(BUCKETS) / 16).max(1);
    let of_bucket = |bucket: u16| {
        let part = weights.of_parts()[usize::from(bucket / PART_BUCKETS)];
        u128::from((part / u64::from(PART_BUCKETS)).max(least))
    };
    let total: u128 = (0..BUCKETS).map(of_bucket).sum();
    let (mut ranges, mut from, mut weight, mut shares) = (Vec::new(), 0, 0, 0);
    for bucket in 0..BUCKETS {
        weight += of_bucket(bucket);
        let full_shares = weight * count / total;
        if full_shares > shares || bucket + 1 == BUCKETS {
            ranges.push((from, bucket + 1));
            (from, shares) = (bucket + 1, full_shares);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_every_bucket_once() {
        for count in [1, 2, 3, 7, 64, 1_000, 4_096, 10_000] {
            let ranges = shards(count, &Weights::default());
            assert_eq!(ranges.len(), count.min(usize::from(BUCKETS)));
            assert_eq!(ranges.first().map(|range| range.0), Some(0));
            assert_eq!(ranges.last().map(|range| range.1), Some(BUCKETS));
            assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ranges:?}");
            assert!(ranges.iter().all(|range| range.0 < range.1), "{ranges:?}");
            let lengths: Vec<u16> = ranges.iter().map(|range| range.1 - range.0).collect();
            assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1, "{lengths:?}");
        }
    }

    /// Half of all rows are in one part of the buckets: that of a busy key.
    #[test]
    fn a_heavy_part_is_divided_more_finely() {
        let mut weights = Weights::default();
        let stored = |part: usize| {
            serde_json::from_value(serde_json::json!(
                (0..64).map(|other| if other == part { 1 + 8 * 26 } else { 1 + 8 * 20 }).collect::<Vec<_>>()
            ))
        };
        weights.add(&stored(5).unwrap());
        let ranges = shards(16, &weights);
        assert!((15..=16).contains(&ranges.len()), "{ranges:?}");
        let heavy = (5 * PART_BUCKETS, 6 * PART_BUCKETS);
        let in_heavy = ranges.iter().filter(|range| range.0 < heavy.1 && range.1 > heavy.0).count();
        assert!((8..=10).contains(&in_heavy), "{ranges:?}");
        assert_eq!(ranges.last().map(|range| range.1), Some(BUCKETS));
        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }
}
