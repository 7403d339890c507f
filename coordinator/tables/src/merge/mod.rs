//! Merges files of different schemas without loss: the common type of two columns, rows in that type, and checks of the
//! result.

mod fields;
mod group;
mod sums;
#[cfg(test)]
mod tests;
mod types;
mod widen;

pub use fields::unify_schemas;
pub use group::{Columns, Group, UnmergedFile, groups};
pub use sums::Sums;
#[cfg(test)]
pub(crate) use types::common_type;
pub use widen::{keeps_all, widen_batch};
