//! Plans of small lakes: the window, the analyses that run, the gaps, and what lies before the window.

use hindcast_base::time::format_micros;

use super::super::disabled::DisabledReason;
use super::super::gap::{ColumnEffect, GapCause, NewestFault};
use super::super::test_lake::{TestLake, between};
use super::*;

const VENDOR: &str = "Palo Alto Networks";

fn lake() -> TestLake {
    let lake = TestLake::new();
    for date in ["2026-03-01", "2026-03-03"] {
        lake.write_sessions(date, &[("10", VENDOR, "10.0.0.1", "203.0.113.1")]);
    }
    lake
}

fn window_of(plan: &ScanPlan) -> (String, String) {
    (format_micros(plan.window.from_us), format_micros(plan.window.to_us))
}

#[tokio::test]
async fn a_missing_bound_is_that_of_the_lake() {
    let lake = lake();
    let config = lake.config("");
    let plan = lake.plan(&config, &["beaconing"], WindowRequest::Between(None, None)).await.unwrap();
    assert_eq!(window_of(&plan), ("2026-03-01T00:00:00Z".into(), "2026-03-04T00:00:00Z".into()));
    let dates: Vec<String> = plan.tables[0].folders.iter().map(|folder| folder.date.to_string()).collect();
    assert_eq!(dates, ["2026-03-01", "2026-03-03"]);
    assert_eq!(plan.tables[0].size().0, 2);
    assert!(plan.gaps.is_empty() && plan.disabled.is_empty());
    // Beacons to host names are also those of devices.
    assert_eq!(plan.missing_tables, ["DeviceNetworkEvents"]);
}

#[tokio::test]
async fn a_last_window_ends_with_the_newest_row() {
    let lake = lake();
    let config = lake.config("");
    let hour_us = 3_600_000_000;
    let plan = lake.plan(&config, &["beaconing"], WindowRequest::Last(hour_us)).await.unwrap();
    assert_eq!(format_micros(plan.window.to_us - 1), "2026-03-03T10:00:00Z");
    assert_eq!(plan.window.to_us - plan.window.from_us, hour_us);
}

#[tokio::test]
async fn a_newest_file_without_times_is_a_gap() {
    let lake = lake();
    lake.write(
        "CommonSecurityLog/date=2026-03-04/a.parquet",
        &["TimeGenerated", "DeviceVendor", "DeviceEventClassID", "SourceIP", "DestinationIP"],
        &[&["yesterday", VENDOR, "TRAFFIC", "10.0.0.1", "203.0.113.1"]],
    );
    let config = lake.config("");
    let plan = lake.plan(&config, &["beaconing"], WindowRequest::Last(1_000_000)).await.unwrap();
    assert_eq!(format_micros(plan.window.to_us - 1), "2026-03-03T10:00:00Z");
    let [gap] = plan.gaps.as_slice() else { panic!("{:?}", plan.gaps) };
    let GapCause::Newest { date, faults } = &gap.cause else { panic!("{gap:?}") };
    assert_eq!(date.to_string(), "2026-03-04");
    assert!(matches!(faults.as_slice(), [NewestFault::NoTime { rows: 1, .. }]), "{faults:?}");
}

#[tokio::test]
async fn a_window_without_a_file_is_refused_with_the_dates_of_the_lake() {
    let lake = lake();
    let config = lake.config("");
    let planned = lake.plan(&config, &["beaconing"], between("2026-05-01", "2026-05-02")).await;
    let error = planned.unwrap_err().to_string();
    assert!(error.contains("its folders go from 2026-03-01 to 2026-03-03"), "{error}");
}

#[tokio::test]
async fn absent_tables_disable_their_analyses() {
    let lake = lake();
    let config = lake.config("");
    let analyses = ["beaconing", "egress_spikes"];
    let plan = lake.plan(&config, &analyses, between("2026-03-01", "2026-03-02")).await.unwrap();
    assert_eq!(plan.analyses.iter().map(|analysis| analysis.id).collect::<Vec<_>>(), ["beaconing"]);
    assert_eq!(plan.missing_tables, ["DeviceNetworkEvents"]);
    let [disabled] = plan.disabled.as_slice() else { panic!("{:?}", plan.disabled) };
    assert_eq!(disabled.analysis.id, "egress_spikes");
    assert_eq!(disabled.reason, DisabledReason::NoTable(&["DeviceNetworkEvents"]));
}

