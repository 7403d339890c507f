//! The sections of a configuration file that detections share; those of single detections are data, see [`crate::detections`].

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::time::parse_duration;

/// A length of time in microseconds, written as `90s`, `60m`, `24h`, `7d`, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Option<i64>);

impl TryFrom<String> for Span {
    type Error = crate::Error;

    fn try_from(text: String) -> Result<Self> {
        Ok(Self(if text == "unlimited" { None } else { Some(parse_duration(&text)?) }))
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.0.map_or_else(|| "unlimited".into(), |micros| format!("{}s", micros / 1_000_000))
    }
}

/// `[firewall]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Firewall {
    /// `DeviceVendor` of the rows the suite reads.
    pub vendor: String,
}

/// `[office365]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Office365 {
    /// `UserType` of the rows the suite reads; all rows where empty.
    pub user_types: Vec<String>,
}

/// `[score]`: a suite's score is the sum of `min(rows, cap)` over its signals.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Score {
    /// Most one signal can add.
    pub cap: u64,
    /// Score from which the level is MEDIUM.
    pub medium: u64,
    /// Score from which the level is HIGH.
    pub high: u64,
}

/// `[risk]`: how findings add up to a risk of 0 to 100; docs/risk.md has the formula.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Risk {
    /// Probability that a finding of low severity and full confidence is an attack.
    pub low: f64,
    /// The same of medium severity.
    pub medium: f64,
    /// The same of high severity.
    pub high: f64,
    /// The same of critical severity.
    pub critical: f64,
    /// What each further finding of the same analysis counts, of the one before.
    pub repeat: f64,
    /// Evidence that each further tactic of an incident adds.
    pub tactic: f64,
    /// Part of the evidence beside the worst case that counts in the run's risk.
    pub rest: f64,
    /// Sources that an address's share of sources is at least counted against.
    pub min_sources: u64,
    /// Risk from which the level is MEDIUM.
    pub medium_level: u64,
    /// Risk from which the level is HIGH.
    pub high_level: u64,
}

/// `[incidents]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Incidents {
    /// Longest time between two findings of an entity that belong together.
    pub within: Span,
    /// Most that an address or account may be tied to on a day, or sources an address may have, to tie findings: a proxy,
    /// a service account or an update server has more.
    pub max_shared: u64,
}

/// `[own_detections]`: what the detections that users bring may take.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnDetections {
    /// Seconds that each of their queries may take, of a shard or of all rows; 0 where a run sets no limit.
    pub max_seconds: u64,
}

/// `[save]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Save {
    /// What the name of a saved table must end in.
    pub suffix: String,
}
