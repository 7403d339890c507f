//! The sentences and the JSON of gaps.

use serde_json::{Value, json};

use super::*;

fn of_json(cause: GapCause) -> Value {
    let gap = Gap::new("CommonSecurityLog", cause);
    let value = serde_json::to_value(&gap).unwrap();
    // What is read back says the same, and is equal.
    let stored: Gap = serde_json::from_value(value.clone()).unwrap();
    assert!(matches!(stored.cause, GapCause::Stored(_)));
    assert_eq!(stored, gap);
    assert_eq!(stored.to_string(), gap.to_string());
    assert_eq!(stored.is_of_rows(), gap.is_of_rows());
    value
}

#[test]
fn a_table_under_another_name_is_found() {
    assert_eq!(
        of_json(GapCause::OtherTableName { found: "common_security_log".into() }),
        json!({
            "kind": "table",
            "table": "CommonSecurityLog",
            "reason": "the lake has no such table, but one called common_security_log",
            "looked_for": ["CommonSecurityLog"],
            "found": ["common_security_log"],
        })
    );
}

#[test]
fn files_outside_the_layout_are_counted() {
    let layout = |others| {
        let (layout, paths) = ("date=YYYY-MM-DD".to_owned(), vec!["a.parquet".into()]);
        of_json(GapCause::Layout { layout, other_layout: None, paths, others })
    };
    assert_eq!(
        layout(0),
        json!({
            "kind": "layout",
            "table": "CommonSecurityLog",
            "reason": "there are Parquet files in no date=YYYY-MM-DD folder: a.parquet",
            "found": ["a.parquet"],
        })
    );
    let reason = layout(4)["reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with("folder: a.parquet and 4 more"), "{reason}");
    let two = of_json(GapCause::Layout {
        layout: "date=YYYY-MM-DD".into(),
        other_layout: Some("year=%Y".into()),
        paths: vec!["year=2026".into()],
        others: 0,
    });
    assert_eq!(
        two["reason"],
        "there are Parquet files in no date=YYYY-MM-DD folder: year=2026. Folders year=%Y are of another layout: name the \
         one to read in [tables.CommonSecurityLog] layout"
    );
}

#[test]
fn absent_columns_are_named_with_the_nearest_present_one() {
    let absent = |name: &str, nearest: Option<&str>| AbsentColumn {
        name: name.into(),
        source: (name == "Source").then(|| "src_endpoint.name".to_owned()),
        nearest: nearest.map(str::to_owned),
    };
    let columns =
        vec![absent("SourceIP", Some("src_ip")), absent("SentBytes", None), absent("Source", Some("src_ip"))];
    assert_eq!(
        of_json(GapCause::Columns { effect: ColumnEffect::Incomplete, absent: columns, preset: None }),
        json!({
            "kind": "columns",
            "table": "CommonSecurityLog",
            "reason": "it was read without some columns: it has no column SourceIP (the nearest there is src_ip), \
                       SentBytes, Source at src_endpoint.name (the nearest there is src_ip). Name them in \
                       [tables.CommonSecurityLog.columns], docs/configuration.md",
            "looked_for": ["SourceIP", "SentBytes", "Source"],
            "found": ["src_ip"],
        })
    );
}

#[test]
fn the_preset_that_fits_is_named() {
    let absent = vec![AbsentColumn { name: "SourceIP".into(), source: None, nearest: None }];
    let preset = Some("zeek/conn");
    let gap = of_json(GapCause::Columns { effect: ColumnEffect::NoTime, absent, preset });
    assert_eq!(
        gap["reason"],
        "none of its rows has a time: it has no column SourceIP. Its columns are those of a preset: write preset = \
         \"zeek/conn\" in [tables.CommonSecurityLog], docs/lakes.md"
    );
}

#[test]
fn rows_without_a_wanted_value_are_counted_by_value() {
    let unused = UnusedRows {
        rows: 120,
        column: "DeviceVendor".into(),
        wanted: vec!["Palo Alto Networks".into(), "PAN".into()],
        parameter: Some("firewall.vendors"),
        counts: vec![(Some("Fortinet".into()), 100), (None, 15)],
        others: 5,
    };
    assert_eq!(
        of_json(GapCause::Rows(unused)),
        json!({
            "kind": "rows",
            "table": "CommonSecurityLog",
            "reason": "none of its 120 rows was looked at: DeviceVendor is Fortinet (100), no value (15) and others (5), \
                       but the analyses read only Palo Alto Networks or PAN (firewall.vendors)",
            "looked_for": ["Palo Alto Networks", "PAN"],
            "found": ["Fortinet (100)", "no value (15)"],
        })
    );
}

#[test]
fn newest_dates_and_detections_say_what_failed() {
    let faults = vec![
        NewestFault::Unreadable { error: "file a.parquet: cut short".into() },
        NewestFault::NoTime { file: "b.parquet".into(), rows: 7 },
    ];
    assert_eq!(
        of_json(GapCause::Newest { date: "2026-03-01".parse().unwrap(), faults }),
        json!({
            "kind": "newest",
            "table": "CommonSecurityLog",
            "reason": "the newest date 2026-03-01 could not be read, and the window may end too early: \
                       file a.parquet: cut short; file b.parquet: none of its 7 rows has a readable time",
        })
    );
    assert_eq!(
        of_json(GapCause::Detection { error: "mine/query.sql, line 3: no column x".into() })["reason"],
        "it failed: mine/query.sql, line 3: no column x"
    );
}

#[test]
fn gaps_of_other_tables_differ() {
    let gap = |table: &str| Gap::new(table, GapCause::OtherTableName { found: "x".into() });
    assert_eq!(gap("a"), gap("a"));
    assert_ne!(gap("a"), gap("b"));
}
