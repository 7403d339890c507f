//! What a person sees of a scan: before, during and after.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use hindcast_common::analyses::Suite;
use hindcast_common::engine::{StateFault, UnitFault};
use hindcast_common::entities::EntityKind;
use hindcast_common::{Error, Result};
use hindcast_proto::v1::{Job, Progress as JobProgress};
use indicatif::{ProgressDrawTarget, ProgressStyle};

use crate::correlate::Incident;
use crate::entity_page::print_entity_page;
use crate::jobs::is_open;
use crate::risk::{Level, RunRisk};
use crate::scan::{
    CANNOT_NAME, Coverage, CoverageEntry, NO_FOLDER, PlanOutline, Progress, Report, ScanResult, Status,
    Summary, UnitOutline,
};
use crate::sinks::Delivery;

/// Coverage lines shown; the rest is counted, and is whole in summary.json.
const SHOWN_GAPS: usize = 12;
/// Incidents shown, the worst first.
const SHOWN_INCIDENTS: usize = 5;
/// Devices and users shown of an incident.
const SHOWN_NAMES: usize = 4;

/// A size for people.
pub fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Prints a value as JSON on standard output.
///
/// # Errors
/// [`Error::Internal`] where it can't be written as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Internal(error.to_string()))?;
    println!("{text}");
    Ok(())
}

/// Prints what will be scanned.
pub fn print_plan(plan: &PlanOutline) {
    if let Some(entity) = &plan.investigated {
        println!("{:<9} {}", entity.kind.name(), entity.full_name.as_ref().unwrap_or(&entity.name));
    }
    println!("window    {} to {}", plan.window.from, plan.window.to);
    for table in &plan.tables {
        let dates = format_dates(&table.dates);
        println!("table     {:<22} {dates}, {} files, {}", table.table, table.files, bytes(table.bytes));
    }
    for name in &plan.missing_tables {
        println!("table     {name:<22} not in the lake");
    }
    for gap in &plan.gaps {
        println!("NOT READ  {}", gap.text());
    }
    let mut by_suite: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for analysis in &plan.analyses {
        by_suite.entry(&analysis.suite).or_default().push(&analysis.id);
    }
    for (suite, analyses) in by_suite {
        println!("analyses  {suite}: {}", analyses.join(", "));
    }
    if let Some(locations) = &plan.locations {
        println!("locations {}, built {}", locations.database, locations.built);
    }
    for (analysis, reason) in &plan.disabled {
        println!("disabled  {analysis}: {reason}");
    }
}

/// Prints what would be scanned, and the units it is cut into.
///
/// # Errors
/// Where it can't be written as JSON.
pub fn print_dry_run(plan: &PlanOutline, units: &[UnitOutline], as_json: bool) -> Result<()> {
    if as_json {
        let mut value = serde_json::to_value(plan).map_err(|error| Error::Internal(error.to_string()))?;
        value["units"] = serde_json::to_value(units).map_err(|error| Error::Internal(error.to_string()))?;
        return print_json(&value);
    }
    print_plan(plan);
    println!("units     {}", units.len());
    for unit in units {
        let cut = match (unit.is_past, unit.is_clipped) {
            (true, _) => ", before the window",
            (false, true) => ", cut by the window",
            (false, false) => "",
        };
        let (files, size) = (unit.files, bytes(unit.bytes));
        println!(
            "  {:<22} {} {files} files, {size}{cut}: {}",
            unit.table,
            unit.date,
            unit.rollups.join(", ")
        );
    }
    Ok(())
}

fn format_dates(dates: &[String]) -> String {
    match (dates.first(), dates.last()) {
        (Some(first), Some(last)) if first == last => first.clone(),
        (Some(first), Some(last)) => format!("{first} to {last} ({} dates)", dates.len()),
        _ => "no date in the window".into(),
    }
}

