//! The rule of an analysis that makes findings of its rows.

use std::borrow::Cow;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use serde::{Deserialize, Serialize};

use super::assess::RowAssessor;
use super::attack::{Tactic, tactic_of};
use super::beacon_score::BeaconScore;
use super::definition::{FindingDefinition, TechniqueDefinition};
use super::explanation::Explanation;
use crate::analyses::HIDDEN_PREFIX;
use crate::bindings::Bindings;
use crate::sql::SqlText;
use hindcast_base::entities::EntityKind;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};

/// How rows of an analysis become findings.
#[derive(Debug)]
pub struct FindingRule {
    /// Title of its findings, for people.
    pub title: String,
    /// ATT&CK techniques of its findings.
    pub techniques: Vec<Technique>,
    /// Its phase of the kill chain.
    pub stage: KillChainPhase,
    /// Columns that name the entities involved; rows with the same entities are one finding per period.
    pub entities: Vec<EntityColumn>,
    /// Columns by which rows of the same entities and period are separate findings.
    pub by: Vec<String>,
    /// Column of the first instant.
    pub first_seen: String,
    /// Column of the last instant.
    pub last_seen: String,
    /// Span within which rows are one finding.
    pub period: Period,
    /// Whether a row of the table is a finding.
    pub is_finding: SqlText,
    /// The severity of a row: the name of a [`Severity`].
    pub severity: SqlText,
    /// The confidence in a row, 0 to 100.
    pub confidence: SqlText,
    /// A sentence about a row.
    pub explanation: Explanation,
    /// Hidden columns that the evidence also has.
    pub evidence: Vec<String>,
    /// The score of a beacon.
    pub beacon_score: Option<BeaconScore>,
    /// Lines of `first_seen`, `last_seen`, `entities` and `evidence` in the file.
    pub(super) lines: [usize; 4],
}

/// A column that names an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityColumn {
    /// The kind of the entity.
    pub kind: EntityKind,
    /// The column of its name.
    pub column: String,
    /// The role of the entity.
    pub role: Role,
}

/// The role of an entity in a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Where it came from: a device or an address.
    Source,
    /// Who did it.
    Actor,
    /// Where it went.
    Destination,
    /// What it was done to.
    Target,
}

impl Role {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Role::Source => "source",
            Role::Actor => "actor",
            Role::Destination => "destination",
            Role::Target => "target",
        }
    }

    /// Whether others choose to talk to it. Only how many do so can make it less suspicious: an outsider has no influence on how busy a
    /// source is.
    pub fn is_contacted(self) -> bool {
        matches!(self, Role::Destination | Role::Target)
    }
}

impl FindingRule {
    /// The rule in `[finding]` of `file`, which has this `text`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line of a technique without a tactic, or of an invalid explanation.
    pub fn load(definition: FindingDefinition, file: &'static str, text: &str) -> Result<Self> {
        let sql = |key: &str, sql: String| SqlText { file, line: line_of(text, key), text: sql.leak() };
        let techniques =
            definition.techniques.into_iter().map(|technique| technique_of(technique, file, text));
        let entities = definition.entities.into_iter();
        let entities = entities.map(|entity| EntityColumn {
            kind: entity.kind,
            column: entity.column,
            role: entity.role,
        });
        let line = line_of(text, "explanation");
        Ok(Self {
            title: definition.title,
            techniques: techniques.collect::<Result<_>>()?,
            stage: definition.stage,
            entities: entities.collect(),
            by: definition.by,
            first_seen: definition.first_seen,
            last_seen: definition.last_seen,
            period: definition.period,
            evidence: definition.evidence,
            lines: ["first_seen", "last_seen", "entities", "evidence"].map(|key| line_of(text, key)),
            is_finding: sql("is_finding", definition.is_finding),
            severity: sql("severity", definition.severity),
            confidence: sql("confidence", definition.confidence),
            explanation: Explanation::load(definition.explanation.leak(), file, line)?,
            beacon_score: definition
                .beacon_score
                .map(|score| BeaconScore::load(&score, file, line_of(text, "beacon_score")))
                .transpose()?,
        })
    }

