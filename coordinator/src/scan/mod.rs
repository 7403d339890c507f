//! A scan: planned from listings, run as a rollup job and a merge job, scored and told.

mod coverage;
mod ledger;
mod plan;
mod run;
mod score;
mod units;

pub use coverage::{Coverage, CoverageEntry, Status};
pub use plan::{PlannedTable, ScanPlan, ScanRequest, WindowRequest, plan_scan};
pub use run::{Progress, ResultTable, RunOptions, ScanResult, run_scan};
pub use score::{Level, Risk, SuiteScore};
