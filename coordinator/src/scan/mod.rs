//! A scan: it is planned from listings, runs as a rollup stage and merge stages, and ends with scores and coverage.

mod assessment;
mod build_coverage;
mod coverage;
mod entity_context;
mod failures;
mod filters;
mod gaps;
mod investigate;
mod look_back;
mod merge;
mod newest;
mod parts;
mod plan;
mod report;
mod request;
mod run;
mod score;
mod sources;
mod spilled;
mod table;
mod unit_tracker;
mod units;

pub use coverage::{
    CANNOT_NAME, Coverage, CoverageEntry, Gap, NO_FOLDER, Status, format_dates, status_counts,
};
pub use investigate::TOO_MANY;
pub use merge::RollupFiles;
pub use parts::{Parts, plain, recut};
pub use plan::ScanPlan;
pub use report::{EntitySummary, PlanOutline, Report, Summary, WindowSummary};
pub use request::{WindowPlanner, check_request, prepare};
pub use run::{Progress, RunOptions, ScanResult, run_scan};
pub use score::SuiteScore;
pub use table::ResultTable;
pub use units::{UnitOutline, units_of};
