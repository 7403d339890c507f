//! Observability of a process: metrics, health, traces, and the connections of its servers.

mod connection_slots;
mod http;
mod metrics;
mod signals;
mod traces;

pub use connection_slots::{ConnectionSlot, ConnectionSlots, SlottedConnection, slotted_connections};
pub use http::{Connections, Health, MAX_HTTP_CONNECTIONS, Plain, answer, serve_http};
pub use metrics::{TaskGuard, counters, gauge, register};
pub use signals::terminated;
pub use traces::{Origin, Tracing, start_tracing};
