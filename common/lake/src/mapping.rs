//! Mappings of single tables: their location, and where their columns are in the lake's files.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::columns::{ColumnPath, ColumnSource, PathStep};
use super::layout::Layout;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
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

    /// The path at which a column is, as text; its own name if the mapping gives no path.
    pub fn path_text<'a>(&'a self, column: &'a str) -> &'a str {
        match self.columns.get(column) {
            Some(ColumnSource::Path(path)) => path.text(),
            _ => column,
        }
    }

    /// Names of columns of the lake's files from which `columns`, by Hindcast's names, are read; none if an expression may read any.
    pub(super) fn names_read<'a>(&self, columns: impl IntoIterator<Item = &'a str>) -> Option<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for column in columns {
            let path = match self.source(column) {
                ColumnSource::Path(path) => path,
                ColumnSource::Mapped(mapped) => mapped.column,
                ColumnSource::Value(_) => continue,
                ColumnSource::Sql(_) => return None,
            };
            if let Some(PathStep::Name(first)) = path.steps().first() {
                names.insert(first.clone());
            }
            // A name with dots.
            names.insert(path.text().to_owned());
        }
        Some(names)
    }

    /// The path at which the column of times is, as text; none if its values are computed.
    pub(super) fn time_path<'a>(&'a self, time_column: &'a str) -> Option<&'a str> {
        let is_computed =
            self.columns.get(time_column).is_some_and(|source| !matches!(source, ColumnSource::Path(_)));
        (!is_computed).then(|| self.path_text(time_column))
    }
}
