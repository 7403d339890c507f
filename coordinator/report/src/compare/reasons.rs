//! Why a finding differs between two scans: window, watchlists, rule version, parameters, location database or data.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use hindcast_base::time::{date_of_us, parse_time_us};
use hindcast_detections::Detections;
use hindcast_detections::analyses::{Analysis, Locations};
use hindcast_detections::findings::Finding;
use hindcast_detections::rollups::Rollup;
use hindcast_scan::CoverageEntry;
use serde_json::Value;

use super::reason::{DataSize, Reason, VersionChange, Which};
use super::stored::StoredScan;

/// Why `finding` differs, as far as the results of the two scans show.
pub(super) fn of(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (scan, which) in [(before, Which::First), (after, Which::Second)] {
        let window = &scan.summary.window;
        let is_outside = finding.first_seen.as_ref().is_some_and(|first| {
            parse_time_us(first) >= parse_time_us(&window.to)
                || finding.last_seen.as_deref().and_then(parse_time_us) < parse_time_us(&window.from)
        });
        if is_outside {
            let (from, to) = (window.from.clone(), window.to.clone());
            reasons.push(Reason::Window { scan: which, from, to });
        } else if !scan.summary.analyses.contains_key(&finding.analysis) {
            let disabled = scan.summary.disabled.get(&finding.analysis).cloned();
            reasons.push(Reason::NotRun { analysis: finding.analysis.clone(), scan: which, disabled });
        }
        if let Some(suppressed) = scan.suppressed.get(&finding.id) {
            reasons.push(Reason::Suppressed { scan: which, watchlists: suppressed.watchlists.clone() });
        }
    }
    let lists = |scan: &StoredScan| scan.findings.get(&finding.id).map(|finding| finding.watchlists.clone());
    if let (Some(before), Some(after)) = (lists(before), lists(after))
        && before != after
    {
        reasons.push(Reason::Watchlists { before, after });
    }
    reasons.extend(rule_version(finding, before, after));
    reasons.extend(parameters(finding, before, after));
    reasons.extend(locations(finding, before, after));
    if !reasons.iter().any(|reason| matches!(reason, Reason::Window { .. } | Reason::NotRun { .. })) {
        reasons.extend(table_versions(finding, before, after));
        reasons.extend(data(finding, before, after));
    }
    if reasons.is_empty() {
        let [before, after] = [before, after].map(|scan| scan.summary.version.clone());
        let is_same = before == after;
        reasons.push(if is_same { Reason::Unknown } else { Reason::Version { before, after } });
    }
    reasons
}

fn rule_version(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Option<Reason> {
    let version = |scan: &StoredScan| scan.summary.analyses.get(&finding.analysis).copied();
    let (one, other) = (version(before)?, version(after)?);
    let analysis = finding.analysis.clone();
    if one != other {
        return Some(Reason::RuleVersion { analysis, before: one, after: other });
    }
    let is_edited = own_files(finding, before) != own_files(finding, after);
    is_edited.then_some(Reason::RuleEdited { analysis })
}

/// Names and texts of the files of a user's own detection.
fn own_files<'a>(finding: &Finding, scan: &'a StoredScan) -> BTreeMap<&'a str, &'a str> {
    let files = scan.detections.own().iter().filter_map(|(path, text)| {
        let (folder, name) = path.rsplit_once('/')?;
        (folder.rsplit('/').next() == Some(finding.analysis.as_str())).then_some((name, text.as_str()))
    });
    files.collect()
}

/// The analysis of a finding, from the scan that knows it; from the later one if both do.
fn analysis_of(
    finding: &Finding,
    before: &StoredScan,
    after: &StoredScan,
) -> Option<(&'static Analysis, Detections)> {
    let of = |scan: &StoredScan| Some((scan.detections.by_id(&finding.analysis)?, scan.detections));
    of(after).or_else(|| of(before))
}

