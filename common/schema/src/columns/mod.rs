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

pub use computed::Computed;
pub use expressions::FileExpressions;
pub use leaves::{leaf_of, leaves_of};
pub use mapped::MapValues;
pub use path::{ColumnPath, PathStep};
pub use resolve::{Ambiguous, FileColumns, Found, Place, PlaceStep};
pub use source::{ColumnSource, MappedValues};
pub use sql::check_expression;
pub use times::{GroupTimes, TimeSource, group_times};
