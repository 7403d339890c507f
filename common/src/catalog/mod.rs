//! The lake: where it is, which tables and dates it holds, and how its files are read.

pub mod changes;
mod diagnose;
mod integers;
mod lake;
mod location;
mod normalise;
mod row_groups;
mod scan;
mod store_reader;
mod stores;
mod tables;

pub use diagnose::locate_fault;
pub use integers::integer_of_text;
pub use lake::{DateFolder, KnownFiles, Lake, LakeFile, LakeTable, date_files, date_folders};
pub use location::Location;
pub use normalise::UnreadableCounts;
pub use row_groups::{RowGroups, row_groups_that_may_hold};
pub use scan::{canonical_schema, canonical_type, file_scan, state_scan};
pub use store_reader::{Footer, column_texts, parquet_footer};
pub use stores::Stores;
pub use tables::{ColumnKind, ColumnSpec, TABLES, TableSpec};
