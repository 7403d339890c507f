//! HTTPS with the certificate of the server. Browsers present no certificate: people use tokens.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hindcast_base::{Error, Result};
use hindcast_observability::{
    ConnectionSlot, ConnectionSlots, Connections, MAX_HTTP_CONNECTIONS, SlottedConnection,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// Longest TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections after their handshake that wait to be accepted.
const WAITING: usize = 16;

type Connection = (TlsStream<SlottedConnection<TcpStream>>, ConnectionSlot);

/// Accepts connections and passes them on after their TLS handshake, so that a slow client delays no other.
pub(super) struct TlsListener {
    ready: mpsc::Receiver<Connection>,
}

impl TlsListener {
    /// A listener with the certificate `tls.crt` and key `tls.key` of `folder`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they can't be used.
    pub(super) fn new(listener: TcpListener, folder: &Path) -> Result<Self> {
        let acceptor = acceptor(folder)?;
        let (sender, ready) = mpsc::channel(WAITING);
        tokio::spawn(accept_all(listener, acceptor, sender));
        Ok(Self { ready })
    }
}

impl Connections for TlsListener {
    type Io = TlsStream<SlottedConnection<TcpStream>>;

    async fn accept(&mut self) -> Connection {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The sender lives as long as the process.
            None => std::future::pending().await,
        }
    }
}

async fn accept_all(listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<Connection>) {
    let slots = ConnectionSlots::new(MAX_HTTP_CONNECTIONS);
    loop {
        let stream = slots.accept(&listener).await;
        let (acceptor, ready, slot) = (acceptor.clone(), ready.clone(), stream.slot().clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(ready.send((stream, slot)).await),
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        });
    }
}

fn acceptor(folder: &Path) -> Result<TlsAcceptor> {
    let wrong = |name: &str, error: &dyn std::fmt::Display| {
        Error::Invalid(format!("{}: {error}", folder.join(name).display()))
    };
    let certificates = CertificateDer::pem_file_iter(folder.join("tls.crt"))
        .and_then(Iterator::collect)
        .map_err(|error| wrong("tls.crt", &error))?;
    let key =
        PrivateKeyDer::from_pem_file(folder.join("tls.key")).map_err(|error| wrong("tls.key", &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| wrong("tls.crt", &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
