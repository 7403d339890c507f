//! Scripts, styles and chart data that a report embeds, and the policy that limits a browser to these.

use std::fmt::{self, Display};

use askama::filters::HtmlSafe;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Plotly, which build.rs copies from its crate.
const PLOTLY: &str = include_str!(concat!(env!("OUT_DIR"), "/plotly.min.js"));
const STYLE: &str = include_str!("../../../assets/style.css");
const SCRIPT: &str = include_str!("../../../assets/report.js");

/// Text that goes into the page unescaped. Only this file makes it, and never from the text of a log.
pub(super) struct Trusted<T>(T);

impl<T: Display> Display for Trusted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<T: Display> HtmlSafe for Trusted<T> {}

/// The scripts, styles, data and policy of a report.
pub(super) struct Embedded {
    pub(super) policy: Trusted<String>,
    pub(super) style: Trusted<&'static str>,
    pub(super) plotly: Trusted<&'static str>,
    pub(super) script: Trusted<&'static str>,
    pub(super) data: Trusted<String>,
}

impl Embedded {
    /// Embeds `charts` as the data of the charts.
    pub(super) fn new(charts: &serde_json::Value) -> Self {
        Self {
            policy: Trusted(policy(&[PLOTLY, SCRIPT], STYLE)),
            style: Trusted(STYLE),
            plotly: Trusted(PLOTLY),
            script: Trusted(SCRIPT),
            data: Trusted(json_in_html(charts)),
        }
    }
}

/// JSON that contains no HTML markup, whatever its texts are.
fn json_in_html(value: &serde_json::Value) -> String {
    let json = value.to_string();
    let mut safe = String::with_capacity(json.len() + json.len() / 16);
    for character in json.chars() {
        match character {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\u{2028}' => safe.push_str("\\u2028"),
            '\u{2029}' => safe.push_str("\\u2029"),
            plain => safe.push(plain),
        }
    }
    safe
}

/// The Content-Security-Policy: it allows these scripts and styles by their hashes and the images of charts, but no requests.
/// Plotly adds one empty style sheet and sets style attributes.
fn policy(scripts: &[&str], style: &str) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    let scripts: Vec<String> = scripts.iter().map(|script| hash(script)).collect();
    format!(
        "default-src 'none'; script-src {}; style-src {} {}; style-src-attr 'unsafe-inline'; img-src data: blob:; \
         base-uri 'none'; form-action 'none'",
        scripts.join(" "),
        hash(style),
        hash("")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_contains_no_markup() {
        let hostile = json!(["</script><script>alert(1)</script>", "<!--", "]]>&amp;", "\u{2028}\u{2029}"]);
        let embedded = json_in_html(&hostile);
        assert!(!embedded.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{embedded}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&embedded).unwrap(), hostile);
    }

    #[test]
    fn the_chart_library_is_one_script() {
        assert!(PLOTLY.len() > 1_000_000 && PLOTLY.contains("plotly.js v"));
        assert!(!PLOTLY.contains("</script") && !PLOTLY.contains("<!--"));
    }

    #[test]
    fn the_policy_allows_only_hashed_scripts() {
        let policy = policy(&["alert(1)"], "p {}");
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("http") && !policy.contains("script-src 'unsafe"), "{policy}");
    }
}
