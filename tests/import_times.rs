//! Times of imported files: the order of day and month is proven or given, zones and years are certain, and an ambiguous time is
//! rejected.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::real_data::samples;
use crate::support::{Place, hindcast, stderr};

impl Place {
    fn try_import(&self, files: &str, arguments: &str) -> Output {
        hindcast(&format!("import {files} --lake {} --json {arguments}", self.lake().display()))
    }

    /// The files of a table, by date and name.
    fn lake_files(&self, table: &str) -> Vec<PathBuf> {
        let children = |folder: PathBuf| {
            let entries = fs::read_dir(&folder).into_iter().flatten();
            let mut children: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
            children.sort();
            children
        };
        children(self.lake().join(table)).into_iter().flat_map(children).collect()
    }

    /// The values of a column of a table as text, sorted.
    fn column_values(&self, table: &str, column: &str) -> Vec<String> {
        let mut values = Vec::new();
        for path in self.lake_files(table) {
            let file = fs::File::open(path).expect("opened");
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build();
            for batch in reader.expect("a reader") {
                let batch = batch.expect("rows");
                let texts = cast(batch.column_by_name(column).expect("the column"), &DataType::Utf8);
                values.extend(texts.expect("text").as_string::<i32>().iter().flatten().map(str::to_owned));
            }
        }
        values.sort();
        values
    }
}

/// Rows as the Defender portal exports them, on these days of March at 15:40:13.988.
fn hunting_csv(days: impl Iterator<Item = u32>, is_day_first: bool) -> String {
    let row = |day: u32| match is_day_first {
        true => format!("\"{day:02}/03/2026, 3:40:13.988 pm\",pc1,7z.exe\n"),
        false => format!("\"3/{day}/2026, 3:40:13.988 PM\",pc1,7z.exe\n"),
    };
    format!("Timestamp,DeviceName,FileName\n{}", days.map(row).collect::<String>())
}

const HUNTING: &str = "--table DeviceProcessEvents";

#[test]
fn a_file_proves_the_order_of_its_dates() {
    let wanted: Vec<String> = (1..=31).map(|day| format!("2026-03-{day:02}T15:40:13.988Z")).collect();
    for is_day_first in [true, false] {
        let place = Place::new();
        let file = place.file("month.csv", hunting_csv(1..=31, is_day_first));
        let report = place.import(&file, HUNTING);
        assert_eq!(report["files"][0]["rejects"], 0);
        assert_eq!(place.column_values("DeviceProcessEvents", "Timestamp"), wanted);
    }
    // With the other order given, the days above 12 are rejects with this reason.
    let place = Place::new();
    let file = place.file("month.csv", hunting_csv(1..=31, true));
    let output = place.try_import(&file, &format!("{HUNTING} --dates month-first"));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(
        (&report["files"][0]["rows"]["DeviceProcessEvents"], &report["files"][0]["rejects"]),
        (&json!(12), &json!(19))
    );
    let first = "line 14: \"13/03/2026, 3:40:13.988 pm\" is not a date with the month first";
    assert_eq!(report["files"][0]["first_reject"], first);
}

#[test]
fn a_file_that_proves_nothing_asks_for_the_order() {
    let place = Place::new();
    let file = place.file("days.csv", hunting_csv([3, 4, 4].into_iter(), true));
    let output = place.try_import(&file, HUNTING);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let message = stderr(&output);
    let reason = "days.csv: line 3: Timestamp \"04/03/2026, 3:40:13.988 pm\" is 4 March or 3 April, and no time in the file \
                  proves which; give --dates day-first or --dates month-first";
    assert!(message.contains(reason), "{message}");
    assert_eq!(place.lake_files("DeviceProcessEvents"), Vec::<PathBuf>::new());

    place.import(&file, &format!("{HUNTING} --dates day-first"));
    let (third, fourth) = ("2026-03-03T15:40:13.988Z", "2026-03-04T15:40:13.988Z");
    assert_eq!(place.column_values("DeviceProcessEvents", "Timestamp"), [third, fourth, fourth]);
    // Dates with the same meaning in both orders need none.
    let place = Place::new();
    let file = place.file("days.csv", hunting_csv([3, 3].into_iter(), true));
    place.import(&file, HUNTING);
    assert_eq!(place.column_values("DeviceProcessEvents", "Timestamp"), [third, third]);
}

