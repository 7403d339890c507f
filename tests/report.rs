//! `report.html`: written by default, deterministic, complete, and safe for any content of logs.

use std::fs;

use serde_json::json;

use crate::support::{Place, hindcast, row, stderr};

const HOSTILE: &str = "<script>alert(1)</script>";
/// A day of the demo.
const DATE: &str = "2026-01-05";
const TIME: &str = "2026-01-05T10:00:00Z";

/// Rows that appear in analyses and findings, with markup in every text of a log.
fn plant(place: &Place) {
    let command = format!("7z.exe a c:\\temp\\out.7z {HOSTILE}<!--\u{2028}\" onload='alert(1)'");
    let who = [
        ("Timestamp", json!(TIME)),
        ("DeviceName", json!(HOSTILE)),
        ("InitiatingProcessAccountName", json!(HOSTILE)),
    ];
    let with = |more: Vec<(&str, serde_json::Value)>| {
        let cells = who.iter().cloned().chain(more);
        vec![cells.map(|(name, value)| (name.to_owned(), value)).collect()]
    };
    let process = |command: &str| {
        with(vec![
            ("ProcessCommandLine", json!(command)),
            ("InitiatingProcessId", json!(4_242)),
            ("InitiatingProcessParentFileName", json!(HOSTILE)),
            ("FileName", json!(HOSTILE)),
        ])
    };
    place.write_rows("DeviceProcessEvents", DATE, "hostile-1.parquet", &process(&command));
    let upload = format!("azcopy copy {HOSTILE} https://x.blob.core.windows.net/c");
    place.write_rows("DeviceProcessEvents", DATE, "hostile-2.parquet", &process(&upload));
    let connection = with(vec![
        ("RemoteUrl", json!(format!("https://x.blob.core.windows.net/{HOSTILE}"))),
        ("RemoteIP", json!("203.0.113.9")),
        ("InitiatingProcessId", json!(4_242)),
        ("BytesSent", json!(5_000_000)),
    ]);
    place.write_rows("DeviceNetworkEvents", DATE, "hostile.parquet", &connection);
    let threat = row([
        ("TimeGenerated", json!(TIME)),
        ("DeviceVendor", json!("Palo Alto Networks")),
        ("DeviceEventClassID", json!("THREAT")),
        ("Activity", json!(HOSTILE)),
        ("SimplifiedDeviceAction", json!("<img src=x onerror=alert(1)>")),
        ("ApplicationProtocol", json!(HOSTILE)),
        ("Protocol", json!(HOSTILE)),
        ("SourceIP", json!(HOSTILE)),
        ("DestinationIP", json!(HOSTILE)),
        ("DestinationPort", json!(443)),
        ("SentBytes", json!(1_000_000)),
        ("ReceivedBytes", json!(1)),
        ("SourceUserName", json!(HOSTILE)),
    ]);
    place.write_rows("CommonSecurityLog", DATE, "hostile.parquet", &[threat]);
    let operation = row([
        ("TimeGenerated", json!(TIME)),
        ("UserType", json!("Regular")),
        ("RecordType", json!(HOSTILE)),
        ("Operation", json!(HOSTILE)),
        ("UserId", json!(HOSTILE)),
        ("UserAgent", json!(HOSTILE)),
        ("ClientIP", json!("203.0.113.9")),
    ]);
    place.write_rows("OfficeActivity", DATE, "hostile.parquet", &[operation]);
    let audit = row([
        ("TimeGenerated", json!(TIME)),
        ("OperationName", json!(format!("listKeys storageAccounts {HOSTILE}"))),
        ("ResultDescription", json!(HOSTILE)),
        ("InitiatedBy", json!(HOSTILE)),
        ("TargetResources", json!(HOSTILE)),
    ]);
    place.write_rows("AuditLogs", DATE, "hostile.parquet", &[audit]);
}

fn report(place: &Place) -> String {
    fs::read_to_string(place.out().join("report.html")).expect("report.html")
}

/// The page without the data of the charts.
fn page_of(report: &str) -> &str {
    report.split("<script").next().expect("a page")
}

#[test]
fn content_of_logs_stays_text() {
    let place = Place::with_demo("--days 2 --rows-per-day 4000 --seed 3");
    plant(&place);
    place.scan_well("--format html --threads 1");
    let first = report(&place);
    // The data, Plotly and the page's script, and nothing from a log.
    assert_eq!((first.matches("<script").count(), first.matches("</script").count()), (3, 3));
    assert!(!first.contains("<img") && !first.contains("<!--"));
    let page = page_of(&first);
    assert!(page.contains("7z.exe a c:\\temp\\out.7z &#60;script&#62;alert(1)&#60;/script&#62;"));
    assert!(page.contains("blob.core.windows.net/&#60;script&#62;"));
    assert!(!page.contains("onload='"));
    let data = first
        .split("id=\"chart-data\">")
        .nth(1)
        .and_then(|rest| rest.split("</script").next())
        .expect("data");
    assert!(!data.contains(['<', '\u{2028}']));
    // Plotly interprets markup in labels: it is escaped once more there.
    assert!(data.contains("\\u0026lt;script\\u0026gt;alert(1)") && !data.contains("\\u003cscript"));
    // Nothing is fetched: no sources, and only links within the page.
    assert!(!page.contains("<link") && !page.contains("@import") && !page.contains(" src=\""));
    assert_eq!(page.matches("href=\"").count(), page.matches("href=\"#").count());
    assert!(page.contains("content=\"default-src 'none'; script-src 'sha256-"));

    place.scan_well("--format html --threads 2");
    assert!(first == report(&place), "two runs differ");
}

#[test]
fn it_is_written_unless_other_formats_are_requested() {
    let place = Place::with_demo("--days 2 --rows-per-day 4000 --seed 3");
    let scan = |arguments: &str| {
        let (lake, out) = (place.lake(), place.out());
        let output =
            hindcast(&format!("{arguments} --lake {} --out {} --no-cache", lake.display(), out.display()));
        assert!(output.status.success(), "{}", stderr(&output));
    };
    scan("scan");
    assert!(place.out().join("tables/top_talkers.parquet").is_file());
    let report_of_all = report(&place);
    let page = page_of(&report_of_all);
    for section in [
        "overview",
        "incidents",
        "entities",
        "findings",
        "exfiltration",
        "firewall",
        "parameters",
        "coverage",
    ] {
        assert!(page.contains(&format!("<section class=\"section\" id=\"{section}\">")), "{section}");
    }
    let score = place.summary()["risk"]["score"].to_string();
    assert!(page.contains(&format!("{score}</span><span class=\"muted\">of 100")));
    assert!(page.matches("class=\"chart\"").count() >= 15, "{}", page.matches("class=\"chart\"").count());

    scan("scan --format csv");
    assert!(!place.out().join("report.html").exists());

    scan("investigate ip 10.0.0.1");
    let of_one = report(&place);
    assert!(page_of(&of_one).contains("id=\"investigated\"") && of_one.contains("ip 10.0.0.1"));
}

#[test]
fn unreadable_files_are_reported() {
    let place = Place::with_demo("--days 2 --rows-per-day 2000 --seed 3");
    fs::write(place.lake().join(format!("CommonSecurityLog/date={DATE}/broken.parquet")), "no Parquet")
        .expect("a file");
    place.scan_well("--format html --allow-partial");
    let report = report(&place);
    let page = page_of(&report);
    assert!(page.contains("Coverage is incomplete") && page.contains("broken.parquet"));
    assert!(page.contains("status-failed"));
}
