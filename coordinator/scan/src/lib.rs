//! A scan: planned from listings, run as a rollup stage and merge stages, and completed with scores and coverage.

mod analysis_group;
mod analysis_run;
mod assessment;
pub mod correlate;
mod coverage;
mod coverage_builder;
mod date_reason;
mod disabled;
mod entity_context;
mod entity_lookup;
mod entity_relations;
mod failures;
mod filters;
mod gap;
mod gaps;
pub mod geoip;
mod geolocation;
mod investigation;
pub mod lake_access;
mod look_back;
mod merge;
mod newest;
pub mod own_detections;
mod parts;
mod plan;
mod report;
mod request;
pub mod risk;
mod run;
mod score;
mod scoring;
mod sources;
mod spilled;
mod state_files;
mod table;
#[cfg(test)]
mod test_finding;
#[cfg(test)]
mod test_lake;
mod unit_record;
mod unit_tracker;
mod units;
pub mod watchlists;

pub use coverage::{Coverage, CoverageEntry, Status, format_dates, status_counts};
pub use date_reason::DateReason;
pub use entity_relations::Followed;
pub use gap::Gap;
pub use parts::{Parts, plain, recut};
pub use plan::ScanPlan;
pub use report::{EntitySummary, PlanOutline, Report, Summary, WindowSummary};
pub use request::{WindowPlanner, check_request, investigated_kind, prepare};
pub use run::{Progress, RunOptions, ScanResult, run_plan};
pub use score::SuiteScore;
pub use state_files::RollupFiles;
pub use table::ResultTable;
pub use units::{UnitOutline, units_of};
