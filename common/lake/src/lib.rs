//! The lake: its location, its tables and dates, and the readers of its files.

mod alike;
pub mod changes;
mod columns;
pub mod confined;
mod convert;
mod delta;
mod diagnose;
mod embedded;
mod file_source;
mod folders;
mod found_tables;
mod integers;
mod lake;
mod lake_columns;
mod lake_file;
mod layout;
mod listing;
mod location;
mod mapping;
mod nanos;
mod normalise;
mod physical_names;
mod presets;
mod rewrites;
mod roots;
mod row_groups;
mod scan;
mod scan_input;
mod sealed;
mod sealed_reader;
pub mod selection;
mod session;
mod store_reader;
mod stored_file;
mod stores;
mod table_file;
mod table_format;
mod tables;

/// Version of how values are read, a part of the keys of state. Raise it whenever a file's rows are read as other values.
pub const CATALOG_VERSION: u32 = 1;

pub use alike::{reads_alike, reads_as_absent};
pub use columns::{
    Ambiguous, ColumnPath, ColumnSource, FileColumns, Found, MappedValues, PathStep, Place, PlaceStep,
};
pub use convert::convert as read_as;
pub use delta::{TableVersion, TableVersions, delta_files};
pub use diagnose::locate_fault;
pub use file_source::{DateFolders, FileSource, ListedFiles, Snapshot};
pub use folders::{OutsideLayout, files_by_date, table_folder};
pub use found_tables::{FoundTables, StrayFiles, UnreadLog};
pub use integers::integer_of_text;
pub use lake::{DateFolder, Lake, LakeTable};
pub use lake_columns::KnownFiles;
pub use lake_file::{DeletionVector, LakeFile};
pub use layout::{Layout, Pattern};
pub use listing::{date_files, table_files};
pub use location::Location;
pub use mapping::TableMapping;
pub use normalise::UnreadableCounts;
pub use physical_names::{PhysicalColumn, PhysicalNames};
pub use presets::{MappingPreset, mapping_presets};
pub use rewrites::{FileCommit, LoggedFile, Rewrite, Rewrites};
pub use roots::{LakeRoot, MAIN_ROOT, RootName, UnreachableRoot, in_root};
pub use row_groups::{RowGroups, row_groups_that_may_hold};
pub use scan::{FileScan, canonical_schema, canonical_type, file_scan, state_scan};
pub use sealed::{StateFile, content_hash, seal_of};
pub use session::{batch_rows, open_location, task_session};
pub use store_reader::{Footer, file_rows, parquet_footer};
pub use stored_file::StoredFile;
pub use stores::Stores;
pub use table_format::{
    TableFormat, UnsupportedTable, refuse_table_as_lake, refuse_unwritable, table_format_of,
};
pub use tables::{ColumnKind, ColumnSpec, TableSpec, Tables};
