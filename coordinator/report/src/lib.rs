//! Outputs of a finished scan: result folders, reports and exports, comparisons, backfills and notifications.

pub mod backfill;
pub mod compare;
pub mod output;
pub mod results;
pub mod sinks;
