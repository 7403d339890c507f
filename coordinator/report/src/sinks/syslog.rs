//! RFC 5424 messages with CEF: one datagram per message over UDP (RFC 5426), octet counting over TCP (RFC 6587).

use hindcast_base::Result;
use hindcast_detections::findings::{Finding, Severity};
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

#[cfg(test)]
mod tests {
    use hindcast_base::Error;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::output::example::{beacon, result, staging};

    fn collector(url: &str) -> Syslog {
        let settings = format!("name = 'soc'\nkind = 'syslog'\nurl = '{url}'");
        Syslog::open(&toml::from_str(&settings).unwrap()).unwrap()
    }

    #[test]
    fn a_message_has_priority_time_and_the_analysis_as_its_id() {
        // Facility 4: 4 * 8 + 3 for high, + 2 for critical.
        let high = of_finding(&staging());
        assert!(
            high.starts_with("<35>1 2026-01-05T07:00:00Z - hindcast - compression_staging - CEF:0|"),
            "{high}"
        );
        let critical = of_finding(&beacon());
        assert!(
            critical.starts_with("<34>1 2026-01-05T08:00:00Z - hindcast - beaconing - CEF:0|"),
            "{critical}"
        );
        let priorities = [Severity::Low, Severity::Medium].map(|severity| {
            let message = of_finding(&Finding { severity, first_seen: None, last_seen: None, ..beacon() });
            message.split(" - hindcast").next().map(str::to_owned)
        });
        assert_eq!(priorities, ["<37>1 -", "<36>1 -"].map(|text| Some(text.to_owned())));
    }

    #[test]
    fn the_end_of_a_run_is_informational_or_an_error() {
        let result = result();
        let ended = of_run(RunEnd { job: "", outcome: Ok(&result) });
        assert!(ended.starts_with("<38>1 - - hindcast - run_end - CEF:0|"), "{ended}");
        let error = Error::Busy("the store is away".into());
        let failed = of_run(RunEnd { job: "", outcome: Err(&error) });
        assert!(failed.starts_with("<35>1 - - hindcast - run_end - CEF:0|"), "{failed}");
    }

    #[tokio::test]
    async fn messages_over_tcp_follow_their_number_of_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = collector(&format!("tcp://{}", listener.local_addr().unwrap()));
        let received = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        });
        let mut beacon = beacon();
        beacon.explanation = "größer".into();
        let result = result();
        let end = RunEnd { job: "7", outcome: Ok(&result) };
        sink.send(end, &[&beacon], true).await.unwrap();
        let (one, run) = (of_finding(&beacon), of_run(end));
        assert!(one.len() > one.chars().count());
        assert_eq!(received.await.unwrap(), format!("{} {one}{} {run}", one.len(), run.len()));
    }

    #[tokio::test]
    async fn messages_over_udp_are_one_datagram_each() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let sink = collector(&format!("udp://{}", socket.local_addr().unwrap()));
        let (first, second) = (staging(), beacon());
        let result = result();
        let end = RunEnd { job: "", outcome: Ok(&result) };
        sink.send(end, &[&first, &second], false).await.unwrap();
        for finding in [first, second] {
            let mut datagram = vec![0; 65_536];
            let length = socket.recv(&mut datagram).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&datagram[..length]), of_finding(&finding));
        }
    }
}
