//! What a scan read of each root of a lake.

use chrono::NaiveDate;
use hindcast_lake::RootName;
use serde::{Deserialize, Serialize};

use super::coverage::{Coverage, CoverageEntry};

/// What was read of one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSummary {
    /// Its name, as findings have it.
    pub name: String,
    /// Its folder.
    pub url: String,
    /// Files read.
    pub files: u64,
    /// Rows in the window.
    pub rows: u64,
    /// Bytes of the files read.
    pub bytes: u64,
    /// First date with files in the window.
    pub first_date: Option<NaiveDate>,
    /// Last date with files in the window.
    pub last_date: Option<NaiveDate>,
}

impl RootSummary {
    /// The summaries of `roots`, in their order.
    pub(super) fn all(roots: &[RootName], coverage: &Coverage) -> Vec<Self> {
        roots.iter().map(|root| Self::of(root, coverage)).collect()
    }

    fn of(root: &RootName, coverage: &Coverage) -> Self {
        let is_own = |entry: &&CoverageEntry| entry.root.as_deref() == Some(&*root.name);
        let own: Vec<&CoverageEntry> = coverage.tables.iter().filter(is_own).collect();
        let sum = |number: fn(&CoverageEntry) -> u64| own.iter().map(|entry| number(entry)).sum();
        let dates = || own.iter().filter(|entry| entry.files > 0).map(|entry| entry.date);
        Self {
            name: root.name.to_string(),
            url: root.url.clone(),
            files: sum(|entry| entry.files),
            rows: sum(|entry| entry.rows),
            bytes: sum(|entry| entry.bytes),
            first_date: dates().min(),
            last_date: dates().max(),
        }
    }

    /// Its first and last date, formatted for people.
    pub fn when(&self) -> String {
        match (self.first_date, self.last_date) {
            (Some(first), Some(last)) if first == last => first.to_string(),
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "no date in the window".to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "root_summary_tests.rs"]
mod tests;
