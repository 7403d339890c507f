//! The same rows in every layout of folders: the same results, also where the window cuts days and hours.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::same_bytes::{assert_same, files_of};
use crate::support::{Place, files_below, hindcast, row, stderr, stdout};

const DEMO: &str = "--days 3 --rows-per-day 2000 --seed 3";
const WINDOWS: [&str; 2] = ["", "--from 2026-01-05T06:00:00Z --to 2026-01-07T18:30:00Z"];
/// Files of reports that name files, sizes and parameters.
const NOT_COMPARED: [&str; 2] = ["summary.json", "parameters.json"];
const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// The folder of the rows of a year, month and day, of an hour, and of the file with a number.
type Folder = fn([&str; 3], i64, usize) -> String;

/// Results without what differs by the names and sizes of files, and what stays of the summary.
fn results(place: &Place) -> (BTreeMap<String, Vec<u8>>, Vec<Value>) {
    let mut files = files_of(&place.out());
    files.retain(|name, _| !NOT_COMPARED.contains(&name.as_str()));
    let summary = place.summary();
    let keys = ["risk", "risk_by_day", "suites", "findings", "incidents", "analyses", "disabled"];
    let mut kept: Vec<Value> = keys.iter().map(|key| summary[*key].clone()).collect();
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    for entry in summary["coverage"]["tables"].as_array().expect("coverage") {
        let table = entry["table"].as_str().expect("a table").to_owned();
        *rows.entry(table).or_default() += entry["rows"].as_u64().expect("rows");
    }
    kept.push(json!(rows));
    kept.push(summary["coverage"]["complete"].clone());
    (files, kept)
}

/// The rows of a file by the hours of their times, which are in its first column.
fn rows_by_hour(file: &Path) -> BTreeMap<i64, RecordBatch> {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("a file")).expect("Parquet");
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().expect("a reader").map(|batch| batch.expect("rows")).collect();
    let rows = concat_batches(&schema, &batches).expect("rows");
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let times = cast(rows.column(0), &micros).expect("times");
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let hour = |index: usize| times.value(index).div_euclid(MICROS_PER_HOUR).rem_euclid(24);
    let mut by_hour = BTreeMap::new();
    for wanted in 0..24 {
        let is_wanted: BooleanArray = (0..times.len()).map(|index| Some(hour(index) == wanted)).collect();
        let of_hour = filter_record_batch(&rows, &is_wanted).expect("rows");
        if of_hour.num_rows() > 0 {
            by_hour.insert(wanted, of_hour);
        }
    }
    by_hour
}

fn write(rows: &RecordBatch, path: &Path) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let mut writer =
        ArrowWriter::try_new(File::create(path).expect("a file"), rows.schema(), None).expect("a writer");
    writer.write(rows).expect("rows written");
    writer.close().expect("a footer");
}

/// Writes the rows of all tables of `plain` again, each hour of a file into a folder of its own.
fn rewritten(plain: &Place, folder: Folder) -> Place {
    let place = Place::new();
    fs::create_dir_all(place.lake()).expect("a folder");
    let mut files = files_below(&plain.lake());
    files.sort();
    for (number, (name, file)) in files.iter().filter(|(name, _)| name.ends_with(".parquet")).enumerate() {
        let mut folders = name.split('/');
        let (table, date) = (folders.next().expect("a table"), folders.next().expect("a date"));
        let date: Vec<&str> = date.trim_start_matches("date=").split('-').collect();
        for (hour, rows) in rows_by_hour(file) {
            let folder = folder([date[0], date[1], date[2]], hour, number);
            let target = place.lake().join(table).join(folder);
            write(&rows, &target.join(format!("part-{number:05}-{hour:02}.parquet")));
        }
    }
    place
}

/// The layouts that `hindcast tables` shows, without repeats.
fn shown_layouts(place: &Place) -> Vec<String> {
    let output = hindcast(&format!("tables --lake {} --json", place.lake().display()));
    let tables: Vec<Value> = serde_json::from_str(&stdout(&output)).expect("JSON");
    let mut layouts: Vec<String> =
        tables.iter().map(|table| table["layout"].as_str().expect("a layout").to_owned()).collect();
    layouts.dedup();
    layouts
}

