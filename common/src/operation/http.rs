//! `/metrics`, `/healthz` and `/readyz` over plain HTTP: nothing here is secret.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::TextEncoder;
use tokio::net::TcpListener;

use crate::{Error, Result};

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
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "HTTP stopped");
        }
    });
    Ok(bound)
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
