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
    let mut rows = Rows::new("CommonSecurityLog", &rule, &[], &times);
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
    assert_eq!(done.batch.column_by_name("late").unwrap().null_count(), 2);
}

#[test]
fn a_value_that_loses_is_stored_under_its_own_name() {
    let rule: TableRule = toml::from_str("columns = { SourceIP = [\"a\", \"b\"] }").unwrap();
    let times = Times::without_proof(TimeOptions::default());
    let mut rows = Rows::new("CommonSecurityLog", &rule, &[], &times);
    rows.push(&record(&[("TimeGenerated", "2021-04-28"), ("a", "1.1.1.1"), ("b", "2.2.2.2")])).unwrap();
    let done = rows.finish().unwrap().unwrap();
    let spare = done.batch.column_by_name("b").unwrap().as_string::<i32>();
    assert_eq!(spare.value(0), "2.2.2.2");
}
