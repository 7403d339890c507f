//! Endpoints of cluster processes: how to connect to them, and where plain text is allowed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Endpoint, Server};

use super::tls::{NODE_NAME, Tls};
use hindcast_base::{Error, Result};
use hindcast_observability::{ConnectionSlots, SlottedConnection, slotted_connections};

/// Longest time to open a connection: a host that is gone must not delay work on others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which a connection gets a keep-alive ping, and the time it has to answer. A cut cable or a stopped
/// process sends no reset.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Most connections of one server: enough for hundreds of workers and users. Each takes a file descriptor.
const MAX_CONNECTIONS: usize = 2_048;
/// Longest time until the first authorised request, including the TLS handshake.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The form of a cluster address, for error messages.
const CLUSTER_ADDRESS_HELP: &str = "give it as HOST:PORT or https://HOST:PORT";

/// The endpoint of the process at `address`. With `tls`, the certificate of a node must have [`NODE_NAME`]; that of any other
/// server the host name in the address.
///
/// # Errors
/// [`Error::Invalid`] if the address is malformed, or has neither a port nor a scheme.
pub fn connect_endpoint(address: &str, tls: Option<&Tls>, is_node: bool) -> Result<Endpoint> {
    let bare = address.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let scheme = if tls.is_some() { "https" } else { "http" };
    let wrong = |error: tonic::transport::Error| {
        Error::Invalid(format!(
            "{address:?} is not the address of a coordinator ({error}): {CLUSTER_ADDRESS_HELP}"
        ))
    };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{bare}")).map_err(wrong)?;
    if !address.contains("://") && endpoint.uri().port().is_none() {
        return Err(Error::Invalid(format!("{address:?} has no port: {CLUSTER_ADDRESS_HELP}")));
    }
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    match tls {
        Some(tls) => endpoint.tls_config(tls.client(is_node.then_some(NODE_NAME))).map_err(wrong),
        None => Ok(endpoint),
    }
}

/// Ballista's hook for its connections between nodes.
pub fn node_endpoints(tls: Option<Tls>) -> EndpointOverrideFn {
    Arc::new(move |endpoint: Endpoint| Ok(connect_endpoint(&endpoint.uri().to_string(), tls.as_ref(), true)?))
}

/// A server with keep-alive, so that it notices peers that vanish.
///
/// # Errors
/// [`Error::Invalid`] if the certificate or key can't be used.
pub fn serve(tls: Option<&Tls>) -> Result<Server> {
    let server = Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE));
    match tls {
        Some(tls) => server
            .tls_config(tls.server())
            .map_err(|error| Error::Invalid(format!("the TLS certificate and key can't be used: {error}"))),
        None => Ok(server),
    }
}

/// The connections of `listener` for such a server. A connection is closed if it sends no authorised request in time, or if
/// all slots are taken and it has the lowest priority.
pub fn connections(
    listener: TcpListener,
) -> impl futures::Stream<Item = std::io::Result<SlottedConnection<TcpStream>>> + Send {
    slotted_connections(
        listener,
        ConnectionSlots::with_first_request_timeout(MAX_CONNECTIONS, FIRST_REQUEST_TIMEOUT),
    )
}

/// Whether the host of `address` is the local one.
pub fn is_loopback(address: &str) -> bool {
    let bare = address.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let host = bare.parse::<SocketAddr>().map(|address| address.ip().to_string());
    let host = host.unwrap_or_else(|_| bare.rsplit_once(':').map_or(bare, |(host, _)| host).to_owned());
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Fails if a connection to `address` would be in plain text, leave this machine, and was not allowed by `--insecure`.
///
/// # Errors
/// [`Error::Invalid`] in that case.
pub fn check_plain_text(address: &str, tls: Option<&Tls>, is_insecure: bool) -> Result<()> {
    if tls.is_none() && !is_insecure && address.starts_with("https://") {
        return Err(Error::Invalid(format!("{address} requires TLS: give --tls DIR")));
    }
    if tls.is_some() || is_insecure || is_loopback(address) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{address} is not on this machine: give --tls DIR, or --insecure to connect in plain text"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_https_address_is_never_used_in_plain_text() {
        let refused = check_plain_text("https://localhost:7480", None, false).unwrap_err();
        assert!(refused.to_string().contains("--tls DIR"), "{refused}");
    }

    #[test]
    fn an_address_without_a_scheme_has_a_port() {
        for address in ["coordinator", "127.0.0.1", "[::1]"] {
            let refused = connect_endpoint(address, None, false).unwrap_err().to_string();
            assert!(refused.contains("has no port: give it as HOST:PORT"), "{refused}");
        }
        for address in ["coordinator:7480", "[::1]:7480", "https://coordinator.example"] {
            connect_endpoint(address, None, false).unwrap();
        }
    }

    #[test]
    fn plain_text_is_allowed_on_this_machine_only() {
        for address in ["127.0.0.1:7480", "localhost:7480", "http://127.0.0.1:1/", "[::1]:7480"] {
            assert!(is_loopback(address), "{address}");
            check_plain_text(address, None, false).unwrap();
        }
        for address in ["0.0.0.0:7480", "10.0.0.1:7480", "coordinator:7480", "https://localhost.example:7480"]
        {
            assert!(!is_loopback(address), "{address}");
            assert!(check_plain_text(address, None, false).is_err());
            check_plain_text(address, None, true).unwrap();
        }
    }
}