#[test]
fn a_file_in_two_orders_is_not_imported() {
    let place = Place::new();
    let text = hunting_csv(1..=14, true) + "\"3/15/2026, 3:40:13.988 pm\",pc1,7z.exe\n";
    let file = place.file("mixed.csv", text);
    let output = place.try_import(&file, HUNTING);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    let reason = "mixed.csv: dates of Timestamp are in two orders: line 14 (\"13/03/2026, 3:40:13.988 pm\") has the day first, \
                  line 16 (\"3/15/2026, 3:40:13.988 pm\") the month";
    assert!(message.contains(reason), "{message}");
    assert_eq!(place.lake_files("DeviceProcessEvents"), Vec::<PathBuf>::new());
}

/// The proof may be anywhere in a file of many blocks, also after times that need none.
#[test]
fn blocks_and_threads_do_not_change_times() {
    let padding = "x".repeat(800);
    let line = |time: String| {
        format!("{{\"Timestamp\":\"{time}\",\"DeviceName\":\"pc1\",\"FileName\":\"{padding}\"}}\n")
    };
    let mut lines: Vec<String> =
        (0..6_000).map(|row| line(format!("2026-02-0{}T10:00:00Z", row % 9 + 1))).collect();
    lines.extend((0..6_000).map(|row| line(format!("{}/02/2026 10:00", row % 9 + 1))));
    lines.push(line("13/02/2026 10:00".to_owned()));
    let imported = |threads: &str, lines: &[String]| {
        let place = Place::new();
        let file = place.file("rows.ndjson", lines.concat());
        place.import(&file, &format!("{HUNTING} --threads {threads}"));
        let files = place.lake_files("DeviceProcessEvents");
        let bytes: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
        (bytes, place.column_values("DeviceProcessEvents", "Timestamp"))
    };
    let (bytes, times) = imported("1", &lines);
    assert_eq!(times.len(), 12_001);
    assert!(times.iter().all(|time| time.starts_with("2026-02-")));
    assert!(bytes == imported("4", &lines).0, "threads change the lake");
    lines.reverse();
    assert!(times == imported("4", &lines).1, "the order of rows changes times");
}

const CEF: &str = "CEF:0|V|P|1|c|n|1|";

#[test]
fn cef_times_have_zones_years_and_alternatives() {
    let times = |text: String, arguments: &str| {
        let place = Place::new();
        let file = place.file("events.cef", text);
        let report = place.import(&file, arguments);
        (place.column_values("CommonSecurityLog", "TimeGenerated"), report["files"][0].clone())
    };
    let (found, _) = times(format!("{CEF}rt=Jan 05 2026 08:00:00 dtz=America/New_York src=10.0.0.1\n"), "");
    assert_eq!(found, ["2026-01-05T13:00:00Z"]);

    let forms = ["Jan 05 08:00:01.123 CET", "Jan 05 08:00:02.123", "Jan 05 08:00:03 CET", "Jan 05 08:00:04"];
    let dated = ["Jan 05 2026 08:00:05.123 CET", "Jan 05 2026 08:00:06.123", "Jan 05 2026 08:00:07 CET"];
    let others = ["Jan 05 2026 08:00:08", "1767600009123"];
    let all = forms.iter().chain(&dated).chain(&others);
    let text: String = all.map(|form| format!("{CEF}rt={form} src=10.0.0.1\n")).collect();
    let (found, report) = times(text, "--logged-before 2026-11-30");
    let wanted = [
        "2026-01-05T07:00:01.123Z",
        "2026-01-05T07:00:03Z",
        "2026-01-05T07:00:05.123Z",
        "2026-01-05T07:00:07Z",
        "2026-01-05T08:00:02.123Z",
        "2026-01-05T08:00:04Z",
        "2026-01-05T08:00:06.123Z",
        "2026-01-05T08:00:08Z",
        "2026-01-05T08:00:09.123Z",
    ];
    assert_eq!(found, wanted);
    assert_eq!(report["notes"], json!({"times without a year are read as of 2026": 4}));

    let header =
        format!("<189>Dec 31 23:59:59 FG1 {CEF}src=10.1.1.5\n<189>Jan  1 00:00:01 FG1 {CEF}src=10.1.1.5\n");
    let (found, _) = times(header.clone(), "--logged-before 2026-01-01T00:05:00Z");
    assert_eq!(found, ["2025-12-31T23:59:59Z", "2026-01-01T00:00:01Z"]);
    let (found, _) = times(header, "--logged-before 2026-06-01 --time-zone Europe/Berlin");
    assert_eq!(found, ["2025-12-31T22:59:59Z", "2025-12-31T23:00:01Z"]);

    let second = format!(
        "<14>1 2026-01-05T08:00:00Z fw - - - - {CEF}rt=n/a start=Jan 05 2026 07:59:00 src=10.0.0.6\n"
    );
    let third =
        format!("<14>1 2026-01-05T08:00:00Z fw - - - - {CEF}rt=Jan 05 2026 09:00:00 CST src=10.0.0.6\n");
    let (found, report) = times(second + &third, "");
    assert_eq!(found, ["2026-01-05T07:59:00Z", "2026-01-05T08:00:00Z"]);
    let notes =
        json!({"rt is not a time, and start is taken": 1, "rt is not a time, and SyslogTime is taken": 1});
    assert_eq!((&report["notes"], &report["rejects"]), (&notes, &json!(0)));
}

