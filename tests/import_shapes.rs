//! Archives, and numbers as times: each file of an archive is a file of its own, and numbers mean what the arguments or
//! the whole file say.

use std::fs;
use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Place, hindcast, stderr};

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options: zip::write::SimpleFileOptions = Default::default();
    for (name, content) in files {
        archive.start_file(*name, options).expect("a file");
        archive.write_all(content).expect("written");
    }
    archive.finish().expect("an archive").into_inner()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("packed")
}

/// A row of a table as CSV with a header.
fn csv(address: &str) -> String {
    format!("TimeGenerated,SourceIP\n2026-01-05T08:00:00Z,{address}\n")
}

/// The names of the files in a report, below `folder`, and their rows or why they have none.
fn outcomes(report: &Value, folder: &str) -> Vec<(String, String)> {
    let files = report["files"].as_array().expect("files");
    let outcome = |file: &Value| match (&file["failure"], &file["already_imported"]) {
        (Value::String(reason), _) => reason.clone(),
        (_, Value::Bool(true)) => "already imported".to_owned(),
        _ => file["rows"]["CommonSecurityLog"].to_string(),
    };
    let name = |file: &Value| file["file"].as_str().expect("a name").trim_start_matches(folder).to_owned();
    files.iter().map(|file| (name(file), outcome(file))).collect()
}

#[test]
fn each_file_of_an_archive_is_imported_once() {
    let place = Place::new();
    let utf16: Vec<u8> = csv("10.0.0.3").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let inner = zipped(&[("deep.csv", csv("10.0.0.4").as_bytes()), ("same.csv", csv("10.0.0.1").as_bytes())]);
    let outer = zipped(&[
        ("b/c.csv", csv("10.0.0.1").as_bytes()),
        (
            "b/d.ndjson.gz",
            &gzipped(b"{\"TimeGenerated\":\"2026-01-05T08:00:00Z\",\"SourceIP\":\"10.0.0.2\"}\n"),
        ),
        ("__MACOSX/b/c.csv", b"\0\x05\x16\x07"),
        ("b/.DS_Store", b"\0\0\0\x01Bud1"),
        ("wide.csv", &utf16),
        ("broken.parquet", b"PAR1 is cut"),
        ("inner.zip", &inner),
        ("notes.xlsx", &zipped(&[("[Content_Types].xml", b"<x/>")])),
    ]);
    let archive = place.file("a.zip", outer);
    let folder = archive.trim_end_matches("a.zip").to_owned();
    let ending = place.import_anyhow(&archive, "--table CommonSecurityLog");
    assert_eq!(ending.code, Some(3), "{}", ending.stderr);
    let found = outcomes(&ending.report, &folder);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = [
        "a.zip/broken.parquet",
        "a.zip/inner.zip/same.csv",
        "a.zip/notes.xlsx",
        "a.zip/b/c.csv",
        "a.zip/b/d.ndjson.gz",
        "a.zip/wide.csv",
        "a.zip/inner.zip/deep.csv",
    ];
    let mut sorted = (names.clone(), wanted.to_vec());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1);
    let of = |name: &str| found.iter().find(|(found, _)| found == name).expect("a file").1.clone();
    assert!(of("a.zip/broken.parquet").contains("can't be read as Parquet"), "{found:?}");
    assert!(of("a.zip/notes.xlsx").contains("save its rows as CSV"), "{found:?}");
    assert_eq!(of("a.zip/inner.zip/same.csv"), "already imported");
    let addresses = || -> Vec<String> {
        place.rows_by("CommonSecurityLog", "SourceIP").iter().map(|row| row["SourceIP"].clone()).collect()
    };
    assert_eq!(addresses(), ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);

    // The same contents in another archive, and outside of archives.
    fs::create_dir(place.path("day")).expect("a folder");
    fs::write(place.path("day/one.csv"), csv("10.0.0.1")).expect("a file");
    fs::write(place.path("day/new.csv"), csv("10.0.0.5")).expect("a file");
    let day = place.path("day").display().to_string();
    let packed = place.path("day.tar.gz").display().to_string();
    let tar = Command::new("tar").args(["-czf", &packed, "-C", &folder, "day"]).status().expect("tar");
    assert!(tar.success());
    let report = place.import(&packed, "--table CommonSecurityLog");
    let mut found = outcomes(&report, &folder);
    found.sort();
    assert_eq!(found[0], ("day.tar.gz/day/new.csv".to_owned(), "1".to_owned()));
    assert_eq!(found[1], ("day.tar.gz/day/one.csv".to_owned(), "already imported".to_owned()));
    let report = place.import(&day, "--table CommonSecurityLog");
    assert!(outcomes(&report, &folder).iter().all(|(_, outcome)| outcome == "already imported"));
    assert_eq!(addresses().len(), 5);
}

