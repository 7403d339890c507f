//! Telemetry by others with known right answers, where the folder that holds it is there (`HINDCAST_SAMPLES`, or
//! `../shared/data` beside the checkout).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Place, row};

pub type Row = BTreeMap<String, Value>;

/// The folder of samples; says so and gives nothing where there is none.
pub fn samples() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("HINDCAST_SAMPLES").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no folder of samples at {}", folder.display());
    None
}

/// Writes rows to the folders of their dates.
pub fn write_by_date(place: &Place, table: &str, time_column: &str, rows: Vec<Row>) {
    let mut dates: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        let date = row[time_column].as_str().expect("a time")[..10].to_owned();
        dates.entry(date).or_default().push(row);
    }
    for (date, rows) in dates {
        place.write_rows(table, &date, "part-0.parquet", &rows);
    }
}

#[test]
fn redacted_firewall_events_are_scanned() {
    let Some(samples) = samples() else { return };
    let text = fs::read_to_string(samples.join("palo-alto-cdl/PaloAltoCDLEvent.json")).expect("the sample");
    let events: Vec<Row> = serde_json::from_str(&text).expect("JSON");
    let rows: Vec<Row> = events
        .into_iter()
        .map(|mut event| {
            // The export has no TimeGenerated; its receipt time reads `Mar 01 2021 20:35:54`.
            let receipt = event["ReceiptTime"].as_str().unwrap_or_default().to_owned();
            let time =
                chrono::NaiveDateTime::parse_from_str(&receipt, "%b %d %Y %H:%M:%S").unwrap_or_default();
            event.insert("TimeGenerated".into(), json!(time.and_utc().to_rfc3339()));
            event
        })
        .collect();
    assert_eq!((rows.len(), rows[0].len()), (28, 147));
    let place = Place::new();
    write_by_date(&place, "CommonSecurityLog", "TimeGenerated", rows);
    place.scan_well("--suite firewall");
    let threats = place.table("threat_breakdown");
    for activity in ["file", "spyware", "url"] {
        let count: i64 = threats
            .iter()
            .filter(|threat| threat["activity"] == activity)
            .filter_map(|threat| threat["events"].as_i64())
            .sum();
        assert_eq!(count, 2, "{activity}: {threats:?}");
    }
    let events: i64 = place.table("traffic_overview").iter().filter_map(|row| row["events"].as_i64()).sum();
    assert_eq!(events, 28);
}

/// The three hours its authors label stand out from the season of their series, not from the day before: they are 1.2 to
/// 1.4 times the mean of the 24 preceding hours, which the default factor of 3 is far above. With the factor below them
/// they are reported, and so are the hours of every working day's start.
#[test]
fn labelled_egress_spikes_are_reported_where_the_factor_is_below_them() {
    let Some(samples) = samples() else { return };
    let text = fs::read_to_string(samples.join("msticpy/TimeSeriesDemo.csv")).expect("the sample");
    let rows: Vec<Row> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut cells = line.split(',');
            let time = cells.next()?.trim_matches('"').to_owned();
            let bytes: i64 = cells.next()?.parse().ok()?;
            Some(row([
                ("Timestamp", json!(time)),
                ("DeviceName", json!("gateway")),
                ("BytesSent", json!(bytes)),
            ]))
        })
        .collect();
    assert_eq!(rows.len(), 840);
    let place = Place::new();
    write_by_date(&place, "DeviceNetworkEvents", "Timestamp", rows);
    let labelled = ["2019-05-13T17:00:00Z", "2019-05-17T21:00:00Z", "2019-05-26T05:00:00Z"];
    let is_labelled = |spike: &Value| labelled.iter().any(|hour| spike["hour"] == *hour);

    place.scan_well("--only egress_spikes");
    let spikes = place.table("egress_spikes");
    println!(
        "factor 3: {} hours, {} of them labelled",
        spikes.len(),
        spikes.iter().filter(|s| is_labelled(s)).count()
    );
    // The sixth and seventh hour of the series, whose baseline is thin for want of history.
    assert_eq!(spikes.len(), 2);
    let config = place.path("own.toml");
    fs::write(&config, "[egress_spikes]\nfactor = 1.2").expect("written");
    place.scan_well(&format!("--only egress_spikes --config {}", config.display()));
    let spikes = place.table("egress_spikes");
    let found = spikes.iter().filter(|spike| is_labelled(spike)).count();
    println!("factor 1.2: {} hours, {found} of them labelled", spikes.len());
    assert_eq!(found, 3);
    assert!(
        is_labelled(&spikes[0]) && is_labelled(&spikes[1]),
        "by bytes the first two are labelled: {:?}",
        &spikes[..3]
    );
}

const LAB: &str = "sentinel-training-lab";

