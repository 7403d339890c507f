//! The worker: Ballista's executor, which polls the coordinator for tasks, runs them and keeps their results until the
//! coordinator fetches them. It stores nothing permanently.

mod backoff;
mod drain;
mod failure_detector;
mod flight_server;
mod worker;

pub use worker::{WorkerOptions, run_worker};
