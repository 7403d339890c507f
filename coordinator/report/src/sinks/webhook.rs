//! JSON over HTTP, with the client that object stores also use.

use std::time::Duration;

use hindcast_base::{Error, Result};
use hindcast_detections::findings::Finding;
use hindcast_node::is_loopback;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use super::message::messages;
use super::settings::SinkSettings;
use super::{Failure, RunEnd, with_retries};

/// Longest time to establish a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// The target of messages.
pub(super) struct Webhook {
    client: Client,
    url: Url,
}

impl std::fmt::Debug for Webhook {
    /// Without the path, which may be a secret, and without the client.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Webhook({})", self.url.host_str().unwrap_or_default())
    }
}

impl Webhook {
    pub(super) fn open(settings: &SinkSettings) -> Result<Self> {
        let url = settings.address()?;
        match url.scheme() {
            "https" => {}
            "http" if settings.insecure || is_here(&url) => {}
            "http" => {
                return Err(
                    settings.wrong("the host is not this machine: use an https URL, or set insecure = true")
                );
            }
            _ => return Err(settings.wrong("the URL of a webhook must start with https://")),
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, variable) in &settings.headers_from_env {
            let header: HeaderName =
                name.parse().map_err(|_| settings.wrong(&format!("{name:?} is not the name of a header")))?;
            let mut value: HeaderValue = settings.secret(variable)?.trim().parse().map_err(|_| {
                settings.wrong(&format!("{variable} has characters that a header can't contain"))
            })?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        // The server must not redirect findings and headers elsewhere.
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_DEADLINE)
            .default_headers(headers)
            .user_agent(concat!("hindcast/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|error| Error::Internal(format!("making an HTTP client: {error}")))?;
        Ok(Self { client, url })
    }

    /// Posts all messages, one after another.
    pub(super) async fn send(
        &self,
        end: RunEnd<'_>,
        findings: &[&Finding],
    ) -> std::result::Result<(), String> {
        for message in messages(end, findings) {
            let body = message.to_string();
            with_retries(|| self.post(body.clone())).await?;
        }
        Ok(())
    }

    async fn post(&self, body: String) -> std::result::Result<(), Failure> {
        let request = self.client.post(self.url.clone()).body(body);
        let answer =
            request.send().await.map_err(|error| Failure::transient(causes(&error.without_url())))?;
        let status = answer.status();
        let reason = format!("the server answered {status}");
        if status.is_success() {
            return Ok(());
        }
        let is_busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        if status.is_server_error() || is_busy {
            return Err(Failure::transient(reason));
        }
        Err(Failure::permanent(reason))
    }
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    is_loopback(&format!("{host}:{}", url.port_or_known_default().unwrap_or_default()))
}

/// An error with its sources.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text = format!("{text}: {current}");
        cause = current.source();
    }
    text
}
