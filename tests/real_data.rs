//! Third-party telemetry with known answers, if its folder exists (`HINDCAST_SAMPLES`, or `../shared/data` next to the checkout).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use serde_json::{Value, json};

use crate::support::Place;

/// The folder of samples; prints a message and returns `None` if it does not exist.
pub fn samples() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("HINDCAST_SAMPLES").map_or(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no folder of samples at {}", folder.display());
    None
}

/// A place with one imported sample, all of whose records must be read.
pub fn imported(samples: &Path, file: &str, arguments: &str) -> (Place, Value) {
    let place = Place::new();
    let report = place.import(&samples.join(file).display().to_string(), arguments);
    assert_eq!(report["files"][0]["rejects"], 0, "{report}");
    (place, report)
}

fn rows(report: &Value, table: &str) -> u64 {
    report["tables"][table]["rows"].as_u64().unwrap_or_default()
}

#[test]
fn redacted_firewall_events_are_scanned() {
    let Some(samples) = samples() else { return };
    let (place, report) =
        imported(&samples, "palo-alto-cdl/PaloAltoCDLEvent.json", "--table CommonSecurityLog");
    assert_eq!(rows(&report, "CommonSecurityLog"), 28);
    assert_eq!(place.shown("CommonSecurityLog")["columns"].as_array().map(Vec::len), Some(146));
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

/// The three hours that the authors label deviate from the seasonal pattern, not from the day before: they are 1.2 to 1.4 times the
/// mean of the 24 preceding hours, far below the factor of 3 that devices without two weeks of history need.
#[test]
fn labelled_egress_spikes_stand_out_from_the_season_of_the_week() {
    let Some(samples) = samples() else { return };
    let mapping = tempfile::NamedTempFile::new().expect("a file");
    let text = "[[tables]]\ntable = \"DeviceNetworkEvents\"\ntime = [\"TimeGenerated\"]\n\
                constants = { DeviceName = \"gateway\" }\ncolumns = { BytesSent = \"TotalBytesSent\" }\n";
    fs::write(&mapping, text).expect("written");
    let (place, report) =
        imported(&samples, "msticpy/TimeSeriesDemo.csv", &format!("--mapping {}", mapping.path().display()));
    assert_eq!(rows(&report, "DeviceNetworkEvents"), 840);
    let labelled = ["2019-05-13T17:00:00Z", "2019-05-17T21:00:00Z", "2019-05-26T05:00:00Z"];
    let is_labelled = |spike: &Value| labelled.iter().any(|hour| spike["hour"] == *hour);

    for window in ["", "--from 2019-05-01 --to 2019-05-20", "--from 2019-05-26 --to 2019-05-27"] {
        place.scan_well(&format!("--only egress_spikes {window}"));
        let spikes = place.table("egress_spikes");
        let expected = match window {
            "" => 3,
            _ if window.contains("05-20") => 2,
            _ => 1,
        };
        assert_eq!(
            spikes.iter().filter(|spike| is_labelled(spike)).count(),
            expected,
            "{window}: {spikes:?}"
        );
        assert!(spikes.len() <= expected + 1, "{window}: {spikes:?}");
        let findings = place.findings();
        assert!(findings.iter().all(|finding| finding["severity"] == "medium"), "{findings:?}");
    }
}

const LAB: &str = "sentinel-training-lab";

fn sum(rows: &[Value], column: &str, is_counted: impl Fn(&Value) -> bool) -> i64 {
    rows.iter().filter(|row| is_counted(row)).filter_map(|row| row[column].as_i64()).sum()
}

/// Known facts about a demo tenant's export. Its only `New-InboxRule` is logged for an administrator: cmdlets of administrators are read
/// by default, their other operations are not.
#[test]
fn results_of_exported_office_activity_equal_known_facts() {
    let Some(samples) = samples() else { return };
    let (place, report) = imported(&samples, &format!("{LAB}/office_activity.csv"), "");
    assert_eq!((&report["files"][0]["source"], rows(&report, "OfficeActivity")), (&json!("portal-csv"), 266));
    let config = place.path("all.toml");
    fs::write(&config, "[office365]\nuser_types = []\n[top_accounts]\nlimit = 1000").expect("written");
    place.scan_well(&format!("--suite office365 --config {}", config.display()));
    let busy = place.table("top_accounts");
    let is_adele = |row: &Value| row["account"] == "adelev";
    assert_eq!((sum(&busy, "operations", is_adele), sum(&busy, "operations", |_| true)), (151, 266));
    let mut addresses: BTreeSet<&str> =
        busy.iter().filter(|row| is_adele(row)).filter_map(|row| row["ip"].as_str()).collect();
    // Ten in ClientIP, and one only in Client_IPAddress of mail events.
    assert!(addresses.remove("2603:10b6:5:345::11"));
    assert_eq!(addresses.len(), 10, "{addresses:?}");
    let summary = place.table("operation_summary");
    for operation in ["New-InboxRule", "AnonymousLinkCreated"] {
        assert_eq!(sum(&summary, "operations", |row| row["operation"] == operation), 1, "{operation}");
    }
    // The rule and the link of the account are findings of their own.
    for operation in ["New-InboxRule", "AnonymousLinkCreated"] {
        let finding = place.findings().into_iter().find(|finding| {
            let entities = finding["entities"].to_string();
            finding["evidence"]["operation"] == operation
                && entities.contains("adelev")
                && entities.contains("175.45.176.99")
        });
        let finding = finding.expect("a finding");
        assert_eq!((&finding["severity"], &finding["rows"]), (&json!("medium"), &json!(1)), "{operation}");
    }

    place.scan_well("--suite office365");
    let summary = place.table("operation_summary");
    assert_eq!(sum(&summary, "operations", |_| true), 260);
    assert_eq!(sum(&summary, "operations", |row| row["operation"] == "AnonymousLinkCreated"), 1);
    assert_eq!(sum(&summary, "operations", |row| row["operation"] == "New-InboxRule"), 1);
}

/// Two rules created from two ports of one address: one combination with one canonical address.
#[test]
fn ports_are_removed_from_addresses() {
    let Some(samples) = samples() else { return };
    // The export omits columns without values: the time, which Start_Time has, and the user agent.
    let mapping = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&mapping, "[[tables]]\ntable = \"OfficeActivity\"\nconstants = { UserAgent = \"\" }\n")
        .expect("written");
    let file = format!("{LAB}/office_activity_inbox_rule.csv");
    let (place, report) = imported(&samples, &file, &format!("--mapping {}", mapping.path().display()));
    assert_eq!(rows(&report, "OfficeActivity"), 2);
    let config = place.path("all.toml");
    fs::write(&config, "[office365]\nuser_types = []").expect("written");
    place.scan_well(&format!("--suite office365 --config {}", config.display()));
    let rare = place.table("rare_combinations");
    assert_eq!(rare.len(), 1);
    assert_eq!((&rare[0]["operation"], &rare[0]["events"]), (&json!("New-InboxRule"), &json!(2)));
    assert_eq!(rare[0]["ip"], "2a01:110:8068:7:9bf8:aa87:e00a:5f1f");
    assert!(place.table("ip_variability").is_empty());
}

