//! JSON over HTTP, with the client that object stores also use.

use std::time::Duration;

use hindcast_base::error::causes;
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
            request.send().await.map_err(|error| Failure::transient(with_causes(&error.without_url())))?;
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
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// A webhook whose server gives these answers in turn, one per connection, and returns the requests.
    async fn webhook(answers: &'static [&'static str]) -> (Webhook, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings =
            format!("name = 'soc'\nkind = 'webhook'\nurl = 'http://{}/hook'", listener.local_addr().unwrap());
        let webhook = Webhook::open(&toml::from_str(&settings).unwrap()).unwrap();
        let server = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !is_whole(&request) {
                    assert!(stream.read_buf(&mut request).await.unwrap() > 0, "the request is cut");
                }
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                requests.push(String::from_utf8(request).unwrap());
            }
            requests
        });
        (webhook, server)
    }

    /// Whether the body has the length that the head names.
    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let length = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        length
            .filter_map(|(_, length)| length.trim().parse::<usize>().ok())
            .any(|length| length == body.len())
    }

    async fn send(webhook: &Webhook) -> std::result::Result<(), String> {
        let failed = Error::Busy("the store is away".into());
        webhook.send(RunEnd { job: "7", outcome: Err(&failed) }, &[]).await
    }

    #[tokio::test]
    async fn a_busy_server_gets_the_same_message_again() {
        let (webhook, server) = webhook(&["503 Busy", "429 Wait", "408 Late", "204 Done"]).await;
        send(&webhook).await.unwrap();
        let requests = server.await.unwrap();
        let bodies: Vec<_> = requests.iter().filter_map(|request| request.split_once("\r\n\r\n")).collect();
        assert!(bodies.iter().all(|(_, body)| *body == bodies[0].1), "{requests:?}");
        let body: serde_json::Value = serde_json::from_str(bodies[0].1).unwrap();
        assert_eq!(body["run"]["error"], "the store is away");
        let head = bodies[0].0.to_lowercase();
        assert!(head.starts_with("post /hook http/1.1"), "{head}");
        assert!(
            head.contains("content-type: application/json") && head.contains("user-agent: hindcast/"),
            "{head}"
        );
    }

    #[tokio::test]
    async fn a_refusal_and_a_redirect_are_final() {
        for (answer, reason) in [
            ("400 Bad Request", "the server answered 400 Bad Request (tried 1 times)"),
            ("302 Found", "the server answered 302 Found (tried 1 times)"),
        ] {
            let answers: &'static [&'static str] = Box::leak(Box::new([answer]));
            let (webhook, server) = webhook(answers).await;
            assert_eq!(send(&webhook).await, Err(reason.to_owned()));
            assert_eq!(server.await.unwrap().len(), 1);
        }
    }

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        for (url, expected) in [
            ("http://127.0.0.1:9/a", true),
            ("http://localhost/a", true),
            ("http://[::1]/a", true),
            ("http://10.0.0.1/a", false),
            ("http://127.0.0.1.example/a", false),
        ] {
            assert_eq!(is_here(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
