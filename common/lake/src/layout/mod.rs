//! Finds the files of a table by its layout, and detects the layout from the names of its folders.

mod detect;
mod flat;
mod partition;
mod walk;

pub(super) use detect::{date_pattern, detected};
pub(super) use flat::listed_files;
pub(super) use partition::partition_of;
pub(super) use walk::walk;

#[cfg(test)]
#[path = "tests.rs"]
mod layout_tests;
