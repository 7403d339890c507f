//! Where single tables of a lake live, and what their columns are called there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where one table lives and what its columns are called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableMapping {
    /// Folder of the table, elsewhere than `LAKE/<Table>`.
    pub url: Option<String>,
    /// Folder between the lake and the table: `LAKE/<workspace>/<Table>`.
    pub workspace: Option<String>,
    /// The lake's own column names, by the names Hindcast knows.
    pub columns: BTreeMap<String, String>,
    /// Days by which a row's time may differ from its folder's date; 0 where folders are by the row's own time.
    pub folder_slack_days: u32,
}
