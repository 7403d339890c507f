//! Logs that no source knows: a dry run shows what would be stored, a mapping file says what is, and fields without a column of the
//! table are kept.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Place, hindcast, stderr, stdout};

const PROXY: &str =
    "05/03/2026 06.40;10.1.1.5;ada;5000;x\n13/03/2026 06.41;10.1.1.6;bob;5001;y\nsoon;10.1.1.7;eve;1;z\n";
const PROXY_MAPPING: &str = "positions = [\"when\", \"client\"]\n[[tables]]\ntable = \"CommonSecurityLog\"\ntime = [\"when\"]\n\
    formats = { when = \"%d/%m/%Y %H.%M\" }\n[tables.columns]\nSourceIP = \"client\"\nSourceUserName = \"#3\"\nSentBytes = \"#4\"\n\
    DestinationIP = \"server\"\nSourceHostname = \"host\"\n[tables.constants]\nDeviceVendor = \"Own\"\n";

/// What a dry run prints as JSON for one file, and the exit status.
fn dry_run(files: &str, arguments: &str) -> (Option<i32>, Value) {
    let output = hindcast(&format!("import {files} --dry-run --json {arguments}"));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report["files"][0].clone())
}

#[test]
fn a_dry_run_shows_what_would_be_stored_and_writes_nothing() {
    let place = Place::new();
    let file = place.file("proxy.csv", PROXY);
    let mapping = place.file("proxy.toml", PROXY_MAPPING);
    let arguments = format!("--mapping {mapping} --allow-rejects 50");
    let (code, shown) = dry_run(&file, &arguments);
    assert_eq!(code, Some(0), "{shown}");
    let preview = &shown["preview"];
    assert_eq!((&preview["container"], &preview["encoding"]), (&json!([]), &json!("UTF-8")));
    assert_eq!(preview["framing"], "CSV records; lines end with LF");
    assert_eq!(preview["format"], "CSV with 5 columns, separated by ';'");
    let table = &preview["tables"]["CommonSecurityLog"];
    let row = |time: &str, address: &str, user: &str, sent: u64, last: &str| {
        json!({
            "TimeGenerated": time, "SourceIP": address, "DeviceVendor": "Own", "SourceUserName": user, "SentBytes": sent,
            "AdditionalFields": format!("{{\"#5\":\"{last}\"}}"),
        })
    };
    let rows = json!([
        row("2026-03-05T06:40:00Z", "10.1.1.5", "ada", 5000, "x"),
        row("2026-03-13T06:41:00Z", "10.1.1.6", "bob", 5001, "y"),
    ]);
    assert_eq!(table["rows"], rows, "{table}");
    assert_eq!(table["empty_columns"], json!({"DestinationIP": ["server"], "SourceHostname": ["host"]}));
    assert_eq!(table["undefined_columns"], json!(["SourceHostname; did you mean SourceHostName?"]));
    assert_eq!(table["additional_fields"], json!(["#5"]));
    let reason = "\"soon\" is not a time in the format %d/%m/%Y %H.%M";
    assert_eq!(preview["rejects"], json!([{"line": 3, "reason": reason, "text": "soon;10.1.1.7;eve;1;z"}]));
    // The statuses are those of an import, and the import stores these rows.
    assert_eq!(dry_run(&file, &format!("--mapping {mapping}")).0, Some(3));
    let lake = place.lake().display().to_string();
    assert_eq!(dry_run(&file, &format!("{arguments} --lake {lake}")).0, Some(0));
    assert!(!place.lake().join("CommonSecurityLog").exists() && !place.lake().join("_hindcast").exists());
    place.import(&file, &arguments);
    let stored = place.rows_by("CommonSecurityLog", "SourceIP");
    for (stored, shown) in stored.iter().zip(rows.as_array().expect("rows")) {
        for (column, value) in shown.as_object().expect("a row") {
            assert_eq!(stored[column], value.as_str().map_or(value.to_string(), str::to_owned), "{column}");
        }
    }
    assert_eq!((stored.len(), stored[0].len()), (2, 6));
    assert_eq!(dry_run(&file, &format!("{arguments} --lake {lake}")).1["already_imported"], true);
}

