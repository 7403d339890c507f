//! What was planted, and `truth.json`, which says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::json;

use super::{DemoError, DemoOptions};

/// One planted attack, as `truth.json` lists it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attack {
    /// Unique among the attacks of all lakes: the kind and its intensity.
    pub(crate) id: String,
    /// The analysis that should find it.
    pub(crate) analysis: &'static str,
    /// How strong it is, for people.
    pub(crate) intensity: String,
    /// ATT&CK technique id.
    pub(crate) technique: &'static str,
    /// Result columns and the values that identify its rows.
    pub(crate) entities: BTreeMap<&'static str, String>,
    #[serde(serialize_with = "as_rfc3339")]
    pub(crate) first_seen: i64,
    #[serde(serialize_with = "as_rfc3339")]
    pub(crate) last_seen: i64,
    /// Planted rows in all tables.
    pub(crate) rows: u64,
    /// The same by table.
    pub(crate) rows_by_table: BTreeMap<&'static str, u64>,
}

impl Attack {
    /// An attack without rows yet.
    pub(crate) fn new(id: &str, analysis: &'static str, intensity: &str, technique: &'static str) -> Self {
        Self {
            id: id.to_owned(),
            analysis,
            intensity: intensity.to_owned(),
            technique,
            entities: BTreeMap::new(),
            first_seen: i64::MAX,
            last_seen: i64::MIN,
            rows: 0,
            rows_by_table: BTreeMap::new(),
        }
    }

    /// Adds what identifies it: a result column and its value.
    pub(crate) fn entity(mut self, column: &'static str, value: &str) -> Self {
        self.entities.insert(column, value.to_owned());
        self
    }

    /// Counts a planted row at `time_us` (microseconds since 1970 UTC).
    pub(crate) fn count_row(&mut self, table: &'static str, time_us: i64) {
        self.first_seen = self.first_seen.min(time_us);
        self.last_seen = self.last_seen.max(time_us);
        self.rows += 1;
        *self.rows_by_table.entry(table).or_default() += 1;
    }
}

/// A moment (microseconds since 1970 UTC) as RFC 3339 text with `digits` of the second.
pub(crate) fn rfc3339(time_us: i64, digits: SecondsFormat) -> String {
    DateTime::from_timestamp_micros(time_us).unwrap_or_default().to_rfc3339_opts(digits, true)
}

fn as_rfc3339<S: serde::Serializer>(time_us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time_us, SecondsFormat::Micros))
}

/// Writes `OUT/truth.json`. The folder itself is not named in it, so that equal options give equal bytes anywhere.
pub(crate) fn write(options: &DemoOptions, attacks: &[Attack]) -> Result<(), DemoError> {
    let mut sorted: Vec<&Attack> = attacks.iter().collect();
    sorted.sort_by(|one, other| one.id.cmp(&other.id));
    let truth = json!({
        "options": {
            "days": options.days,
            "rows_per_day": options.rows_per_day,
            "seed": options.seed,
            "start": options.start.to_string(),
        },
        "attacks": sorted,
    });
    let path: &Path = &options.out.join("truth.json");
    fs::write(path, format!("{truth:#}\n")).map_err(|source| DemoError::io(path, source))
}
