//! A channel to the coordinator that delays failed calls, longer after each consecutive failure. Ballista's poll loop retries
//! without a pause; with this channel it polls an unreachable coordinator less and less often, and one that is back at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use hindcast_base::retry::POLLS;
use tokio::time::sleep;
use tonic::codegen::{BoxFuture, Service, http};

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
                let failures = failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                sleep(POLLS.wait_after(failures)).await;
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A channel that answers calls with these gRPC statuses, the last one first.
    struct Answers(Vec<&'static str>);

    impl Service<http::Request<()>> for Answers {
        type Response = http::Response<()>;
        type Error = ();
        type Future = std::future::Ready<Result<http::Response<()>, ()>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<()>) -> Self::Future {
            let status = self.0.pop().ok_or(());
            std::future::ready(status.map(|status| {
                let mut answer = http::Response::new(());
                answer.headers_mut().insert(STATUS_HEADER, status.parse().unwrap());
                answer
            }))
        }
    }

    #[tokio::test]
    async fn failed_calls_are_delayed_until_one_succeeds() {
        let mut channel = BackoffChannel::new(Answers(vec!["0", "14", "14"]));
        let (started, shortest) = (Instant::now(), POLLS.wait_after(1) / 2 + POLLS.wait_after(2) / 2);
        for failures in [1, 2] {
            channel.call(http::Request::new(())).await.unwrap();
            assert_eq!(channel.failures.load(Ordering::Relaxed), failures);
        }
        assert!(started.elapsed() >= shortest, "{:?}", started.elapsed());
        channel.call(http::Request::new(())).await.unwrap();
        assert_eq!(channel.failures.load(Ordering::Relaxed), 0);
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
