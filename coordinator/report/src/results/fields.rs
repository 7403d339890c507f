//! The fields of queries, and their values in a finding.

use std::collections::BTreeSet;

use hindcast_base::entities::EntityKind;
use hindcast_base::nearest::did_you_mean;
use hindcast_detections::Detections;
use hindcast_detections::analyses::Suite;
use hindcast_detections::findings::{KillChainPhase, Severity, Tactic};
use serde_json::Value;

use super::Entry;

/// A field of findings.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Severity,
    Suite,
    Analysis,
    KillChainPhase,
    Tactic,
    Technique,
    Title,
    /// An entity, of any kind if none is given.
    Entity(Option<EntityKind>),
    Source,
    Destination,
    Beacon,
    Risk,
    Confidence,
    Rows,
    First,
    Last,
    Incident,
    Watchlist,
    Id,
    /// A column of the evidence.
    Evidence(String),
}

/// Name, field, example and description, in the order of the help.
pub static FIELDS: [(&str, Field, &str, &str); 22] = [
    ("severity", Field::Severity, "severity:>=high", "low, medium, high or critical"),
    ("risk", Field::Risk, "risk:>=70", "highest risk among its incident and its entities, 0 to 100"),
    ("confidence", Field::Confidence, "confidence:>80", "confidence that it is an attack, 0 to 100"),
    ("suite", Field::Suite, "suite:firewall", "exfiltration, firewall or office365"),
    ("analysis", Field::Analysis, "analysis:beaconing", "the analysis that raised it"),
    ("tactic", Field::Tactic, "tactic:exfiltration", "ATT&CK tactic"),
    ("technique", Field::Technique, "technique:T1567", "ATT&CK technique, including its sub-techniques"),
    ("stage", Field::KillChainPhase, "stage:upload", "phase of the kill chain"),
    ("user", Field::Entity(Some(EntityKind::User)), "user:ada*", "a user it names"),
    ("device", Field::Entity(Some(EntityKind::Device)), "device:ws-0*", "a device it names"),
    ("ip", Field::Entity(Some(EntityKind::Ip)), "ip:10.1.2.3", "an address it names"),
    ("url", Field::Entity(Some(EntityKind::Url)), "url:*.example", "a URL or host it names"),
    (
        "storage_account",
        Field::Entity(Some(EntityKind::StorageAccount)),
        "storage_account:corp*",
        "a storage account it names",
    ),
    ("entity", Field::Entity(None), "entity:ada", "an entity of any kind it names"),
    ("src", Field::Source, "src:10.1.2.3", "source address"),
    ("dst", Field::Destination, "dst:203.0.113.*", "destination address or host"),
    ("beacon", Field::Beacon, "beacon:>=0.9", "score of a beacon, 0 to 1"),
    ("first", Field::First, "first:>=2026-01-08", "time of its first evidence, UTC"),
    ("last", Field::Last, "last:<2026-01-09T12", "time of its last evidence, UTC"),
    ("rows", Field::Rows, "rows:>100", "number of its rows"),
    ("watchlist", Field::Watchlist, "watchlist:*", "a watchlist that names it"),
    ("title", Field::Title, "title:*tunnel*", "its title"),
];

/// Fields for links between pages, which the help does not list.
static UNLISTED: [(&str, Field); 2] = [("incident", Field::Incident), ("id", Field::Id)];

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FieldValue<'a> {
    Text(&'a str),
    Number(f64),
}

impl Field {
    /// The field called `name`. `columns` are those of the evidence.
    pub(super) fn named(name: &str, columns: &BTreeSet<String>) -> Result<Self, String> {
        let lowered = name.to_lowercase();
        let listed = FIELDS.iter().map(|(name, field, ..)| (*name, field));
        let mut known = listed.clone().chain(UNLISTED.iter().map(|(name, field)| (*name, field)));
        if let Some((_, field)) = known.find(|(name, _)| *name == lowered) {
            return Ok(field.clone());
        }
        if columns.contains(&lowered) {
            return Ok(Field::Evidence(lowered));
        }
        let names = listed.map(|(name, _)| name).chain(columns.iter().map(String::as_str));
        Err(format!(
            "there is no field {name:?}{}; put words with a colon in quotation marks",
            did_you_mean(&lowered, names)
        ))
    }

    /// Whether its values are times, which compare as text.
    pub(super) fn is_time(&self) -> bool {
        matches!(self, Field::First | Field::Last)
    }

    fn is_number(&self) -> bool {
        matches!(self, Field::Beacon | Field::Risk | Field::Confidence | Field::Rows)
    }

