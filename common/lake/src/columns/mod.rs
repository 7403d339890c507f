//! The columns of a table in files of any shape: what a mapping may say, and how it is found and read.

mod path;
mod resolve;
mod source;
mod sql;

pub use path::{ColumnPath, PathStep};
pub use resolve::{Ambiguous, FileColumns, Found, Place, PlaceStep};
pub use source::{ColumnSource, MappedValues};
