//! Scans of lakes with several roots: the same results as of one root, where rows came from, and what a root lacks.

use std::collections::BTreeMap;

use hindcast_base::entities::{Entity, EntityKind};

use super::super::coverage::CoverageEntry;
use super::super::date_reason::DateReason;
use super::super::gap::{ColumnEffect, GapCause};
use super::super::test_lake::{TestLake, between};
use super::super::{ScanResult, Status};

const VENDOR: &str = "Palo Alto Networks";
const WINDOW: (&str, &str) = ("2026-03-01", "2026-03-04");

type Session = (&'static str, &'static str, &'static str, &'static str);

/// A configuration with roots next to the lake.
fn with_roots(lake: &TestLake, names: &[&str], more: &str) -> String {
    let root = |name: &&str| {
        let url = lake.path(&format!("../{name}")).display().to_string();
        format!("[[roots]]\nname = {name:?}\nurl = {url:?}\n")
    };
    format!("{}{more}", names.iter().map(root).collect::<String>())
}

async fn scanned(lake: &TestLake, config: &str, analyses: &[&str]) -> ScanResult {
    let config = lake.config(config);
    let plan = lake.plan(&config, analyses, between(WINDOW.0, WINDOW.1)).await.unwrap();
    lake.run(&config, &plan).await.unwrap()
}

/// Hourly sessions of a day, from whose hours `keep` chooses.
fn hourly(source: &'static str, destination: &'static str, keep: impl Fn(usize) -> bool) -> Vec<Session> {
    let hours = [
        "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16",
        "17", "18", "19", "20", "21", "22", "23",
    ];
    let kept = hours.iter().enumerate().filter(|(index, _)| keep(*index));
    kept.map(|(_, hour)| (*hour, VENDOR, source, destination)).collect()
}

/// Texts of the rows of all result tables.
fn rows(result: &ScanResult) -> Vec<String> {
    let of_table = |table: &super::super::ResultTable| {
        let batches = table.batches().unwrap();
        format!("{} {}", table.name, arrow::util::pretty::pretty_format_batches(&batches).unwrap())
    };
    result.tables.iter().map(of_table).collect()
}

/// The roots of the finding about each pair of addresses.
fn roots_of_findings(result: &ScanResult) -> BTreeMap<String, Vec<String>> {
    let findings = result.findings.iter().map(|finding| {
        let names: Vec<&str> = finding.entities.iter().map(|entity| entity.name.as_str()).collect();
        (names.join(" "), finding.roots.iter().cloned().collect())
    });
    findings.collect()
}

/// One beacon whose rows alternate between two roots, one in each root alone, and one by days.
fn split_lake(names: [&str; 2]) -> (TestLake, TestLake) {
    let (whole, split) = (TestLake::new(), TestLake::new());
    let second = format!("../{}/", names[1]);
    let first = if names[0] == "main" { String::new() } else { format!("../{}/", names[0]) };
    std::fs::create_dir_all(split.path("")).unwrap();
    for (index, date) in ["2026-03-01", "2026-03-02"].into_iter().enumerate() {
        let parts = |part: usize| {
            let mut sessions = hourly("10.0.0.1", "203.0.113.1", |hour| hour % 2 == part);
            sessions.extend(hourly("10.0.0.1", "203.0.113.2", |_| part == 0));
            sessions.extend(hourly("10.0.0.1", "203.0.113.3", |_| part == 1));
            sessions.extend(hourly("10.0.0.2", "203.0.113.1", |_| part == index));
            sessions
        };
        split.write_sessions_in(&first, date, &parts(0));
        split.write_sessions_in(&second, date, &parts(1));
        whole.write_sessions(date, &[parts(0), parts(1)].concat());
    }
    (whole, split)
}

#[tokio::test]
async fn the_same_rows_in_two_roots_give_the_same_results_and_findings_say_from_which() {
    let analyses = ["beaconing", "beacon_scores", "top_talkers", "data_exfiltration"];
    let (whole, split) = split_lake(["main", "emea"]);
    let expected = scanned(&whole, "", &analyses).await;
    let result = scanned(&split, &with_roots(&split, &["emea"], ""), &analyses).await;
    assert_eq!(rows(&result), rows(&expected));
    let mut findings = result.findings.clone();
    findings.iter_mut().for_each(|finding| finding.roots.clear());
    assert_eq!(findings, expected.findings);
    assert!(!findings.is_empty() && expected.findings.iter().all(|finding| finding.roots.is_empty()));
    assert_eq!(result.report.summary.risk.score(), expected.report.summary.risk.score());

    let roots = roots_of_findings(&result);
    assert_eq!(roots["10.0.0.1 203.0.113.1"], ["emea", "main"]);
    assert_eq!(roots["10.0.0.1 203.0.113.2"], ["main"]);
    assert_eq!(roots["10.0.0.1 203.0.113.3"], ["emea"]);
    assert_eq!(roots["10.0.0.2 203.0.113.1"], ["emea", "main"]);

    let summary = &result.report.summary;
    assert!(summary.coverage.complete && expected.report.summary.roots.is_empty());
    let [main, emea] = summary.roots.as_slice() else { panic!("{:?}", summary.roots) };
    assert_eq!((main.name.as_str(), emea.name.as_str()), ("main", "emea"));
    assert_eq!(main.rows + emea.rows, expected.report.summary.coverage.rows());
    assert_eq!((emea.files, emea.when().as_str()), (2, "2026-03-01 to 2026-03-02"));
    let written = serde_json::to_value(&expected.report).unwrap();
    for part in ["summary", "outline", "incidents"] {
        let text = written[part].to_string();
        assert!(!text.contains("\"root\"") && !text.contains("\"roots\""), "{text}");
    }
}

