//! Compares two finished scans: findings added, gone and changed, and why.

mod reason;
mod reasons;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hindcast_base::Result;
use hindcast_detections::findings::Finding;
use serde::Serialize;
use serde_json::{Value, json};

pub use reason::{Reason, VersionChange};
pub use stored::StoredScan;
pub(crate) use stored::read_lines;

/// The differences between two scans.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Risk of the run, before and after; none if nothing was assessed.
    pub risk: (Option<u64>, Option<u64>),
    /// The same as text.
    #[serde(skip)]
    pub risk_text: (String, String),
    /// Tables with a log that the scans read in different versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionChange>,
    /// Findings that only the second has.
    pub added: Vec<Difference>,
    /// Findings that only the first has.
    pub gone: Vec<Difference>,
    /// Findings that differ between the two.
    pub changed: Vec<Difference>,
    /// Findings that are the same in both.
    pub same: u64,
}

/// A finding that differs between two scans.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// As the second scan has it, or the first if it is gone.
    pub finding: Finding,
    /// Fields that differ, before and after.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<&'static str, (Value, Value)>,
    /// Why, as far as the results of the two scans show.
    pub why: Vec<Reason>,
}

/// Compares the results in two folders.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] if a folder holds no result of a scan.
pub fn compare(before: &Path, after: &Path) -> Result<Comparison> {
    Ok(compare_scans(&StoredScan::open(before)?, &StoredScan::open(after)?))
}

/// Compares two scans that are read already.
pub fn compare_scans(before: &StoredScan, after: &StoredScan) -> Comparison {
    let ids: BTreeSet<&String> = before.findings.keys().chain(after.findings.keys()).collect();
    let mut comparison = Comparison {
        risk: (before.summary.risk.score(), after.summary.risk.score()),
        risk_text: (before.summary.risk.score_text(), after.summary.risk.score_text()),
        versions: reasons::version_changes(before, after).into_iter().map(|(_, change)| change).collect(),
        added: Vec::new(),
        gone: Vec::new(),
        changed: Vec::new(),
        same: 0,
    };
    for id in ids {
        let difference = |finding: &Finding, fields| Difference {
            finding: finding.clone(),
            fields,
            why: reasons::of(finding, before, after),
        };
        match (before.findings.get(id), after.findings.get(id)) {
            (None, Some(added)) => comparison.added.push(difference(added, BTreeMap::new())),
            (Some(gone), None) => comparison.gone.push(difference(gone, BTreeMap::new())),
            (Some(one), Some(other)) if one != other => {
                comparison.changed.push(difference(other, fields(one, other)));
            }
            (Some(_), Some(_)) => comparison.same += 1,
            (None, None) => {}
        }
    }
    for list in [&mut comparison.added, &mut comparison.gone, &mut comparison.changed] {
        list.sort_by(|left, right| {
            let (left, right) = (&left.finding, &right.finding);
            right
                .severity
                .cmp(&left.severity)
                .then_with(|| left.first_seen.cmp(&right.first_seen))
                .then_with(|| left.id.cmp(&right.id))
        });
    }
    comparison
}

fn fields(one: &Finding, other: &Finding) -> BTreeMap<&'static str, (Value, Value)> {
    let values = |finding: &Finding| {
        [
            ("severity", json!(finding.severity)),
            ("confidence", json!(finding.confidence)),
            ("rows", json!(finding.rows)),
            ("first_seen", json!(finding.first_seen)),
            ("last_seen", json!(finding.last_seen)),
            ("explanation", json!(finding.explanation)),
            ("evidence", finding.evidence.clone()),
            ("watchlists", json!(finding.watchlists)),
        ]
    };
    let pairs = values(one).into_iter().zip(values(other));
    pairs.filter(|(one, other)| one.1 != other.1).map(|(one, other)| (one.0, (one.1, other.1))).collect()
}

#[cfg(test)]
mod tests;
