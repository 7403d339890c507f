//! The worker: Ballista's executor, which asks the coordinator for tasks, runs them and holds their results until they
//! are fetched. It keeps nothing that lasts.

mod backoff;
mod drain;
mod failure_detector;
mod flight_server;
mod worker;

pub use worker::{WorkerOptions, run_worker};