    /// An example value, for messages.
    pub(super) fn example(&self) -> &'static str {
        let found = FIELDS.iter().find(|(_, field, ..)| field == self);
        found.and_then(|(_, _, example, _)| Some(example.split_once(':')?.1)).unwrap_or("value")
    }

    /// Checks that a finding of these detections can have `value`.
    pub(super) fn check(&self, name: &str, value: &str, detections: Detections) -> Result<(), String> {
        if self.is_number() {
            let is_number = value.parse::<f64>().is_ok();
            let message = || format!("{name} is a number, as in {name}:{}", self.example());
            return if is_number { Ok(()) } else { Err(message()) };
        }
        let known: Vec<&str> = match self {
            Field::Severity => SEVERITIES.map(Severity::name).into(),
            Field::Suite => Suite::ALL.map(Suite::name).into(),
            Field::Analysis => detections.analyses().iter().map(|analysis| analysis.id).collect(),
            Field::KillChainPhase => KillChainPhase::ALL.map(KillChainPhase::name).into(),
            Field::Tactic => Tactic::ALL.map(Tactic::name).into(),
            _ => return Ok(()),
        };
        if value.contains('*') || known.contains(&value) {
            return Ok(());
        }
        let hint = did_you_mean(value, known.iter().copied());
        Err(format!("there is no {name} {value:?}{hint}; known: {}", known.join(", ")))
    }

    /// Whether `visit` is true for any value of the field. With `is_ordered`, values that have a rank are given as ranks.
    pub(super) fn any<'a>(
        &self,
        entry: &'a Entry,
        is_ordered: bool,
        visit: &mut dyn FnMut(FieldValue<'a>) -> bool,
    ) -> bool {
        let finding = &*entry.finding;
        let mut text = |text: &'a str| visit(FieldValue::Text(text));
        match self {
            Field::Severity if is_ordered => visit(FieldValue::Number(rank(entry.severity))),
            Field::Severity => text(entry.severity.name()),
            Field::Suite => text(entry.suite.name()),
            Field::Analysis => text(&entry.analysis),
            Field::KillChainPhase => text(entry.phase),
            Field::Tactic => entry.tactic.is_some_and(text),
            Field::Technique => finding.techniques.iter().any(|technique| {
                // T1560 also matches its sub-techniques.
                text(&technique.id) || technique.id.split_once('.').is_some_and(|(whole, _)| text(whole))
            }),
            Field::Title => text(&finding.title),
            Field::Entity(kind) => {
                let mut of_kind = finding.entities.iter().filter(|e| kind.is_none_or(|kind| e.kind == kind));
                of_kind.any(|entity| text(&entity.name) || entity.full_name.as_deref().is_some_and(&mut text))
            }
            Field::Source => entry.source.as_deref().is_some_and(text),
            Field::Destination => entry.destination.as_deref().is_some_and(text),
            Field::Beacon => entry.beacon.is_some_and(|score| visit(FieldValue::Number(score))),
            Field::Risk => visit(FieldValue::Number(entry.risk as f64)),
            Field::Confidence => visit(FieldValue::Number(f64::from(finding.confidence))),
            Field::Rows => visit(FieldValue::Number(finding.rows as f64)),
            Field::First => finding.first_seen.as_deref().is_some_and(text),
            Field::Last => finding.last_seen.as_deref().is_some_and(text),
            Field::Incident => entry.incident_id.as_deref().is_some_and(text),
            Field::Watchlist => finding.watchlists.iter().any(|list| text(list)),
            Field::Id => text(&finding.id),
            Field::Evidence(column) => match finding.evidence.get(column) {
                Some(Value::String(value)) => text(value),
                Some(Value::Number(value)) => {
                    value.as_f64().is_some_and(|value| visit(FieldValue::Number(value)))
                }
                Some(Value::Bool(value)) => text(if *value { "true" } else { "false" }),
                _ => false,
            },
        }
    }
}

const SEVERITIES: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

fn rank(severity: Severity) -> f64 {
    f64::from(severity as u8) + 1.0
}

/// The rank of a severity by its name.
pub(super) fn severity_rank(name: &str) -> Option<f64> {
    SEVERITIES.into_iter().find(|severity| severity.name() == name).map(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_and_tactics_are_serialised_by_name() {
        for phase in KillChainPhase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.name());
        }
        for tactic in Tactic::ALL {
            assert_eq!(serde_json::to_value(tactic).unwrap(), tactic.name());
        }
    }
}
