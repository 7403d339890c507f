//! The files of a small detection, which unit tests change.

/// Its `detection.toml`; tests put more keys in place of line 6.
pub(crate) const DEFINITION: &str = r#"version = 1
suite = "firewall"
title = "Many destinations"
shows = "Sources by destinations."
rollups = ["external_pairs"]
# more
[[columns]]
name = "source_ip"
type = "text"
doc = "Source."
[[columns]]
name = "destinations"
type = "integer"
doc = "Destinations."
"#;

/// Its `query.sql`.
pub(crate) const QUERY: &str =
    "SELECT source_ip, count(*) AS destinations FROM external_pairs GROUP BY source_ip";
