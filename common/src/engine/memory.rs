//! The memory budget that the tasks of a process share.

use datafusion::common::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// Part of the budget, as its divisor, that any one grouping or sort may hold.
const FLOOR_PART: usize = 16;

/// DataFusion's [`FairSpillPool`], with a floor below a consumer's share.
///
/// The fair share is the budget by the number of all that can spill, also of those that hold nothing: with a hundred
/// groupings planned side by side it is less than the first batch of any of them needs, which then has nothing to spill and fails. Few
/// ever hold much at once, so each gets the floor, and the budget may be passed by that of those few.
#[derive(Debug)]
pub(super) struct Budget {
    shares: FairSpillPool,
    floor: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self { shares: FairSpillPool::new(bytes), floor: bytes / FLOOR_PART }
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shares.fmt(formatter)
    }
}

impl MemoryPool for Budget {
    fn name(&self) -> &str {
        "budget"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shares.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shares.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shares.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shares.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let granted = self.shares.try_grow(reservation, additional);
        if granted.is_err() && reservation.size() + additional <= self.floor {
            self.shares.grow(reservation, additional);
            return Ok(());
        }
        granted
    }

    fn reserved(&self) -> usize {
        self.shares.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.shares.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn one_of_many_that_hold_nothing_gets_the_floor_and_no_more() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Budget::new(1_600));
        let many: Vec<MemoryReservation> = (0..100)
            .map(|index| {
                MemoryConsumer::new(format!("grouping {index}")).with_can_spill(true).register(&pool)
            })
            .collect();
        many[0].try_grow(100).unwrap();
        assert!(many[0].try_grow(1).is_err());
        many[1].try_grow(60).unwrap();
        assert_eq!(pool.reserved(), 160);
        drop(many);
        assert_eq!(pool.reserved(), 0);
    }
}
