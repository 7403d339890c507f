//! What everything else is built on: errors, time, names of entities, and texts for people.

pub mod catch_panic;
pub mod entities;
pub mod error;
pub mod format;
pub mod json;
pub mod nearest;
pub mod refused;
pub mod retry;
pub mod time;

pub use error::{Error, Result};
