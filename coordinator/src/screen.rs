//! What a person sees of a scan: before, during and after.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use hindcast_common::time::format_micros;
use hindcast_common::{Error, Result};
use indicatif::{ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::scan::{CoverageEntry, PlannedTable, Progress, ScanPlan, ScanResult, Status};

/// Coverage lines shown; the rest is counted, and is whole in summary.json.
const SHOWN_GAPS: usize = 12;

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
///
/// # Errors
/// Where the plan can't be written as JSON.
pub fn print_plan(plan: &ScanPlan, as_json: bool) -> Result<()> {
    if as_json {
        return print_json(&plan_json(plan));
    }
    println!("window    {} to {}", format_micros(plan.window.from_us), format_micros(plan.window.to_us));
    for planned in &plan.tables {
        let (files, size) = planned.size();
        let dates = dates_of(planned);
        println!("table     {:<22} {dates}, {files} files, {}", planned.table.spec.name, bytes(size));
    }
    for name in &plan.missing_tables {
        println!("table     {name:<22} not in the lake");
    }
    let mut by_suite: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for analysis in &plan.analyses {
        by_suite.entry(analysis.suite.name()).or_default().push(analysis.id);
    }
    for (suite, analyses) in by_suite {
        println!("analyses  {suite}: {}", analyses.join(", "));
    }
    for disabled in &plan.disabled {
        println!("disabled  {}: {}", disabled.analysis.id, disabled.reason);
    }
    Ok(())
}

fn dates_of(planned: &PlannedTable) -> String {
    match (planned.folders.first(), planned.folders.last()) {
        (Some(first), Some(last)) if first.date == last.date => format!("{}", first.date),
        (Some(first), Some(last)) => {
            format!("{} to {} ({} dates)", first.date, last.date, planned.folders.len())
        }
        _ => "no date in the window".into(),
    }
}

fn plan_json(plan: &ScanPlan) -> Value {
    let tables: Vec<Value> = plan
        .tables
        .iter()
        .map(|planned| {
            let (files, size) = planned.size();
            let dates: Vec<String> = planned.folders.iter().map(|folder| folder.date.to_string()).collect();
            json!({ "table": planned.table.spec.name, "dates": dates, "files": files, "bytes": size })
        })
        .collect();
    let disabled: BTreeMap<&str, &str> =
        plan.disabled.iter().map(|disabled| (disabled.analysis.id, disabled.reason.as_str())).collect();
    json!({
        "window": { "from": format_micros(plan.window.from_us), "to": format_micros(plan.window.to_us) },
        "tables": tables,
        "missing_tables": plan.missing_tables,
        "analyses": plan.analyses.iter().map(|analysis| analysis.id).collect::<Vec<_>>(),
        "disabled": disabled,
    })
}

/// Prints what a scan found and where it is.
pub fn print_result(plan: &ScanPlan, result: &ScanResult, out: &Path, elapsed: Duration) {
    println!();
    for (suite, score) in &result.suites {
        println!("{:<13} {:>3} points  {}", suite.name(), score.score, score.level.name());
        for (signal, rows) in &score.signals {
            let findings = result.findings.iter().filter(|finding| finding.analysis == *signal).count();
            println!("  {signal:<22} {rows:>8} rows  {findings:>6} findings");
        }
    }
    println!("{:<13} {:>3} points  {}", "risk", result.risk.score, result.risk.level.name());
    println!("{:<13} {:>3}", "incidents", result.incidents.len());
    print_coverage(&result.coverage.tables, result.coverage.complete);
    let (computed, units) = result.computed_units;
    let rows: u64 = result.coverage.tables.iter().map(|entry| entry.rows).sum();
    println!(
        "{} analyses of {rows} rows in {:.1} s; {computed} of {units} units computed, {} from the cache",
        plan.analyses.len(),
        elapsed.as_secs_f64(),
        units - computed,
    );
    println!("results in {}", out.display());
}

fn print_coverage(entries: &[CoverageEntry], complete: bool) {
    let count = |status| entries.iter().filter(|entry| entry.status == status).count();
    println!(
        "coverage      {} table dates scanned, {} empty, {} missing, {} failed{}",
        count(Status::Scanned),
        count(Status::Empty),
        count(Status::Missing),
        count(Status::Failed),
        if complete { "" } else { ": INCOMPLETE" }
    );
    // A table the lake never had was told before the scan; here each line is a surprise.
    let is_gap = |entry: &&CoverageEntry| entry.reason.is_some() && entry.status != Status::Missing;
    let mut gaps: Vec<&CoverageEntry> = entries.iter().filter(is_gap).collect();
    gaps.sort_by_key(|entry| entry.status != Status::Failed);
    for entry in gaps.iter().take(SHOWN_GAPS) {
        let reason = entry.reason.as_deref().unwrap_or_default();
        let mark = if entry.status == Status::Failed { "FAILED " } else { "" };
        println!("  {mark}{} {}: {reason}", entry.table, entry.date);
    }
    if gaps.len() > SHOWN_GAPS {
        println!("  and {} more in summary.json", gaps.len() - SHOWN_GAPS);
    }
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

    fn unit_done(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn merging(&self) {
        self.bar.set_message("merging");
    }
}
