//! What an import did, file by file and table by table.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Serialize;

use super::runs::Staged;

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub struct ImportReport {
    /// Its files, in the order in which they were read.
    pub files: Vec<FileReport>,
    /// Its tables.
    pub tables: BTreeMap<String, TableReport>,
    /// Rows left out since a row of that date has the same record id.
    pub duplicates: u64,
    /// Where the records that can't be read are told, one by one.
    pub reject_files: Vec<String>,
}

/// What became of a file.
#[derive(Debug, Default, Serialize)]
pub struct FileReport {
    /// Its name.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether its content was imported before, so that nothing was read.
    pub already_imported: bool,
    /// Its source.
    pub source: String,
    /// Rows by table, duplicates included.
    pub rows: BTreeMap<String, u64>,
    /// Records that can't be read.
    pub rejects: u64,
    /// Line and reason of the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_reject: Option<String>,
    /// Records no table takes, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<String, u64>,
    /// Values that became null, by table and column: they are not of the column's type.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<String, u64>,
    /// What was assumed of rows, and of how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, u64>,
}

/// What came into a table.
#[derive(Debug, Default, Serialize)]
pub struct TableReport {
    /// Rows.
    pub rows: u64,
    /// Files, before small ones were merged.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Dates.
    pub dates: BTreeSet<NaiveDate>,
}

impl ImportReport {
    /// Records that can't be read, of all files.
    pub fn rejects(&self) -> u64 {
        self.files.iter().map(|file| file.rejects).sum()
    }
}

impl FileReport {
    pub(super) fn new(file: &str, bytes: u64) -> Self {
        Self { file: file.to_owned(), bytes, ..Self::default() }
    }

    pub(super) fn already(file: &str, bytes: u64) -> Self {
        Self { already_imported: true, ..Self::new(file, bytes) }
    }
}

impl TableReport {
    pub(super) fn add(&mut self, staged: &Staged) {
        self.rows += staged.rows;
        self.files += 1;
        self.bytes += staged.bytes;
        self.dates.insert(staged.date);
    }
}
