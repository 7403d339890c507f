//! Why two scans tell a finding differently: window, watchlists, rule version, parameters, location database or data.

use std::collections::BTreeSet;
use std::fmt;

use chrono::NaiveDate;
use hindcast_common::analyses::{Analysis, Locations};
use hindcast_common::findings::Finding;
use hindcast_common::time::{date_of_us, parse_time_us};
use serde::Serialize;
use serde_json::Value;

use super::stored::StoredScan;
use crate::locations::LocationSource;
use crate::scan::CoverageEntry;

/// Sections that several analyses of a suite share.
const SHARED: [(&str, &str); 2] = [("network", "firewall"), ("firewall", "firewall")];

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "what", rename_all = "snake_case")]
pub enum Reason {
    /// One scan's window does not hold the finding's time.
    Window(String),
    /// The analysis did not run in one of them.
    NotRun(String),
    /// A watchlist sets it aside, or names it, in one of them.
    Watchlist(String),
    /// The analysis has another version.
    RuleVersion(String),
    /// A parameter of the analysis differs.
    Parameters(String),
    /// The location database, which the analysis asks, is another one.
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

/// What of the two scans' own accounts explains that `finding` differs.
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
                scan.summary.disabled.get(&finding.analysis).map_or("it was not asked for", String::as_str);
            reasons.push(Reason::NotRun(format!("{} in the {which} scan: {why}", finding.analysis)));
        }
        if let Some(suppressed) = scan.suppressed.get(&finding.id) {
            let lists = suppressed.watchlists.join(", ");
            reasons.push(Reason::Watchlist(format!("set aside by {lists} in the {which} scan")));
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
    (one != other).then(|| Reason::RuleVersion(format!("{} {one}, then {other}", finding.analysis)))
}

/// The analysis that raised it, as the later scan has it.
fn analysis_of(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Option<&'static Analysis> {
    let id = &finding.analysis;
    after.detections.by_id(id).or_else(|| before.detections.by_id(id))
}

/// Parameters of the analysis that differ: the leaves of its own section, of those its suite shares, and those that it uses of
/// other sections.
fn parameters(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let analysis = analysis_of(finding, before, after);
    let sections = SHARED.iter().filter(|(_, suite)| analysis.is_some_and(|a| a.suite.name() == *suite));
    let sections: Vec<&str> =
        sections.map(|(section, _)| *section).chain([finding.analysis.as_str()]).collect();
    let used = analysis.into_iter().flat_map(|analysis| analysis.about.uses).map(|(_, path)| *path);
    let used = used.filter(|path| path.split_once('.').is_some_and(|(of, _)| !sections.contains(&of)));
    let mut reasons = Vec::new();
    for path in sections.iter().copied().chain(used) {
        let pointer = format!("/{}", path.replace('.', "/"));
        let [one, other] =
            [before, after].map(|scan| scan.parameters.pointer(&pointer).unwrap_or(&Value::Null));
        let mut changes = Vec::new();
        differing(path, one, other, &mut changes);
        reasons.extend(changes.into_iter().map(Reason::Parameters));
    }
    reasons
}

/// Another location database, where the analysis asks one and ran in both scans.
fn locations(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Option<Reason> {
    let is_asked = analysis_of(finding, before, after)?.locations != Locations::Unused;
    let ran = |scan: &StoredScan| scan.summary.analyses.contains_key(&finding.analysis);
    let (one, other) = (&before.summary.locations, &after.summary.locations);
    (is_asked && ran(before) && ran(after) && one != other)
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

/// Tables and dates the analysis reads whose coverage differs, on the finding's own dates where any of those does.
fn data(finding: &Finding, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let Some(analysis) = analysis_of(finding, before, after) else { return Vec::new() };
    let read = analysis.rollups.iter().chain(analysis.optional_rollups);
    let rollups = read.filter_map(|id| after.detections.rollup(id).or_else(|| before.detections.rollup(id)));
    let tables: BTreeSet<&str> = rollups.flat_map(|rollup| rollup.tables).copied().collect();
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
        let told = |entries: &[CoverageEntry]| {
            let entry = entries.iter().find(|entry| entry.table == table && entry.holds(date));
            entry.map_or("not looked at".to_owned(), |e| {
                format!("{} rows in {} files of {} bytes", e.rows, e.files, e.bytes)
            })
        };
        let (one, other) = (told(&one), told(&other));
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

/// What one of the scans could not look at of the tables, whatever its date.
fn gaps(tables: &BTreeSet<&str>, before: &StoredScan, after: &StoredScan) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (scan, other, which) in [(before, after, "first"), (after, before, "second")] {
        let others = &other.summary.coverage.gaps;
        let own = scan.summary.coverage.gaps.iter().filter(|gap| !others.contains(gap));
        let own = own.filter(|gap| tables.contains(gap.table.as_str()));
        reasons.extend(own.map(|gap| Reason::Data(format!("in the {which} scan {}", gap.told()))));
    }
    reasons
}

fn is_active_on(finding: &Finding, date: NaiveDate) -> bool {
    let day = |text: &Option<String>| text.as_deref().and_then(parse_time_us).map(date_of_us);
    day(&finding.first_seen).is_some_and(|first| first <= date) && day(&finding.last_seen) >= Some(date)
}