#[test]
fn a_dry_run_explains_the_format_and_the_source() {
    let place = Place::new();
    let line =
        |id: usize| format!("{{\"ts\":17676000{id:02},\"uid\":\"C{id}\",\"note\":\"line\\nbreak\"}}\n");
    let file = place.file("some.ndjson", (0..20).map(line).collect::<String>());
    let (code, shown) = dry_run(&file, "--table CommonSecurityLog --explain");
    assert_eq!(code, Some(0), "{shown}");
    let reasons: Vec<&str> = shown["preview"]["explanation"]
        .as_array()
        .expect("reasons")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(reasons[0], "of 20 sampled records, 20 are JSON objects and 0 hold CEF messages");
    assert!(reasons.contains(&"source generic: no source before it takes the records"), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.starts_with("not zeek: most records lack ")), "{reasons:?}");

    let output = hindcast(&format!("import {file} --table CommonSecurityLog --dry-run --explain"));
    let text = stdout(&output);
    for part in [
        "detected  ",
        "JSON, from the source generic",
        "because   of 20 sampled records",
        "row       1 of 20 rows of CommonSecurityLog",
        r"line\nbreak",
        "dry run   nothing was written",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // A file that can't be read, one without rows, and a call without a lake have the statuses of an import.
    let unnamed = place.file("unnamed.ndjson", "{\"a\":1}\n");
    let output = hindcast(&format!("import {unnamed} --dry-run"));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let empty = place.file("empty.ndjson", "");
    assert_eq!(hindcast(&format!("import {empty} --dry-run")).status.code(), Some(1));
    assert_eq!(hindcast(&format!("import {file} --table Own")).status.code(), Some(2));
}

#[test]
fn a_mapping_reaches_values_within_fields() {
    let place = Place::new();
    let line = json!({
        "at": 639_082_896_139_880_000_u64, "ended": "46086.5", "users": [{"name": "ada"}, {"name": "bob"}],
        "conn": {"src": {"ip": "192.0.2.1"}, "hops": [{"ip": "198.51.100.1"}, {"ip": "198.51.100.2"}]},
        "message": "allowed dst=203.0.113.9 sent=5000 rule=\"all of it\" at=noon",
    });
    let file = place.file("nested.ndjson", format!("{line}\n"));
    let mapping = place.file(
        "nested.toml",
        "pairs = [\"message\"]\n[[tables]]\ntable = \"CommonSecurityLog\"\ntime = [\"at\"]\n\
         formats = { at = \"dotnet-ticks\", ended = \"excel-days\" }\n[tables.columns]\nSourceIP = \"conn.src.ip\"\n\
         SourceTranslatedAddress = \"conn.hops[1].ip\"\nSourceUserName = \"users[0].name\"\nMessage = \"users[*].name\"\n\
         DestinationIP = \"dst\"\nSentBytes = \"sent\"\nReason = \"message.rule\"\nEndTime = \"ended\"\n\
         DeviceCustomString1 = \"message.at\"\n[tables.constants]\nDeviceVendor = \"Own\"\n",
    );
    place.import(&file, &format!("--mapping {mapping} --time-zone +02:00"));
    let row = &place.rows_by("CommonSecurityLog", "SourceIP")[0];
    for (column, value) in [
        ("TimeGenerated", "2026-03-05T06:40:13.988Z"),
        ("EndTime", "2026-03-05T10:00:00Z"),
        ("SourceIP", "192.0.2.1"),
        ("SourceTranslatedAddress", "198.51.100.2"),
        ("SourceUserName", "ada"),
        ("Message", "[\"ada\",\"bob\"]"),
        ("DestinationIP", "203.0.113.9"),
        ("SentBytes", "5000"),
        ("Reason", "all of it"),
        ("DeviceCustomString1", "noon"),
        ("DeviceVendor", "Own"),
    ] {
        assert_eq!(row.get(column).map(String::as_str), Some(value), "{column}: {row:?}");
    }
}

