//! The memory budget that the tasks of a process share.

use datafusion::common::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// The divisor of the budget that gives the memory that any single grouping or sort may hold.
const FLOOR_PART: usize = 16;

/// DataFusion's [`FairSpillPool`], with a lower limit for a consumer's share.
///
/// The fair share is the budget divided by the number of all consumers that can spill, even if they hold nothing. With a
/// hundred groupings planned at once it is less than any of them needs for its first batch, and the grouping fails because it has
/// nothing to spill. Few consumers hold much at the same time, so each gets at least the floor, and the total may exceed the budget
/// by the floors of those few.
#[derive(Debug)]
pub(super) struct Budget {
    shares: FairSpillPool,
    floor: usize,
}

impl Budget {
    /// A budget of `bytes`.
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
    fn a_consumer_among_many_idle_ones_gets_the_floor_and_no_more() {
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
