//! Prints what an import did, for people.

use std::collections::BTreeMap;

use hindcast_base::Result;
use hindcast_base::format::{counted, format_bytes};
use hindcast_detections::config::Config;
use hindcast_import::{FileReport, ImportReport};

/// Most columns with unreadable values, most kinds of skipped records, and most vendors that are shown.
pub(super) const SHOWN_KINDS: usize = 8;

/// Prints what an import did.
///
/// # Errors
/// [`hindcast_base::Error::Internal`] if the default parameters can't be read.
pub(super) fn print_report(report: &ImportReport) -> Result<()> {
    report.files.iter().for_each(print_file);
    for (table, imported) in &report.tables {
        let (first, last) = (imported.dates.first(), imported.dates.last());
        let dates = first.zip(last).map_or(String::new(), |(first, last)| format!(", {first} to {last}"));
        let rows = counted(imported.rows, "row");
        println!("table     {table}: {rows}, {}{dates}", format_bytes(imported.bytes));
    }
    if report.duplicates > 0 {
        println!(
            "skipped   {} that the table already has, with the same record id and the same values",
            counted(report.duplicates, "row")
        );
    }
    if report.changed > 0 {
        let rows = counted(report.changed, "row");
        println!("added     {rows} whose record id the table already has with other values");
    }
    for file in &report.reject_files {
        println!("rejects   {}: {file}", counted(report.rejects(), "record"));
    }
    let read = Config::load("default", &[])?.firewall.vendors;
    if let Some(line) = vendors_line(report, &read) {
        println!("vendors   {line}");
    }
    Ok(())
}

/// What to set so that detections of firewalls read the rows of all vendors, of which they only read those of `read`.
fn vendors_line(report: &ImportReport, read: &[String]) -> Option<String> {
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    for (vendor, count) in report.files.iter().flat_map(|file| &file.vendors) {
        *rows.entry(vendor).or_default() += count;
    }
    rows.retain(|vendor, _| !read.iter().any(|one| one == vendor));
    if rows.is_empty() {
        return None;
    }
    let all = read.iter().map(String::as_str).chain(rows.keys().copied()).take(SHOWN_KINDS);
    let all: Vec<String> = all.map(|vendor| format!("{vendor:?}")).collect();
    let counts: Vec<String> =
        rows.iter().take(SHOWN_KINDS).map(|(vendor, rows)| format!("{vendor} ({rows})")).collect();
    Some(format!(
        "{}: to scan these rows with the firewall suite, give scan --config FILE with\n          [firewall]\n          vendors = [{}]",
        counts.join(", "),
        all.join(", ")
    ))
}

fn print_file(file: &FileReport) {
    if file.already_imported {
        println!("file      {}: skipped, it was imported before", file.file);
        return;
    }
    if let Some(reason) = &file.failure {
        println!("file      {}: not imported: {reason}", file.file);
        return;
    }
    let rows: Vec<String> = file.rows.iter().map(|(table, rows)| format!("{rows} of {table}")).collect();
    let rows = if rows.is_empty() { "no rows".to_owned() } else { rows.join(", ") };
    println!("file      {} ({}): {rows}, {} rejected", file.file, file.source, file.rejects);
    if let Some(first) = &file.first_reject {
        println!("          first reject: {first}");
    }
    let mut kinds: Vec<_> = file.set_aside.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let all: u64 = file.set_aside.values().sum();
    if all > 0 {
        let shown: Vec<String> =
            kinds.iter().take(SHOWN_KINDS).map(|(kind, count)| format!("{kind} ({count})")).collect();
        println!("          {} without a table: {}", counted(all, "record"), shown.join(", "));
    }
    if file.windows_1252 > 0 {
        println!("          {} not in UTF-8, read as Windows-1252", counted(file.windows_1252, "record"));
    }
    for (column, count) in file.unreadable.iter().take(SHOWN_KINDS) {
        println!("          {} of {column} with the wrong type: null now", counted(*count, "value"));
    }
    for (note, count) in file.notes.iter().take(SHOWN_KINDS) {
        println!("          {}: {note}", counted(*count, "row"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_that_a_scan_would_not_read_are_named() {
        let file = |vendors: &[(&str, u64)]| FileReport {
            vendors: vendors.iter().map(|(vendor, rows)| ((*vendor).to_owned(), *rows)).collect(),
            ..FileReport::default()
        };
        let line = |files: Vec<FileReport>| {
            let read = Config::load("default", &[]).unwrap().firewall.vendors;
            vendors_line(&ImportReport { files, ..ImportReport::default() }, &read)
        };
        assert_eq!(line(vec![file(&[("Palo Alto Networks", 5)]), file(&[])]), None);
        let several =
            line(vec![file(&[("Zeek", 5), ("Palo Alto Networks", 1)]), file(&[("Zeek", 2), ("AWS", 1)])]);
        let several = several.unwrap();
        assert!(several.starts_with("AWS (1), Zeek (7): "), "{several}");
        assert!(several.ends_with("vendors = [\"Palo Alto Networks\", \"AWS\", \"Zeek\"]"), "{several}");
    }
}
