//! HTTP for people and monitoring: `/metrics`, `/healthz` and `/readyz`, which need no access token, and the server for a
//! coordinator's pages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::TextEncoder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::connection_slots::{ConnectionSlot, ConnectionSlots, SlottedConnection};
use hindcast_base::{Error, Result};

/// Most connections that one address has open at once.
pub const MAX_HTTP_CONNECTIONS: usize = 256;
/// Longest time until a connection has sent the whole head of its first or next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time until the body of a request has arrived.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a body: it is a form.
const BODY_BYTES: usize = 64 << 10;

/// Reports whether a process can do its work, and if not, why.
pub type Health = Arc<dyn Fn() -> std::result::Result<(), String> + Send + Sync>;

/// A source of connections.
pub trait Connections: Send {
    /// An open connection, ready for requests.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and its slot.
    fn accept(&mut self) -> impl Future<Output = (Self::Io, ConnectionSlot)> + Send;
}

/// Connections in plain text.
#[derive(Debug)]
pub struct Plain {
    listener: TcpListener,
    slots: Arc<ConnectionSlots>,
}

impl Plain {
    /// The connections of `listener`.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, slots: ConnectionSlots::new(MAX_HTTP_CONNECTIONS) }
    }
}

impl Connections for Plain {
    type Io = SlottedConnection<TcpStream>;

    async fn accept(&mut self) -> (Self::Io, ConnectionSlot) {
        let connection = self.slots.accept(&self.listener).await;
        let slot = connection.slot().clone();
        (connection, slot)
    }
}

/// Serves until the process ends; returns the address it listens on.
///
/// # Errors
/// [`Error::Io`] if the address can't be bound.
pub async fn serve_http(address: SocketAddr, is_ready: Health) -> Result<SocketAddr> {
    let listener =
        TcpListener::bind(address).await.map_err(Error::io(format!("listening on {address} for HTTP")))?;
    let bound = listener.local_addr().map_err(Error::io("reading the address listened on"))?;
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(async move || readiness(&is_ready)));
    tokio::spawn(answer(Plain::new(listener), routes));
    Ok(bound)
}

/// Answers requests by `routes` until the process ends. Heads and bodies must arrive in time, and idle connections are closed
/// when others need their slots. Requests carry their [`ConnectionSlot`] as an extension.
pub async fn answer<C: Connections>(mut connections: C, routes: Router) {
    let routes = routes.layer(from_fn(take_body));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    loop {
        let (stream, slot) = connections.accept().await;
        let routes = routes.clone().layer(Extension(slot));
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP connection ended");
            }
        });
    }
}

/// Reads the whole body before a page is rendered.
async fn take_body(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "the form is longer than 64 KiB\n").into_response(),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time\n").into_response(),
    }
}

fn readiness(is_ready: &Health) -> Response {
    match is_ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics() -> Response {
    match TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
