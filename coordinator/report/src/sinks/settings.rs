//! The configuration of sinks: `[[sinks]]` in the configuration of the coordinator, or in the file of `scan --sinks`.

use std::collections::BTreeMap;
use std::path::Path;

use hindcast_base::{Error, Result};
use hindcast_detections::findings::Severity;
use serde::Deserialize;

use super::Sink;

/// A webhook or a syslog collector.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkSettings {
    /// The name in logs.
    pub name: String,
    /// The protocol.
    pub(super) kind: SinkKind,
    /// The URL: `https://…` of a webhook, `udp://HOST:PORT` or `tcp://HOST:PORT` of a collector.
    #[serde(default)]
    pub(super) url: Option<String>,
    /// The environment variable that holds the URL, if the URL is a secret.
    #[serde(default)]
    pub(super) url_from_env: Option<String>,
    /// Findings of this severity and above are sent.
    #[serde(default = "high")]
    pub min_level: Severity,
    /// Whether it receives a message at the end of every run, even if the run failed or has no such findings.
    #[serde(default)]
    pub every_run: bool,
    /// Headers of a webhook, with the environment variables that hold their values.
    #[serde(default)]
    pub(super) headers_from_env: BTreeMap<String, String>,
    /// Whether a webhook on another machine may be used without TLS.
    #[serde(default)]
    pub(super) insecure: bool,
}

/// The protocol of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SinkKind {
    /// JSON over HTTP.
    Webhook,
    /// CEF in RFC 5424 messages.
    Syslog,
}

fn high() -> Severity {
    Severity::High
}

impl SinkSettings {
    /// Checks that the settings fit each other.
    pub(super) fn check(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::Invalid("a sink has an empty name".into()));
        }
        if self.url.is_some() == self.url_from_env.is_some() {
            return Err(self.wrong("give either url or url_from_env"));
        }
        if self.kind == SinkKind::Syslog && !self.headers_from_env.is_empty() {
            return Err(self.wrong("a syslog collector takes no headers"));
        }
        Ok(())
    }

    /// The URL. It may be a secret, so it must not be shown.
    pub(super) fn address(&self) -> Result<url::Url> {
        let text = match (&self.url, &self.url_from_env) {
            (Some(url), _) => url.clone(),
            (None, Some(variable)) => self.secret(variable)?,
            (None, None) => String::new(),
        };
        url::Url::parse(text.trim()).map_err(|error| self.wrong(&format!("its URL is not valid: {error}")))
    }

    /// The value of an environment variable.
    pub(super) fn secret(&self, variable: &str) -> Result<String> {
        let value = std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| self.wrong(&format!("the environment variable {variable} is not set")))
    }

    pub(super) fn wrong(&self, what: &str) -> Error {
        Error::Invalid(format!("sink {:?}: {what}", self.name))
    }
}

/// A file of sinks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SinkFile {
    sinks: Vec<SinkSettings>,
}

/// The sinks of a file.
///
/// # Errors
/// [`Error::Invalid`] if the file can't be read, or a sink in it can't be used.
pub fn read_sinks(path: &Path) -> Result<Vec<Sink>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Invalid(format!("reading the sinks {shown}: {error}")))?;
    let file: SinkFile = toml::from_str(&text)
        .map_err(|error| Error::Invalid(format!("{shown}: {}", error.to_string().trim_end())))?;
    file.sinks.iter().map(Sink::open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<Sink> {
        let settings: SinkSettings =
            toml::from_str(text).map_err(|error| Error::Invalid(error.to_string()))?;
        Sink::open(&settings)
    }

    #[test]
    fn a_wrong_sink_has_a_helpful_message_without_its_secret() {
        let head = "name = 'soc'\n";
        for (text, hint) in [
            ("kind = 'webhook'", "either url or url_from_env"),
            ("kind = 'webhook'\nurl = 'https://a.example'\nurl_from_env = 'A'", "either url or url_from_env"),
            ("kind = 'webhook'\nurl = 'ftp://a.example'", "https"),
            ("kind = 'webhook'\nurl = 'http://a.example/hook'", "insecure"),
            ("kind = 'webhook'\nurl_from_env = 'HINDCAST_NO_SUCH'", "HINDCAST_NO_SUCH is not set"),
            (
                "kind = 'webhook'\nurl = 'https://a.example'\nheaders_from_env = {X = 'HINDCAST_NO_SUCH'}",
                "not set",
            ),
            (
                "kind = 'webhook'\nurl = 'https://a.example'\nheaders_from_env = {'a b' = 'PATH'}",
                "not the name of a header",
            ),
            ("kind = 'syslog'\nurl = 'https://a.example'", "udp"),
            ("kind = 'syslog'\nurl = 'udp://a.example'", "port"),
            ("kind = 'pager'\nurl = 'https://a.example'", "unknown variant"),
            ("kind = 'syslog'\nurl = 'udp://a:1'\nmin_level = 'loud'", "unknown variant"),
        ] {
            let error = open(&format!("{head}{text}")).unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
        let sink = open(&format!("{head}kind = 'webhook'\nurl = 'http://127.0.0.1:9/secret-path'")).unwrap();
        assert_eq!(sink.min_level, Severity::High);
        assert!(!format!("{sink:?}").contains("secret-path"), "{sink:?}");
        open(&format!("{head}kind = 'syslog'\nurl = 'tcp://[::1]:601'\nmin_level = 'low'")).unwrap();
    }
}
