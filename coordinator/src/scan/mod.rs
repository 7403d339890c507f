//! A scan: planned from listings, run as a rollup job and a merge job, scored and told.

mod coverage;
mod ledger;
mod merge;
mod plan;
mod report;
mod request;
mod run;
mod score;
mod units;

pub use coverage::{CoverageEntry, Status};
pub use report::{PlanOutline, Report, Summary};
pub use request::{prepare, question_of};
pub use run::{Progress, ResultTable, RunOptions, ScanResult, run_scan};
pub use score::Level;
pub use units::{UnitOutline, units_of};
