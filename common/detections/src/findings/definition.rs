//! The structure of `[finding]` in a detection's `detection.toml`.

use serde::Deserialize;

use super::attack::Tactic;
use super::rule::{KillChainPhase, Period, Role};
use hindcast_base::entities::EntityKind;

/// `[finding]`: how rows of a detection's result become findings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingDefinition {
    /// Title of its findings, for people.
    pub title: String,
    /// ATT&CK techniques, the most significant first.
    pub techniques: Vec<TechniqueDefinition>,
    /// Its phase of the kill chain.
    pub stage: KillChainPhase,
    /// Span within which rows of the same entities are one finding.
    pub period: Period,
    /// Columns of text by which rows of the same entities and span are separate findings, such as the operation.
    #[serde(default)]
    pub by: Vec<String>,
    /// Columns that name the entities involved.
    pub entities: Vec<EntityDefinition>,
    /// Column of the first instant.
    pub first_seen: String,
    /// Column of the last instant.
    pub last_seen: String,
    /// SQL: whether a row is a finding; null is false. If absent, every row is a finding.
    #[serde(default = "every_row")]
    pub is_finding: String,
    /// SQL: the severity of a row, as text.
    pub severity: String,
    /// SQL: the confidence in a row, 0 to 100.
    pub confidence: String,
    /// A template over the columns of the strongest row.
    pub explanation: String,
    /// Hidden columns that the evidence also has, under their names without the prefix.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// The score of a beacon, 0 to 1, by which findings are searched: an expression (minijinja) over the finding's `confidence` and
    /// the columns of its evidence.
    pub beacon_score: Option<String>,
}

/// A technique of MITRE ATT&CK (Enterprise).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TechniqueDefinition {
    /// Such as `T1560.001`.
    pub id: String,
    /// Its name in ATT&CK.
    pub name: String,
    /// Its tactic; only needed if Hindcast does not know the technique.
    pub tactic: Option<Tactic>,
}

/// A column that names an entity.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityDefinition {
    /// The kind of the entity.
    pub kind: EntityKind,
    /// The column of its name.
    pub column: String,
    /// The role of the entity.
    pub role: Role,
}

fn every_row() -> String {
    "true".to_owned()
}
