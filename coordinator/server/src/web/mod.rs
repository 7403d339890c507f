//! Web pages: the jobs of a coordinator and their results, or the results in one folder. The server renders them, so that a
//! browser runs almost no script and the text of logs is escaped in one place.

mod assets;
mod comparing;
mod entities;
mod findings;
mod frame;
mod guard;
mod incidents;
mod jobs;
mod listener;
mod login;
mod overview;
mod runs;
mod scope;
mod submitting;
mod windows;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Router, middleware};
use hindcast_base::{Error, Result};
use hindcast_observability::{Plain, answer};
use tokio::net::TcpListener;

pub use runs::{Folder, JobRuns, Runs};

use crate::api::AccessTokens;
use frame::Problem;
use listener::TlsListener;

/// The data of all pages.
pub struct Site {
    runs: Runs,
    /// The tokens of users. Without tokens, everybody may read and submit.
    tokens: Option<Arc<AccessTokens>>,
    /// Whether only this machine can reach the site. Requests must then name this machine as their host.
    is_loopback: bool,
    is_https: bool,
}

/// Serves the pages at `listen` until the process ends, over TLS if `tls` is a folder with a certificate. Returns the URL
/// of the first page.
///
/// # Errors
/// [`Error::Io`] if the address is not available, [`Error::Invalid`] if the certificate can't be used.
pub async fn serve_pages(
    listen: SocketAddr,
    tls: Option<&Path>,
    runs: Runs,
    tokens: Option<Arc<AccessTokens>>,
) -> Result<String> {
    let listener =
        TcpListener::bind(listen).await.map_err(Error::io(format!("listening on {listen} for pages")))?;
    let bound = listener.local_addr().map_err(Error::io("reading the address listened on"))?;
    let is_https = tls.is_some();
    let site = Arc::new(Site { runs, tokens, is_loopback: bound.ip().is_loopback(), is_https });
    let pages = pages(site);
    match tls {
        None => tokio::spawn(answer(Plain::new(listener), pages)),
        Some(folder) => tokio::spawn(answer(TlsListener::new(listener, folder)?, pages)),
    };
    Ok(format!("{}://{bound}/", if is_https { "https" } else { "http" }))
}

fn pages(site: Arc<Site>) -> Router {
    let own = match &site.runs {
        Runs::Folder(_) => run_pages("").route("/", get(overview::overview)),
        Runs::Jobs(_) => run_pages("/jobs/{job}")
            .route("/", get(jobs::list))
            .route("/jobs", get(jobs::rows).post(submitting::submit))
            .route("/jobs/{job}", get(jobs::job))
            .route("/jobs/{job}/progress", get(jobs::progress))
            .route("/jobs/{job}/cancel", post(submitting::cancel))
            .route("/submit", get(submitting::form))
            .route("/login", get(login::form).post(login::login))
            .route("/logout", post(login::logout)),
    };
    own.route("/compare", get(comparing::compare))
        .route("/assets/{name}", get(assets::asset))
        .fallback(async || Problem::not_found("there is no such page"))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), guard::guard))
        .with_state(site)
}

/// The pages of one run, below `base`.
fn run_pages(base: &str) -> Router<Arc<Site>> {
    Router::new()
        .route(&format!("{base}/findings"), get(findings::list))
        .route(&format!("{base}/findings/{{id}}"), get(findings::finding))
        .route(&format!("{base}/incidents"), get(incidents::list))
        .route(&format!("{base}/incidents/{{id}}"), get(incidents::incident))
        .route(&format!("{base}/entities"), get(entities::list))
        .route(&format!("{base}/entity"), get(entities::entity))
        .route(&format!("{base}/coverage"), get(overview::coverage))
}
