//! Compares the `notebook` preset with the results of the notebooks' code in Spark.
//!
//! `notebook_parity/recorded` has a small lake and the notebooks' frames of it, one JSON file per frame. `HINDCAST_PARITY_LAKE` and
//! `HINDCAST_PARITY_FRAMES` name larger ones to compare instead (`just parity`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{hindcast, read_json, stderr};

/// A notebook's frame, the corresponding table, and the pairs of columns to compare.
struct Pair {
    frame: &'static str,
    table: &'static str,
    columns: &'static [(&'static str, &'static str)],
    /// The column that orders a limited frame: rows that tie with the last one may be any of those.
    cut_by: Option<&'static str>,
}

const PAIRS: [Pair; 13] = [
    Pair {
        frame: "compression_findings",
        table: "compression_staging",
        columns: &[
            ("DeviceName", "device_name"),
            ("InitiatingProcessAccountName", "account_name"),
            ("ProcessCommandLine", "command_line"),
            ("Timestamp", "timestamp"),
            ("InitiatingProcessParentFileName", "parent_file_name"),
            ("StagedFileName", "staged_file_name"),
            ("StagedFolderPath", "staged_folder_path"),
            ("StagedFileTimestamp", "staged_file_timestamp"),
        ],
        cut_by: None,
    },
    Pair {
        frame: "cli_uploads",
        table: "cli_storage_uploads",
        columns: &[
            ("Timestamp", "timestamp"),
            ("DeviceName", "device_name"),
            ("InitiatingProcessAccountName", "account_name"),
            ("ProcessCommandLine", "command_line"),
            ("RemoteUrl", "remote_url"),
            ("BytesSent", "bytes_sent"),
        ],
        cut_by: None,
    },
    Pair {
        frame: "egress_spikes",
        table: "egress_spikes",
        columns: &[
            ("DeviceName", "device_name"),
            ("Hour", "hour"),
            ("BytesSent", "bytes_sent"),
            ("RollingAvg", "baseline"),
        ],
        cut_by: None,
    },
    Pair {
        frame: "storage_audit_events",
        table: "storage_audit",
        columns: &[
            ("TimeGenerated", "time_generated"),
            ("OperationName", "operation_name"),
            ("ResultDescription", "result_description"),
            ("InitiatedBy", "initiated_by"),
            ("TargetResources", "target_resources"),
        ],
        cut_by: None,
    },
    Pair {
        frame: "df_overview",
        table: "traffic_overview",
        columns: &[
            ("DeviceEventClassID", "event_class"),
            ("SimplifiedDeviceAction", "action"),
            ("count", "events"),
        ],
        cut_by: None,
    },
    Pair {
        frame: "df_timeline",
        table: "event_timeline",
        columns: &[("TimeBin", "time_bin"), ("DeviceEventClassID", "event_class"), ("count", "events")],
        cut_by: None,
    },
    Pair {
        frame: "df_talkers",
        table: "top_talkers",
        columns: &[
            ("SourceIP", "source_ip"),
            ("DestinationIP", "destination_ip"),
            ("Sessions", "sessions"),
            ("TotalBytesSent", "bytes_sent"),
            ("TotalBytesRecv", "bytes_received"),
            ("TotalMB", "total_mb"),
        ],
        cut_by: Some("sessions"),
    },
    Pair {
        frame: "df_ports",
        table: "port_usage",
        columns: &[("DestPort", "destination_port"), ("Protocol", "protocol"), ("Sessions", "sessions")],
        cut_by: Some("sessions"),
    },
    Pair {
        frame: "df_beacon",
        table: "beaconing",
        columns: &[
            ("SourceIP", "source_ip"),
            ("DestinationIP", "destination_ip"),
            ("AvgDelta", "avg_delta"),
            ("StdDelta", "std_delta"),
            ("MinDelta", "min_delta"),
            ("MaxDelta", "max_delta"),
            ("Intervals", "intervals"),
            ("Jitter", "jitter"),
        ],
        cut_by: None,
    },
    Pair {
        frame: "df_dns",
        table: "dns_tunneling",
        columns: &[
            ("SourceIP", "source_ip"),
            ("QueryCount", "query_count"),
            ("TotalBytesSent", "total_bytes_sent"),
            ("TotalBytesRecv", "total_bytes_received"),
            ("AvgSentBytes", "avg_sent_bytes"),
            ("MaxSentBytes", "max_sent_bytes"),
            ("DistinctDests", "distinct_destinations"),
        ],
        cut_by: None,
    },
    Pair {
        frame: "df_exfil",
        table: "data_exfiltration",
        columns: &[
            ("SourceIP", "source_ip"),
            ("DestinationIP", "destination_ip"),
            ("Sessions", "sessions"),
            ("TotalSentMB", "total_sent_mb"),
            ("TotalRecvMB", "total_received_mb"),
            ("MaxSingleSentMB", "max_single_sent_mb"),
            ("FirstSeen", "first_seen"),
            ("LastSeen", "last_seen"),
            ("Ratio", "ratio"),
        ],
        cut_by: Some("total_sent_mb"),
    },
    Pair {
        frame: "df_threats",
        table: "threat_breakdown",
        columns: &[
            ("Activity", "activity"),
            ("SimplifiedDeviceAction", "action"),
            ("LogSeverity", "severity"),
            ("Count", "events"),
        ],
        cut_by: None,
    },
    Pair {
        frame: "df_attack",
        table: "attack_timeline",
        columns: &[
            ("TimeGenerated", "time_generated"),
            ("DeviceEventClassID", "event_class"),
            ("Activity", "activity"),
            ("SimplifiedDeviceAction", "action"),
            ("SourceIP", "source_ip"),
            ("DestinationIP", "destination_ip"),
            ("DestinationPort", "destination_port"),
            ("SentBytes", "bytes_sent"),
            ("ReceivedBytes", "bytes_received"),
            ("ApplicationProtocol", "application_protocol"),
            ("SourceUserName", "source_user_name"),
        ],
        cut_by: None,
    },
];

