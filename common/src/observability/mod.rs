//! What operators see of a process: metrics, health, traces.

mod http;
mod metrics;
mod seats;
mod signals;
mod traces;

pub use http::{Connections, Health, MOST_HTTP_CONNECTIONS, Plain, answer, serve_http};
pub use metrics::{TaskGuard, counters, gauge, register};
pub use seats::{Seat, Seated, Seats, seated};
pub use signals::terminated;
pub use traces::{Origin, Tracing, start_tracing};
