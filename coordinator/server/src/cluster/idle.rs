//! Workers that report that they have nothing to do. If such a worker was given a task, the task was lost on its way to the
//! worker, or its status was lost on the way back: Ballista's protocol repeats neither.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time since when each worker has been idle, by its id.
#[derive(Debug, Default)]
pub(super) struct IdleWorkers {
    since: Mutex<HashMap<String, Instant>>,
}

impl IdleWorkers {
    /// Records that a worker polls; returns since when it was idle. It does not count as idle until its answer is known,
    /// because a task that it is given shows in its job before the answer is sent.
    pub(super) fn polls(&self, worker: &str) -> Option<Instant> {
        self.since().remove(worker)
    }

    /// Records that a worker has nothing to do and was given nothing. It counts as idle from `since`, if it was idle before.
    pub(super) fn set_idle(&self, worker: String, since: Option<Instant>) {
        self.since().insert(worker, since.unwrap_or_else(Instant::now));
    }

    /// Whether a worker has been idle for longer than `length`.
    pub(super) fn has_been_for(&self, worker: &str, length: Duration) -> bool {
        self.since().get(worker).is_some_and(|since| since.elapsed() > length)
    }

    /// Forgets the workers that are no longer known.
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
    fn idle_time_counts_from_the_first_idle_poll_and_ends_with_work() {
        let idle = IdleWorkers::default();
        let moment = Duration::from_millis(20);
        let set_idle = |worker: &str, since| idle.set_idle(worker.to_owned(), since);
        for worker in ["a", "b"] {
            set_idle(worker, idle.polls(worker));
        }
        std::thread::sleep(moment * 2);
        let since = idle.polls("a");
        assert!(!idle.has_been_for("a", moment));
        set_idle("a", since);
        // It is given a task, then it is idle again.
        idle.polls("b");
        set_idle("b", idle.polls("b"));
        assert!(idle.has_been_for("a", moment));
        assert!(!idle.has_been_for("b", moment) && !idle.has_been_for("c", Duration::ZERO));
        idle.keep(|worker| worker == "b");
        assert!(!idle.has_been_for("a", moment));
    }
}
