//! What a finished scan becomes for others: result folders, reports and exports, comparisons, series of windows, notifications.

pub mod backfill;
pub mod compare;
pub mod output;
pub mod results;
pub mod sinks;