    /// Fails if the rule does not fit results of `schema`: a column is missing or of the wrong type, an expression can't be planned, or
    /// the explanation names an unknown column.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line.
    pub fn check(&self, schema: &DFSchema, bindings: &Bindings) -> Result<()> {
        let file = self.severity.file;
        let of = |is_right: fn(&DataType) -> bool| -> Vec<&str> {
            let fields = schema.fields().iter().filter(|field| is_right(field.data_type()));
            fields.map(|field| field.name().as_str()).collect()
        };
        let (times, texts) = (of(DataType::is_temporal), of(DataType::is_string));
        for (key, column) in [("first_seen", &self.first_seen), ("last_seen", &self.last_seen)] {
            let line = self.lines[usize::from(key == "last_seen")];
            is_among(column, &times, (file, line), key, "time")?;
        }
        for entity in &self.entities {
            is_among(&entity.column, &texts, (file, self.lines[2]), "entities", "text")?;
        }
        for column in &self.by {
            is_among(column, &texts, (file, self.lines[2]), "by", "text")?;
        }
        let hidden: Vec<&str> =
            of(|_| true).into_iter().filter(|name| name.starts_with(HIDDEN_PREFIX)).collect();
        for column in &self.evidence {
            is_among(column, &hidden, (file, self.lines[3]), "evidence", "hidden")?;
        }
        RowAssessor::compile(self, schema, bindings)?;
        self.explanation.check(schema.as_arrow())
    }
}

/// Fails if `column` is not one of `known`, the columns of a type.
fn is_among(
    column: &str,
    known: &[&str],
    (file, line): (&str, usize),
    key: &str,
    wanted: &str,
) -> Result<()> {
    if known.contains(&column) {
        return Ok(());
    }
    let hint = did_you_mean(column, known.iter().copied());
    let message = format!("finding.{key} names {column}, which is not a {wanted} column of the result{hint}");
    Err(Error::in_file(file, line, message))
}

/// A technique, with its tactic if the table of tactics does not have it.
fn technique_of(definition: TechniqueDefinition, file: &str, text: &str) -> Result<Technique> {
    let TechniqueDefinition { id, name, tactic } = definition;
    let wrong = |problem: &str| {
        let line = text.lines().position(|line| line.contains(&id)).map_or(1, |index| index + 1);
        Error::in_file(file, line, format!("technique {id:?} {problem}"))
    };
    let (parent, sub) = id.split_once('.').map_or((id.as_str(), None), |(parent, sub)| (parent, Some(sub)));
    let is_number =
        |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_technique = parent.strip_prefix('T').is_some_and(|number| is_number(number, 4));
    if !is_technique || !sub.is_none_or(|number| is_number(number, 3)) {
        return Err(wrong("is not written as ATT&CK writes them, such as T1071 or T1071.004"));
    }
    let known = tactic_of(&id);
    if known.is_none() && tactic.is_none() {
        return Err(wrong("needs a tactic, such as tactic = \"discovery\""));
    }
    // A known tactic is not repeated in every finding.
    let tactic = tactic.filter(|tactic| known != Some(*tactic));
    Ok(Technique { id: Cow::Owned(id), name: Cow::Owned(name), tactic })
}

/// The line on which the value of a key of `[finding]` begins, counted from 1.
fn line_of(text: &str, key: &str) -> usize {
    let of_finding = text.lines().enumerate().skip_while(|(_, line)| line.trim() != "[finding]");
    for (index, line) in of_finding {
        let value = line.trim_start().strip_prefix(key).and_then(|rest| rest.trim_start().strip_prefix('='));
        if let Some(value) = value {
            // A multi-line text begins on the next line.
            let is_below = matches!(value.trim(), "\"\"\"" | "'''");
            return index + 1 + usize::from(is_below);
        }
    }
    1
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
    /// All, in rising order.
    pub const ALL: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

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

/// Phases of the kill chain, in the order of incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillChainPhase {
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

impl KillChainPhase {
    /// All, in their order.
    pub const ALL: [KillChainPhase; 5] = [
        KillChainPhase::Staging,
        KillChainPhase::Upload,
        KillChainPhase::Beacon,
        KillChainPhase::Egress,
        KillChainPhase::Audit,
    ];

    /// Its name in output.
    pub fn name(self) -> &'static str {
        match self {
            KillChainPhase::Staging => "staging",
            KillChainPhase::Upload => "upload",
            KillChainPhase::Beacon => "beacon",
            KillChainPhase::Egress => "egress",
            KillChainPhase::Audit => "audit",
        }
    }
}

/// Span within which rows of the same entities are one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// The hour of the first instant.
    Hour,
    /// The UTC day of the first instant.
    Day,
    /// The UTC day of the last instant.
    LastDay,
    /// The whole window: a row covers all of it.
    Window,
}

/// A technique of MITRE ATT&CK (Enterprise).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Technique {
    /// Such as `T1560.001`.
    pub id: Cow<'static, str>,
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its tactic, if the detection names another one than Hindcast's table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tactic: Option<Tactic>,
}

impl Technique {
    /// Its tactic in Hindcast.
    pub fn tactic(&self) -> Option<Tactic> {
        self.tactic.or_else(|| tactic_of(&self.id))
    }

    /// The technique of a sub-technique, such as `T1560` of `T1560.001`; `None` if it is not a sub-technique.
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
    Technique { id: Cow::Borrowed(id), name: Cow::Borrowed(name), tactic: None }
}
