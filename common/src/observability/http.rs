//! HTTP for people and monitoring: `/metrics`, `/healthz` and `/readyz` here, where nothing is secret, and a coordinator's pages.

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
use crate::{Error, Result};

/// Connections that are open at once at one address.
pub const MAX_HTTP_CONNECTIONS: usize = 256;
/// Longest a connection may wait without the whole head of a request, the first or another.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of such a body: a form.
const BODY_BYTES: usize = 64 << 10;

/// Whether a process can do its work, and why not.
pub type Health = Arc<dyn Fn() -> std::result::Result<(), String> + Send + Sync>;

/// Where connections come from.
pub trait Connections: Send {
    /// A connection, ready for requests.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one, and its slot.
    fn accept(&mut self) -> impl Future<Output = (Self::Io, ConnectionSlot)> + Send;
}

/// Connections in plain text.
#[derive(Debug)]
pub struct Plain {
    listener: TcpListener,
    slots: Arc<ConnectionSlots>,
}

impl Plain {
    /// Those of `listener`.
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

/// Serves until the process ends; gives the address it listens on.
///
/// # Errors
/// [`Error::Io`] where the address can't be listened on.
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

/// Answers requests by `routes` as long as the process lives. Heads and bodies must come in time, and who opens many connections and
/// says nothing loses them to others. Requests carry their [`ConnectionSlot`] as an extension.
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

/// Takes the whole body before a page is made of it.
async fn take_body(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "a form is not longer than 64 KiB\n").into_response(),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request did not end in time\n").into_response(),
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