#[tokio::test]
async fn the_order_of_roots_changes_nothing_and_the_lakes_own_may_be_empty() {
    let (_, split) = split_lake(["apac", "emea"]);
    let analyses = ["beaconing"];
    let one = scanned(&split, &with_roots(&split, &["apac", "emea"], ""), &analyses).await;
    let other = scanned(&split, &with_roots(&split, &["emea", "apac"], ""), &analyses).await;
    assert_eq!(
        serde_json::to_string(&one.report.summary).unwrap(),
        serde_json::to_string(&other.report.summary).unwrap()
    );
    assert_eq!(one.findings, other.findings);
    let coverage = &one.report.summary.coverage;
    assert!(coverage.complete && coverage.gaps.is_empty(), "{:?}", coverage.gaps);
    assert!(coverage.tables.iter().all(|entry| entry.root.as_deref() != Some("main")));
    assert_eq!(roots_of_findings(&one)["10.0.0.1 203.0.113.1"], ["apac", "emea"]);
    // State serves scans in any order of the roots.
    assert_eq!(other.report.computed_units.0, 0);
}

#[tokio::test]
async fn an_investigation_reads_all_roots() {
    let (whole, split) = split_lake(["main", "emea"]);
    let investigated = || Entity::of(EntityKind::Ip, "10.0.0.1");
    let config = whole.config("");
    let window = between(WINDOW.0, WINDOW.1);
    let plan = whole.plan_of(&config, &["beaconing"], window, investigated()).await.unwrap();
    let expected = whole.run(&config, &plan).await.unwrap();
    let config = split.config(&with_roots(&split, &["emea"], ""));
    let plan = split.plan_of(&config, &["beaconing"], window, investigated()).await.unwrap();
    let result = split.run(&config, &plan).await.unwrap();
    assert_eq!(rows(&result), rows(&expected));
    assert_eq!(roots_of_findings(&result)["10.0.0.1 203.0.113.3"], ["emea"]);
    let rows = |result: &ScanResult| result.report.summary.entity.as_ref().unwrap().rows;
    assert_eq!(rows(&result), rows(&expected));
}

#[tokio::test]
async fn each_root_has_its_own_coverage() {
    let lake = TestLake::new();
    let session = ("10", VENDOR, "10.0.0.1", "203.0.113.1");
    lake.write_sessions("2026-03-01", &[session]);
    lake.write_sessions_in("../emea/", "2026-03-02", &[session, session]);
    lake.write(
        "../apac/OfficeActivity/date=2026-03-01/a.parquet",
        &["TimeGenerated"],
        &[&["2026-03-01T10:00:00Z"]],
    );
    let config = with_roots(&lake, &["emea", "apac"], "");
    let result = scanned(&lake, &config, &["top_talkers"]).await;
    let coverage = &result.report.summary.coverage;
    let entries: Vec<String> = coverage
        .tables
        .iter()
        .map(|entry| format!("{} {} {}", entry.place(), entry.when(), entry.rows))
        .collect();
    assert_eq!(
        entries,
        [
            "CommonSecurityLog in root apac 2026-03-01 to 2026-03-03 (3 dates) 0",
            "CommonSecurityLog in root emea 2026-03-01 0",
            "CommonSecurityLog in root emea 2026-03-02 2",
            "CommonSecurityLog in root emea 2026-03-03 0",
            "CommonSecurityLog in root main 2026-03-01 1",
            "CommonSecurityLog in root main 2026-03-02 to 2026-03-03 (2 dates) 0",
        ]
    );
    assert!(coverage.tables[0].reasons.is_only(&DateReason::NoTableInRoot));
    assert_eq!(coverage.tables[0].status, Status::Missing);
    let outline = &result.report.outline.tables;
    assert!(outline.iter().any(|table| table.root.as_deref() == Some("apac") && table.files == 0));
}

