//! Settings on which coordinator and workers must agree: certificates, addresses and Ballista's configuration.

mod endpoint;
mod grpc_status;
mod session;
mod tls;
mod tls_fault;

pub use endpoint::{check_plain_text, connect_endpoint, connections, is_loopback, node_endpoints, serve};
pub use grpc_status::{code_of, error_of, kind_of, message_of, status_of};
pub use session::{MAX_TASKS_PER_POLL, STAGE_MESSAGE_BYTES, ballista_session, stage_codec};
pub use tls::{NODE_NAME, Tls, comes_from_node, connection_slot_of};
pub use tls_fault::TlsFault;
