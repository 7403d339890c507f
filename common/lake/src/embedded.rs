//! The files of the built-in tables, by their paths in this crate.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
