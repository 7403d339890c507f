//! A scan: it is planned from listings, runs as a rollup stage and merge stages, and ends with scores and coverage.

mod analysis_run;
mod assessment;
mod coverage;
mod coverage_builder;
mod entity_context;
mod entity_lookup;
mod entity_relations;
mod failures;
mod filters;
mod gaps;
mod geolocation;
mod investigation;
mod look_back;
mod merge;
mod newest;
mod parts;
mod plan;
mod report;
mod request;
mod run;
mod score;
mod scoring;
mod sources;
mod spilled;
mod table;
mod unit_record;
mod unit_tracker;
mod units;

pub use coverage::{
    CANNOT_NAME, Coverage, CoverageEntry, Gap, NO_FOLDER, Status, format_dates, status_counts,
};
pub use entity_relations::Followed;
pub use merge::RollupFiles;
pub use parts::{Parts, plain, recut};
pub use plan::ScanPlan;
pub use report::{EntitySummary, PlanOutline, Report, Summary, WindowSummary};
pub use request::{WindowPlanner, check_request, prepare};
pub use run::{Progress, RunOptions, ScanResult, run_plan};
pub use score::SuiteScore;
pub use table::ResultTable;
pub use units::{UnitOutline, units_of};
