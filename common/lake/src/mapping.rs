//! Mappings of single tables: their location and the names of their columns in the lake.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The location of one table and the names of its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableMapping {
    /// Folder of the table, if it is not `LAKE/<Table>`.
    pub url: Option<String>,
    /// Folder between the lake and the table: `LAKE/<workspace>/<Table>`.
    pub workspace: Option<String>,
    /// The lake's column names, by Hindcast's names.
    pub columns: BTreeMap<String, String>,
    /// Days by which a row's time may differ from its folder's date; 0 if folders are by the row's time.
    pub folder_slack_days: u32,
}