/// Its rollups.
fn rollups(analysis: &'static Analysis, detections: Detections) -> impl Iterator<Item = &'static Rollup> {
    let ids = analysis.rollups.iter().chain(analysis.optional_rollups);
    ids.filter_map(move |id| detections.rollup(id))
}

/// Parameters that differ: those of the analysis's own section, and those of other sections that it or one of its rollups uses.
fn parameters(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let mut paths: BTreeSet<&str> = BTreeSet::from([finding.analysis.as_str()]);
    if let Some((analysis, detections)) = analysis_of(finding, before, after) {
        paths.extend(analysis.about.uses.iter().map(|(_, path)| *path));
        paths.extend(rollups(analysis, detections).flat_map(|rollup| rollup.uses).map(|(_, path)| *path));
    }
    let mut reasons = Vec::new();
    for path in paths {
        let of =
            |scan: &'_ StoredScan| path.split('.').fold(&scan.parameters, |value, name| &value[name]).clone();
        differing(path, &of(before), &of(after), &mut reasons);
    }
    reasons
}

/// A different location database, if the analysis uses one and ran in both scans.
fn locations(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Option<Reason> {
    let uses_locations = analysis_of(finding, before, after)?.0.locations != Locations::Unused;
    let ran = |scan: &StoredScan| scan.summary.analyses.contains_key(&finding.analysis);
    let (one, other) = (&before.summary.locations, &after.summary.locations);
    (uses_locations && ran(before) && ran(after) && one != other)
        .then(|| Reason::Locations { before: one.clone(), after: other.clone() })
}

/// Tables that the analysis reads, and that the scans read in different versions.
fn table_versions(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let Some((analysis, detections)) = analysis_of(finding, before, after) else { return Vec::new() };
    let tables: BTreeSet<&str> =
        rollups(analysis, detections).flat_map(|rollup| rollup.tables).copied().collect();
    let changes = version_changes(before, after).into_iter();
    changes
        .filter(|(table, _)| tables.contains(*table))
        .map(|(_, change)| Reason::TableVersion(change))
        .collect()
}

/// Tables whose versions differ, by name.
pub(super) fn version_changes<'a>(
    before: &'a StoredScan,
    after: &'a StoredScan,
) -> Vec<(&'a str, VersionChange)> {
    let of = |scan: &'a StoredScan| -> BTreeMap<(String, &'a str), u64> {
        let versions = scan.summary.coverage.versions.iter();
        versions.map(|read| ((read.place(), read.table.as_str()), read.version)).collect()
    };
    let (one, other) = (of(before), of(after));
    let places: BTreeSet<&(String, &str)> = one.keys().chain(other.keys()).collect();
    let change = |place: &(String, &'a str)| {
        let (before, after) = (one.get(place).copied(), other.get(place).copied());
        (place.1, VersionChange { table: place.0.clone(), before, after })
    };
    places.into_iter().map(change).filter(|(_, change)| change.before != change.after).collect()
}

/// Adds the parameters below `path` that differ.
fn differing(path: &str, one: &Value, other: &Value, reasons: &mut Vec<Reason>) {
    match (one, other) {
        (Value::Object(left), Value::Object(right)) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                differing(&format!("{path}.{name}"), &one[name], &other[name], reasons);
            }
        }
        _ if one == other => {}
        _ => reasons.push(Reason::Parameter {
            path: path.to_owned(),
            before: one.clone(),
            after: other.clone(),
        }),
    }
}

/// Tables and dates that the analysis reads and whose coverage differs; only the finding's own dates if one of them does.
fn data(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let Some((analysis, detections)) = analysis_of(finding, before, after) else { return Vec::new() };
    let tables: BTreeSet<&str> =
        rollups(analysis, detections).flat_map(|rollup| rollup.tables).copied().collect();
    let of_tables = |scan: &StoredScan| -> Vec<CoverageEntry> {
        let coverage = &scan.summary.coverage;
        let entries = coverage.tables.iter().chain(&coverage.look_back);
        entries.filter(|entry| tables.contains(entry.table.as_str())).cloned().collect()
    };
    let (one, other) = (of_tables(before), of_tables(after));
    let keys: BTreeSet<(&str, NaiveDate)> =
        one.iter().chain(&other).map(|entry| (entry.table.as_str(), entry.date)).collect();
    let mut all = Vec::new();
    let mut of_finding = Vec::new();
    for (table, date) in keys {
        let size = |entries: &[CoverageEntry]| {
            // There is one entry for each root.
            let of_date = entries.iter().filter(|entry| entry.table == table && entry.holds(date));
            let sizes =
                of_date.map(|entry| DataSize { rows: entry.rows, files: entry.files, bytes: entry.bytes });
            sizes.reduce(|one, other| DataSize {
                rows: one.rows + other.rows,
                files: one.files + other.files,
                bytes: one.bytes + other.bytes,
            })
        };
        let (before, after) = (size(&one), size(&other));
        if before != after {
            let reason = Reason::Data { table: table.to_owned(), date, before, after };
            if is_active_on(finding, date) {
                of_finding.push(reason.clone());
            }
            all.push(reason);
        }
    }
    let dates = if of_finding.is_empty() { all } else { of_finding };
    gaps(&tables, before, after).into_iter().chain(dates).collect()
}

/// What one of the scans could not look at in these tables, regardless of the date.
fn gaps(tables: &BTreeSet<&str>, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (scan, other, which) in [(before, after, Which::First), (after, before, Which::Second)] {
        let others = &other.summary.coverage.gaps;
        let own = scan.summary.coverage.gaps.iter().filter(|gap| !others.contains(gap));
        let own = own.filter(|gap| tables.contains(gap.table.as_str()));
        reasons.extend(own.map(|gap| Reason::Gap { scan: which, gap: gap.clone() }));
    }
    reasons
}

fn is_active_on(finding: &Finding, date: NaiveDate) -> bool {
    let day = |text: &Option<String>| text.as_deref().and_then(parse_time_us).map(date_of_us);
    day(&finding.first_seen).is_some_and(|first| first <= date) && day(&finding.last_seen) >= Some(date)
}
