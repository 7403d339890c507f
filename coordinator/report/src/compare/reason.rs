//! A reason why a finding differs between two scans: facts, which become a sentence where they are written or shown.

use std::fmt;

use chrono::NaiveDate;
use hindcast_base::format::counted;
use hindcast_scan::Gap;
use hindcast_scan::geoip::LocationSource;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use serde_json::Value;

/// One of the two scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The scan before.
    First,
    /// The scan after.
    Second,
}

impl fmt::Display for Which {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Which::First => "first",
            Which::Second => "second",
        })
    }
}

/// How much a scan read of a table and date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSize {
    /// Rows in the window.
    pub rows: u64,
    /// Files read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A table with a log that two scans read in different versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionChange {
    /// The table, with its root if the lake has several.
    pub table: String,
    /// The version of the first scan; absent if it did not read the table, or the table had no log.
    pub before: Option<u64>,
    /// The version of the second scan.
    pub after: Option<u64>,
}

impl fmt::Display for VersionChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |version: Option<u64>| version.map_or("none".to_owned(), |number| number.to_string());
        write!(formatter, "{} {}, then {}", self.table, number(self.before), number(self.after))
    }
}

/// A reason.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The finding's time lies outside one scan's window.
    Window {
        /// That scan.
        scan: Which,
        /// First instant of its window.
        from: String,
        /// First instant after it.
        to: String,
    },
    /// The analysis did not run in one scan.
    NotRun {
        /// The analysis.
        analysis: String,
        /// That scan.
        scan: Which,
        /// Why it was disabled; absent if it was not requested.
        disabled: Option<String>,
    },
    /// Watchlists suppress the finding in one scan.
    Suppressed {
        /// That scan.
        scan: Which,
        /// Names of the lists.
        watchlists: Vec<String>,
    },
    /// Different watchlists name it.
    Watchlists {
        /// Those of the first scan.
        before: Vec<String>,
        /// Those of the second.
        after: Vec<String>,
    },
    /// The analysis has another version.
    RuleVersion {
        /// The analysis.
        analysis: String,
        /// Its version in the first scan.
        before: u32,
        /// Its version in the second.
        after: u32,
    },
    /// A user's own detection was edited without another version.
    RuleEdited {
        /// The analysis.
        analysis: String,
    },
    /// A parameter of the analysis differs.
    Parameter {
        /// Its path, such as `beaconing.max_jitter`.
        path: String,
        /// Its value in the first scan.
        before: Value,
        /// Its value in the second.
        after: Value,
    },
    /// The analysis uses locations, and the location database differs.
    Locations {
        /// That of the first scan.
        before: Option<LocationSource>,
        /// That of the second.
        after: Option<LocationSource>,
    },
    /// A table that the analysis reads was read in another version.
    TableVersion(VersionChange),
    /// A table and date that the analysis reads differs.
    Data {
        /// The table.
        table: String,
        /// The date.
        date: NaiveDate,
        /// What the first scan read; absent if it did not look at the date.
        before: Option<DataSize>,
        /// What the second scan read.
        after: Option<DataSize>,
    },
    /// One scan could not look at something.
    Gap {
        /// That scan.
        scan: Which,
        /// The gap.
        gap: Gap,
    },
    /// None of the above, and the version of Hindcast differs.
    Version {
        /// That of the first scan.
        before: String,
        /// That of the second.
        after: String,
    },
    /// None of the above: rows that changed without a change in number and size.
    Unknown,
}

