//! Tables of a lake as files: inventory, data quality, merging, compaction and saving.

pub mod compact;
pub mod data_quality;
pub mod inventory;
pub mod layout;
pub mod merge;
pub mod save;
