//! Detections, correlation and rollups over a few rows. One binary, so that it is linked once.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that fails stops")]

mod correlation;
mod rollup_state;
