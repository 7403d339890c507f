//! Tests of built-in sources, of their detection, and of the rules of a mapping file.

use std::borrow::Cow;

use super::super::built_in::Sources;
use super::*;

fn record(fields: &[(&'static str, &'static str)]) -> Record<'static> {
    fields.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))).collect()
}

#[test]
fn built_in_sources_are_valid_and_name_columns_that_exist() {
    for source in Sources::for_tests().all() {
        let name = &source.name;
        assert!(source.doc.ends_with('.') && !source.tried.is_empty(), "{name} needs `doc` and `tried`");
        for rule in &source.tables {
            let Some(table) = &rule.table else { continue };
            let spec = TableSpec::by_name(table).expect("a table Hindcast reads");
            for column in rule.behind.keys().chain(rule.before.keys()).chain(rule.values.keys()) {
                let is_made = rule.columns.contains_key(column);
                assert!(is_made && spec.column(column).is_some(), "{name}: {column}");
            }
            assert!(!rule.time.is_empty(), "{name}: {table} has no time");
        }
    }
}

#[test]
fn records_are_recognised_and_routed() {
    let of = |fields: &[(&'static str, &'static str)]| {
        Sources::for_tests().of_records(&[record(fields)], "", None).unwrap().name.clone()
    };
    assert_eq!(of(&[("uid", "C"), ("id_orig_h", "10.0.0.1")]), "zeek");
    assert_eq!(of(&[("TenantId", "x"), ("TimeGenerated", "x"), ("Type", "AuditLogs")]), "monitor-export");
    assert_eq!(of(&[("anything", "x")]), "generic");
    let zeek = Sources::for_tests().by_name("zeek").unwrap();
    let conn = record(&[("uid", "C"), ("conn_state", "SF")]);
    assert!(matches!(zeek.route(&conn, None), Route::Row(_, "CommonSecurityLog")));
    assert!(matches!(zeek.route(&conn, Some("DeviceNetworkEvents")), Route::Row(_, "DeviceNetworkEvents")));
    assert_eq!(zeek.route(&record(&[("@stream", "ntp")]), None), Route::SetAside("ntp"));
    assert_eq!(zeek.route(&record(&[("_path", "x509")]), None), Route::SetAside("x509"));
    // The kind decides if a record names it, otherwise its fields.
    let open = record(&[("_path", "open_ssl"), ("established", "T"), ("resumed", "F")]);
    assert_eq!(zeek.route(&open, None), Route::SetAside("open_ssl"));
    assert!(matches!(zeek.route(&open[1..].to_vec(), None), Route::Row(_, "DeviceNetworkEvents")));
    assert!(matches!(zeek.route(&record(&[("_path", "ssl")]), None), Route::Row(_, "DeviceNetworkEvents")));
    assert_eq!(zeek.route(&record(&[("uid", "C")]), None), Route::NoRule("zeek"));
    assert!(matches!(zeek.route(&conn, Some("Own")), Route::Row(_, "Own")));
    assert!(matches!(zeek.route(&conn, Some("AuditLogs")), Route::NoRule(_)));
    let stream = Sources::for_tests().by_name("defender-stream").unwrap();
    let event = record(&[("category", "AdvancedHunting-DeviceFileEvents")]);
    assert!(matches!(stream.route(&event, None), Route::Row(_, "DeviceFileEvents")));
    let generic = Sources::for_tests().by_name("generic").unwrap();
    assert!(matches!(generic.route(&conn, None), Route::NoTable(_)));
    assert!(matches!(generic.route(&conn, Some("Own")), Route::Row(_, "Own")));
}

#[test]
fn a_field_that_is_unset_is_not_there() {
    let text = "unset = [\"-\"]\nkind = \"status\"\n[[tables]]\ntable = \"Own\"\nhas = [\"src\"]";
    let source = Source::parse("test", text, Tables::built_in()).unwrap();
    let of = |src| record(&[("src", src), ("status", "NODATA")]);
    assert!(matches!(source.route(&of("10.0.0.1"), None), Route::Row(0, "Own")));
    assert_eq!(source.route(&of("-"), None), Route::SetAside("NODATA"));
}

#[test]
fn most_records_decide_the_source_not_a_single_one() {
    let name_of = |records: &[Record<'_>], requested_table| {
        Sources::for_tests().of_records(records, "", requested_table).unwrap().name.clone()
    };
    let plain = record(&[("TimeGenerated", "2026-01-05T08:00:00Z"), ("SourceIP", "10.0.0.1")]);
    let mut odd = plain.clone();
    odd.push((Cow::Borrowed("Event"), Cow::Borrowed("{\"System\":{}}")));
    assert_eq!(name_of(&[odd.clone()], None), "windows-events");
    assert_eq!(name_of(&[plain.clone(), odd, plain.clone()], None), "generic");
    assert_eq!(name_of(&[record(&[("Event", "login"), ("User", "ada")])], None), "generic");
    let windows = [("EventID", "4688"), ("Channel", "Security")];
    assert_eq!(name_of(&[record(&windows)], None), "windows-events");
    assert_eq!(name_of(&[record(&windows)], Some("SecurityEvent")), "windows-events");
    let exported =
        [("TenantId", "t"), ("EventID", "4688"), ("Channel", "Security"), ("Type", "SecurityEvent")];
    assert_eq!(name_of(&[record(&exported)], None), "windows-events");
    assert_eq!(name_of(&[record(&exported[..3])], None), "portal-csv");
    let cef = record(&[("CEFVersion", "0"), ("DeviceVendor", "V")]);
    assert_eq!(name_of(&[cef], Some("MyFirewall")), "cef");
}

