//! The worker: Ballista's executor, which asks the coordinator for tasks, runs them and holds their results until they
//! are fetched. It keeps nothing that lasts.

mod drain;
mod holder;
mod patience;
mod sickness;
mod worker;

pub use worker::{WorkerOptions, run_worker};
