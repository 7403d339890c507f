//! What operators see of a process: metrics, health, traces.

mod http;
mod metrics;
mod signals;
mod traces;

pub use http::{Health, answer, serve_http};
pub use metrics::{TaskGuard, counters, gauge, register};
pub use signals::terminated;
pub use traces::{Origin, Tracing, start_tracing};
