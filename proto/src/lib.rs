//! The gRPC contract between people, coordinator and workers: no message is defined yet.