#[test]
fn a_mistake_in_a_mapping_has_its_place() {
    let place = Place::new();
    let file = place.file("rows.ndjson", "{\"when\":1}\n");
    for (text, place_of, word) in [
        (
            "[[tables]]\ntable = \"Own\"\nformats = { when = \"epoch\" }\n",
            "line 3, column 20",
            "one of unix-seconds",
        ),
        ("[[tables]]\ntabel = \"Own\"\n", "line 2, column 1", "unknown field `tabel`"),
        (
            "[[tables]]\ncolumns = { A = 5 }\n",
            "line 2, column 17",
            "expected the name of a field, or a list of names",
        ),
        ("pairs = [5]\ntables = []\n", "line 1, column 9", "expected the name of a field, or { field"),
        ("[[tables]\n", "line 1, column", "TOML"),
    ] {
        let mapping = place.file("wrong.toml", text);
        let output = hindcast(&format!("import {file} --dry-run --mapping {mapping}"));
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("wrong.toml") && message.contains(place_of), "{place_of}: {message}");
        assert!(message.contains(word), "{word}: {message}");
    }
}

/// Fields without a column are one object, with any number of threads, after merges and compaction.
#[test]
fn additional_fields_survive_threads_merges_and_compaction() {
    let line = |id: usize| {
        let extra =
            if id.is_multiple_of(3) { format!(",\"b\":{id},\"a\":{{\"n\":[{id}]}}") } else { String::new() };
        let own = if id.is_multiple_of(5) { ",\"AdditionalFields\":{\"own\":1.50}" } else { "" };
        format!(
            "{{\"TimeGenerated\":\"2026-01-05T08:00:00Z\",\"ExternalID\":\"{id:06}\",\"c{}\":\"x\"{extra}{own}}}\n",
            id % 7
        )
    };
    let text: String = (0..60_000).map(line).collect();
    assert!(text.len() > 4 << 20);
    let imported = |threads: &str| {
        let place = Place::new();
        let file = place.file("rows.ndjson", &text);
        place.import(&file, &format!("--table CommonSecurityLog --threads {threads}"));
        let date = place.lake().join("CommonSecurityLog/date=2026-01-05");
        let files = fs::read_dir(date)
            .expect("a date")
            .map(|file| fs::read(file.expect("a file").path()).expect("read"));
        let bytes: Vec<_> = files.collect();
        (place, bytes)
    };
    let ((place, bytes), (_, others)) = (imported("1"), imported("4"));
    assert!(bytes == others, "threads change the files");
    let wanted = |id: usize| {
        let mut members = vec![(format!("c{}", id % 7), json!("x"))];
        if id.is_multiple_of(3) {
            members.extend([
                ("b".to_owned(), json!(id.to_string())),
                ("a".to_owned(), json!(format!("{{\"n\":[{id}]}}"))),
            ]);
        }
        if id.is_multiple_of(5) {
            members.push(("own".to_owned(), json!(1.5)));
        }
        Value::Object(members.into_iter().collect())
    };
    let check = |rows: usize| {
        let stored = place.rows_by("CommonSecurityLog", "ExternalID");
        assert_eq!(stored.len(), rows);
        for (id, row) in stored.iter().enumerate() {
            let object: Value = serde_json::from_str(&row["AdditionalFields"]).expect("an object");
            assert_eq!(object, wanted(id), "{row:?}");
        }
        let texts = [&stored[0]["AdditionalFields"], &stored[1]["AdditionalFields"]];
        assert_eq!(texts, [r#"{"a":"{\"n\":[0]}","b":"0","c0":"x","own":1.50}"#, r#"{"c1":"x"}"#]);
    };
    check(60_000);
    let more = place.file("more.ndjson", (60_000..60_010).map(line).collect::<String>());
    place.import(&more, "--table CommonSecurityLog");
    let lake = place.lake().display().to_string();
    let output = hindcast(&format!("tables --lake {lake} compact CommonSecurityLog"));
    assert!(output.status.success(), "{}", stderr(&output));
    check(60_010);
}