#[test]
fn the_given_zone_applies_to_times_without_one() {
    let place = Place::new();
    let rows =
        "Timestamp,DeviceName\n2026-07-05 08:00:00,pc1\n2026-07-05T08:00:00Z,pc1\n2026-03-29 02:30:00,pc1\n";
    let file = place.file("rows.csv", rows);
    let output = place.try_import(&file, &format!("{HUNTING} --time-zone Europe/Berlin"));
    assert_eq!(
        place.column_values("DeviceProcessEvents", "Timestamp"),
        ["2026-07-05T06:00:00Z", "2026-07-05T08:00:00Z"]
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let reason = "line 4: \"2026-03-29 02:30:00\" does not exist in Europe/Berlin: clocks skip it there";
    assert_eq!(report["files"][0]["first_reject"], reason);

    // Times that are UTC by column name or product stay UTC.
    let portal = "TenantId,TimeGenerated [UTC],SourceIP,Type\nt,\"7/15/2026, 8:00:00.000 AM\",10.0.0.1,CommonSecurityLog\n";
    let audit = "{\"CreationTime\":\"2026-07-15T08:00:00\",\"Workload\":\"OneDrive\",\"Operation\":\"FileDownloaded\"}\n";
    for (name, text, table) in
        [("portal.csv", portal, "CommonSecurityLog"), ("audit.json", audit, "OfficeActivity")]
    {
        let file = place.file(name, text);
        place.import(&file, "--time-zone Europe/Berlin");
        assert_eq!(place.column_values(table, "TimeGenerated"), ["2026-07-15T08:00:00Z"], "{name}");
    }
    let output = place.try_import(&file, "--time-zone Mars");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("such as Europe/Berlin"), "{}", stderr(&output));
}

/// The forms in which products write 5 (or 13) March 2026, if the folder of cases exists.
#[test]
fn recorded_forms_are_read_correctly_or_rejected() {
    let Some(folder) = samples().map(|samples| samples.join("../cases/import/09-times")) else { return };
    for path in fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
        let place = Place::new();
        place.try_import(&path.display().to_string(), "--table CommonSecurityLog");
        if place.lake_files("CommonSecurityLog").is_empty() {
            println!("not imported: {}", path.display());
            continue;
        }
        let times = place.column_values("CommonSecurityLog", "TimeGenerated");
        assert_eq!(times.len(), 3, "{}", path.display());
        let is_of_2021 = path.ends_with("ticks-2021.ndjson");
        let is_right = |time: &String| match is_of_2021 {
            true => time == "2021-04-28T16:05:26Z",
            false => time.starts_with("2026-03-05T") || time.starts_with("2026-03-13T15:40"),
        };
        assert!(times.iter().all(is_right), "{}: {times:?}", path.display());
    }
}