/// Dates of several files of an archive whose order each file proves itself, and a file that proves nothing.
#[test]
fn files_of_an_archive_prove_the_order_of_their_dates_themselves() {
    let place = Place::new();
    let text = |dates: &[&str]| {
        let rows: String = dates.iter().map(|date| format!("{date} 10:00,10.0.0.1\n")).collect();
        format!("TimeGenerated,SourceIP\n{rows}").into_bytes()
    };
    let archive = gzipped(&zipped(&[
        ("first.csv", &text(&["05/03/2026", "13/03/2026"])),
        ("open.csv", &text(&["05/03/2026"])),
        ("last.csv", &text(&["03/05/2026", "03/14/2026"])),
    ]));
    let file = place.file("dates.zip.gz", archive);
    let ending = place.import_anyhow(&file, "--table CommonSecurityLog");
    assert_eq!(ending.code, Some(3), "{}", ending.stderr);
    assert!(ending.stderr.contains("dates.zip.gz/open.csv: line 2: TimeGenerated"), "{}", ending.stderr);
    let rows = place.rows_by("CommonSecurityLog", "TimeGenerated");
    let times: Vec<&str> = rows.iter().map(|row| &row["TimeGenerated"][..10]).collect();
    assert_eq!(times, ["2026-03-05", "2026-03-05", "2026-03-13", "2026-03-14"]);
}

#[test]
fn numbers_are_times_if_their_start_is_known() {
    let times = |numbers: &[&str], arguments: &str| {
        let place = Place::new();
        let line = |number: &&str| format!("{{\"TimeGenerated\":\"{number}\",\"SourceIP\":\"10.0.0.1\"}}\n");
        let file = place.file("rows.ndjson", numbers.iter().map(line).collect::<String>());
        let ending = place.import_anyhow(&file, &format!("--table CommonSecurityLog {arguments}"));
        let rows = place.rows_by("CommonSecurityLog", "TimeGenerated");
        let times: Vec<String> = rows.iter().map(|row| row["TimeGenerated"].clone()).collect();
        (times, ending.report["files"][0].clone())
    };
    let capture = ["0.000000", "13.988123", "46086.278"];
    let (found, _) = times(&capture, "--epoch 2026-03-05T06:40:00Z");
    assert_eq!(found, ["2026-03-05T06:40:00Z", "2026-03-05T06:40:13.988123Z", "2026-03-05T19:28:06.278Z"]);
    let (found, report) = times(&capture, "");
    assert_eq!((found.len(), &report["rejects"]), (0, &json!(3)));
    assert!(report["first_reject"].as_str().is_some_and(|reason| reason.contains("--epoch")), "{report}");
    // Days of a spreadsheet, and ticks of .NET.
    let (found, report) = times(&["46086.27793", "46087", "46086,5"], "--time-zone +01:00");
    assert_eq!(found, ["2026-03-05T05:40:13Z", "2026-03-05T11:00:00Z", "2026-03-05T23:00:00Z"]);
    let note = "numbers of TimeGenerated are read as days of a spreadsheet";
    assert_eq!(report["notes"][note], 3);
    let (found, _) = times(&["639082896139880000"], "");
    assert_eq!(found, ["2026-03-05T06:40:13.988Z"]);
    let output = hindcast("import x --lake y --epoch someday");
    assert!(stderr(&output).contains("--epoch"), "{}", stderr(&output));
}
