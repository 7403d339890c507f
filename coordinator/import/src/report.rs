//! The result of an import, by file and by table.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use chrono::NaiveDate;
use hindcast_base::{Error, ErrorKind};
use serde::Serialize;

use super::preview::FilePreview;
use super::runs::Staged;

/// The table whose rows have a vendor, and the column that names it.
const FIREWALL: &str = "CommonSecurityLog";
const VENDOR: &str = "DeviceVendor";
/// Most vendors of a file that are counted.
const MOST_VENDORS: usize = 100;

/// The result of an import.
#[derive(Debug, Default, Serialize)]
pub struct ImportReport {
    /// Input files, in the order in which they were read.
    pub files: Vec<FileReport>,
    /// Tables that got rows.
    pub tables: BTreeMap<String, TableReport>,
    /// Rows left out because a row of that date has the same record id and the same values.
    pub duplicates: u64,
    /// Rows imported although a row of that date has the same record id, because other values differ.
    pub changed: u64,
    /// Files that list the records that can't be read.
    pub reject_files: Vec<String>,
    /// Why files could not be read. Each is also named in `files`.
    #[serde(skip)]
    pub failures: Vec<Error>,
}

/// The result for one file.
#[derive(Debug, Default, Serialize)]
pub struct FileReport {
    /// Its name.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether its content was imported before, so that it was not read.
    pub already_imported: bool,
    /// Why it could not be read. Nothing of it was imported then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The kind of that error.
    #[serde(skip)]
    pub failure_kind: Option<ErrorKind>,
    /// Bytes at the start of its text that were imported before, because it was watched and grew.
    #[serde(skip_serializing_if = "is_zero")]
    pub from_byte: u64,
    /// Its source.
    pub source: String,
    /// Rows by table, duplicates included.
    pub rows: BTreeMap<String, u64>,
    /// Rows that are not the first of their record, including those that were rejected.
    #[serde(skip_serializing_if = "is_zero")]
    pub further_rows: u64,
    /// Records that can't be read.
    pub rejects: u64,
    /// Line and reason of the first reject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_reject: Option<String>,
    /// Records that belong to no table, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<String, u64>,
    /// Records that were read as Windows-1252, because they are not UTF-8.
    #[serde(skip_serializing_if = "is_zero")]
    pub windows_1252: u64,
    /// Values that became null because they are not of the column's type, by table and column.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<String, u64>,
    /// Assumptions about rows, and the number of rows they apply to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, u64>,
    /// Rows of CommonSecurityLog by their vendor. Scans read only those of the configured vendors.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vendors: BTreeMap<String, u64>,
    /// What would be stored, if nothing is to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<FilePreview>,
}

/// The result for one table.
#[derive(Debug, Default, Serialize)]
pub struct TableReport {
    /// Rows.
    pub rows: u64,
    /// Files written, before small ones were merged.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Dates of the rows.
    pub dates: BTreeSet<NaiveDate>,
}

impl ImportReport {
    /// Records of all files that can't be read.
    pub fn rejects(&self) -> u64 {
        self.files.iter().map(|file| file.rejects).sum()
    }

    /// Adds files with the contents of others, which are in the report: the name of the other, that of the file, and its size.
    pub(super) fn add_repeats(&mut self, repeats: Vec<(String, String, u64)>) {
        let failed = self.files.iter().filter(|file| file.failure.is_some());
        let failed: BTreeSet<String> = failed.map(|file| file.file.clone()).collect();
        for (first, name, bytes) in repeats {
            if !failed.contains(&first) {
                self.files.push(FileReport::already_imported(&name, bytes));
                continue;
            }
            let error = Error::Invalid(format!("{name}: it has the content of {first}, which can't be read"));
            self.files.push(FileReport::failed(&name, bytes, &error));
            self.failures.push(error);
        }
    }

