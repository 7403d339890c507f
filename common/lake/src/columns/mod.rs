//! The columns of a table in files of any shape: what a mapping may say, and how it is found and read.

mod computed;
mod expressions;
mod follow;
mod leaves;
mod mapped;
mod narrow;
mod path;
mod resolve;
mod source;
mod sql;
mod times;

pub(super) use computed::Computed;
pub(super) use expressions::FileExpressions;
pub(super) use leaves::{leaf_of, leaves_of};
pub(super) use mapped::MapValues;
pub use path::{ColumnPath, PathStep};
pub use resolve::{Ambiguous, FileColumns, Found, Place, PlaceStep};
pub use source::{ColumnSource, MappedValues};
pub(super) use sql::check_expression;
pub(super) use times::{GroupTimes, TimeSource, group_times};
