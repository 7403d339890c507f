//! Why a finding differs between two scans: window, watchlists, rule version, parameters, location database or data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::NaiveDate;
use hindcast_common::analyses::{Analysis, Locations};
use hindcast_common::detections::Detections;
use hindcast_common::findings::Finding;
use hindcast_common::rollups::Rollup;
use hindcast_common::time::{date_of_us, parse_time_us};
use serde::Serialize;
use serde_json::Value;

use super::stored::StoredScan;
use crate::geoip::LocationSource;
use crate::scan::CoverageEntry;

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "what", rename_all = "snake_case")]
pub enum Reason {
    /// The finding's time lies outside one scan's window.
    Window(String),
    /// The analysis did not run in one scan.
    NotRun(String),
    /// A watchlist suppresses or names it in one scan.
    Watchlist(String),
    /// The analysis has another version.
    RuleVersion(String),
    /// A parameter of the analysis differs.
    Parameters(String),
    /// The analysis uses locations, and the location database differs.
    Locations(String),
    /// A table and date that the analysis reads differs.
    Data(String),
    /// None of the above: another version of Hindcast, or rows that changed without a change in number and size.
    Unknown(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Window(what) => write!(formatter, "window: {what}"),
            Reason::NotRun(what) => write!(formatter, "not run: {what}"),
            Reason::Watchlist(what) => write!(formatter, "watchlist: {what}"),
            Reason::RuleVersion(what) => write!(formatter, "rule version: {what}"),
            Reason::Parameters(what) => write!(formatter, "parameters: {what}"),
            Reason::Locations(what) => write!(formatter, "locations: {what}"),
            Reason::Data(what) => write!(formatter, "data: {what}"),
            Reason::Unknown(what) => write!(formatter, "unknown: {what}"),
        }
    }
}

/// Why `finding` differs, as far as the results of the two scans show.
pub(super) fn of(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (scan, which) in [(before, "first"), (after, "second")] {
        let window = &scan.summary.window;
        let is_outside = finding.first_seen.as_ref().is_some_and(|first| {
            parse_time_us(first) >= parse_time_us(&window.to)
                || finding.last_seen.as_deref().and_then(parse_time_us) < parse_time_us(&window.from)
        });
        if is_outside {
            reasons.push(Reason::Window(format!("the {which} scan's is {} to {}", window.from, window.to)));
        } else if !scan.summary.analyses.contains_key(&finding.analysis) {
            let why =
                scan.summary.disabled.get(&finding.analysis).map_or("it was not requested", String::as_str);
            reasons.push(Reason::NotRun(format!("{} in the {which} scan: {why}", finding.analysis)));
        }
        if let Some(suppressed) = scan.suppressed.get(&finding.id) {
            let lists = suppressed.watchlists.join(", ");
            reasons.push(Reason::Watchlist(format!("suppressed by {lists} in the {which} scan")));
        }
    }
    let lists = |scan: &StoredScan| scan.findings.get(&finding.id).map(|finding| finding.watchlists.clone());
    if let (Some(one), Some(other)) = (lists(before), lists(after))
        && one != other
    {
        reasons.push(Reason::Watchlist(format!("on [{}], then on [{}]", one.join(", "), other.join(", "))));
    }
    reasons.extend(rule_version(finding, before, after));
    reasons.extend(parameters(finding, before, after));
    reasons.extend(locations(finding, before, after));
    if !reasons.iter().any(|reason| matches!(reason, Reason::Window(_) | Reason::NotRun(_))) {
        reasons.extend(data(finding, before, after));
    }
    if reasons.is_empty() {
        let (one, other) = (&before.summary.version, &after.summary.version);
        reasons.push(Reason::Unknown(if one == other {
            "same window, parameters, rule versions, and number and size of rows".into()
        } else {
            format!("version {one}, then {other}")
        }));
    }
    reasons
}

fn rule_version(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Option<Reason> {
    let version = |scan: &StoredScan| scan.summary.analyses.get(&finding.analysis).copied();
    let (one, other) = (version(before)?, version(after)?);
    if one != other {
        return Some(Reason::RuleVersion(format!("{} {one}, then {other}", finding.analysis)));
    }
    let is_edited = own_files(finding, before) != own_files(finding, after);
    is_edited.then(|| Reason::RuleVersion(format!("{} was edited without another version", finding.analysis)))
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
        let mut changes = Vec::new();
        differing(path, &of(before), &of(after), &mut changes);
        reasons.extend(changes.into_iter().map(Reason::Parameters));
    }
    reasons
}

/// A different location database, if the analysis uses one and ran in both scans.
fn locations(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Option<Reason> {
    let uses_locations = analysis_of(finding, before, after)?.0.locations != Locations::Unused;
    let ran = |scan: &StoredScan| scan.summary.analyses.contains_key(&finding.analysis);
    let (one, other) = (&before.summary.locations, &after.summary.locations);
    (uses_locations && ran(before) && ran(after) && one != other)
        .then(|| Reason::Locations(format!("{}, then {}", database(one.as_ref()), database(other.as_ref()))))
}

fn database(locations: Option<&LocationSource>) -> String {
    locations.map_or("none".to_owned(), |source| format!("{}, built {}", source.database, source.built))
}

fn differing(path: &str, one: &Value, other: &Value, changes: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(left), Value::Object(right)) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                differing(&format!("{path}.{name}"), &one[name], &other[name], changes);
            }
        }
        _ if one == other => {}
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            changes.push(format!("{path} differs"));
        }
        _ => changes.push(format!("{path} {one}, then {other}")),
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
        let describe = |entries: &[CoverageEntry]| {
            let entry = entries.iter().find(|entry| entry.table == table && entry.holds(date));
            entry.map_or("not looked at".to_owned(), |e| {
                format!("{} rows in {} files of {} bytes", e.rows, e.files, e.bytes)
            })
        };
        let (one, other) = (describe(&one), describe(&other));
        if one != other {
            let reason = Reason::Data(format!("{table} {date}: {one}, then {other}"));
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
    for (scan, other, which) in [(before, after, "first"), (after, before, "second")] {
        let others = &other.summary.coverage.gaps;
        let own = scan.summary.coverage.gaps.iter().filter(|gap| !others.contains(gap));
        let own = own.filter(|gap| tables.contains(gap.table.as_str()));
        reasons.extend(own.map(|gap| Reason::Data(format!("in the {which} scan {gap}"))));
    }
    reasons
}

fn is_active_on(finding: &Finding, date: NaiveDate) -> bool {
    let day = |text: &Option<String>| text.as_deref().and_then(parse_time_us).map(date_of_us);
    day(&finding.first_seen).is_some_and(|first| first <= date) && day(&finding.last_seen) >= Some(date)
}