    /// All records of all files.
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
        Self { failure: Some(reason.to_owned()), failure_kind: Some(error.kind()), ..Self::new(file, bytes) }
    }

    /// Counts the vendors of rows.
    pub(super) fn count_vendors(&mut self, table: &str, rows: &RecordBatch) {
        let column = rows.column_by_name(VENDOR).filter(|_| table == FIREWALL);
        let Some(vendors) = column.and_then(|column| column.as_string_opt::<i32>()) else { return };
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        vendors.iter().flatten().for_each(|vendor| *counts.entry(vendor).or_default() += 1);
        for (vendor, count) in counts {
            if self.vendors.len() < MOST_VENDORS || self.vendors.contains_key(vendor) {
                *self.vendors.entry(vendor.to_owned()).or_default() += count;
            }
        }
    }

    /// Rows of all tables.
    pub fn imported_rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// All records: rows, rejects, and records that belong to no table.
    pub fn records(&self) -> u64 {
        self.imported_rows() - self.further_rows + self.rejects + self.set_aside.values().sum::<u64>()
    }

    pub(super) fn already_imported(file: &str, bytes: u64) -> Self {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn staged(date: &str, rows: u64) -> Staged {
        Staged {
            table: "T".into(),
            date: date.parse().unwrap(),
            path: PathBuf::new(),
            rows,
            bytes: 10 * rows,
        }
    }

    #[test]
    fn records_are_rows_rejects_and_those_of_no_table() {
        let mut file = FileReport::new("a.json", 100);
        file.rows = BTreeMap::from([("T".to_owned(), 5), ("U".to_owned(), 2)]);
        file.rejects = 3;
        file.set_aside = BTreeMap::from([("ntp".to_owned(), 4), ("ssl".to_owned(), 1)]);
        assert_eq!((file.imported_rows(), file.records()), (7, 15));
        file.further_rows = 2;
        assert_eq!((file.imported_rows(), file.records()), (7, 13));
        file.further_rows = 0;
        let already = FileReport::already_imported("b.json", 50);
        assert!(already.already_imported && already.records() == 0);
        let report = ImportReport { files: vec![file, already], ..ImportReport::default() };
        assert_eq!((report.records(), report.rejects()), (15, 3));
    }

    #[test]
    fn a_file_with_the_content_of_one_that_failed_fails_too() {
        let mut report = ImportReport::default();
        let error = Error::Invalid("a.json: the file is not text".into());
        report.files = vec![FileReport::failed("a.json", 1, &error), FileReport::new("b.json", 1)];
        let repeat = |first: &str, name: &str| (first.to_owned(), name.to_owned(), 1);
        report.add_repeats(vec![repeat("a.json", "c.json"), repeat("b.json", "d.json")]);
        let reason = report.files[2].failure.as_deref();
        assert_eq!(reason, Some("it has the content of a.json, which can't be read"));
        assert!(report.files[3].already_imported);
        assert_eq!(report.failures.len(), 1);
    }

    #[test]
    fn a_failure_does_not_repeat_the_name_of_its_file() {
        let of = |error: Error| FileReport::failed("a.json", 1, &error).failure.unwrap();
        assert_eq!(of(Error::Invalid("a.json: the file is not text".into())), "the file is not text");
        let denied = std::io::Error::other("permission denied");
        assert_eq!(of(Error::io("reading a.json")(denied)), "permission denied");
        assert_eq!(of(Error::Invalid("no table".into())), "no table");
    }

    #[test]
    fn a_table_adds_up_its_files() {
        let mut table = TableReport::default();
        for file in [staged("2026-01-06", 3), staged("2026-01-05", 4), staged("2026-01-06", 1)] {
            table.add(&file);
        }
        let dates: Vec<String> = table.dates.iter().map(NaiveDate::to_string).collect();
        assert_eq!((table.rows, table.files, table.bytes), (8, 3, 80));
        assert_eq!(dates, ["2026-01-05", "2026-01-06"]);
    }

    #[test]
    fn json_leaves_out_what_did_not_happen() {
        let json = serde_json::to_value(FileReport::new("a.json", 100)).unwrap();
        let mut names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = ["already_imported", "bytes", "file", "rejects", "rows", "source"];
        names.sort_unstable();
        assert_eq!(names, wanted);
    }
}