/// The 34 rows of the lab's exported tokens, 24 of them from one address, in a table that Hindcast does not analyse.
#[test]
fn unknown_tables_are_imported_completely() {
    let Some(samples) = samples() else { return };
    let (place, report) = imported(&samples, &format!("{LAB}/azure_activity.csv"), "--table AzureActivity");
    let exported = rows(&report, "AzureActivity");
    let folder = place.lake().join("AzureActivity");
    let mut tokens = 0;
    let mut from_one = 0;
    let mut read = 0;
    for date in fs::read_dir(folder).expect("dates") {
        for file in fs::read_dir(date.expect("a date").path()).expect("files") {
            let file = fs::File::open(file.expect("a file").path()).expect("opened");
            let batches = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 8192);
            for batch in batches.expect("a reader") {
                let batch = batch.expect("rows");
                let column =
                    |name: &str| batch.column_by_name(name).expect("a column").as_string::<i32>().clone();
                let (operations, callers) = (column("OperationName"), column("CallerIpAddress"));
                read += batch.num_rows() as u64;
                for (operation, caller) in operations.iter().zip(&callers) {
                    let is_token = operation == Some("Returns Storage Account SAS Token");
                    tokens += u32::from(is_token);
                    from_one += u32::from(is_token && caller == Some("40.87.85.143"));
                }
            }
        }
    }
    assert_eq!((tokens, from_one, read), (34, 24, exported));
}

/// A recorded intrusion: the exfiltrated archive ranks first; a large transfer within the network does not rank. The intruder's
/// address is private, and a setting declares it external.
#[test]
fn a_recorded_exfiltration_ranks_first() {
    let Some(samples) = samples() else { return };
    let (place, report) = imported(&samples, "otrf/apt29_day1_zeek.log", "");
    assert_eq!(
        (rows(&report, "CommonSecurityLog"), rows(&report, "DeviceNetworkEvents")),
        (613, 62 + 53 + 378)
    );
    assert_eq!(report["files"][0]["set_aside"]["files"], 448);
    let config = place.path("zeek.toml");
    let text = "[firewall]\nvendor = \"Zeek\"\n[network]\ndeclared_external = [\"192.168.0.4/32\"]\n";
    fs::write(&config, text).expect("written");
    place.scan_well(&format!("--suite firewall --config {}", config.display()));
    let left = place.table("data_exfiltration");
    assert_eq!(
        (&left[0]["source_ip"], &left[0]["destination_ip"]),
        (&json!("10.0.1.4"), &json!("192.168.0.4"))
    );
    assert!(left[0]["max_single_sent_mb"].as_f64().is_some_and(|sent| sent > 2.0), "{}", left[0]);
    assert!(left.iter().all(|row| row["destination_ip"] != "10.0.1.6"), "{left:?}");
}