/// Rows of a portal's CSV export, empty cells left out: its headers say `[UTC]` and its times read
/// `4/28/2021, 3:05:26.000 PM`.
fn exported_activity(samples: &Path, name: &str) -> Vec<Row> {
    let text = fs::read_to_string(samples.join(LAB).join(name)).expect("the sample");
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let headers: Vec<String> = reader.headers().expect("headers").iter().map(str::to_owned).collect();
    let rows = reader.records().map(|record| {
        let record = record.expect("a record");
        let cells = headers.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        let mut row: Row = cells.map(|(name, cell)| (name.clone(), json!(cell))).collect();
        // One of the two exports has no TimeGenerated.
        let told = row.get("TimeGenerated [UTC]").or(row.get("Start_Time [UTC]"));
        let time = chrono::NaiveDateTime::parse_from_str(
            told.and_then(Value::as_str).expect("a time"),
            "%m/%d/%Y, %I:%M:%S%.f %p",
        );
        row.insert("TimeGenerated".into(), json!(time.expect("a time").and_utc().to_rfc3339()));
        row
    });
    rows.collect()
}

fn sum(rows: &[Value], column: &str, is_counted: impl Fn(&Value) -> bool) -> i64 {
    rows.iter().filter(|row| is_counted(row)).filter_map(|row| row[column].as_i64()).sum()
}

/// What is known of a demo tenant's export. Its one `New-InboxRule` is logged as an administrator's, so that the
/// default, people alone, does not see it.
#[test]
fn exported_office_activity_tells_what_is_known_of_it() {
    let Some(samples) = samples() else { return };
    let place = Place::new();
    write_by_date(
        &place,
        "OfficeActivity",
        "TimeGenerated",
        exported_activity(&samples, "office_activity.csv"),
    );
    let config = place.path("all.toml");
    fs::write(&config, "[office365]\nuser_types = []\n[top_accounts]\nlimit = 1000").expect("written");
    place.scan_well(&format!("--suite office365 --config {}", config.display()));
    let busy = place.table("top_accounts");
    let is_adele = |row: &Value| row["account"] == "adelev";
    assert_eq!((sum(&busy, "operations", is_adele), sum(&busy, "operations", |_| true)), (151, 266));
    let mut addresses: BTreeSet<&str> =
        busy.iter().filter(|row| is_adele(row)).filter_map(|row| row["ip"].as_str()).collect();
    // Ten in ClientIP, and one that mail alone tells, in Client_IPAddress.
    assert!(addresses.remove("2603:10b6:5:345::11"));
    assert_eq!(addresses.len(), 10, "{addresses:?}");
    let summary = place.table("operation_summary");
    for operation in ["New-InboxRule", "AnonymousLinkCreated"] {
        assert_eq!(sum(&summary, "operations", |row| row["operation"] == operation), 1, "{operation}");
    }
    // The rule, the link and five more rare operations of the account from one address and day are one finding.
    let planted = place.findings().into_iter().find(|finding| {
        let entities = finding["entities"].to_string();
        entities.contains("adelev") && entities.contains("175.45.176.99")
    });
    let planted = planted.expect("a finding");
    assert_eq!((&planted["severity"], &planted["rows"]), (&json!("medium"), &json!(7)));

    place.scan_well("--suite office365");
    let summary = place.table("operation_summary");
    assert_eq!(sum(&summary, "operations", |_| true), 256);
    assert_eq!(sum(&summary, "operations", |row| row["operation"] == "AnonymousLinkCreated"), 1);
    assert_eq!(sum(&summary, "operations", |row| row["operation"] == "New-InboxRule"), 0);
}

/// Two rules made from two ports of one address: one combination, from one canonical address.
#[test]
fn ports_are_no_addresses() {
    let Some(samples) = samples() else { return };
    let place = Place::new();
    let rows = exported_activity(&samples, "office_activity_inbox_rule.csv");
    assert_eq!(rows.len(), 2);
    // The export leaves out what none of its rows has.
    let rows = rows.into_iter().map(|mut row| {
        row.insert("UserAgent".into(), json!(""));
        row
    });
    write_by_date(&place, "OfficeActivity", "TimeGenerated", rows.collect());
    let config = place.path("all.toml");
    fs::write(&config, "[office365]\nuser_types = []").expect("written");
    place.scan_well(&format!("--suite office365 --config {}", config.display()));
    let rare = place.table("rare_combinations");
    assert_eq!(rare.len(), 1);
    assert_eq!((&rare[0]["operation"], &rare[0]["events"]), (&json!("New-InboxRule"), &json!(2)));
    assert_eq!(rare[0]["ip"], "2a01:110:8068:7:9bf8:aa87:e00a:5f1f");
    assert!(place.table("ip_variability").is_empty());
}
