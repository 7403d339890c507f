//! Files of different schemas as one, without loss: the type that columns have in common, rows in it, and the check of both.

mod fields;
mod group;
mod sums;
#[cfg(test)]
mod tests;
mod types;
mod widen;

pub(crate) use fields::unify_schemas;
pub(crate) use group::{Columns, Group, UnmergedFile, groups};
pub(crate) use sums::Sums;
#[cfg(test)]
pub(crate) use types::common_type;
pub(crate) use widen::{keeps_all, widen_batch};
