//! The lake: where it is, which tables and dates it holds, and how its files are read.

mod alike;
pub mod changes;
pub(crate) mod confined;
mod diagnose;
mod integers;
mod lake;
mod location;
mod nanos;
mod normalise;
mod row_groups;
mod scan;
mod store_reader;
mod stored_file;
mod stores;
mod table_log;
mod tables;

pub use alike::{reads_alike, reads_as_absent};
pub use diagnose::locate_fault;
pub use integers::integer_of_text;
pub use lake::{
    DateFolder, FoundTables, KnownFiles, Lake, LakeFile, LakeTable, Unexplained, date_files, table_folder,
};
pub use location::Location;
pub use normalise::UnreadableCounts;
pub use row_groups::{RowGroups, row_groups_that_may_hold};
pub use scan::{canonical_schema, canonical_type, file_scan, state_scan};
pub use store_reader::{Footer, column_texts, parquet_footer};
pub use stored_file::StoredFile;
pub use stores::Stores;
pub use table_log::{LogKind, LoggedTable, log_of, refuse_log};
pub use tables::{ColumnKind, ColumnSpec, TABLES, TableSpec};
