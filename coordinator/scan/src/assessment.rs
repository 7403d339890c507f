//! Whether a scan looked at anything in which it could have found something. Only then does it report a risk: a scan that looked
//! at nothing and found nothing is no all-clear.

use std::collections::BTreeSet;

use hindcast_detections::analyses::Suite;

use super::coverage::{Coverage, CoverageEntry, Status};
use super::plan::{ScanPlan, tables_without_optional};

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
        let has_rows_taken =
            |entry: &CoverageEntry| coverage.has_rows_taken(&entry.table, entry.root.as_deref());
        Self::of(plan, coverage, |entry| entry.rows > 0 && has_rows_taken(entry))
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
            tables_without_optional(plan.detections, analysis).iter().any(|table| looked_at.contains(table))
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
        vec!["the window contains no rows".to_owned()]
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

#[cfg(test)]
mod tests {
    use super::super::date_reason::DateReason;
    use super::super::gap::{Gap, GapCause, UnusedRows};
    use super::super::test_lake::{TestLake, between};
    use super::*;

    async fn plan(analyses: &[&str]) -> ScanPlan {
        let lake = TestLake::new();
        lake.write_sessions("2026-03-01", &[("10", "Palo Alto Networks", "10.0.0.1", "203.0.113.1")]);
        let config = lake.config("");
        lake.plan(&config, analyses, between("2026-03-01", "2026-03-02")).await.unwrap()
    }

    fn entry(status: Status, rows: u64) -> CoverageEntry {
        CoverageEntry {
            table: "CommonSecurityLog".into(),
            root: None,
            date: "2026-03-01".parse().unwrap(),
            through: None,
            status,
            files: 1,
            rows,
            bytes: 9,
            reasons: Default::default(),
            read: None,
        }
    }

    fn coverage(tables: Vec<CoverageEntry>, gaps: Vec<Gap>) -> Coverage {
        let (filters, look_back, replaced_state) = (Vec::new(), Vec::new(), Vec::new());
        let versions = Vec::new();
        Coverage { tables, gaps, complete: true, versions, filters, look_back, replaced_state }
    }

    #[tokio::test]
    async fn a_scan_assesses_suites_of_which_it_read_a_row() {
        let plan = plan(&["beaconing"]).await;
        let with_rows = Assessment::of_scan(&plan, &coverage(vec![entry(Status::Scanned, 3)], Vec::new()));
        assert!(with_rows.has(Suite::Firewall) && !with_rows.has(Suite::Office365));
        let empty = coverage(vec![entry(Status::Empty, 0)], Vec::new());
        let Assessment::NotAssessed(reasons) = Assessment::of_scan(&plan, &empty) else { panic!("assessed") };
        assert_eq!(reasons, ["the window contains no rows"]);
        // An investigation that read the table has searched it.
        assert!(Assessment::of_investigation(&plan, &empty).has(Suite::Firewall));
        let failed = coverage(vec![entry(Status::Failed, 0)], Vec::new());
        assert!(!Assessment::of_investigation(&plan, &failed).is_assessed());
    }

    #[tokio::test]
    async fn rows_that_no_suite_looks_at_are_not_assessed() {
        let plan = plan(&["beaconing"]).await;
        let unused = UnusedRows {
            rows: 3,
            column: "DeviceVendor".into(),
            wanted: vec!["Palo Alto Networks".into()],
            parameter: None,
            counts: vec![(Some("Fortinet".into()), 3)],
            others: 0,
        };
        let gap = Gap::new("CommonSecurityLog", GapCause::Rows(unused));
        let coverage = coverage(vec![entry(Status::Scanned, 3)], vec![gap.clone()]);
        let Assessment::NotAssessed(reasons) = Assessment::of_scan(&plan, &coverage) else {
            panic!("assessed")
        };
        assert_eq!(reasons, [gap.to_string()]);
    }

    #[tokio::test]
    async fn a_long_list_of_reasons_is_cut() {
        let plan = plan(&["beaconing"]).await;
        let failed = |day: u32| CoverageEntry {
            date: chrono::NaiveDate::from_ymd_opt(2026, 3, day).unwrap(),
            reasons: DateReason::WithoutTime { rows: 2 }.into(),
            ..entry(Status::Failed, 0)
        };
        let coverage = coverage((1..=25).map(failed).collect(), Vec::new());
        let Assessment::NotAssessed(reasons) = Assessment::of_scan(&plan, &coverage) else {
            panic!("assessed")
        };
        assert_eq!(reasons.len(), SHOWN_REASONS + 1);
        assert_eq!(reasons[0], "CommonSecurityLog 2026-03-01: 2 rows have no readable time");
        assert_eq!(reasons[SHOWN_REASONS], "and 5 more reasons, in the coverage");
    }

    #[test]
    fn without_an_analysis_the_reasons_are_what_they_lack() {
        let nothing = coverage(Vec::new(), Vec::new());
        let lacks = BTreeSet::from(["the lake has no table AuditLogs".to_owned()]);
        assert_eq!(
            reasons_beyond_coverage(0, lacks.clone(), &nothing),
            ["no analysis could run: the lake has no table AuditLogs"]
        );
        assert_eq!(reasons_beyond_coverage(1, lacks.clone(), &nothing), ["the window contains no rows"]);
        let failed = coverage(vec![entry(Status::Failed, 0)], Vec::new());
        assert!(reasons_beyond_coverage(1, lacks, &failed).is_empty());
    }
}
