//! Tests that columns are added as fields appear, and that no value is lost.

use super::super::times::TimeOptions;
use super::*;
use std::borrow::Cow;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

fn record(fields: &[(&'static str, &'static str)]) -> Record<'static> {
    fields.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))).collect()
}

#[test]
fn columns_are_added_and_keep_their_values() {
    let rule: TableRule = toml::from_str(
        "time = [\"ts\", \"old\"]\ncolumns = { SourceIP = [\"a\", \"b\"], DeviceAction = \"act\", \
         SimplifiedDeviceAction = \"act\" }\nconstants = { DeviceVendor = \"V\" }\n[values.SimplifiedDeviceAction]\ndrop = \"Dropped\"",
    )
    .unwrap();
    let times = Times::without_proof(TimeOptions::default());
    let mut rows = Rows::new("CommonSecurityLog", &rule, &[], &times, Tables::built_in());
    rows.push(&record(&[("ts", "1619622326"), ("b", "2.2.2.2"), ("act", "drop")])).unwrap();
    rows.push(&record(&[("old", "1619622326"), ("b", "3.3.3.3"), ("a", "1.1.1.1"), ("SentBytes", "7.0")]))
        .unwrap();
    assert!(rows.push(&record(&[("a", "9.9.9.9")])).is_err());
    rows.push(&record(&[("ts", "1619622326"), ("SentBytes", "many"), ("late [UTC]", "2021-04-28 15:05:26")]))
        .unwrap();
    let done = rows.finish().unwrap().unwrap();
    let text = |name: &str| -> Vec<Option<String>> {
        let column = done.batch.column_by_name(name).unwrap().as_string::<i32>();
        column.iter().map(|value| value.map(str::to_owned)).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(text("SourceIP"), [some("2.2.2.2"), some("1.1.1.1"), None]);
    assert_eq!(text("DeviceAction"), [some("drop"), None, None]);
    assert_eq!(text("SimplifiedDeviceAction"), [some("Dropped"), None, None]);
    assert_eq!(text("DeviceVendor"), [some("V"), some("V"), some("V")]);
    let sent = done.batch.column_by_name("SentBytes").unwrap().as_primitive::<Int64Type>();
    assert_eq!(sent.iter().collect::<Vec<_>>(), [None, Some(7), None]);
    assert_eq!(done.unreadable, BTreeMap::from([("SentBytes".to_owned(), 1)]));
    let additional = [None, some(r#"{"b":"3.3.3.3"}"#), some(r#"{"late [UTC]":"2021-04-28 15:05:26"}"#)];
    assert_eq!(text("AdditionalFields"), additional);
}

#[test]
fn a_name_in_another_case_is_that_of_the_column() {
    let rule = TableRule::default();
    let times = Times::without_proof(TimeOptions::default());
    let mut rows = Rows::new("SigninLogs", &rule, &[], &times, Tables::built_in());
    let time = ("TimeGenerated", "2026-01-05");
    rows.push(&record(&[time, ("userprincipalname", "a"), ("userPrincipalName", "b")])).unwrap();
    rows.push(&record(&[time, ("userPrincipalName", "c"), ("UserPrincipalName", "d")])).unwrap();
    let done = rows.finish().unwrap().unwrap();
    let text = |name: &str| {
        let column = done.batch.column_by_name(name).unwrap().as_string::<i32>();
        column.iter().map(|value| value.unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(text("UserPrincipalName"), ["a", "d"]);
    assert_eq!(text(ADDITIONAL_FIELDS), [r#"{"userPrincipalName":"b"}"#, r#"{"userPrincipalName":"c"}"#]);
}

#[test]
fn a_value_that_loses_is_stored_under_its_own_name() {
    let rule: TableRule = toml::from_str("columns = { SourceIP = [\"a\", \"b\"] }").unwrap();
    let times = Times::without_proof(TimeOptions::default());
    for (table, column, wanted) in
        [("Own", "b", "2.2.2.2"), ("CommonSecurityLog", ADDITIONAL_FIELDS, "{\"b\":\"2.2.2.2\"}")]
    {
        let mut rows = Rows::new(table, &rule, &[], &times, Tables::built_in());
        rows.push(&record(&[("TimeGenerated", "2021-04-28"), ("a", "1.1.1.1"), ("b", "2.2.2.2")])).unwrap();
        let done = rows.finish().unwrap().unwrap();
        assert_eq!(done.batch.column_by_name(column).unwrap().as_string::<i32>().value(0), wanted);
    }
}

#[test]
fn a_known_table_keeps_fields_without_a_column_as_additional_fields() {
    let rule = "table = \"CommonSecurityLog\"\ntime = [\"rt\", \"end\"]\ncolumns = { SourceIP = \"src\", EndTime = \"end\" }";
    let records = [
        record(&[("rt", "2026-01-05T08:00:00Z"), ("zone", "dmz"), ("src", "10.0.0.1"), ("bytes", "5")]),
        record(&[("rt", "2026-01-05T08:00:01Z"), ("src", "10.0.0.2")]),
        record(&[("rt", "soon"), ("end", "2026-01-05T08:00:02Z"), ("unset", "-")]),
        record(&[("rt", "2026-01-05T08:00:03Z"), ("AdditionalFields", "{\"n\":1}")]),
        record(&[("rt", "2026-01-05T08:00:04Z"), ("AdditionalFields", "{\"n\":1}"), ("bytes", "6")]),
    ];
    let additional = texts("CommonSecurityLog", rule, &["-"], &records, ADDITIONAL_FIELDS);
    let wanted = [
        Some(r#"{"bytes":"5","zone":"dmz"}"#),
        None,
        Some(r#"{"rt":"soon"}"#),
        Some(r#"{"n":1}"#),
        Some(r#"{"bytes":"6","n":1}"#),
    ];
    assert_eq!(additional, wanted.map(|text| text.map(str::to_owned)));
    // Records without such fields have no such column.
    let rule: TableRule = toml::from_str(rule).unwrap();
    let times = Times::without_proof(TimeOptions::default());
    let mut rows = Rows::new("CommonSecurityLog", &rule, &[], &times, Tables::built_in());
    rows.push(&records[1]).unwrap();
    assert!(rows.finish().unwrap().unwrap().batch.column_by_name(ADDITIONAL_FIELDS).is_none());
}

/// The rows of a table that a rule makes of records, and the values of a column of text.
fn texts(
    table: &str,
    rule: &str,
    unset: &[&str],
    records: &[Record<'_>],
    column: &str,
) -> Vec<Option<String>> {
    let rule: TableRule = toml::from_str(rule).unwrap();
    let unset: Vec<String> = unset.iter().map(|value| (*value).to_owned()).collect();
    let times = Times::without_proof(TimeOptions::default());
    let mut rows = Rows::new(table, &rule, &unset, &times, Tables::built_in());
    records.iter().for_each(|record| rows.push(record).unwrap());
    let done = rows.finish().unwrap().unwrap();
    let column = done.batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|value| value.map(str::to_owned)).collect()
}

const TIME: (&str, &str) = ("TimeGenerated", "2026-01-05T08:00:00Z");

#[test]
fn values_are_cut_and_then_replaced() {
    let rule = "columns = { DeviceName = \"host\", DeviceAction = \"act\" }\nbehind.DeviceName = \"\\\\\"\n\
                before.DeviceName = \".\"\nvalues.DeviceAction = { A = \"Allow\" }";
    let records = [
        record(&[TIME, ("host", "CORP\\sub\\ws-1.corp.example"), ("act", "A")]),
        record(&[TIME, ("host", "ws-2"), ("act", "D")]),
    ];
    let table = "CommonSecurityLog";
    let hosts = texts(table, rule, &[], &records, "DeviceName");
    assert_eq!(hosts, [Some("ws-1".to_owned()), Some("ws-2".to_owned())]);
    let actions = texts(table, rule, &[], &records, "DeviceAction");
    assert_eq!(actions, [Some("Allow".to_owned()), Some("D".to_owned())]);
}

#[test]
fn unset_values_are_absent_and_constants_fill_in() {
    let rule = "columns = { SourceIP = [\"a\", \"b\"] }\nconstants = { Activity = \"conn\" }";
    let records = [
        record(&[TIME, ("a", "-"), ("b", "10.0.0.2")]),
        record(&[TIME, ("a", "-"), ("b", "(none)"), ("Activity", "other")]),
    ];
    let sources = texts("CommonSecurityLog", rule, &["-", "(none)"], &records, "SourceIP");
    assert_eq!(sources, [Some("10.0.0.2".to_owned()), None]);
    let activities = texts("CommonSecurityLog", rule, &["-"], &records, "Activity");
    assert_eq!(activities, [Some("conn".to_owned()), Some("other".to_owned())]);
}

#[test]
fn a_field_that_is_not_a_time_is_noted_and_stored() {
    let rule: TableRule = toml::from_str("time = [\"rt\", \"end\"]").unwrap();
    let times = Times::without_proof(TimeOptions::default());
    let mut rows = Rows::new("Own", &rule, &[], &times, Tables::built_in());
    rows.push(&record(&[("rt", "soon"), ("end", "2026-01-05T08:00:00Z")])).unwrap();
    let done = rows.finish().unwrap().unwrap();
    assert_eq!(done.notes, BTreeMap::from([("rt is not a time, and end is taken".to_owned(), 1)]));
    assert_eq!(done.batch.column_by_name("rt").unwrap().as_string::<i32>().value(0), "soon");
}

#[test]
fn a_table_has_a_largest_number_of_columns() {
    let rule = TableRule::default();
    let times = Times::without_proof(TimeOptions::default());
    let mut rows = Rows::new("Own", &rule, &[], &times, Tables::built_in());
    let names: Vec<String> = (1..MAX_COLUMNS).map(|number| format!("c{number}")).collect();
    let mut wide: Record<'_> =
        names.iter().map(|name| (Cow::Borrowed(name.as_str()), Cow::Borrowed("1"))).collect();
    wide.insert(0, (Cow::Borrowed(TIME.0), Cow::Borrowed(TIME.1)));
    rows.push(&wide).unwrap();
    wide.push((Cow::Borrowed("more"), Cow::Borrowed("1")));
    assert!(rows.push(&wide).unwrap_err().contains("more would be one more"));
    // Rows with the known columns are still taken.
    rows.push(&record(&[TIME, ("c1", "2")])).unwrap();
    assert_eq!(rows.finish().unwrap().unwrap().batch.num_rows(), 2);
}
