//! Shared by coordinator, workers and local runs: the catalog of a lake, the rollups and analyses, the findings they
//! raise, and the engine that runs them.

pub mod analyses;
pub mod catalog;
pub mod catch_panic;
pub mod cluster;
pub mod config;
pub mod detections;
pub mod engine;
pub mod entities;
pub mod error;
pub mod findings;
pub mod format;
pub mod functions;
pub mod json;
pub mod nearest;
pub mod observability;
pub mod refused;
pub mod retry;
pub mod rollups;
pub mod selection;
pub mod time;

pub use error::{Error, Result};
