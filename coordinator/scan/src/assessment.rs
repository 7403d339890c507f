//! Whether a scan looked at anything in which it could have found something. Only then does it report a risk: a scan that looked
//! at nothing and found nothing is no all-clear.

use std::collections::BTreeSet;

use hindcast_detections::analyses::Suite;

use super::coverage::{Coverage, CoverageEntry, Status};
use super::plan::{ScanPlan, tables_of};

/// Reasons reported at most.
const SHOWN_REASONS: usize = 20;

/// Whether any analysis of a scan looked at rows.
#[derive(Debug)]
pub(super) enum Assessment {
    /// Analyses of these suites looked at rows.
    Assessed(BTreeSet<Suite>),
    /// No analysis looked at any row, for these reasons.
    NotAssessed(Vec<String>),
}

impl Assessment {
    /// The assessment of a scan of all rows.
    pub(super) fn of_scan(plan: &ScanPlan, coverage: &Coverage) -> Self {
        Self::of(plan, coverage, |entry| entry.rows > 0 && coverage.has_rows_taken(&entry.table))
    }

    /// The assessment of an investigation. A table without a row of the entity was searched all the same.
    pub(super) fn of_investigation(plan: &ScanPlan, coverage: &Coverage) -> Self {
        let is_searched = |status| matches!(status, Status::Scanned | Status::Empty);
        Self::of(plan, coverage, |entry| is_searched(entry.status) || entry.rows > 0)
    }

    fn of(plan: &ScanPlan, coverage: &Coverage, is_looked_at: impl Fn(&CoverageEntry) -> bool) -> Self {
        let looked_at = coverage.tables.iter().filter(|entry| is_looked_at(entry));
        let looked_at: BTreeSet<&str> = looked_at.map(|entry| entry.table.as_str()).collect();
        let has_looked = plan.analyses.iter().filter(|analysis| {
            tables_of(plan.detections, &[**analysis]).iter().any(|table| looked_at.contains(table))
        });
        let suites: BTreeSet<Suite> = has_looked.map(|analysis| analysis.suite).collect();
        if suites.is_empty() { Self::NotAssessed(reasons(plan, coverage)) } else { Self::Assessed(suites) }
    }

    /// Whether any analysis looked at a row.
    pub(super) fn is_assessed(&self) -> bool {
        matches!(self, Self::Assessed(_))
    }

    /// Whether an analysis of `suite` looked at a row.
    pub(super) fn has(&self, suite: Suite) -> bool {
        matches!(self, Self::Assessed(suites) if suites.contains(&suite))
    }
}

/// Why nothing was looked at, apart from what `coverage` says: what the disabled analyses lack if none of them could run, or that
/// there is no row.
pub(super) fn reasons_beyond_coverage(
    analyses: usize,
    lacks: BTreeSet<String>,
    coverage: &Coverage,
) -> Vec<String> {
    if analyses == 0 {
        lacks.into_iter().map(|lack| format!("no analysis could run: {lack}")).collect()
    } else if coverage.unread().next().is_none() {
        vec!["no row lies in the window".to_owned()]
    } else {
        Vec::new()
    }
}

/// Why nothing was looked at: what could not be read, and what the analyses lack.
fn reasons(plan: &ScanPlan, coverage: &Coverage) -> Vec<String> {
    let mut reasons: Vec<String> = coverage.unread().collect();
    let lacks = plan.disabled.iter().map(|disabled| disabled.reason.to_string()).collect();
    reasons.extend(reasons_beyond_coverage(plan.analyses.len(), lacks, coverage));
    if reasons.len() > SHOWN_REASONS {
        let more = reasons.len() - SHOWN_REASONS;
        reasons.truncate(SHOWN_REASONS);
        reasons.push(format!("and {more} more reasons, in the coverage"));
    }
    reasons
}
