//! The versions of tables with a log that a scan read.

use std::fmt;

use hindcast_base::time::format_micros;
use hindcast_lake::LakeTable;
use serde::{Deserialize, Serialize};

use super::plan::ScanPlan;

/// A version of a table with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadVersion {
    /// The table.
    pub table: String,
    /// The root of this part of the table, if the lake has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The number of the version.
    pub version: u64,
    /// When it was committed, RFC 3339, if the log says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<String>,
}

impl ReadVersion {
    /// The version of `table`; none if it has no log.
    pub(super) fn of(table: &LakeTable) -> Option<Self> {
        let snapshot = table.snapshot()?;
        Some(Self {
            table: table.spec.name.to_owned(),
            root: table.root.as_deref().map(str::to_owned),
            version: snapshot.version,
            committed: snapshot.time_ms.map(|time_ms| format_micros(time_ms.saturating_mul(1_000))),
        })
    }

    /// The versions of the tables of `plan`, in their order.
    pub fn all_of(plan: &ScanPlan) -> Vec<Self> {
        plan.tables.iter().filter_map(|planned| Self::of(&planned.table)).collect()
    }

    /// The table, with its root if the lake has several, formatted for people.
    pub fn place(&self) -> String {
        match &self.root {
            Some(root) => format!("{} in root {root}", self.table),
            None => self.table.clone(),
        }
    }

    /// The version without its table, formatted for people.
    pub fn number(&self) -> String {
        let committed = self.committed.as_ref().map(|time| format!(" of {time}")).unwrap_or_default();
        format!("version {}{committed}", self.version)
    }
}

impl fmt::Display for ReadVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.place(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_with_its_table_and_time() {
        let version = ReadVersion { table: "AuditLogs".into(), root: None, version: 12, committed: None };
        assert_eq!(version.to_string(), "AuditLogs version 12");
        let committed = Some("2026-01-05T10:00:00Z".to_owned());
        let version = ReadVersion { root: Some("emea".into()), committed, ..version };
        assert_eq!(version.to_string(), "AuditLogs in root emea version 12 of 2026-01-05T10:00:00Z");
    }
}
