//! The coordinator as a service: jobs, the cluster that runs them, gRPC and Flight, and pages.

pub mod api;
pub mod cluster;
pub mod jobs;
pub mod web;
