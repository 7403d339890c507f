//! A record of each known source as its product writes it, and the resulting row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::support::Place;

struct Case {
    name: &'static str,
    text: String,
    source: &'static str,
    table: &'static str,
    /// Columns of the first row by time.
    row: &'static [(&'static str, &'static str)],
}

fn cases() -> Vec<Case> {
    cloud_cases().into_iter().chain(sensor_cases()).collect()
}

fn cloud_cases() -> Vec<Case> {
    let defender = r#"{"time":"2026-01-05T08:00:01Z","tenantId":"t","operationName":"Publish","category":"AdvancedHunting-DeviceNetworkEvents","properties":{"Timestamp":"2026-01-05T08:00:00.1234567Z","DeviceName":"ws-1","RemoteIP":"198.51.100.7","RemotePort":443,"AdditionalFields":"{\"a\":1}"}}"#;
    let storage = r#"{"time":"2026-01-05T08:00:00Z","resourceId":"/subscriptions/x","category":"StorageWrite","operationName":"PutBlob","statusCode":201,"callerIpAddress":"203.0.113.9:4711","uri":"https://a.blob.core.windows.net/c/b","properties":{"accountName":"a","requestBodySize":1048576}}"#;
    let audit = r#"{"CreationTime":"2026-01-05T08:00:00","Id":"e1","Operation":"FileDownloaded","RecordType":6,"UserType":0,"Workload":"OneDrive","UserId":"ada@corp.example","ClientIP":"203.0.113.9","ObjectId":"https://x/y.docx"}"#;
    let audit_row: &'static [(&str, &str)] = &[
        ("RecordType", "SharePointFileOperation"),
        ("UserType", "Regular"),
        ("OfficeId", "e1"),
        ("OfficeWorkload", "OneDrive"),
        ("UserId", "ada@corp.example"),
    ];
    vec![
        Case {
            name: "stream.json",
            text: format!("{defender}\n"),
            source: "defender-stream",
            table: "DeviceNetworkEvents",
            row: &[
                ("Timestamp", "2026-01-05T08:00:00.123456Z"),
                ("DeviceName", "ws-1"),
                ("RemotePort", "443"),
                (
                    "AdditionalFields",
                    r#"{"a":1,"category":"AdvancedHunting-DeviceNetworkEvents","operationName":"Publish","tenantId":"t","time":"2026-01-05T08:00:01Z"}"#,
                ),
            ],
        },
        Case {
            name: "envelope.json",
            text: format!("{{\"records\": [{defender},\n{defender}]}}"),
            source: "defender-stream",
            table: "DeviceNetworkEvents",
            row: &[("RemoteIP", "198.51.100.7")],
        },
        Case {
            name: "PT1H.json",
            text: format!("{storage}\n"),
            source: "monitor-export",
            table: "StorageBlobLogs",
            row: &[
                ("AccountName", "a"),
                ("OperationName", "PutBlob"),
                ("RequestBodySize", "1048576"),
                ("StatusCode", "201"),
                ("CallerIpAddress", "203.0.113.9:4711"),
            ],
        },
        Case {
            name: "audit.json",
            text: format!("[{audit}]"),
            source: "office-audit",
            table: "OfficeActivity",
            row: audit_row,
        },
        Case {
            name: "audit.csv",
            text: format!(
                "CreationDate,UserIds,Operations,AuditData\n2026-01-05T08:00:00.0000000Z,ada@corp.example,FileDownloaded,\"{}\"\n",
                audit.replace('"', "\"\"")
            ),
            source: "office-audit",
            table: "OfficeActivity",
            row: audit_row,
        },
    ]
}

