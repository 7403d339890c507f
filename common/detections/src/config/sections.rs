//! The sections of a configuration file that detections share. Those of single detections are data, see [`crate::Detections`].

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::vendors::Meaning;
use hindcast_base::time::parse_duration;

/// A length of time in microseconds, written as `90s`, `60m`, `24h`, `7d`, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Option<i64>);

impl TryFrom<String> for Span {
    type Error = hindcast_base::Error;

    fn try_from(text: String) -> hindcast_base::Result<Self> {
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
    /// `DeviceVendor` of the rows the suite reads; all rows if empty. Also read from the key `vendor`, as one text.
    #[serde(alias = "vendor", deserialize_with = "one_or_more")]
    pub vendors: Vec<String>,
    /// What the rows of vendors mean, by `DeviceVendor`, in addition to the built-in meanings and instead of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meanings: BTreeMap<String, Meaning>,
}

/// One text, or a list of texts.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of texts is expected, such as [\"Fortinet\"]; [] means all")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    })
}

/// `[office365]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Office365 {
    /// `UserType` of the rows the suite reads; all rows if empty.
    pub user_types: Vec<String>,
}

/// `[score]`: a suite's score is the sum of `min(rows, cap)` over its signals.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Score {
    /// Maximum that one signal can add.
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
    /// Probability that a finding of low severity with full confidence is an attack.
    pub low: f64,
    /// The same for medium severity.
    pub medium: f64,
    /// The same for high severity.
    pub high: f64,
    /// The same for critical severity.
    pub critical: f64,
    /// Weight of each further finding of the same analysis, as a part of the weight of the one before.
    pub repeat: f64,
    /// Evidence that each further tactic of an incident adds.
    pub tactic: f64,
    /// Part of the evidence other than the worst case that counts in the run's risk.
    pub rest: f64,
    /// Minimum number of sources that an address's share of sources is computed from.
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
    /// Longest time between two findings of an entity in one incident.
    pub within: Span,
    /// Maximum number of entities that an address or account is related to on a day, or of sources of an address, for it to
    /// connect findings. A proxy, a service account or an update server has more.
    pub max_shared: u64,
}

/// `[own_detections]`: limits of users' own detections.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnDetections {
    /// Maximum seconds of each of their queries, over a shard or over all rows; 0 if a run sets no limit.
    pub max_seconds: u64,
}

/// `[save]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Save {
    /// Required suffix of the name of a saved table.
    pub suffix: String,
}