impl Reason {
    /// The kind in JSON.
    fn kind(&self) -> &'static str {
        match self {
            Reason::Window { .. } => "window",
            Reason::NotRun { .. } => "not_run",
            Reason::Suppressed { .. } | Reason::Watchlists { .. } => "watchlist",
            Reason::RuleVersion { .. } | Reason::RuleEdited { .. } => "rule_version",
            Reason::Parameter { .. } => "parameters",
            Reason::Locations { .. } => "locations",
            Reason::TableVersion(_) => "table_version",
            Reason::Data { .. } | Reason::Gap { .. } => "data",
            Reason::Version { .. } | Reason::Unknown => "unknown",
        }
    }

    /// The facts as a text.
    fn what(&self) -> String {
        match self {
            Reason::Window { scan, from, to } => format!("the {scan} scan's is {from} to {to}"),
            Reason::NotRun { analysis, scan, disabled } => {
                let why = disabled.as_deref().unwrap_or("it was not requested");
                format!("{analysis} in the {scan} scan: {why}")
            }
            Reason::Suppressed { scan, watchlists } => {
                format!("suppressed by {} in the {scan} scan", watchlists.join(", "))
            }
            Reason::Watchlists { before, after } => {
                format!("on [{}], then on [{}]", before.join(", "), after.join(", "))
            }
            Reason::RuleVersion { analysis, before, after } => format!("{analysis} {before}, then {after}"),
            Reason::RuleEdited { analysis } => format!("{analysis} was edited without another version"),
            Reason::Parameter { path, before, after } => {
                let is_long = |value: &Value| value.is_array() || value.is_object();
                match is_long(before) || is_long(after) {
                    true => format!("{path} differs"),
                    false => format!("{path} {before}, then {after}"),
                }
            }
            Reason::Locations { before, after } => {
                format!("{}, then {}", format_database(before.as_ref()), format_database(after.as_ref()))
            }
            Reason::TableVersion(change) => change.to_string(),
            Reason::Data { table, date, before, after } => {
                format!("{table} {date}: {}, then {}", format_size(*before), format_size(*after))
            }
            Reason::Gap { scan, gap } => format!("in the {scan} scan {gap}"),
            Reason::Version { before, after } => format!("version {before}, then {after}"),
            Reason::Unknown => {
                "same window, parameters, rule versions, and number and size of rows".to_owned()
            }
        }
    }
}

fn format_database(locations: Option<&LocationSource>) -> String {
    locations.map_or("none".to_owned(), |source| format!("{}, built {}", source.database, source.built))
}

fn format_size(size: Option<DataSize>) -> String {
    match size {
        Some(DataSize { rows, files, bytes }) => {
            format!("{} in {} of {}", counted(rows, "row"), counted(files, "file"), counted(bytes, "byte"))
        }
        None => "not looked at".to_owned(),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind().replace('_', " "), self.what())
    }
}

/// `{"kind": …, "what": …}`
impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reason = serializer.serialize_struct("Reason", 2)?;
        reason.serialize_field("kind", self.kind())?;
        reason.serialize_field("what", &self.what())?;
        reason.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_is_a_kind_and_a_text() {
        let reason = Reason::NotRun { analysis: "beaconing".into(), scan: Which::Second, disabled: None };
        assert_eq!(reason.to_string(), "not run: beaconing in the second scan: it was not requested");
        assert_eq!(
            serde_json::to_string(&reason).unwrap(),
            r#"{"kind":"not_run","what":"beaconing in the second scan: it was not requested"}"#
        );
    }

    #[test]
    fn lists_of_parameters_are_not_printed() {
        let parameter = |before, after| {
            let path = "beaconing.max_jitter".to_owned();
            Reason::Parameter { path, before, after }.to_string()
        };
        assert_eq!(parameter(json!(0.1), json!(0.2)), "parameters: beaconing.max_jitter 0.1, then 0.2");
        assert_eq!(parameter(json!(null), json!(["a"])), "parameters: beaconing.max_jitter differs");
    }

    #[test]
    fn a_date_that_was_not_looked_at_is_no_date_without_rows() {
        let none = DataSize { rows: 0, files: 1, bytes: 9 };
        let date = "2026-03-01".parse().unwrap();
        let reason = Reason::Data { table: "AuditLogs".into(), date, before: None, after: Some(none) };
        assert_eq!(
            reason.to_string(),
            "data: AuditLogs 2026-03-01: not looked at, then 0 rows in 1 file of 9 bytes"
        );
    }

    #[test]
    fn location_databases_are_named_with_their_build() {
        let after = LocationSource { database: "City".into(), built: "2026-03-01T00:00:00Z".into() };
        let reason = Reason::Locations { before: None, after: Some(after) };
        assert_eq!(reason.to_string(), "locations: none, then City, built 2026-03-01T00:00:00Z");
    }
}
