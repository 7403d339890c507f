//! Tables of a lake as files: what is there, how good it is, and how files are written anew without loss.

pub mod compact;
pub mod data_quality;
pub mod inventory;
pub mod layout;
pub mod merge;
pub mod save;
