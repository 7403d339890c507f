//! `/metrics`, `/healthz` and `/readyz` over plain HTTP: nothing here is secret.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::TextEncoder;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::{Error, Result};

/// Connections that are open at once.
const MOST_CONNECTIONS: usize = 256;
/// Longest a connection may wait without the whole head of a request, the first or another.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether a process can do its work, and why not.
pub type Health = Arc<dyn Fn() -> std::result::Result<(), String> + Send + Sync>;

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
    tokio::spawn(answer(listener, routes));
    Ok(bound)
}

/// Answers requests by `routes` as long as the process lives. Connections are bounded in number, and each must come with the head
/// of a request in time: who opens many and says nothing takes no descriptors from the rest of the process.
pub async fn answer<L: Listener>(mut listener: L, routes: Router) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let (stream, _) = listener.accept().await;
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes.clone()));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP connection ended");
            }
            drop(place);
        });
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
