//! Workers that have nothing to do, by their own word. What they were given and do not know of was lost on its way to them, or
//! what it came to on the way back: Ballista's protocol repeats neither.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Since when each has been idle, by its id.
#[derive(Debug, Default)]
pub(super) struct IdleWorkers {
    since: Mutex<HashMap<String, Instant>>,
}

impl IdleWorkers {
    /// A worker asks. Until it is known what it gets it is not idle: what it is given shows in a job before its answer is
    /// written. Since when it was.
    pub(super) fn asks(&self, worker: &str) -> Option<Instant> {
        self.since().remove(worker)
    }

    /// A worker has nothing to do and was given nothing, as `since` then where it was idle before it asked.
    pub(super) fn rests(&self, worker: String, since: Option<Instant>) {
        self.since().insert(worker, since.unwrap_or_else(Instant::now));
    }

    /// Whether a worker has been idle for so long.
    pub(super) fn has_been_for(&self, worker: &str, length: Duration) -> bool {
        self.since().get(worker).is_some_and(|since| since.elapsed() > length)
    }

    /// Forgets those that are not `known` any more.
    pub(super) fn keep(&self, is_known: impl Fn(&str) -> bool) {
        self.since().retain(|worker, _| is_known(worker));
    }

    fn since(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idleness_ends_with_work_and_counts_from_its_first_word() {
        let idle = IdleWorkers::default();
        let moment = Duration::from_millis(20);
        let rests = |worker: &str, since| idle.rests(worker.to_owned(), since);
        for worker in ["a", "b"] {
            rests(worker, idle.asks(worker));
        }
        std::thread::sleep(moment * 2);
        let since = idle.asks("a");
        assert!(!idle.has_been_for("a", moment));
        rests("a", since);
        // Given something, then idle again.
        idle.asks("b");
        rests("b", idle.asks("b"));
        assert!(idle.has_been_for("a", moment));
        assert!(!idle.has_been_for("b", moment) && !idle.has_been_for("c", Duration::ZERO));
        idle.keep(|worker| worker == "b");
        assert!(!idle.has_been_for("a", moment));
    }
}