#[test]
fn the_name_of_a_file_says_the_kind_of_its_records() {
    let zeek = Sources::for_tests().by_name("zeek").unwrap();
    let named = |fields: &[(&'static str, &'static str)], file_name: &str| {
        let mut record = record(fields);
        json::shape(&mut record, &zeek, file_name).unwrap();
        match zeek.route(&record, None) {
            Route::SetAside(kind) => kind.to_owned(),
            route => format!("{route:?}"),
        }
    };
    let loss = [("ts", "1767600000.5"), ("peer", "zeek"), ("gaps", "254")];
    assert_eq!(named(&loss, "capture_loss"), "capture_loss");
    assert_eq!(named(&[loss[0], ("_path", "stats")], "capture_loss"), "stats");
    assert_eq!(named(&loss, "audit"), "NoRule(\"zeek\")");
    let of_records = |file_name: &str| {
        Sources::for_tests().of_records(&[record(&loss)], file_name, None).unwrap().name.clone()
    };
    assert_eq!((of_records("capture_loss").as_str(), of_records("audit").as_str()), ("zeek", "generic"));
}

/// The table of a record by the rules of a mapping file, or why it has none.
fn routed(mapping: &str, fields: &[(&'static str, &'static str)], table: Option<&str>) -> String {
    let source = Source::parse("m", mapping, Tables::built_in()).unwrap();
    match source.route(&record(fields), table) {
        Route::Row(rule, table) => format!("{rule} {table}"),
        Route::SetAside(kind) => format!("set aside {kind}"),
        Route::NoRule(_) => "no rule".to_owned(),
        Route::NoTable(_) => "no table".to_owned(),
    }
}

#[test]
fn the_first_rule_that_matches_takes_a_record() {
    let mapping = "[[tables]]\ntable = \"AuditLogs\"\nhas = [\"actor\"]\nwhen.kind = [\"audit\", \"admin\"]\n\
                   [[tables]]\ntable = \"Own\"";
    for (fields, wanted) in [
        (&[("actor", "a"), ("kind", "audit")][..], "0 AuditLogs"),
        (&[("kind", "admin"), ("actor", "")][..], "0 AuditLogs"),
        (&[("kind", "audit")][..], "1 Own"),
        (&[("actor", "a"), ("kind", "login")][..], "1 Own"),
        (&[][..], "1 Own"),
    ] {
        assert_eq!(routed(mapping, fields, None), wanted, "{fields:?}");
    }
    // A table that Hindcast does not know uses the first rule; a known one needs its own.
    let audit = [("actor", "a"), ("kind", "audit")];
    assert_eq!(routed(mapping, &audit, Some("Mine")), "0 Mine");
    assert_eq!(routed(mapping, &audit, Some("Own")), "0 Own");
    assert_eq!(routed(mapping, &audit, Some("OfficeActivity")), "no rule");
}

#[test]
fn a_field_can_name_the_table() {
    let mapping = "kind = [\"stream\", \"type\"]\n[[tables]]\nnamed_by = \"stream\"\nname_prefix = \"AH-\"\n\
                   names = { file = \"DeviceFileEvents\" }";
    assert_eq!(routed(mapping, &[("stream", "AH-DeviceEvents")], None), "0 DeviceEvents");
    assert_eq!(routed(mapping, &[("stream", "file")], None), "0 DeviceFileEvents");
    assert_eq!(routed(mapping, &[("stream", "../etc")], None), "set aside ../etc");
    assert_eq!(routed(mapping, &[("type", "ntp")], None), "set aside ntp");
    assert_eq!(routed(mapping, &[("other", "x")], None), "no table");
    assert_eq!(routed(mapping, &[("other", "x")], Some("Own")), "0 Own");
}

#[test]
fn a_rule_on_request_needs_the_name_of_its_table() {
    let mapping = "[[tables]]\ntable = \"DeviceNetworkEvents\"\non_request = true\n\
                   [[tables]]\ntable = \"CommonSecurityLog\"";
    assert_eq!(routed(mapping, &[], None), "1 CommonSecurityLog");
    assert_eq!(routed(mapping, &[], Some("DeviceNetworkEvents")), "0 DeviceNetworkEvents");
    assert_eq!(routed(mapping, &[], Some("Own")), "1 Own");
}

#[test]
fn mistakes_in_a_mapping_file_are_named_with_their_line() {
    for (mapping, part) in [
        ("[[tables]]\ntable = 5", "line 2"),
        ("[[tables]]\ntabel = \"Own\"", "unknown field `tabel`"),
        ("[[tables]]\ntypes = { a = \"float\" }", "unknown variant `float`"),
        ("flatten = []", "missing field `tables`"),
    ] {
        let error = Source::parse("m.toml", mapping, Tables::built_in()).unwrap_err().to_string();
        assert!(error.starts_with("m.toml: ") && error.contains(part), "{part}: {error}");
    }
    let error = Sources::for_tests().by_name("splunk").unwrap_err().to_string();
    assert!(error.starts_with("there is no source \"splunk\"; the sources are windows-events, "), "{error}");
}

#[test]
fn table_names_are_letters_digits_and_underscores() {
    for name in ["CommonSecurityLog", "Own_CL", "t1", "_"] {
        assert!(is_table_name(name), "{name}");
    }
    for name in ["", "a/b", "..", "a b", "täble", "a-b", "x".repeat(129).as_str()] {
        assert!(!is_table_name(name), "{name}");
    }
}