/// Prints what a scan found and where it is.
///
/// # Errors
/// Where a result table can't be read.
pub fn print_result(result: &ScanResult, out: &Path, elapsed: Duration) -> Result<()> {
    let Report { outline, summary, incidents, computed_units, .. } = &result.report;
    print_entity_page(result)?;
    println!();
    for (suite, score) in &summary.suites {
        println!("{suite:<13} {:>3} points  {}", score.score, score.level.name());
        for (signal, rows) in &score.signals {
            let findings = result.findings.iter().filter(|finding| finding.analysis == *signal).count();
            println!("  {signal:<22} {rows:>8} rows  {findings:>6} findings");
        }
    }
    print_unassessed_suites(outline, summary);
    print_risk(&summary.risk);
    for (list, count) in &summary.suppressed {
        println!("  {count} findings set aside by the watchlist {list}");
    }
    println!("{:<13} {:>3}", "incidents", incidents.len());
    for incident in incidents.iter().take(SHOWN_INCIDENTS) {
        println!("  {:>3}  {}", incident.risk.score, incident_told(incident));
    }
    if incidents.len() > SHOWN_INCIDENTS {
        println!("  and {} more in incidents.jsonl", incidents.len() - SHOWN_INCIDENTS);
    }
    print_coverage(&summary.coverage);
    let (computed, units) = computed_units;
    let rows = summary.coverage.rows();
    println!(
        "{} analyses of {rows} rows in {:.1} s; {computed} of {units} units computed, {} from the cache",
        outline.analyses.len(),
        elapsed.as_secs_f64(),
        units - computed,
    );
    println!("results in {}", out.display());
    Ok(())
}

/// Prints what was pushed to whom; why something was not is in the log.
pub fn print_deliveries(deliveries: &[Delivery]) {
    for Delivery { sink, findings, failure } in deliveries {
        match failure {
            None => println!("sent to       {sink}: {findings} findings"),
            Some(_) => println!("NOT sent to   {sink}: {findings} findings"),
        }
    }
}

/// An incident in a line: when, what, and who.
fn incident_told(incident: &Incident) -> String {
    let stages: Vec<&str> = incident.stages.iter().map(|stage| stage.name()).collect();
    let of_kinds = |kinds: &[EntityKind]| -> Vec<&str> {
        let named = incident.entities.iter().filter(|entity| kinds.contains(&entity.kind));
        let mut names: Vec<&str> = named.map(|entity| entity.name.as_str()).collect();
        names.dedup();
        names.truncate(SHOWN_NAMES);
        names
    };
    let mut who = of_kinds(&[EntityKind::Device, EntityKind::User]);
    if who.is_empty() {
        who = of_kinds(&[EntityKind::Ip]);
    }
    let since = incident.first_seen.as_deref().unwrap_or_default();
    format!("{since}  {}: {} findings, {}", stages.join(" > "), incident.findings.len(), who.join(", "))
}

/// Suites that ran and looked at no row: they have no score.
fn print_unassessed_suites(plan: &PlanOutline, summary: &Summary) {
    let suites = Suite::ALL.map(Suite::name).into_iter();
    let ran = suites.filter(|suite| plan.analyses.iter().any(|analysis| analysis.suite == *suite));
    for suite in ran.filter(|suite| !summary.suites.contains_key(*suite)) {
        println!("{suite:<13} {}", Level::NotAssessed.name());
    }
}

fn print_risk(risk: &RunRisk) {
    match risk.score {
        Some(score) => println!("{:<13} {score:>3} of 100  {}", "risk", risk.level.name()),
        None => {
            println!("{:<13} {}", "risk", risk.level.name());
            risk.explanation.iter().for_each(|reason| println!("  {reason}"));
        }
    }
}

/// Prints on standard error what could not be read, for those who are shown nothing else.
pub fn print_unread(summary: &Summary) {
    summary.coverage.unread().for_each(|unread| eprintln!("error: not read: {unread}"));
    let past = summary.coverage.unread_past();
    past.for_each(|entry| eprintln!("warning: not read before the window: {}", entry.unread_text()));
    if !summary.risk.is_assessed() {
        let is_told = |reason: &&String| summary.coverage.unread().any(|unread| unread == **reason);
        let others: Vec<&str> =
            summary.risk.explanation.iter().filter(|reason| !is_told(reason)).map(String::as_str).collect();
        let others = if others.is_empty() { String::new() } else { format!(": {}", others.join("; ")) };
        eprintln!("error: risk {}{others}", summary.risk.level.name());
    }
}

/// Warns on standard error of state that was damaged, of which nothing shows in the results.
pub fn print_replaced(state: &[StateFault]) {
    for StateFault { file, reason } in state {
        eprintln!("warning: damaged state was computed again: {file}: {reason}");
    }
}

