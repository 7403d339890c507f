//! Investigations in real third-party telemetry, if it is available.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::real_data::{imported, samples};
use crate::support::stderr;

fn total(rows: &[Value], column: &str) -> i64 {
    rows.iter().filter_map(|row| row[column].as_i64()).sum()
}

#[test]
fn a_user_of_the_training_lab_has_its_rows_and_addresses() {
    let Some(samples) = samples() else { return };
    let (place, _) = imported(&samples, "sentinel-training-lab/office_activity.csv", "");
    let rule = samples.join("sentinel-training-lab/office_activity_inbox_rule.csv");
    place.import(&rule.display().to_string(), "--table OfficeActivity");
    let addresses = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().filter_map(|row| row["ip"].as_str().map(str::to_owned)).collect()
    };
    // The account of one tenant in two spellings; another tenant has an account with the same name.
    let output = place.investigate("user AdeleV@M365x816222.OnMicrosoft.com", "");
    assert!(output.status.success(), "{}", stderr(&output));
    let activity = place.table("user_activity");
    assert_eq!(activity.len(), 151);
    // Ten from ClientIP, and one only from Client_IPAddress, which takes precedence.
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
    let (place, _) = imported(&samples, "msticpy/az_net_flows.csv", "--table AzureNetworkAnalytics_CL");
    let output = place.investigate("ip 13.71.172.130", "");
    assert!(output.status.success(), "{}", stderr(&output));
    let flows = place.table("user_network_flows");
    assert_eq!(total(&flows, "flows"), 765, "{flows:?}");
    assert_eq!(total(&place.table("user_network_flows_totals"), "flows"), 765);
    assert_eq!(total(&place.table("user_network_flows_timeline"), "flows"), 765);

    // Only its machine uses port 443.
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