/// A recorded implant: its 51 connections, two of them in one second, have the lowest jitter of all pairs in the file.
#[test]
fn the_recorded_implant_has_the_lowest_jitter() {
    let Some(samples) = samples() else { return };
    let file = "otrf/empire_dllinjection_LoadLibrary_CreateRemoteThread.zip";
    let (place, report) = imported(&samples, file, "--table CommonSecurityLog");
    assert_eq!(report["files"][0]["source"], "windows-events");
    let config = place.path("sysmon.toml");
    let text = "[firewall]\nvendor = \"Microsoft\"\n[network]\ndeclared_external = [\"10.10.10.5/32\"]\n";
    fs::write(&config, text).expect("written");
    place.scan_well(&format!("--suite firewall --config {}", config.display()));
    let beacons = place.table("beaconing");
    assert_eq!((&beacons[0]["destination_ip"], &beacons[0]["intervals"]), (&json!("10.10.10.5"), &json!(49)));
    assert!(
        beacons[0]["avg_delta"].as_f64().is_some_and(|delta| (5.0..5.2).contains(&delta)),
        "{}",
        beacons[0]
    );

    let (_, report) = imported(&samples, file, "");
    assert!(
        rows(&report, "DeviceNetworkEvents") > 51 && rows(&report, "DeviceProcessEvents") > 0,
        "{report}"
    );
}

/// Two recorded DNS tunnels are found by their names, and an ordinary recording has nothing.
#[test]
fn recorded_dns_tunnels_are_found() {
    let Some(samples) = samples() else { return };
    for (recording, queries, names, severity) in [
        ("AndIodine-MX", 137, Some(137), "high"),
        ("dns2tcp-key", 3_037, Some(2_975), "high"),
        ("normal", 12_000, None, ""),
    ] {
        let (place, report) = imported(&samples, &format!("attacks/dns/{recording}/dns.log.gz"), "");
        assert_eq!(rows(&report, "DeviceNetworkEvents"), queries, "{recording}");
        place.scan_well("--only dns_tunnels,generated_domains");
        let findings = place.findings();
        let found: Vec<&Value> = findings.iter().map(|finding| &finding["severity"]).collect();
        assert_eq!(found, vec![severity; usize::from(names.is_some())], "{recording}: {findings:?}");
        let listed: Vec<Option<i64>> =
            place.table("dns_tunnels").iter().map(|row| row["names"].as_i64()).collect();
        assert_eq!(listed, names.map(Some).into_iter().collect::<Vec<_>>(), "{recording}");
    }
}

/// Requests to an open bucket in another cloud's log, mapped to the blob log.
#[test]
fn requests_of_another_cloud_become_the_blob_log() {
    let Some(samples) = samples() else { return };
    let mapping = tempfile::NamedTempFile::new().expect("a file");
    let text = "[[tables]]\ntable = \"StorageBlobLogs\"\ntime = [\"Event DateTime\"]\n[tables.columns]\n\
                OperationName = \"Event Name\"\nCallerIpAddress = \"Source IP\"\n\
                [tables.values.OperationName]\nPutObject = \"PutBlob\"\nCopyObject = \"CopyBlob\"\n";
    fs::write(&mapping, text).expect("written");
    let arguments = format!("--mapping {}", mapping.path().display());
    let (_, report) = imported(&samples, "otrf/AWS_S3_HoneyBucketLogs.csv", &arguments);
    assert_eq!(rows(&report, "StorageBlobLogs"), 301);
}

/// Streams of other products: advanced hunting rows, sign-in audits, a management record.
#[test]
fn streams_of_other_products_are_detected() {
    let Some(samples) = samples() else { return };
    for (file, arguments, source, table, count) in [
        ("otrf/AADAuditEvents.json", "--table AuditLogs", "monitor-export", "AuditLogs", 4),
        ("otrf/OfficeActivityEvents.json", "", "monitor-export", "OfficeActivity", 1),
        ("otrf/Microsoft365DefenderEvents.json", "--table DeviceEvents", "generic", "DeviceEvents", 9),
        (
            "msticpy/az_net_flows.csv",
            "--table AzureNetworkAnalytics_CL",
            "monitor-export",
            "AzureNetworkAnalytics_CL",
            460,
        ),
    ] {
        let (_, report) = imported(&samples, file, arguments);
        assert_eq!((&report["files"][0]["source"], rows(&report, table)), (&json!(source), count), "{file}");
    }
}
