//! What a scan read and what it did not.

use hindcast_engine::StateFault;
use hindcast_scan::status_counts;
use hindcast_scan::{Coverage, CoverageEntry, DateReason, Status, Summary};

/// Coverage lines printed. The others are counted; summary.json has all.
const SHOWN_GAPS: usize = 12;

pub(super) fn print_coverage(coverage: &Coverage) {
    let mark = if coverage.complete { "" } else { ": INCOMPLETE" };
    println!("coverage      {}{mark}", status_counts(&coverage.tables));
    coverage.versions.iter().for_each(|version| println!("version       {version}"));
    if !coverage.look_back.is_empty() {
        println!("looked back   {}", status_counts(&coverage.look_back));
    }
    for entry in coverage.unread_past() {
        println!("  FAILED before the window: {}", entry.unread_text());
    }
    for gap in &coverage.gaps {
        println!("  NOT READ {gap}");
    }
    for filter in coverage.filters.iter().filter(|filter| filter.left_out > 0) {
        println!("  {filter}");
    }
    // The plan has already named the tables that the lake does not have: only what the plan did not say is printed here.
    // The entity page counts the dates that can't hold rows of an investigated entity.
    let is_surprise = |entry: &&CoverageEntry| {
        let is_known = [DateReason::NoTable, DateReason::NoTableInRoot, DateReason::CannotNameEntity];
        !entry.reasons.is_empty() && !is_known.iter().any(|known| entry.reasons.is_only(known))
    };
    let mut surprises: Vec<&CoverageEntry> = coverage.tables.iter().filter(is_surprise).collect();
    surprises.sort_by_key(|entry| entry.status != Status::Failed);
    for entry in surprises.iter().take(SHOWN_GAPS) {
        let mark = if entry.status == Status::Failed { "FAILED " } else { "" };
        println!("  {mark}{} {}: {}", entry.place(), entry.when(), entry.reasons);
    }
    if surprises.len() > SHOWN_GAPS {
        println!("  and {} more in summary.json", surprises.len() - SHOWN_GAPS);
    }
}

/// Prints on standard error what could not be read, for runs that print nothing else.
pub fn print_unread(summary: &Summary) {
    summary.coverage.unread().for_each(|unread| eprintln!("error: not read: {unread}"));
    let past = summary.coverage.unread_past();
    past.for_each(|entry| eprintln!("warning: not read before the window: {}", entry.unread_text()));
    if !summary.risk.is_assessed() {
        let others = summary.unassessed_reasons();
        let others = if others.is_empty() { String::new() } else { format!(": {}", others.join("; ")) };
        eprintln!("error: risk {}{others}", summary.risk.level().name());
    }
}

/// Warns on standard error about damaged state. It was computed again, so the results do not show it.
pub fn print_replaced(state: &[StateFault]) {
    for StateFault { file, reason } in state {
        eprintln!("warning: damaged state was computed again: {file}: {reason}");
    }
}
