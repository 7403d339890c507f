//! The results of a finished scan, held in memory so that pages can search them. They come from a result folder or a job.

mod fields;
mod query;
mod search;

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use hindcast_base::Result;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::parse_time_us;
use hindcast_detections::analyses::Suite;
use hindcast_detections::findings::{Finding, Severity, Tactic};

pub use fields::FIELDS;
pub use query::Query;
pub use search::Found;

use hindcast_risk::EntityRisk;
use hindcast_risk::correlate::Incident;
use hindcast_scan::Report;

use crate::compare::{StoredScan, read_lines};

/// The results of a scan, with indexes.
pub struct Results {
    /// The summary, parameters and findings as they were written.
    pub scan: StoredScan,
    /// Worst first.
    pub incidents: Vec<Incident>,
    /// Highest risk first.
    pub entities: Vec<EntityRisk>,
    /// Findings in page order: highest risk first.
    entries: Vec<Entry>,
    by_id: HashMap<String, usize>,
    by_entity: HashMap<(EntityKind, String), Vec<usize>>,
    /// The columns of all evidence.
    columns: BTreeSet<String>,
}

/// A finding with the values that pages and searches need. Frequently used values are inline, because a search reads all
/// entries and following pointers would dominate its time.
pub struct Entry {
    /// The finding itself.
    pub finding: Arc<Finding>,
    /// The highest risk among its incident and its entities, 0 to 100.
    pub risk: u64,
    /// Its incident.
    pub incident_id: Option<Arc<str>>,
    /// Its phase of the kill chain.
    pub phase: &'static str,
    /// The ATT&CK tactic of that phase, where it has one.
    pub tactic: Option<&'static str>,
    suite: Suite,
    severity: Severity,
    analysis: Arc<str>,
    first_us: Option<i64>,
    last_us: Option<i64>,
    /// The source address, and the destination address or host, of its evidence.
    source: Option<Box<str>>,
    destination: Option<Box<str>>,
    /// The score of a beacon, 0 to 1.
    beacon: Option<f64>,
    /// All its text, lower-cased, for words that match anywhere.
    text: Box<str>,
}

impl Results {
    /// Reads the folder of a finished scan.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Invalid`] if it is not the result of a scan.
    pub fn open(folder: &Path) -> Result<Self> {
        let incidents = read_lines(&folder.join("incidents.jsonl"))?;
        let entities = read_lines(&folder.join("entities.jsonl"))?;
        Ok(Self::new(StoredScan::open(folder)?, incidents, entities))
    }

    /// The results of a job, from its report and findings.
    pub fn of_job(report: Report, findings: Vec<Finding>, suppressed: Vec<Finding>) -> Self {
        let Report { summary, parameters, incidents, entities, .. } = report;
        Self::new(StoredScan::new(summary, parameters, findings, suppressed), incidents, entities)
    }

    fn new(scan: StoredScan, incidents: Vec<Incident>, entities: Vec<EntityRisk>) -> Self {
        let entries = entries(&scan, &incidents, &entities);
        let mut by_id = HashMap::new();
        let mut by_entity: HashMap<(EntityKind, String), Vec<usize>> = HashMap::new();
        let mut columns = BTreeSet::new();
        for (index, entry) in entries.iter().enumerate() {
            by_id.insert(entry.finding.id.clone(), index);
            let keys: BTreeSet<_> = entry.finding.entities.iter().map(|e| (e.kind, e.name.clone())).collect();
            keys.into_iter().for_each(|key| by_entity.entry(key).or_default().push(index));
            for column in entry.finding.evidence.as_object().into_iter().flatten().map(|(name, _)| name) {
                if !columns.contains(column) {
                    columns.insert(column.clone());
                }
            }
        }
        Self { scan, incidents, entities, entries, by_id, by_entity, columns }
    }

    /// The columns of all evidence, which queries may name.
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.columns
    }

    /// A finding by its id.
    pub fn finding(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id).map(|index| &self.entries[*index])
    }

    /// An incident by its id.
    pub fn incident(&self, id: &str) -> Option<&Incident> {
        self.incidents.iter().find(|incident| incident.id == id)
    }

    /// The risk of an entity.
    pub fn entity(&self, kind: EntityKind, name: &str) -> Option<&EntityRisk> {
        self.entities.iter().find(|risk| risk.entity.kind == kind && risk.entity.name == name)
    }

    /// Findings that name an entity, highest risk first.
    pub fn naming(&self, kind: EntityKind, name: &str) -> impl Iterator<Item = &Entry> {
        let found = self.by_entity.get(&(kind, name.to_owned()));
        found.into_iter().flatten().map(|index| &self.entries[*index])
    }

    /// Incidents that name an entity, worst first.
    pub fn incidents_of(&self, kind: EntityKind, name: &str) -> impl Iterator<Item = &Incident> {
        let is_it = move |entity: &Entity| entity.kind == kind && entity.name == name;
        self.incidents.iter().filter(move |incident| incident.entities.iter().any(is_it))
    }
}

