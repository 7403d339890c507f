//! The built-in detections over the rows of their cases. One binary, so that it is linked once.

mod correlation;
mod detection_cases;
