//! The gRPC contract between clients and a coordinator, compiled from `hindcast/v1/*.proto`.

/// Version 1 of the contract.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("hindcast.v1");
}