fn sensor_cases() -> Vec<Case> {
    vec![
        Case {
            name: "fw.log",
            text: "<14>Jan  5 08:00:00 fw1 CEF:0|Palo Alto Networks|PAN-OS|11.1.2|end|TRAFFIC|1|rt=Jan 05 2026 08:00:00 GMT \
                   src=10.0.0.1 dst=198.51.100.7 spt=50000 dpt=443 proto=tcp app=ssl act=reset-both in=34 out=12 \
                   cs1Label=Rule cs1=allow all dvchost=fw1\n"
                .into(),
            source: "cef",
            table: "CommonSecurityLog",
            row: &[
                ("DeviceEventClassID", "TRAFFIC"),
                ("Activity", "end"),
                ("SimplifiedDeviceAction", "Reset"),
                ("DeviceAction", "reset-both"),
                ("SentBytes", "12"),
                ("ReceivedBytes", "34"),
                ("DeviceCustomString1", "allow all"),
                ("DeviceName", "fw1"),
            ],
        },
        Case {
            name: "conn.log",
            text: "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\torig_bytes\tresp_bytes\tconn_state\n\
                   1767600000.250000\tC1\t10.0.0.1\t50000\t198.51.100.7\t443\ttcp\tssl\t12\t-\tSF\n#close\t2026-01-05\n"
                .into(),
            source: "zeek",
            table: "CommonSecurityLog",
            row: &[
                ("TimeGenerated", "2026-01-05T08:00:00.250Z"),
                ("DeviceVendor", "Zeek"),
                ("DeviceEventClassID", "TRAFFIC"),
                ("SourceIP", "10.0.0.1"),
                ("DestinationPort", "443"),
                ("SentBytes", "12"),
                ("ReceivedBytes", ""),
                ("ExternalID", "C1"),
            ],
        },
        Case {
            name: "winlogbeat.ndjson",
            text: r#"{"@timestamp":"2026-01-05T08:00:01Z","winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","event_id":1,"provider_name":"Microsoft-Windows-Sysmon","computer_name":"ws-1.corp.example","event_data":{"UtcTime":"2026-01-05 08:00:00.000","Image":"C:\\Tools\\rclone.exe","CommandLine":"rclone copy x y","User":"CORP\\ada","ProcessId":"7","ParentProcessId":"3","ParentImage":"C:\\Windows\\cmd.exe"}}}"#
                .to_owned() + "\n",
            source: "windows-events",
            table: "DeviceProcessEvents",
            row: &[
                ("Timestamp", "2026-01-05T08:00:00Z"),
                ("DeviceName", "ws-1.corp.example"),
                ("FileName", "rclone.exe"),
                ("ProcessCommandLine", "rclone copy x y"),
                ("InitiatingProcessAccountName", "ada"),
                ("InitiatingProcessId", "3"),
            ],
        },
    ]
}

/// The first row of a table, with all columns as text and without nulls.
pub fn first_row(place: &Place, table: &str) -> BTreeMap<String, String> {
    let date = place.lake().join(table).join("date=2026-01-05");
    row_of(&fs::read_dir(&date).expect("a date").next().expect("a file").expect("an entry").path())
}

/// The first row of a file of a table, likewise.
pub fn row_of(file: &Path) -> BTreeMap<String, String> {
    let reader = ParquetRecordBatchReader::try_new(fs::File::open(file).expect("opened"), 1);
    let batch = reader.expect("a reader").next().expect("a row").expect("a row");
    let schema = batch.schema();
    let texts = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        let text = cast(column, &DataType::Utf8).expect("as text");
        let text = text.as_string::<i32>();
        (field.name().clone(), if text.is_valid(0) { text.value(0).to_owned() } else { String::new() })
    });
    texts.collect()
}

#[test]
fn each_source_is_detected_and_imported() {
    for case in cases() {
        let place = Place::new();
        let path = place.path(case.name);
        fs::write(&path, &case.text).expect("written");
        let report = place.import(&path.display().to_string(), "");
        assert_eq!(report["files"][0]["source"], case.source, "{}: {report}", case.name);
        assert_eq!(report["files"][0]["rejects"], 0, "{}: {report}", case.name);
        let row = first_row(&place, case.table);
        for (column, value) in case.row {
            assert_eq!(
                row.get(*column).map(String::as_str),
                Some(*value),
                "{}: {column} of {row:?}",
                case.name
            );
        }
    }
}
