//! The engine from outside: merges in any split, state that stays the same, files that can't be decoded. One binary, so that it is linked once.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that fails stops")]

mod held_state;
mod merge_faults;
mod merge_law;
mod rows;
mod state_golden;
mod undecodable_files;
