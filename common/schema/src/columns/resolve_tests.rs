//! Tests of how paths find columns.

use std::sync::Arc;

use arrow::datatypes::Schema;

use super::*;

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn structure(name: &str, fields: Vec<Field>) -> Field {
    Field::new(name, DataType::Struct(fields.into()), true)
}

fn list(name: &str, element: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("element", element, true))), true)
}

fn map(name: &str, value: DataType) -> Field {
    let entries = DataType::Struct(
        vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)].into(),
    );
    Field::new(name, DataType::Map(Arc::new(Field::new("key_value", entries, false)), false), true)
}

fn columns(fields: Vec<Field>, partition: &[(&str, Option<&str>)]) -> FileColumns {
    let partition = partition.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
    FileColumns::new(Arc::new(Schema::new(fields)), partition.collect())
}

fn find(columns: &FileColumns, path: &str) -> Found {
    columns.find(&path.parse().unwrap()).unwrap()
}

fn place(columns: &FileColumns, path: &str) -> (usize, Vec<PlaceStep>) {
    match find(columns, path) {
        Found::Stored(Place { root, steps, .. }) => (root, steps),
        other => panic!("{path}: {other:?}"),
    }
}

fn field(name: &str) -> PlaceStep {
    PlaceStep::Field(name.into())
}

#[test]
fn an_exact_name_comes_before_names_in_another_case() {
    let file = columns(vec![text("devicename"), text("DeviceName")], &[]);
    assert_eq!(place(&file, "DeviceName"), (1, vec![]));
    assert_eq!(place(&file, "devicename"), (0, vec![]));
    let both = file.find(&"DEVICENAME".parse().unwrap()).unwrap_err();
    assert_eq!((both.first.as_str(), both.second.as_str()), ("devicename", "DeviceName"));
    assert!(both.to_string().contains("devicename and DeviceName"));
    let one = columns(vec![text("devicename")], &[]);
    assert_eq!(place(&one, "DeviceName"), (0, vec![]));
    assert_eq!(find(&one, "FileName"), Found::Absent);
}

#[test]
fn fields_of_structs_are_found_at_any_depth_and_in_any_case() {
    let inner = structure("location", vec![text("City"), text("country")]);
    let file = columns(vec![text("x"), structure("src_endpoint", vec![text("ip"), inner])], &[]);
    assert_eq!(place(&file, "src_endpoint.ip"), (1, vec![field("ip")]));
    assert_eq!(place(&file, "Src_Endpoint.Location.city"), (1, vec![field("location"), field("City")]));
    assert_eq!(find(&file, "src_endpoint.port"), Found::Absent);
    assert_eq!(find(&file, "x.ip"), Found::Absent);
}

#[test]
fn a_name_may_contain_dots() {
    let flat = columns(vec![text("id.orig_h"), structure("id", vec![text("orig_h")])], &[]);
    assert_eq!(place(&flat, "id.orig_h"), (0, vec![]));
    let dotted = columns(vec![structure("source", vec![text("geo.name"), text("ip")])], &[]);
    assert_eq!(place(&dotted, "source.geo.name"), (0, vec![field("geo.name")]));
    let bracketed = columns(vec![text("a[0]")], &[]);
    assert_eq!(place(&bracketed, "a[0]"), (0, vec![]));
}

#[test]
fn elements_of_lists_and_values_of_maps_are_found() {
    let answer = DataType::Struct(vec![text("rdata")].into());
    let file = columns(vec![list("answers", answer), map("unmapped", DataType::Utf8)], &[]);
    let (first, each) = (PlaceStep::Index(0), PlaceStep::Each);
    assert_eq!(place(&file, "answers[0].rdata"), (0, vec![first, field("rdata")]));
    assert_eq!(place(&file, "answers[*].rdata"), (0, vec![each, field("rdata")]));
    assert_eq!(place(&file, "unmapped.a.b"), (1, vec![PlaceStep::Key("a.b".into())]));
    assert_eq!(find(&file, "answers.rdata"), Found::Absent);
    let Found::Stored(place) = find(&file, "answers[*].rdata") else { panic!() };
    assert_eq!(place.data_type, list_of(DataType::Utf8));
}

#[test]
fn partition_values_are_columns_that_the_file_itself_comes_before() {
    let file = columns(vec![text("Region")], &[("region", Some("eu-west-1")), ("accountid", None)]);
    assert_eq!(place(&file, "Region"), (0, vec![]));
    assert_eq!(find(&file, "region"), Found::Partition(Some("eu-west-1".into())));
    assert_eq!(find(&file, "accountId"), Found::Partition(None));
    // In another case, the column comes first.
    assert_eq!(place(&file, "REGION"), (0, vec![]));
}

#[test]
fn the_lake_may_call_stored_columns_by_other_names() {
    let stored = Schema::new(vec![text("col-1"), structure("col-2", vec![text("col-3")])]);
    let named = Schema::new(vec![text("DeviceName"), structure("endpoint", vec![text("ip")])]);
    let file = FileColumns::new(Arc::new(stored), BTreeMap::new()).named(Arc::new(named));
    assert_eq!(place(&file, "DeviceName"), (0, vec![]));
    assert_eq!(place(&file, "endpoint.IP"), (1, vec![field("col-3")]));
    assert_eq!(find(&file, "col-1"), Found::Absent);
}
