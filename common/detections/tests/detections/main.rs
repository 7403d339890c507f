//! Detections, correlation and rollups over a few rows. One binary, so that it is linked once.

mod correlation;
mod detection_cases;
mod rollup_state;
