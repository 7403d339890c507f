//! Contributions to a risk: their sources as types, and the texts that result files have for them.

use std::cmp::Ordering;
use std::fmt::{self, Display};

use hindcast_base::entities::EntityKind;
use serde::{Deserialize, Serialize};

/// Precedes the worst incident or entity of a run in text.
const WORST: &str = "the worst, ";
/// Precedes the id of an incident in text.
const INCIDENT: &str = "incident ";
/// Separates the number of findings from their analysis in text.
const FINDINGS_OF: &str = " findings of ";
/// Separates points from their source in text.
const POINTS: &str = " points: ";
const SEVERAL_TACTICS: &str = "several tactics";

/// A contribution to a risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// Its source.
    pub from: RiskSource,
    /// Points of the score.
    pub points: u64,
}

/// A source of risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RiskSource {
    /// A finding, by its id.
    Finding(String),
    /// The bonus for related findings that show more than one ATT&CK tactic.
    SeveralTactics,
    /// The worst incident or entity of a run, which counts in full.
    Worst(Case),
    /// All findings of an analysis in a run, which count in part.
    FindingsOf {
        /// The analysis.
        analysis: String,
        /// The number of its findings.
        count: usize,
    },
}

/// An incident or an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Case {
    /// An incident, by its id.
    Incident(String),
    /// An entity, by its kind and canonical name.
    Entity(EntityKind, String),
}

impl Contribution {
    /// The contribution of a text such as `51 points: the worst, ip 192.0.2.1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (points, from) = text.split_once(POINTS)?;
        Some(Self { from: RiskSource::parse(from), points: points.parse().ok()? })
    }
}

impl Display for Contribution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{POINTS}{}", self.points, self.from)
    }
}

impl RiskSource {
    /// The id of the finding, if the source is a finding.
    pub fn finding(&self) -> Option<&str> {
        match self {
            RiskSource::Finding(id) => Some(id),
            _ => None,
        }
    }

    /// The order of the texts, in which contributions of the same amount are sorted.
    pub(super) fn by_text(&self, other: &Self) -> Ordering {
        match (self, other) {
            (RiskSource::Finding(one), RiskSource::Finding(other)) => one.cmp(other),
            _ => self.to_string().cmp(&other.to_string()),
        }
    }

    /// The source of a text. Whatever has no other form is the id of a finding.
    fn parse(text: &str) -> Self {
        if text == SEVERAL_TACTICS {
            return RiskSource::SeveralTactics;
        }
        if let Some(case) = text.strip_prefix(WORST).and_then(Case::parse) {
            return RiskSource::Worst(case);
        }
        let counted = text.split_once(FINDINGS_OF);
        match counted.and_then(|(count, analysis)| Some((count.parse().ok()?, analysis.to_owned()))) {
            Some((count, analysis)) => RiskSource::FindingsOf { analysis, count },
            None => RiskSource::Finding(text.to_owned()),
        }
    }
}

impl Display for RiskSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RiskSource::Finding(id) => formatter.write_str(id),
            RiskSource::SeveralTactics => formatter.write_str(SEVERAL_TACTICS),
            RiskSource::Worst(case) => write!(formatter, "{WORST}{case}"),
            RiskSource::FindingsOf { analysis, count } => write!(formatter, "{count}{FINDINGS_OF}{analysis}"),
        }
    }
}

impl From<String> for RiskSource {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<RiskSource> for String {
    fn from(source: RiskSource) -> Self {
        match source {
            RiskSource::Finding(id) => id,
            other => other.to_string(),
        }
    }
}

impl Case {
    fn parse(text: &str) -> Option<Self> {
        if let Some(id) = text.strip_prefix(INCIDENT) {
            return Some(Case::Incident(id.to_owned()));
        }
        let (kind, name) = text.split_once(' ')?;
        Some(Case::Entity(EntityKind::by_name(kind)?, name.to_owned()))
    }
}

impl Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Case::Incident(id) => write!(formatter, "{INCIDENT}{id}"),
            Case::Entity(kind, name) => write!(formatter, "{} {name}", kind.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_source_has_a_text_that_is_read_back() {
        for (source, text) in [
            (RiskSource::Finding("4f1d".into()), "4f1d"),
            (RiskSource::SeveralTactics, "several tactics"),
            (RiskSource::Worst(Case::Incident("9ab3".into())), "the worst, incident 9ab3"),
            (RiskSource::Worst(Case::Entity(EntityKind::Ip, "192.0.2.1".into())), "the worst, ip 192.0.2.1"),
            (
                RiskSource::Worst(Case::Entity(EntityKind::StorageAccount, "a b".into())),
                "the worst, storage_account a b",
            ),
            (RiskSource::FindingsOf { analysis: "beaconing".into(), count: 3 }, "3 findings of beaconing"),
        ] {
            assert_eq!(source.to_string(), text);
            let contribution = Contribution { from: source, points: 12 };
            assert_eq!(Contribution::parse(&contribution.to_string()), Some(contribution.clone()));
            let value = serde_json::to_value(&contribution).unwrap();
            assert_eq!(value, json!({ "from": text, "points": 12 }));
            assert_eq!(serde_json::from_value::<Contribution>(value).unwrap(), contribution);
        }
    }

    #[test]
    fn texts_of_another_form_are_ids_or_no_contribution() {
        for text in ["the worst, planet mars", "many findings of beaconing", ""] {
            assert_eq!(RiskSource::parse(text), RiskSource::Finding(text.to_owned()));
        }
        assert_eq!(Contribution::parse("12 of 100"), None);
        assert_eq!(Contribution::parse("many points: 4f1d"), None);
    }
}
