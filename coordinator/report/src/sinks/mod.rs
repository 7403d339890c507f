//! Sinks: webhooks and syslog collectors that receive findings at the end of a run.
//!
//! The operator who starts the process configures sinks in a file. Requests, lakes and results can't name one.

mod cef;
mod message;
mod settings;
mod syslog;
mod webhook;

use std::time::Duration;

use futures::future::join_all;
use hindcast_base::retry::{RetryPolicy, SINKS};
use hindcast_base::{Error, Result};
use hindcast_detections::findings::{Finding, Severity};

pub use settings::{SinkSettings, read_sinks};

use hindcast_scan::ScanResult;

use settings::SinkKind;
use syslog::Syslog;
use webhook::Webhook;

/// Attempts to send a message, and the waits between them.
const RETRIES: RetryPolicy = if cfg!(test) { RetryPolicy::new(2, 2).with_attempts(4) } else { SINKS };
/// Longest duration of one attempt.
const DEADLINE: Duration = Duration::from_secs(15);

/// A configured sink.
#[derive(Debug)]
pub struct Sink {
    name: String,
    min_level: Severity,
    every_run: bool,
    channel: Channel,
}

#[derive(Debug)]
enum Channel {
    Webhook(Webhook),
    Syslog(Syslog),
}

/// The end of a run.
#[derive(Clone, Copy)]
pub struct RunEnd<'a> {
    /// Id of the coordinator's job; empty for a scan in this process.
    pub job: &'a str,
    /// Its result, or its error.
    pub outcome: std::result::Result<&'a ScanResult, &'a Error>,
}

/// The outcome of sending to one sink.
#[derive(Debug)]
pub struct Delivery {
    /// The name of the sink.
    pub sink: String,
    /// Findings at or above its level.
    pub findings: usize,
    /// The reason, if they could not be sent.
    pub failure: Option<String>,
}

/// The reason of a failed attempt, and whether another attempt may succeed.
#[derive(Debug)]
struct Failure {
    reason: String,
    is_transient: bool,
}

impl Sink {
    /// Opens a sink.
    ///
    /// # Errors
    /// [`Error::Invalid`] if its URL is not valid, or an environment variable that it names is not set.
    pub fn open(settings: &SinkSettings) -> Result<Self> {
        settings.check()?;
        let channel = match settings.kind {
            SinkKind::Webhook => Channel::Webhook(Webhook::open(settings)?),
            SinkKind::Syslog => Channel::Syslog(Syslog::open(settings)?),
        };
        let SinkSettings { name, min_level, every_run, .. } = settings.clone();
        Ok(Self { name, min_level, every_run, channel })
    }

    /// Sends the findings of a run that are for this sink. `None` if there are none.
    async fn send(&self, end: RunEnd<'_>) -> Option<Delivery> {
        let all = end.outcome.map_or(&[][..], |result| &result.findings[..]);
        let findings: Vec<&Finding> =
            all.iter().filter(|finding| finding.severity >= self.min_level).collect();
        if findings.is_empty() && !self.every_run {
            return None;
        }
        let sent = match &self.channel {
            Channel::Webhook(webhook) => webhook.send(end, &findings).await,
            Channel::Syslog(syslog) => syslog.send(end, &findings, self.every_run).await,
        };
        let failure = sent.err();
        match &failure {
            // The result of the run exists nevertheless; only this delivery is lost.
            Some(reason) => tracing::error!(
                sink = self.name,
                job = end.job,
                findings = findings.len(),
                reason,
                "sending to a sink failed"
            ),
            None => {
                tracing::info!(sink = self.name, job = end.job, findings = findings.len(), "findings sent")
            }
        }
        Some(Delivery { sink: self.name.clone(), findings: findings.len(), failure })
    }
}

/// Sends the end of a run to all sinks at once. A sink that fails never makes the run fail.
pub async fn send_to_all(sinks: &[Sink], end: RunEnd<'_>) -> Vec<Delivery> {
    join_all(sinks.iter().map(|sink| sink.send(end))).await.into_iter().flatten().collect()
}

/// Calls `send` until it succeeds, with back-off, as long as failures are transient and attempts remain.
async fn with_retries<F: Future<Output = std::result::Result<(), Failure>>>(
    mut send: impl FnMut() -> F,
) -> std::result::Result<(), String> {
    let mut attempts = 0;
    let attempt = || {
        attempts += 1;
        let sent = tokio::time::timeout(DEADLINE, send());
        async move {
            let late = |_| Failure::transient(format!("no answer within {} s", DEADLINE.as_secs()));
            sent.await.map_err(late).flatten()
        }
    };
    let is_transient = |failure: &Failure| failure.is_transient;
    let on_retry = |failure: &Failure, _: Duration| tracing::debug!(reason = failure.reason, "sending again");
    let sent = RETRIES.retry(attempt, is_transient, on_retry).await;
    sent.map_err(|failure| format!("{} (tried {attempts} times)", failure.reason))
}

impl Failure {
    fn transient(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string(), is_transient: true }
    }

    fn permanent(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string(), is_transient: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_transient_failures_are_retried() {
        for (is_transient, expected) in [(true, 4), (false, 1)] {
            let mut tries = 0;
            let ended = with_retries(|| {
                tries += 1;
                std::future::ready(Err(Failure { reason: "refused".into(), is_transient }))
            });
            let error = ended.await.unwrap_err();
            assert!(error.starts_with("refused") && tries == expected, "{error}");
        }
    }
}
