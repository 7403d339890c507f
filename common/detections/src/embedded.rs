//! The files of the built-in detections and rollups, by their paths in this crate.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