/// The entries of all findings, in page order.
fn entries(scan: &StoredScan, incidents: &[Incident], entities: &[EntityRisk]) -> Vec<Entry> {
    let mut incident_of: HashMap<&str, (u64, Arc<str>)> = HashMap::new();
    for incident in incidents {
        let risk_and_id = (incident.risk.score, Arc::from(incident.id.as_str()));
        for id in &incident.findings {
            incident_of.entry(id).or_insert_with(|| risk_and_id.clone());
        }
    }
    let risks: HashMap<(EntityKind, &str), u64> =
        entities.iter().map(|e| ((e.entity.kind, e.entity.name.as_str()), e.risk.score)).collect();
    let risk_of = |finding: &Finding| {
        let named = finding.entities.iter().filter_map(|e| risks.get(&(e.kind, e.name.as_str())).copied());
        named.chain(incident_of.get(finding.id.as_str()).map(|(score, _)| *score)).max().unwrap_or_default()
    };
    let mut ranked: Vec<(u64, &Arc<Finding>)> =
        scan.findings.values().map(|finding| (risk_of(finding), finding)).collect();
    ranked.sort_by(|left, right| by_risk(*left, *right));
    let mut names: HashMap<&str, Arc<str>> = HashMap::new();
    let entry = |(risk, finding): (u64, &Arc<Finding>), analysis: &Arc<str>| Entry {
        risk,
        incident_id: incident_of.get(finding.id.as_str()).map(|(_, id)| Arc::clone(id)),
        phase: finding.stage.name(),
        tactic: finding.tactic().map(Tactic::name),
        suite: finding.suite,
        severity: finding.severity,
        analysis: Arc::clone(analysis),
        first_us: finding.first_seen.as_deref().and_then(parse_time_us),
        last_us: finding.last_seen.as_deref().and_then(parse_time_us),
        source: column_of(finding, &["source_ip", "ip"]),
        destination: column_of(finding, &["destination_ip", "remote_url"]),
        beacon: beacon_of(finding, scan),
        text: text_of(finding).into(),
        finding: Arc::clone(finding),
    };
    let mut entries = Vec::with_capacity(ranked.len());
    for (risk, finding) in ranked {
        let name = names.entry(&finding.analysis).or_insert_with(|| Arc::from(finding.analysis.as_str()));
        entries.push(entry((risk, finding), name));
    }
    entries
}

/// Highest risk first, then by severity, confidence and time.
fn by_risk(left: (u64, &Arc<Finding>), right: (u64, &Arc<Finding>)) -> Ordering {
    let (one, other) = (left.1, right.1);
    (right.0, other.severity, other.confidence)
        .cmp(&(left.0, one.severity, one.confidence))
        .then_with(|| one.first_seen.cmp(&other.first_seen))
        .then_with(|| one.id.cmp(&other.id))
}

/// The text of the first of `columns` that the evidence has.
fn column_of(finding: &Finding, columns: &[&str]) -> Option<Box<str>> {
    columns.iter().find_map(|column| finding.evidence.get(column)?.as_str()).map(Box::from)
}

/// The score of a beacon, 0 to 1, if the detection defines it.
fn beacon_of(finding: &Finding, scan: &StoredScan) -> Option<f64> {
    let analysis = scan.detections.by_id(&finding.analysis)?;
    analysis.finding.as_ref()?.beacon_score.as_ref()?.of(finding)
}

fn text_of(finding: &Finding) -> String {
    let mut text = format!("{}\n{}\n{}", finding.title, finding.analysis, finding.explanation);
    let names = finding.entities.iter().map(|entity| entity.full_name.as_ref().unwrap_or(&entity.name));
    let evidence = finding.evidence.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
    for part in names.map(String::as_str).chain(evidence) {
        text.push('\n');
        text.push_str(part);
    }
    text.to_lowercase()
}

#[cfg(test)]
mod tests;
