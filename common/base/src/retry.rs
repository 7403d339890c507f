//! Back-off for every call that is retried: the policies, and the retries of actions on an object store.
//!
//! Waits double up to a limit. Half of each wait is random, so that processes that fail together do not retry together.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};

use crate::storage_fault::is_of_store;
use crate::{Error, Result};

/// Actions on an object store. The store's client retries requests, but not responses that break off.
const STORE: RetryPolicy = RetryPolicy::new(700, 5_600).with_attempts(4);
/// Units of a scan whose store fails. Each attempt runs them again.
pub const UNITS: RetryPolicy = RetryPolicy::new(700, 5_600).with_attempts(4);
/// Submissions of task batches to the cluster, as long as any task is missing.
pub const TASK_BATCHES: RetryPolicy = RetryPolicy::new(250, 15_000);
/// Calls of a coordinator, which may be restarting.
pub const COORDINATOR: RetryPolicy = RetryPolicy::new(200, 5_000).with_attempts(52);
/// Polls of workers for tasks, as long as the coordinator does not answer.
pub const POLLS: RetryPolicy = RetryPolicy::new(200, 30_000);
/// Deliveries to sinks.
pub const SINKS: RetryPolicy = RetryPolicy::new(700, 5_600).with_attempts(4);
/// Writes of a job's end, until it is stored.
pub const JOB_ENDS: RetryPolicy = RetryPolicy::new(1_000, 60_000);
/// Submissions to a coordinator that has enough jobs already.
pub const BUSY: RetryPolicy = RetryPolicy::new(2_000, 3_000).with_attempts(300);

/// The waits between the attempts at a call: an iterator, which ends after the last attempt.
pub type Waits = ExponentialBackoff;

/// How often a call is attempted, and how long to wait between attempts.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    first_ms: u64,
    longest_ms: u64,
    attempts: Option<u32>,
}

impl RetryPolicy {
    /// Any number of attempts. The wait before the second is at most `first_ms`, doubles with each further one, and never exceeds
    /// `longest_ms`. At least half of it passes.
    pub const fn new(first_ms: u64, longest_ms: u64) -> Self {
        Self { first_ms, longest_ms, attempts: None }
    }

    /// At most `attempts`, the first included.
    #[must_use]
    pub const fn with_attempts(self, attempts: u32) -> Self {
        Self { attempts: Some(attempts), ..self }
    }

    /// Number of attempts, the first included; any number if absent.
    pub const fn attempts(&self) -> Option<u32> {
        self.attempts
    }

    /// The waits of a call. `None` comes after the last attempt.
    pub fn waits(&self) -> Waits {
        self.builder().build()
    }

    /// The wait after so many consecutive failures, the first being 1, whatever the number of attempts.
    pub fn wait_after(&self, failures: u32) -> Duration {
        let unlimited = Self { attempts: None, ..*self };
        // After so many doublings each policy has reached its longest wait.
        let index = failures.saturating_sub(1).min(32) as usize;
        unlimited.waits().nth(index).unwrap_or_default()
    }

    /// The result of `action`, retried while `is_temporary` is true of its error. `on_retry` is called before each wait.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn retry<T, E, F: Future<Output = std::result::Result<T, E>>>(
        &self,
        action: impl FnMut() -> F,
        is_temporary: impl FnMut(&E) -> bool,
        on_retry: impl FnMut(&E, Duration),
    ) -> std::result::Result<T, E> {
        action.retry(self.builder()).when(is_temporary).notify(on_retry).await
    }

    fn builder(&self) -> ExponentialBuilder {
        // The jitter of `backon` is up to a whole wait on top of it.
        let builder = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(self.first_ms / 2))
            .with_max_delay(Duration::from_millis(self.longest_ms / 2))
            .with_jitter();
        match self.attempts {
            Some(attempts) => builder.with_max_times(attempts.saturating_sub(1) as usize),
            None => builder.without_max_times(),
        }
    }
}

/// The result of `action`, retried while a store fails with an error that may be temporary.
///
/// # Errors
/// The error of the last attempt.
pub async fn with_retries<T, F: Future<Output = Result<T>>>(action: impl FnMut() -> F) -> Result<T> {
    let on_retry = |error: &Error, wait: Duration| tracing::warn!(%error, ?wait, "trying again");
    STORE.retry(action, is_temporary, on_retry).await
}

fn is_temporary(error: &Error) -> bool {
    match error {
        Error::Storage(fault) => fault.is_temporary(),
        Error::Engine(_) => is_of_store(error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use object_store::Error as StoreError;

    use super::*;

    const ROUNDING: Duration = Duration::from_millis(1);
    /// The store's policy, without its waits.
    const AT_ONCE: RetryPolicy = RetryPolicy { first_ms: 2, longest_ms: 2, ..STORE };

    #[tokio::test]
    async fn only_temporary_failures_are_retried() {
        let failing: [(fn() -> Error, u32); 3] = [
            (|| Error::listing("a file")(StoreError::Generic { store: "S3", source: "broken".into() }), 4),
            (|| Error::Invalid("wrong".into()), 1),
            (
                || {
                    let (path, source) = ("a".into(), "gone".into());
                    Error::reading("a file")(StoreError::NotFound { path, source })
                },
                1,
            ),
        ];
        for (error, expected) in failing {
            let (mut attempts, mut waits) = (0, 0);
            let failed = || {
                attempts += 1;
                std::future::ready(Err::<(), Error>(error()))
            };
            assert!(AT_ONCE.retry(failed, is_temporary, |_, _| waits += 1).await.is_err());
            assert_eq!((attempts, waits), (expected, expected - 1));
        }
    }

    #[tokio::test]
    async fn an_attempt_that_succeeds_is_the_last() {
        let mut attempts = 0;
        let third = || {
            attempts += 1;
            std::future::ready(if attempts < 3 { Err("broken") } else { Ok(attempts) })
        };
        assert_eq!(AT_ONCE.retry(third, |_| true, |_, _| {}).await, Ok(3));
    }

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_each_is_random() {
        for policy in [STORE, UNITS, TASK_BATCHES, COORDINATOR, POLLS, SINKS, JOB_ENDS, BUSY] {
            let mut whole = Duration::from_millis(policy.first_ms);
            let longest = Duration::from_millis(policy.longest_ms);
            for (index, wait) in policy.waits().take(50).enumerate() {
                let (least, most) = (whole / 2 - ROUNDING, whole + ROUNDING);
                assert!(least <= wait && wait <= most, "{policy:?}: wait {index} is {wait:?}");
                whole = (whole * 2).min(longest);
            }
            let late = policy.wait_after(1_000_000);
            assert!(longest / 2 - ROUNDING <= late && late <= longest + ROUNDING, "{policy:?}: {late:?}");
            let first = policy.wait_after(1);
            assert!(first <= Duration::from_millis(policy.first_ms) + ROUNDING, "{policy:?}: {first:?}");
        }
        let random: std::collections::BTreeSet<Duration> = (0..9).map(|_| POLLS.wait_after(3)).collect();
        assert!(random.len() > 1);
    }

    #[test]
    fn a_policy_has_one_wait_less_than_attempts() {
        assert_eq!(STORE.waits().count(), 3);
        assert_eq!(COORDINATOR.waits().count(), 51);
        assert_eq!(POLLS.waits().take(1_000).count(), 1_000);
        assert_eq!(POLLS.attempts(), None);
    }
}
