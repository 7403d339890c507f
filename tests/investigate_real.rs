//! Investigations in real telemetry that others wrote, where it is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use crate::real_data::{Row, samples, write_by_date};
use crate::support::{Place, stderr};

/// A CSV file with a header, as rows of texts; what is empty is left out.
fn read_csv(path: &Path) -> Vec<Row> {
    let open = || File::open(path).expect("the sample");
    let (header, _) = Format::default().with_header(true).infer_schema(open(), Some(1)).expect("a header");
    // Portal exports begin with a byte order mark.
    let name =
        |field: &Arc<Field>| Field::new(field.name().trim_start_matches('\u{feff}'), DataType::Utf8, true);
    let schema = Arc::new(Schema::new(header.fields().iter().map(name).collect::<Vec<_>>()));
    let reader = ReaderBuilder::new(Arc::clone(&schema)).with_header(true).build(open()).expect("a reader");
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.expect("rows");
        for index in 0..batch.num_rows() {
            let cells = batch.columns().iter().zip(schema.fields()).filter_map(|(column, field)| {
                let texts = column.as_string::<i32>();
                let is_given = texts.is_valid(index) && !texts.value(index).is_empty();
                is_given.then(|| (field.name().clone(), json!(texts.value(index))))
            });
            rows.push(cells.collect::<BTreeMap<String, Value>>());
        }
    }
    rows
}

/// `4/28/2021, 3:05:26.000 PM`, as the portal writes times, as RFC 3339.
fn with_portal_time(mut row: Row) -> Row {
    let text = ["TimeGenerated [UTC]", "Start_Time [UTC]"].iter().find_map(|name| row.remove(*name));
    let text = text.unwrap_or_default();
    let text = text.as_str().unwrap_or_default().to_owned();
    let time = chrono::NaiveDateTime::parse_from_str(&text, "%m/%d/%Y, %I:%M:%S%.f %p").expect("a time");
    row.insert("TimeGenerated".into(), json!(time.and_utc().to_rfc3339()));
    row
}

fn total(rows: &[Value], column: &str) -> i64 {
    rows.iter().filter_map(|row| row[column].as_i64()).sum()
}

#[test]
fn a_user_of_the_training_lab_has_its_rows_and_addresses() {
    let Some(samples) = samples() else { return };
    let place = Place::new();
    let mut rows = Vec::new();
    for file in ["office_activity.csv", "office_activity_inbox_rule.csv"] {
        rows.extend(
            read_csv(&samples.join("sentinel-training-lab").join(file)).into_iter().map(with_portal_time),
        );
    }
    write_by_date(&place, "OfficeActivity", "TimeGenerated", rows);
    let addresses = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().filter_map(|row| row["ip"].as_str().map(str::to_owned)).collect()
    };
    // The account of one tenant, written in two cases; another tenant's has the same name.
    let output = place.investigate("user AdeleV@M365x816222.OnMicrosoft.com", "");
    assert!(output.status.success(), "{}", stderr(&output));
    let activity = place.table("user_activity");
    assert_eq!(activity.len(), 151);
    // Ten by ClientIP, and one that only Client_IPAddress has, which comes first.
    let seen_at = addresses(&activity);
    assert_eq!((seen_at.len(), seen_at.contains("2603:10b6:5:345::11")), (11, true), "{seen_at:?}");
    assert_eq!(total(&place.table("user_activity_breakdown"), "operations"), 151);
    assert_eq!(total(&place.table("user_activity_timeline"), "operations"), 151);
    assert_eq!(place.table("user_activity_map").len(), 11);
    let names = &place.summary()["entity"]["names"];
    assert_eq!(names.as_object().map(serde_json::Map::len), Some(2), "{names}");

    let output = place.investigate("user adelev", "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.table("user_activity").len(), 153);
}

#[test]
fn flows_of_the_recorded_network_are_those_of_their_addresses() {
    let Some(samples) = samples() else { return };
    let place = Place::new();
    let rows = read_csv(&samples.join("msticpy/az_net_flows.csv"));
    assert_eq!(rows.len(), 460);
    write_by_date(&place, "AzureNetworkAnalytics_CL", "TimeGenerated", rows);
    let output = place.investigate("ip 13.71.172.130", "");
    assert!(output.status.success(), "{}", stderr(&output));
    let flows = place.table("user_network_flows");
    assert_eq!(total(&flows, "flows"), 765, "{flows:?}");
    assert_eq!(total(&place.table("user_network_flows_totals"), "flows"), 765);
    assert_eq!(total(&place.table("user_network_flows_timeline"), "flows"), 765);

    // Port 443 is its machine's alone.
    let output = place.investigate("device MSTICAlertsWin1", "");
    assert!(output.status.success(), "{}", stderr(&output));
    let https: i64 = place
        .table("user_network_flows_totals")
        .iter()
        .filter(|row| row["l7_protocol"] == "https")
        .filter_map(|row| row["flows"].as_i64())
        .sum();
    assert_eq!(https, 2504);
}
