//! Mappings of single tables: their location, and where their columns are in the lake's files.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::columns::{ColumnPath, ColumnSource, PathStep, TimeSource, check_expression};
use super::layout::Layout;
use hindcast_base::log_time::{DateOrder, TimeForms, Zone};

/// The location of one table and the sources of its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableMapping {
    /// Folder of the table, if it is not `LAKE/<Table>`.
    pub url: Option<String>,
    /// Folder between the lake and the table: `LAKE/<workspace>/<Table>`.
    pub workspace: Option<String>,
    /// Layout of its folders; detected if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Name of a mapping that Hindcast has; the fields below add to it and override it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Where columns are in the lake's files, by Hindcast's names.
    pub columns: BTreeMap<String, ColumnSource>,
    /// An SQL expression over the columns of the lake's files. Only rows for which it is true are rows of this table.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "checked_filter")]
    pub filter: Option<String>,
    /// The order of day and month in numeric dates such as 3/5/2026. Without it, files with such dates are not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateOrder>,
    /// The zone of times without one; UTC if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    /// Days by which a row's time may differ from its folder's date; 0 if folders are by the row's time.
    pub folder_slack_days: u32,
}

impl TableMapping {
    /// Where a column is, by Hindcast's name: as the mapping says, otherwise under its own name.
    pub fn source(&self, column: &str) -> ColumnSource {
        match self.columns.get(column) {
            Some(source) => source.clone(),
            None => ColumnPath::of_name(column).into(),
        }
    }

    /// What the times of its columns mean, where they do not say it themselves.
    pub fn time_forms(&self) -> TimeForms {
        TimeForms { dates: self.dates, zone: self.time_zone.unwrap_or_default() }
    }

    /// What decides, besides its columns, which rows are read and as which times; none if nothing does.
    pub fn rules_of_rows(&self) -> Option<impl Serialize + use<>> {
        let Self { filter, dates, time_zone, .. } = self.clone();
        let has_rules = filter.is_some() || dates.is_some() || time_zone.is_some();
        has_rules.then_some((filter, dates, time_zone))
    }

    /// Names of columns of the lake's files from which `columns`, by Hindcast's names, and the filter are read.
    pub(super) fn names_read<'a>(&self, columns: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let filter = self.filter.iter().map(|filter| ColumnSource::Sql(filter.clone()));
        let sources = columns.into_iter().map(|column| self.source(column)).chain(filter);
        let mut names = BTreeSet::new();
        for path in sources.flat_map(|source| source.paths()) {
            if let Some(PathStep::Name(first)) = path.steps().first() {
                names.insert(first.clone());
            }
            // A name with dots.
            names.insert(path.text().to_owned());
        }
        names
    }

    /// Where the times of rows are stored; none if they are computed.
    pub(super) fn time_source(&self, time_column: &str) -> Option<TimeSource> {
        match self.source(time_column) {
            ColumnSource::Path(path) => Some(TimeSource { path, forms: self.time_forms() }),
            _ => None,
        }
    }
}

/// A filter whose SQL is an expression.
fn checked_filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let filter = Option::<String>::deserialize(deserializer)?;
    filter.as_deref().map_or(Ok(()), check_expression).map_err(D::Error::custom)?;
    Ok(filter)
}