fn print_coverage(coverage: &Coverage) {
    let mark = if coverage.complete { "" } else { ": INCOMPLETE" };
    println!("coverage      {}{mark}", status_counts(&coverage.tables));
    if !coverage.look_back.is_empty() {
        println!("looked back   {}", status_counts(&coverage.look_back));
    }
    for entry in coverage.unread_past() {
        println!("  FAILED before the window: {}", entry.unread_text());
    }
    for gap in &coverage.gaps {
        println!("  NOT READ {}", gap.text());
    }
    // A table the lake never had was told before the scan; here each line is a surprise.
    // A date that can't hold an investigated entity's rows is counted on its page.
    let is_surprise = |entry: &&CoverageEntry| match entry.reason.as_deref() {
        Some(reason) => reason != CANNOT_NAME && (entry.status != Status::Missing || reason == NO_FOLDER),
        None => false,
    };
    let mut surprises: Vec<&CoverageEntry> = coverage.tables.iter().filter(is_surprise).collect();
    surprises.sort_by_key(|entry| entry.status != Status::Failed);
    for entry in surprises.iter().take(SHOWN_GAPS) {
        let reason = entry.reason.as_deref().unwrap_or_default();
        let mark = if entry.status == Status::Failed { "FAILED " } else { "" };
        println!("  {mark}{} {}: {reason}", entry.table, entry.when());
    }
    if surprises.len() > SHOWN_GAPS {
        println!("  and {} more in summary.json", surprises.len() - SHOWN_GAPS);
    }
}

/// How many table dates there are of each status.
pub fn status_counts(entries: &[CoverageEntry]) -> String {
    let count = |status| -> u64 {
        entries.iter().filter(|entry| entry.status == status).map(CoverageEntry::dates).sum()
    };
    format!(
        "{} table dates scanned, {} empty, {} missing, {} failed",
        count(Status::Scanned),
        count(Status::Empty),
        count(Status::Missing),
        count(Status::Failed)
    )
}

/// A bar by bytes, with the units done; nothing where standard error is no terminal.
pub struct ProgressBar {
    bar: indicatif::ProgressBar,
}

impl ProgressBar {
    /// A bar that shows itself only where `is_wanted` and standard error is a terminal.
    pub fn new(is_wanted: bool) -> Self {
        let target = if is_wanted && std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = indicatif::ProgressBar::with_draw_target(None, target);
        let template = "{bar:32} {binary_bytes} of {binary_total_bytes}, {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Shows how many bytes are done.
    pub fn set_bytes(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How far a job is, in a few words.
pub fn progress_told(job: &Job) -> String {
    let merging = |told: &JobProgress| told.merging && is_open(job);
    job.progress
        .as_ref()
        .map(|told| units_told(&JobProgress { merging: merging(told), ..*told }))
        .unwrap_or_default()
}

/// How many units are done, in a few words.
pub fn units_told(told: &JobProgress) -> String {
    let failures = if told.failures > 0 { format!(", {} failures", told.failures) } else { String::new() };
    let merging = if told.merging { ", merging" } else { "" };
    let done = told.units_done + told.units_cached;
    format!("{done} of {} units{merging}{failures}", told.units)
}

/// The bar of a coordinator's job.
pub struct JobBar {
    bar: indicatif::ProgressBar,
    is_planned: Cell<bool>,
    is_told: bool,
}

impl JobBar {
    /// A bar that shows itself only where `is_told` and standard error is a terminal.
    pub fn new(is_told: bool) -> Self {
        Self { bar: ProgressBar::new(is_told).bar, is_planned: Cell::new(false), is_told }
    }

    /// Shows a job as it stands; its plan once it is there.
    pub fn show(&self, job: &Job) {
        if self.is_told && !job.outline.is_empty() && !self.is_planned.replace(true) {
            if let Ok(outline) = serde_json::from_str(&job.outline) {
                print_plan(&outline);
            }
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
        let told = job.progress.unwrap_or_default();
        self.bar.set_length(told.bytes);
        self.bar.set_position(told.bytes_done);
        self.bar.set_message(progress_told(job));
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for ProgressBar {
    fn planned(&self, units: u64, bytes: u64) {
        self.bar.set_length(bytes);
        self.bar.set_message(format!("{units} units"));
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn cached(&self, _: u64) {}

    fn unit_failed(&self, fault: &UnitFault) {
        tracing::debug!(?fault, "unit failed");
    }

    fn unit_done(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn merging(&self) {
        self.bar.set_message("merging");
    }
}
