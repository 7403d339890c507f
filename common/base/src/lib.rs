//! Errors, time, entity names and text formatting: the types that all other crates use.

pub mod catch_panic;
pub mod entities;
pub mod error;
pub mod file_fault;
pub mod format;
pub mod json;
pub mod log_time;
pub mod nearest;
pub mod refused;
pub mod retry;
pub mod storage_fault;
pub mod time;

pub use error::{Error, ErrorKind, Result};
