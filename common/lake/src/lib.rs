//! The lake: its location, its tables and dates, and the readers of its files.

pub mod changes;
pub mod confined;
mod delta;
mod diagnose;
mod file_source;
mod folders;
mod found_tables;
mod lake;
mod lake_columns;
mod lake_file;
mod layout;
mod listing;
mod location;
mod normalise;
#[cfg(test)]
mod presets_tests;
mod rewrites;
mod roots;
mod row_groups;
mod scan;
mod scan_input;
mod sealed;
mod sealed_reader;
mod session;
mod store_reader;
mod stored_file;
mod stores;
mod table_format;

/// Version of how values are read, a part of the keys of state. Raise it whenever a file's rows are read as other values.
pub const CATALOG_VERSION: u32 = 2;

pub use delta::{TableVersion, TableVersions, delta_files};
pub use diagnose::locate_fault;
pub use file_source::{DateFolders, FileSource, ListedFiles, Snapshot};
pub use folders::{OutsideLayout, files_by_date, table_folder};
pub use found_tables::{FoundTables, StrayFiles, UnreadLog};
pub use hindcast_schema::{
    ADDITIONAL_FIELDS, Ambiguous, ColumnKind, ColumnPath, ColumnSource, ColumnSpec, FileColumns, Found,
    Layout, MappedValues, MappingPreset, PathStep, Pattern, PhysicalColumn, PhysicalNames, Place, PlaceStep,
    TableMapping, TableSpec, Tables, canonical_schema, canonical_type, integer_of_text, mapping_presets,
    read_as, reads_alike, reads_as_absent, selection,
};
pub use lake::{DateFolder, Lake, LakeTable};
pub use lake_columns::KnownFiles;
pub use lake_file::{DeletionVector, FileDescription, LakeFile, PartitionValues};
pub use listing::{date_files, table_files};
pub use location::Location;
pub use normalise::UnreadableCounts;
pub use rewrites::{FileCommit, LoggedFile, Rewrite, Rewrites};
pub use roots::{LakeRoot, MAIN_ROOT, RootName, UnreachableRoot, in_root};
pub use row_groups::{RowGroups, row_groups_that_may_hold};
pub use scan::{FileScan, file_scan, state_scan};
pub use sealed::{StateFile, content_hash, seal_of};
pub use session::{batch_rows, is_memory_short, open_location, task_session};
pub use store_reader::{Footer, file_rows, parquet_footer};
pub use stored_file::StoredFile;
pub use stores::Stores;
pub use table_format::{
    TableFormat, UnsupportedTable, refuse_table_as_lake, refuse_unwritable, table_format_of,
};
