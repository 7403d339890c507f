//! RFC 5424 messages with CEF: one datagram per message over UDP (RFC 5426), octet counting over TCP (RFC 6587).

use hindcast_common::Result;
use hindcast_common::findings::{Finding, Severity};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, lookup_host};

use super::cef;
use super::settings::SinkSettings;
use super::{Failure, RunEnd, with_retries};

/// Facility "security and authorisation messages".
const FACILITY: u8 = 4;

/// A collector.
#[derive(Debug)]
pub(super) struct Syslog {
    is_tcp: bool,
    address: String,
}

impl Syslog {
    pub(super) fn open(settings: &SinkSettings) -> Result<Self> {
        let url = settings.address()?;
        let is_tcp = match url.scheme() {
            "tcp" => true,
            "udp" => false,
            _ => return Err(settings.wrong("the URL of a collector must start with udp:// or tcp://")),
        };
        match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => Ok(Self { is_tcp, address: format!("{host}:{port}") }),
            _ => Err(settings.wrong("the URL of a collector must have a host and a port")),
        }
    }

    /// Sends one message per finding and, with `includes_run`, one for the run. A retry sends all messages again, because a
    /// collector acknowledges none.
    pub(super) async fn send(
        &self,
        end: RunEnd<'_>,
        findings: &[&Finding],
        includes_run: bool,
    ) -> std::result::Result<(), String> {
        let mut messages: Vec<String> = findings.iter().map(|finding| of_finding(finding)).collect();
        if includes_run {
            messages.push(of_run(end));
        }
        with_retries(|| self.send_all(&messages)).await
    }

    async fn send_all(&self, messages: &[String]) -> std::result::Result<(), Failure> {
        if self.is_tcp {
            let mut framed = Vec::new();
            for message in messages {
                framed.extend(format!("{} {message}", message.len()).into_bytes());
            }
            let mut stream = TcpStream::connect(&self.address).await.map_err(Failure::transient)?;
            stream.write_all(&framed).await.map_err(Failure::transient)?;
            return stream.shutdown().await.map_err(Failure::transient);
        }
        let found = lookup_host(&self.address).await.map_err(Failure::transient)?.next();
        let target = found.ok_or_else(|| Failure::transient("the host has no address"))?;
        let local = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(local).await.map_err(Failure::transient)?;
        for message in messages {
            socket.send_to(message.as_bytes(), target).await.map_err(Failure::transient)?;
        }
        Ok(())
    }
}

/// A message. Its time is that of the evidence. The collector knows the host.
fn message(severity: u8, time: Option<&str>, id: &str, cef: &str) -> String {
    format!("<{}>1 {} - hindcast - {id} - {cef}", FACILITY * 8 + severity, time.unwrap_or("-"))
}

fn of_finding(finding: &Finding) -> String {
    // Levels of RFC 5424: critical, error, warning, notice.
    let severity = match finding.severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
    };
    let time = finding.last_seen.as_deref().or(finding.first_seen.as_deref());
    message(severity, time, &finding.analysis, &cef::of_finding(finding))
}

fn of_run(end: RunEnd<'_>) -> String {
    let severity = if end.outcome.is_ok() { 6 } else { 3 };
    message(severity, None, "run_end", &cef::of_run(end))
}
