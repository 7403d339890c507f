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
    /// A worker has asked: it has nothing to do, and was given nothing; or it has.
    pub(super) fn note(&self, worker: &str, is_idle: bool) {
        let mut since = self.since();
        if !is_idle {
            since.remove(worker);
        } else if !since.contains_key(worker) {
            since.insert(worker.to_owned(), Instant::now());
        }
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
        idle.note("a", true);
        idle.note("b", true);
        std::thread::sleep(moment * 2);
        idle.note("a", true);
        idle.note("b", false);
        idle.note("b", true);
        assert!(idle.has_been_for("a", moment));
        assert!(!idle.has_been_for("b", moment) && !idle.has_been_for("c", Duration::ZERO));
        idle.keep(|worker| worker == "b");
        assert!(!idle.has_been_for("a", moment));
    }
}
