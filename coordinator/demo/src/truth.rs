//! The planted attacks and look-alikes, and `truth.json`, which lists them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::json;

use super::plants::Plan;
use super::{DemoError, DemoOptions};

/// Result columns with the values that identify the rows of an attack or look-alike.
pub type Entities = BTreeMap<&'static str, String>;

/// The planted rows of an attack or look-alike: number, tables and times.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlantedRows {
    #[serde(serialize_with = "as_rfc3339")]
    pub first_seen: i64,
    #[serde(serialize_with = "as_rfc3339")]
    pub last_seen: i64,
    /// Rows in all tables.
    pub rows: u64,
    /// Rows by table.
    pub(crate) rows_by_table: BTreeMap<&'static str, u64>,
}

impl PlantedRows {
    /// No rows yet.
    pub fn new() -> Self {
        Self { first_seen: i64::MAX, last_seen: i64::MIN, rows: 0, rows_by_table: BTreeMap::new() }
    }

    /// Counts a planted row at `time_us` (microseconds since 1970 UTC).
    pub(crate) fn count_row(&mut self, table: &'static str, time_us: i64) {
        self.first_seen = self.first_seen.min(time_us);
        self.last_seen = self.last_seen.max(time_us);
        self.rows += 1;
        *self.rows_by_table.entry(table).or_default() += 1;
    }

    /// Adds the rows of another attack or look-alike.
    pub fn join(&mut self, other: &Self) {
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.count_context(other);
    }

    /// Adds rows that are only context: they do not change the first and last time.
    pub(crate) fn count_context(&mut self, context: &Self) {
        self.rows += context.rows;
        for (table, rows) in &context.rows_by_table {
            *self.rows_by_table.entry(table).or_default() += rows;
        }
    }
}

/// A planted attack, as in `truth.json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attack {
    /// Unique among the attacks of all lakes: kind and intensity.
    pub id: String,
    /// The analysis that should find it.
    pub analysis: &'static str,
    /// Its intensity in words.
    pub(crate) intensity: String,
    /// ATT&CK technique id.
    pub technique: &'static str,
    pub entities: Entities,
    #[serde(flatten)]
    pub planted: PlantedRows,
}

impl Attack {
    /// An attack without rows yet.
    pub fn new(id: &str, analysis: &'static str, intensity: &str, technique: &'static str) -> Self {
        Self {
            id: id.to_owned(),
            analysis,
            intensity: intensity.to_owned(),
            technique,
            entities: BTreeMap::new(),
            planted: PlantedRows::new(),
        }
    }

    /// Adds a result column and value that identify it.
    pub fn entity(mut self, column: &'static str, value: &str) -> Self {
        self.entities.insert(column, value.to_owned());
        self
    }
}

/// Attacks of one story, which should become one incident.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlantedIncident {
    pub id: &'static str,
    /// Ids of its attacks, in the order in which they happened.
    pub attacks: Vec<String>,
    pub device: String,
    pub address: String,
    pub user: String,
    #[serde(serialize_with = "as_rfc3339")]
    pub first_seen: i64,
    #[serde(serialize_with = "as_rfc3339")]
    pub last_seen: i64,
}

/// Harmless activity that looks like an attack, or seems to relate unrelated attacks.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lookalike {
    pub id: &'static str,
    /// Why it is harmless.
    pub why: &'static str,
    /// Rows that analyses may list for it.
    pub may_show: Vec<Shown>,
    /// Ids of unrelated attacks that it touches: no incident may contain two of them.
    pub attacks: Vec<String>,
    #[serde(flatten)]
    pub planted: PlantedRows,
}

/// Rows of an analysis, by entities.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    analysis: &'static str,
    entities: Entities,
}

impl Lookalike {
    /// A look-alike without rows yet.
    pub fn new(id: &'static str, why: &'static str) -> Self {
        Self { id, why, may_show: Vec::new(), attacks: Vec::new(), planted: PlantedRows::new() }
    }

    /// Adds rows that an analysis may list for it.
    pub fn shows(&mut self, analysis: &'static str, entities: &[(&'static str, &str)]) {
        let entities = entities.iter().map(|(column, value)| (*column, (*value).to_owned())).collect();
        self.may_show.push(Shown { analysis, entities });
    }
}

/// A time (microseconds since 1970 UTC) as RFC 3339 text with `digits` fractional digits of the second.
pub fn rfc3339(time_us: i64, digits: SecondsFormat) -> String {
    DateTime::from_timestamp_micros(time_us).unwrap_or_default().to_rfc3339_opts(digits, true)
}

fn as_rfc3339<S: serde::Serializer>(time_us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time_us, SecondsFormat::Micros))
}

/// Writes `OUT/truth.json`. It does not name the folder, so that equal options give equal bytes anywhere.
pub fn write(options: &DemoOptions, plan: &Plan) -> Result<(), DemoError> {
    let mut attacks: Vec<&Attack> = plan.attacks.iter().collect();
    attacks.sort_by(|one, other| one.id.cmp(&other.id));
    let truth = json!({
        "options": {
            "days": options.days,
            "rows_per_day": options.rows_per_day,
            "seed": options.seed,
            "start": options.start.to_string(),
        },
        "attacks": attacks,
        "incidents": plan.incidents,
        "lookalikes": plan.lookalikes,
    });
    let path: &Path = &options.out.join("truth.json");
    fs::write(path, format!("{truth:#}\n")).map_err(|source| DemoError::io(path, source))
}
