//! What the tables of a lake are, where a mapping finds their columns, and how stored values become values of a column. It opens
//! no store.

mod alike;
pub mod columns;
pub mod convert;
mod embedded;
mod integers;
pub mod layout;
mod mapping;
pub mod nanos;
mod physical_names;
mod presets;
pub mod selection;
mod table_file;
mod tables;
mod types;

pub use alike::{reads_alike, reads_as_absent};
pub use columns::{
    Ambiguous, ColumnPath, ColumnSource, FileColumns, Found, MappedValues, PathStep, Place, PlaceStep,
};
pub use convert::convert as read_as;
pub use integers::integer_of_text;
pub use layout::{Layout, Pattern};
pub use mapping::TableMapping;
pub use physical_names::{PhysicalColumn, PhysicalNames};
pub use presets::{MappingPreset, mapping_presets};
pub use tables::{ADDITIONAL_FIELDS, ColumnKind, ColumnSpec, TableSpec, Tables};
pub use types::{canonical_schema, canonical_type};
