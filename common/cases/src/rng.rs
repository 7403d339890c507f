//! A pseudo-random number generator with a seed (SplitMix64).

use std::sync::atomic::{AtomicU64, Ordering};

/// The step between states, from Steele, Lea and Flood: Fast Splittable Pseudorandom Number Generators.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gives the same numbers for the same seed.
#[derive(Debug)]
pub(super) struct SeededRng(AtomicU64);

impl SeededRng {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(STEP)))
    }

    fn next(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(super) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or_default()
    }

    /// Shuffles items.
    pub(super) fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Assigns each item to one of `parts` parts at random; parts may be empty.
    pub(super) fn split<T>(&self, items: impl IntoIterator<Item = T>, parts: usize) -> Vec<Vec<T>> {
        let mut split: Vec<Vec<T>> = std::iter::repeat_with(Vec::new).take(parts.max(1)).collect();
        for item in items {
            let part = self.below(split.len());
            split[part].push(item);
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_order_and_nothing_is_lost() {
        let ordered = |seed| {
            let rng = SeededRng::new(seed);
            let mut parts = rng.split(0..100, 3);
            parts.iter_mut().for_each(|part| rng.shuffle(part));
            parts.concat()
        };
        assert_eq!(ordered(1), ordered(1));
        assert_ne!(ordered(1), ordered(2));
        let mut all = ordered(3);
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
    }
}
