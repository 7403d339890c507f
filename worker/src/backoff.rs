//! A channel to the coordinator that delays failed calls, longer after each consecutive failure. Ballista's poll loop retries
//! without a pause; with this channel it polls an unreachable coordinator less and less often, and one that is back at once.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;
use tonic::codegen::{BoxFuture, Service, http};

/// Wait after the first failure; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Doublings after which the longest wait is reached.
const MOST_DOUBLINGS: u32 = 8;
/// Header that holds the status of a gRPC call whose response has no body.
const STATUS_HEADER: &str = "grpc-status";

/// A channel that delays its failures.
#[derive(Debug, Clone)]
pub(crate) struct BackoffChannel<S> {
    channel: S,
    failures: Arc<AtomicU32>,
}

impl<S> BackoffChannel<S> {
    pub fn new(channel: S) -> Self {
        Self { channel, failures: Arc::default() }
    }
}

impl<S, Q, R> Service<http::Request<Q>> for BackoffChannel<S>
where
    S: Service<http::Request<Q>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Q>) -> Self::Future {
        let (answer, failures) = (self.channel.call(request), Arc::clone(&self.failures));
        Box::pin(async move {
            let answer = answer.await;
            if has_failed(&answer) {
                let failures = failures.fetch_add(1, Ordering::Relaxed);
                sleep(wait_after(failures, RandomState::new().build_hasher().finish())).await;
            } else {
                failures.store(0, Ordering::Relaxed);
            }
            answer
        })
    }
}

fn has_failed<R, E>(answer: &Result<http::Response<R>, E>) -> bool {
    let status = answer.as_ref().map(|answer| answer.headers().get(STATUS_HEADER));
    status.map_or(true, |status| status.is_some_and(|status| status != "0"))
}

/// The wait after `failures` earlier failures. Half of its length is random, so that workers do not all retry at the same moment.
fn wait_after(failures: u32, chance: u64) -> Duration {
    let whole = LONGEST_WAIT.min(FIRST_WAIT * 2u32.pow(failures.min(MOST_DOUBLINGS)));
    let part = (chance % 1_000) as u32;
    whole / 2 + whole * part / 2_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_maximum_and_are_jittered() {
        let mut before = Duration::ZERO;
        for failures in 0..8 {
            let (shortest, longest) = (wait_after(failures, 0), wait_after(failures, 999));
            assert!(shortest < longest && before < longest, "{failures}: {shortest:?} to {longest:?}");
            before = longest;
        }
        assert_eq!(wait_after(1_000_000, 0), LONGEST_WAIT / 2);
        assert!(wait_after(1_000_000, 999) <= LONGEST_WAIT);
    }

    #[test]
    fn a_response_with_an_error_status_is_a_failure() {
        let answer = |status: Option<&str>| {
            let mut answer = http::Response::new(());
            if let Some(status) = status {
                answer.headers_mut().insert(STATUS_HEADER, status.parse().unwrap());
            }
            Ok::<_, ()>(answer)
        };
        assert!(has_failed::<(), ()>(&Err(())));
        assert!(has_failed(&answer(Some("14"))));
        assert!(!has_failed(&answer(Some("0"))) && !has_failed(&answer(None)));
    }
}
