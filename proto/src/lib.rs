//! The gRPC contract between people's commands and a coordinator, compiled from `hindcast/v1/*.proto`.

/// Version 1.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("hindcast.v1");
}
