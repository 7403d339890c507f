//! Users' own detections: where a configuration or a command names them, how they are read, and how they are sent to a coordinator.

mod files;
mod folders;
mod policy;

pub use files::OwnFiles;
pub use folders::{is_elsewhere, read_folders, take_folders};
pub use policy::DetectionPolicy;
