//! What an import did, file by file and table by table.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use hindcast_common::Error;
use serde::Serialize;

use super::runs::Staged;

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub struct ImportReport {
    /// Its files, in the order in which they were read.
    pub files: Vec<FileReport>,
    /// Its tables.
    pub tables: BTreeMap<String, TableReport>,
    /// Rows left out since a row of that date has the same record id and the same values.
    pub duplicates: u64,
    /// Rows kept though a row of that date has the same record id: other values differ.
    pub changed: u64,
    /// Where the records that can't be read are told, one by one.
    pub reject_files: Vec<String>,
    /// Why files could not be read; each is named in `files` too.
    #[serde(skip)]
    pub failures: Vec<Error>,
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
    /// Why it could not be read; nothing of it was imported then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
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
    /// Records that are no UTF-8, and were read as Windows-1252.
    #[serde(skip_serializing_if = "is_zero")]
    pub windows_1252: u64,
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

    /// Records of all kinds, of all files.
    pub fn records(&self) -> u64 {
        self.files.iter().map(FileReport::records).sum()
    }
}

impl FileReport {
    pub(super) fn new(file: &str, bytes: u64) -> Self {
        Self { file: file.to_owned(), bytes, ..Self::default() }
    }

    pub(super) fn failed(file: &str, bytes: u64, error: &Error) -> Self {
        let reason = error.to_string();
        let reason = reason.trim_start_matches("reading ").trim_start_matches(file).trim_start_matches(": ");
        Self { failure: Some(reason.to_owned()), ..Self::new(file, bytes) }
    }

    /// Rows of all tables.
    pub fn imported_rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// Records: rows, rejects and those of no table.
    pub fn records(&self) -> u64 {
        self.imported_rows() + self.rejects + self.set_aside.values().sum::<u64>()
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

fn is_zero(count: &u64) -> bool {
    *count == 0
}