#[test]
fn every_layout_gives_the_results_of_the_standard_one() {
    let plain = Place::with_demo(DEMO);
    let expected = WINDOWS.map(|window| {
        plain.scan_well(window);
        results(&plain)
    });
    assert_eq!(shown_layouts(&plain), ["date=%Y-%m-%d"]);
    let layouts: [(&str, Folder); 6] = [
        ("year=%Y/month=%m/day=%d/hour=%H", |[year, month, day], hour, _| {
            format!("year={year}/month={month}/day={day}/hour={hour:02}")
        }),
        ("timestamp=%Y-%m-%dT%H", |date, hour, _| format!("timestamp={}T{hour:02}", date.join("-"))),
        ("region=*/accountId=*/eventDay=%Y%m%d", |date, hour, number| {
            format!("region=eu-{}/accountId={}/eventDay={}", hour % 2, number % 3, date.concat())
        }),
        ("resourceId=/*/*/y=%Y/m=%m/d=%d/h=%H/m=%M", |[year, month, day], hour, _| {
            format!("resourceId=/SUBSCRIPTIONS/1/y={year}/m={month}/d={day}/h={hour:02}/m=00")
        }),
        ("%Y/%m/%d", |[year, month, day], _, _| format!("{year}/{month}/{day}")),
        ("flat", |_, _, _| String::new()),
    ];
    for (layout, folder) in layouts {
        let place = rewritten(&plain, folder);
        assert_eq!(shown_layouts(&place), [layout]);
        for (window, (files, kept)) in WINDOWS.iter().zip(&expected) {
            place.scan_well(window);
            let (own_files, own_kept) = results(&place);
            assert_same(files, &own_files, &format!("{layout} {window}"));
            assert_eq!(*kept, own_kept, "{layout} {window}");
        }
    }
}

#[test]
fn a_window_from_the_newest_row_and_cached_state_do_not_depend_on_the_layout() {
    let plain = Place::with_demo(DEMO);
    plain.scan_well("--last 30h");
    let expected = results(&plain);
    let layouts: [Folder; 2] =
        [|date, hour, _| format!("dt={}/hh={hour:02}", date.concat()), |_, _, _| String::new()];
    for folder in layouts {
        let place = rewritten(&plain, folder);
        for computed in ["first", "from state"] {
            let output = hindcast(&format!(
                "scan --lake {} --out {} --state {} --format json,parquet --last 30h",
                place.lake().display(),
                place.out().display(),
                place.path("state").display()
            ));
            assert!(output.status.success(), "{}", stderr(&output));
            let (files, kept) = results(&place);
            assert_same(&expected.0, &files, computed);
            assert_eq!(expected.1, kept, "{computed}");
        }
    }
}

#[test]
fn a_configured_layout_is_read_and_its_mistakes_are_named() {
    let place = Place::new();
    let session = row([
        ("TimeGenerated", json!("2026-02-01T10:00:00Z")),
        ("DeviceVendor", json!("Palo Alto Networks")),
        ("DeviceEventClassID", json!("TRAFFIC")),
        ("SourceIP", json!("10.0.0.1")),
        ("DestinationIP", json!("203.0.113.9")),
        ("SentBytes", json!(7)),
        ("ReceivedBytes", json!(1)),
    ]);
    place.write_rows("CommonSecurityLog", "2026-02-01", "a.parquet", &[session]);
    let table = place.lake().join("CommonSecurityLog");
    fs::create_dir_all(table.join("week 5")).expect("a folder");
    fs::rename(table.join("date=2026-02-01"), table.join("week 5/on 2026.02.01")).expect("moved");
    let configured = |layout: &str| {
        let text = format!("[tables.CommonSecurityLog]\nlayout = '{layout}'\n");
        fs::write(place.lake().join("hindcast.toml"), text).expect("a file");
        place.scan("--only top_talkers")
    };
    let output = configured("week */on %Y.%m.%d");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.table("top_talkers")[0]["bytes_sent"], 7);
    let output = configured("week */on %Y.%m");
    assert_eq!(output.status.code(), Some(2));
    for words in ["hindcast.toml", "it has no day (%d)", "region=*/year=%Y/month=%m/day=%d"] {
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
    }
    // A layout that no folder has.
    let output = configured("year=%Y/month=%m/day=%d");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let printed = stdout(&output) + &stderr(&output);
    assert!(
        printed.contains("in no year=%Y/month=%m/day=%d folder") && printed.contains("week 5"),
        "{printed}"
    );
}

#[test]
fn commands_that_write_refuse_other_layouts() {
    let place = rewritten(&Place::with_demo("--days 1 --rows-per-day 200 --seed 3"), |date, _, _| {
        format!("dt={}", date.concat())
    });
    let lake = place.lake().display().to_string();
    let rows = place.path("rows.ndjson");
    fs::write(&rows, r#"{"TimeGenerated":"2026-01-05T00:00:00Z","OperationName":"Read"}"#).expect("a file");
    let files = || files_below(&place.lake()).into_iter().collect::<BTreeMap<_, _>>();
    let before = files();
    for arguments in [
        format!("tables --lake {lake} compact AuditLogs"),
        format!("tables --lake {lake} delete AuditLogs --yes"),
        format!("import {} --table AuditLogs --lake {lake}", rows.display()),
    ] {
        let output = hindcast(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains("has the layout dt=%Y%m%d"), "{arguments}: {}", stderr(&output));
    }
    assert_eq!(files(), before);
}
