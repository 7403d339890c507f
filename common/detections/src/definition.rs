//! The format of `detection.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::chart::ChartDefinition;
use super::parameters::ParameterDefinition;
use crate::analyses::{Locations, Suite};
use crate::findings::definition::FindingDefinition;

/// The metadata of a detection, without its SQL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DetectionDefinition {
    pub(super) version: u32,
    #[serde(default = "last")]
    pub(super) position: u32,
    pub(super) suite: Suite,
    pub(super) title: String,
    pub(super) shows: String,
    #[serde(default)]
    pub(super) rollups: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) optional_rollups: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) locations: Locations,
    #[serde(default)]
    pub(super) of_all_rows: bool,
    #[serde(default)]
    pub(super) order: Vec<Spanned<String>>,
    pub(super) limit: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) per_key: Vec<Spanned<String>>,
    pub(super) companion: Option<String>,
    #[serde(default)]
    pub(super) uses: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) requires: Vec<RequirementDefinition>,
    pub(super) look_back: Option<LookBackDefinition>,
    #[serde(default)]
    pub(super) checks: Vec<CheckDefinition>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, ParameterDefinition>,
    #[serde(default)]
    pub(super) columns: Vec<ColumnDefinition>,
    pub(super) finding: Option<FindingDefinition>,
    #[serde(default)]
    pub(super) chart: Vec<ChartDefinition>,
    #[serde(default)]
    pub(super) guide: GuideDefinition,
}

/// By default, users' own detections come after the built-in ones.
fn last() -> u32 {
    10_000
}

/// `[[requires]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequirementDefinition {
    pub(super) tables: Spanned<Vec<Spanned<String>>>,
    pub(super) columns: Vec<Spanned<String>>,
}

/// `[look_back]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookBackDefinition {
    pub(super) rollups: Vec<Spanned<String>>,
    pub(super) start: String,
}

/// `[[checks]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckDefinition {
    pub(super) holds: String,
    pub(super) message: String,
}

/// `[[columns]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnDefinition {
    pub(super) name: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) kind: ColumnType,
    #[serde(default)]
    pub(super) unit: String,
    pub(super) doc: String,
}

/// The type of a result column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number of double precision.
    Float,
    /// An instant, UTC, in microseconds.
    Time,
    /// True or false.
    Boolean,
}

impl ColumnType {
    /// Its name in `detection.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Time => "time",
            Self::Boolean => "boolean",
        }
    }
}

/// `[guide]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GuideDefinition {
    pub(super) benign: Vec<String>,
    pub(super) confirm: Vec<String>,
    pub(super) next: Vec<String>,
}