#[tokio::test]
async fn a_root_may_have_columns_of_other_names() {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &hourly("10.0.0.1", "203.0.113.1", |hour| hour % 2 == 0));
    let sessions = hourly("10.0.0.1", "203.0.113.1", |hour| hour % 2 == 1);
    let rows: Vec<[String; 5]> = sessions
        .iter()
        .map(|(hour, vendor, source, destination)| {
            [&format!("2026-03-01T{hour}:00:00Z"), *vendor, "TRAFFIC", *source, *destination]
                .map(str::to_owned)
        })
        .collect();
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let columns = ["TimeGenerated", "DeviceVendor", "DeviceEventClassID", "src", "dst"];
    lake.write("../emea/CommonSecurityLog/date=2026-03-01/a.parquet", &columns, &rows);

    // Without a mapping the part of this root has no source: a gap, although the analysis runs.
    let result = scanned(&lake, &with_roots(&lake, &["emea"], ""), &["beaconing"]).await;
    let coverage = &result.report.summary.coverage;
    let [gap] = coverage.gaps.as_slice() else { panic!("{:?}", coverage.gaps) };
    let GapCause::Columns { effect, absent, .. } = &gap.cause else { panic!("{gap:?}") };
    assert_eq!((gap.root.as_deref(), *effect), (Some("emea"), ColumnEffect::Incomplete));
    let absent: Vec<&str> = absent.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(absent, ["DestinationIP", "SourceIP"]);
    assert!(
        gap.to_string().starts_with("CommonSecurityLog in root emea: ")
            && gap.to_string().contains("[roots.tables.")
    );
    assert!(!coverage.complete);

    let mapping = "[roots.tables.CommonSecurityLog]\ncolumns = { SourceIP = 'src', DestinationIP = 'dst' }";
    let result = scanned(&lake, &with_roots(&lake, &["emea"], mapping), &["beaconing"]).await;
    assert!(result.report.summary.coverage.complete, "{:?}", result.report.summary.coverage.gaps);
    assert_eq!(roots_of_findings(&result)["10.0.0.1 203.0.113.1"], ["emea", "main"]);
}

#[tokio::test]
async fn a_root_without_wanted_rows_is_a_gap_of_its_own() {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &hourly("10.0.0.1", "203.0.113.1", |_| true));
    lake.write_sessions_in("../emea/", "2026-03-01", &[("10", "Unheard Of", "10.0.0.1", "203.0.113.1"); 12]);
    let result = scanned(&lake, &with_roots(&lake, &["emea"], ""), &["beaconing"]).await;
    let summary = &result.report.summary;
    let [gap] = summary.coverage.gaps.as_slice() else { panic!("{:?}", summary.coverage.gaps) };
    assert!(matches!(gap.cause, GapCause::Rows(_)) && gap.root.as_deref() == Some("emea"), "{gap}");
    assert!(summary.risk.is_assessed() && !summary.coverage.complete);
    assert_eq!(roots_of_findings(&result)["10.0.0.1 203.0.113.1"], ["main"]);
}

#[tokio::test]
async fn an_optional_root_that_is_away_or_empty_is_a_gap() {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &hourly("10.0.0.1", "203.0.113.1", |_| true));
    let config = with_roots(&lake, &["emea"], "optional = true\n");
    let result = scanned(&lake, &config, &["beaconing"]).await;
    let summary = &result.report.summary;
    let [gap] = summary.coverage.gaps.as_slice() else { panic!("{:?}", summary.coverage.gaps) };
    assert!(gap.to_string().starts_with("emea: nothing of this root was looked at: "), "{gap}");
    assert!(!summary.coverage.complete && summary.risk.is_assessed());
    let is_of_main = |entry: &CoverageEntry| entry.root.as_deref() == Some("main");
    let mut entries = summary.coverage.tables.iter();
    assert!(entries.all(|entry| is_of_main(entry) || entry.table == "DeviceNetworkEvents"));

    std::fs::create_dir_all(lake.path("../emea")).unwrap();
    let result = scanned(&lake, &with_roots(&lake, &["emea"], ""), &["beaconing"]).await;
    let [gap] = result.report.summary.coverage.gaps.as_slice() else { panic!("no gap") };
    assert!(gap.to_string().contains("holds no table that Hindcast reads"), "{gap}");
}

#[tokio::test]
async fn a_root_that_is_away_is_an_error() {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &[("10", VENDOR, "10.0.0.1", "203.0.113.1")]);
    let config = lake.config(&with_roots(&lake, &["emea"], ""));
    let error = lake.plan(&config, &["beaconing"], between(WINDOW.0, WINDOW.1)).await.unwrap_err();
    assert!(error.to_string().starts_with("root emea: there is no lake at"), "{error}");
}