#[tokio::test]
async fn a_table_under_a_similar_name_is_a_gap() {
    let lake = lake();
    lake.write(
        "device_network_events/date=2026-03-01/a.parquet",
        &["Timestamp", "DeviceName", "BytesSent"],
        &[&["2026-03-01T10:00:00Z", "host-1", "5"]],
    );
    let config = lake.config("");
    let analyses = ["beaconing", "egress_spikes"];
    let plan = lake.plan(&config, &analyses, between("2026-03-01", "2026-03-02")).await.unwrap();
    let [gap] = plan.gaps.as_slice() else { panic!("{:?}", plan.gaps) };
    assert_eq!(gap.table, "DeviceNetworkEvents");
    let GapCause::OtherTableName { found } = &gap.cause else { panic!("{gap:?}") };
    assert_eq!(found, "device_network_events");
}

#[tokio::test]
async fn a_column_under_another_name_is_a_gap() {
    let lake = TestLake::new();
    lake.write(
        "CommonSecurityLog/date=2026-03-01/a.parquet",
        &["TimeGenerated", "DeviceVendor", "DeviceEventClassID", "source_ip", "DestinationIP"],
        &[&["2026-03-01T10:00:00Z", VENDOR, "TRAFFIC", "10.0.0.1", "203.0.113.1"]],
    );
    let config = lake.config("");
    let plan = lake.plan(&config, &["beaconing"], between("2026-03-01", "2026-03-02")).await.unwrap();
    assert!(plan.analyses.is_empty());
    let lacking = plan.disabled[0].reason.lacking_columns("CommonSecurityLog");
    assert_eq!(lacking, Some(["SourceIP"].as_slice()));
    let [gap] = plan.gaps.as_slice() else { panic!("{:?}", plan.gaps) };
    let GapCause::Columns { effect, absent, .. } = &gap.cause else { panic!("{gap:?}") };
    assert_eq!(*effect, ColumnEffect::NoAnalysis);
    let source = absent.iter().find(|column| column.name == "SourceIP").unwrap();
    assert_eq!(source.nearest.as_deref(), Some("source_ip"));
}

#[tokio::test]
async fn files_outside_date_folders_are_a_gap() {
    let lake = lake();
    lake.write("CommonSecurityLog/b.parquet", &["TimeGenerated"], &[&["2026-03-01T10:00:00Z"]]);
    let config = lake.config("");
    let plan = lake.plan(&config, &["beaconing"], between("2026-03-01", "2026-03-02")).await.unwrap();
    let [gap] = plan.gaps.as_slice() else { panic!("{:?}", plan.gaps) };
    let GapCause::Layout { paths, others, .. } = &gap.cause else { panic!("{gap:?}") };
    assert!(paths[0].ends_with("b.parquet") && *others == 0, "{gap}");
}

#[tokio::test]
async fn an_analysis_looks_back_from_a_midnight_to_the_window() {
    let lake = TestLake::new();
    for date in ["2026-03-01", "2026-03-02", "2026-03-03"] {
        let time = format!("{date}T10:00:00Z");
        lake.write(
            &format!("DeviceNetworkEvents/date={date}/a.parquet"),
            &["Timestamp", "DeviceName", "BytesSent"],
            &[&[&time, "host-1", "5"]],
        );
    }
    let config = lake.config("[egress_spikes]\nbaseline = \"preceding_hours\"");
    let window = between("2026-03-03T06:00:00Z", "2026-03-04");
    let plan = lake.plan(&config, &["egress_spikes"], window).await.unwrap();
    let [planned] = plan.tables.as_slice() else { panic!("{:?}", plan.tables) };
    let past = planned.past.as_ref().unwrap();
    // 24 hours before the window's first hour lie in the date before.
    assert_eq!(format_micros(past.window.from_us), "2026-03-02T00:00:00Z");
    assert_eq!(past.window.to_us, plan.window.from_us);
    assert_eq!(
        past.rollups.iter().map(|rollup| rollup.id).collect::<Vec<_>>(),
        ["device_hours", "egress_destinations"]
    );
    let dates: Vec<String> = past.folders.iter().map(|folder| folder.date.to_string()).collect();
    assert_eq!(dates, ["2026-03-02", "2026-03-03"]);
    // A folder that the window reads gives the past its own rows alone; the other may hold rows of the window too.
    assert_eq!(past.rows_of(&past.folders[1], planned, &plan.window), past.window);
    assert_eq!(past.rows_of(&past.folders[0], planned, &plan.window).to_us, plan.window.to_us);

    let config = lake.config("[egress_spikes]\nbaseline = \"last_rows\"");
    let plan = lake.plan(&config, &["egress_spikes"], window).await.unwrap();
    assert!(plan.tables[0].past.is_none());
}
