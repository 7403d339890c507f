//! Where findings are pushed at the end of a run: webhooks and syslog collectors.
//!
//! Sinks come from a file of whoever starts the process. No request, lake or result names one.

mod cef;
mod message;
mod settings;
mod syslog;
mod webhook;

use std::time::Duration;

use futures::future::join_all;
use hindcast_common::findings::{Finding, Severity};
use hindcast_common::{Error, Result};

pub use settings::{SinkSettings, read_sinks};

use crate::scan::ScanResult;
use settings::SinkKind;
use syslog::Syslog;
use webhook::Webhook;

/// Times a message is sent before it is given up.
const ATTEMPTS: u32 = 4;
/// Wait before the second try; doubled for each further one.
const FIRST_BACK_OFF: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 500 });
/// Longest one try may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// A sink that is ready to be sent to.
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

/// How a run ended.
#[derive(Clone, Copy)]
pub struct RunEnd<'a> {
    /// Id of the coordinator's job; empty for a scan in this process.
    pub job: &'a str,
    /// What it found, or why it failed.
    pub outcome: std::result::Result<&'a ScanResult, &'a Error>,
}

/// What became of one sink's part.
#[derive(Debug)]
pub struct Delivery {
    /// Name of the sink.
    pub sink: String,
    /// Findings at or above its level.
    pub findings: usize,
    /// Why they could not be sent.
    pub failure: Option<String>,
}

/// Why one try failed, and whether another may help.
#[derive(Debug)]
struct Failure {
    reason: String,
    may_pass: bool,
}

impl Sink {
    /// A sink as it is configured.
    ///
    /// # Errors
    /// [`Error::Config`] where its URL can't be used, or an environment variable it names is not set.
    pub fn open(settings: &SinkSettings) -> Result<Self> {
        settings.check()?;
        let channel = match settings.kind {
            SinkKind::Webhook => Channel::Webhook(Webhook::open(settings)?),
            SinkKind::Syslog => Channel::Syslog(Syslog::open(settings)?),
        };
        let SinkSettings { name, min_level, every_run, .. } = settings.clone();
        Ok(Self { name, min_level, every_run, channel })
    }

    /// Sends what of a run is for this sink; `None` where nothing is.
    async fn tell(&self, end: RunEnd<'_>) -> Option<Delivery> {
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
            // Whatever becomes of it, the result is there: this is all that is lost.
            Some(reason) => tracing::error!(
                sink = self.name,
                job = end.job,
                findings = findings.len(),
                reason,
                "a sink could not be sent to"
            ),
            None => {
                tracing::info!(sink = self.name, job = end.job, findings = findings.len(), "findings sent")
            }
        }
        Some(Delivery { sink: self.name.clone(), findings: findings.len(), failure })
    }
}

/// Sends a run's end to all sinks at once. That it is given up after a while never makes a run fail.
pub async fn tell_all(sinks: &[Sink], end: RunEnd<'_>) -> Vec<Delivery> {
    join_all(sinks.iter().map(|sink| sink.tell(end))).await.into_iter().flatten().collect()
}

/// Tries `send` with back-off, as long as that may help and not too often.
async fn with_tries<F: Future<Output = std::result::Result<(), Failure>>>(
    mut send: impl FnMut() -> F,
) -> std::result::Result<(), String> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let tried = tokio::time::timeout(DEADLINE, send()).await;
        let failure = match tried {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::passing(format!("no answer within {} s", DEADLINE.as_secs())),
        };
        if !failure.may_pass || attempt == ATTEMPTS {
            return Err(format!("{} (tried {attempt} times)", failure.reason));
        }
        tracing::debug!(reason = failure.reason, attempt, "sending again");
        tokio::time::sleep(FIRST_BACK_OFF * 2u32.pow(attempt - 1)).await;
    }
}

impl Failure {
    fn passing(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string(), may_pass: true }
    }

    fn lasting(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string(), may_pass: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_may_pass_is_tried_again_and_nothing_else() {
        for (may_pass, expected) in [(true, ATTEMPTS), (false, 1)] {
            let mut tries = 0;
            let ended = with_tries(|| {
                tries += 1;
                std::future::ready(Err(Failure { reason: "refused".into(), may_pass }))
            });
            let error = ended.await.unwrap_err();
            assert!(error.starts_with("refused") && tries == expected, "{error}");
        }
    }
}