#[test]
fn every_table_equals_the_notebooks_frame() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/notebook_parity/recorded");
    let place =
        |variable: &str, name: &str| std::env::var_os(variable).map_or(recorded.join(name), PathBuf::from);
    let (lake, frames) = (place("HINDCAST_PARITY_LAKE", "lake"), place("HINDCAST_PARITY_FRAMES", "frames"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let output = hindcast(&format!(
        "scan --lake {} --out {} --no-cache --preset notebook --format json",
        lake.display(),
        out.display()
    ));
    assert!(output.status.success(), "{}", stderr(&output));
    for pair in PAIRS {
        let frame: Vec<Value> = read_json(&frames.join(format!("{}.json", pair.frame)));
        let table: Vec<Value> = read_json(&out.join("tables").join(format!("{}.json", pair.table)));
        compare(&pair, &frame, &table);
        println!("{}: {} rows, equal to {}", pair.table, table.len(), pair.frame);
    }
}

fn compare(pair: &Pair, frame: &[Value], table: &[Value]) {
    assert_eq!(frame.len(), table.len(), "rows of {}", pair.table);
    let last = pair.cut_by.and_then(|column| table.last().map(|row| plain(&row[column])));
    let is_certain =
        |row: &BTreeMap<&str, String>| pair.cut_by.is_none_or(|column| last.as_ref() != Some(&row[column]));
    let rows = |side: &[Value], name_of: fn(&(&'static str, &'static str)) -> &'static str| {
        let cells = |row: &Value| -> BTreeMap<&str, String> {
            pair.columns.iter().map(|names| (names.1, plain(&row[name_of(names)]))).collect()
        };
        let mut rows: Vec<_> = side.iter().map(cells).filter(is_certain).collect();
        rows.sort();
        rows
    };
    let (expected, actual) = (rows(frame, |names| names.0), rows(table, |names| names.1));
    for (expected, actual) in expected.iter().zip(&actual) {
        assert_eq!(expected, actual, "a row of {}", pair.table);
    }
    assert_eq!(expected.len(), actual.len(), "certain rows of {}", pair.table);
}

/// A cell as normalised text: numbers to nine digits, times without zone and trailing zeros. The notebook writes 0 for null bytes of
/// its attack timeline, and ports as text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => number(0.0),
        Value::Number(value) => number(value.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => match text.parse::<f64>() {
            Ok(value) => number(value),
            Err(_) if is_time(text) => {
                let bare = text.trim_end_matches('Z');
                if bare.contains('.') {
                    bare.trim_end_matches('0').trim_end_matches('.').into()
                } else {
                    bare.into()
                }
            }
            Err(_) => text.clone(),
        },
        other => other.to_string(),
    }
}

fn number(value: f64) -> String {
    format!("{value:.8e}")
}

fn is_time(text: &str) -> bool {
    text.len() >= 19 && text.as_bytes()[10] == b'T' && text.as_bytes()[4] == b'-'
}
