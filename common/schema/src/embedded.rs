//! The files of the built-in tables and presets, by their paths in this crate.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
