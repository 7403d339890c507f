//! How an analysis says which of its rows are findings, and what they mean.

use serde::{Deserialize, Serialize};

use super::attack::{Tactic, tactic_of};
use super::row::Row;
use crate::config::Config;
use crate::entities::EntityKind;

/// How rows of an analysis become findings.
#[derive(Debug)]
pub struct FindingRule {
    /// What such a finding is, for people.
    pub title: &'static str,
    /// ATT&CK techniques it shows.
    pub techniques: &'static [Technique],
    /// Where in the kill chain it stands.
    pub stage: Stage,
    /// Columns that name those involved; rows that agree in them are one finding a period.
    pub entities: &'static [(EntityKind, &'static str)],
    /// Column of the first instant.
    pub first_seen: &'static str,
    /// Column of the last instant.
    pub last_seen: &'static str,
    /// Span within which rows are one finding.
    pub period: Period,
    /// Whether a row of the table is a finding.
    pub is_finding: fn(&Row<'_>, &Config) -> bool,
    /// How bad a row is.
    pub severity: fn(&Row<'_>) -> Severity,
    /// How likely a row is what it seems, 0 to 100.
    pub confidence: fn(&Row<'_>) -> u8,
    /// A sentence about a row.
    pub explain: fn(&Row<'_>) -> String,
}

/// How bad a finding is, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth looking at.
    Medium,
    /// Worth looking at now.
    High,
    /// Known to be bad, such as a certain finding that names an entity of a watchlist.
    Critical,
}

impl Severity {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// Steps of the kill chain, in the order incidents are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Data is gathered and packed.
    Staging,
    /// Data is sent by a tool made for it.
    Upload,
    /// A host calls out.
    Beacon,
    /// Data leaves in bulk.
    Egress,
    /// Keys, settings and mailboxes are touched.
    Audit,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Stage; 5] = [Stage::Staging, Stage::Upload, Stage::Beacon, Stage::Egress, Stage::Audit];

    /// Its name in output.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Staging => "staging",
            Stage::Upload => "upload",
            Stage::Beacon => "beacon",
            Stage::Egress => "egress",
            Stage::Audit => "audit",
        }
    }
}

/// Span within which rows of the same entities are one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// The hour of the first instant.
    Hour,
    /// The UTC day of the first instant.
    Day,
    /// The UTC day of the last instant.
    LastDay,
    /// The whole window: the row sums up all of it.
    Window,
}

/// A technique of MITRE ATT&CK (Enterprise).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Technique {
    /// Such as `T1560.001`.
    pub id: std::borrow::Cow<'static, str>,
    /// Its name.
    pub name: std::borrow::Cow<'static, str>,
}

impl Technique {
    /// The tactic it is counted under here.
    pub fn tactic(&self) -> Option<Tactic> {
        tactic_of(&self.id)
    }

    /// The technique a sub-technique belongs to, such as `T1560` of `T1560.001`; none where it is none.
    pub fn parent(&self) -> Option<&str> {
        self.id.split_once('.').map(|(parent, _)| parent)
    }

    /// Its page.
    pub fn url(&self) -> String {
        format!("https://attack.mitre.org/techniques/{}/", self.id.replace('.', "/"))
    }
}

/// A technique known at compile time.
pub const fn technique(id: &'static str, name: &'static str) -> Technique {
    Technique { id: std::borrow::Cow::Borrowed(id), name: std::borrow::Cow::Borrowed(name) }
}
