//! A scan: planned from listings, run as a rollup stage and merge stages, and completed with scores and coverage.

mod analysis_group;
mod analysis_run;
mod assessment;
mod coverage;
mod coverage_builder;
mod date_reason;
mod disabled;
mod earlier_state;
mod earlier_units;
mod entity_context;
mod entity_lookup;
mod entity_relations;
mod failures;
mod filters;
mod finding_roots;
mod gap;
mod gaps;
pub mod geoip;
mod geolocation;
mod investigation;
pub mod lake_access;
mod listed_units;
mod look_back;
mod merge;
mod newest;
mod outline_message;
pub mod own_detections;
mod parts;
mod plan;
mod read_version;
mod report;
mod request;
mod root_summary;
mod row_filter;
mod run;
mod score;
mod scoring;
mod sources;
mod spilled;
mod state_files;
mod table;
#[cfg(test)]
#[path = "../../risk/src/test_finding.rs"]
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
pub use read_version::ReadVersion;
pub use report::{EntitySummary, PlanOutline, Report, Summary, WindowSummary};
pub use request::{WindowPlanner, check_request, investigated_kind, prepare};
pub use root_summary::RootSummary;
pub use row_filter::{RowFilter, ValueRows};
pub use run::{Progress, RunOptions, ScanResult, run_plan};
pub use score::SuiteScore;
pub use state_files::RollupFiles;
pub use table::ResultTable;
pub use units::{UnitOutline, units_of};
