//! Tests of findings: which rows are findings, and which rows are one finding.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::DataType;
use serde_json::json;

use super::*;
use crate::Detections;

const HOUR_US: i64 = 3_600 * MICROS_PER_SECOND;

fn config() -> Config {
    Config::load("default", &[]).unwrap()
}

fn analysis(id: &str) -> &'static Analysis {
    Detections::built_in().by_id(id).unwrap()
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringViewArray::from(values.to_vec()))
}

fn times(values: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC"))
}

/// Rows of `egress_spikes`: hour, device, bytes and ratio.
fn spikes(rows: &[(i64, &str, i64, Option<f64>)]) -> RecordBatch {
    let hours: Vec<i64> = rows.iter().map(|row| row.0 * HOUR_US).collect();
    let devices: Vec<Option<&str>> = rows.iter().map(|row| Some(row.1)).collect();
    batch([
        ("hour", times(&hours)),
        ("device_name", texts(&devices)),
        ("bytes_sent", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>())),
        ("ratio", Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>())),
        ("_hours_seen", Arc::new(Int64Array::from(vec![24; rows.len()]))),
        ("baseline", new_null_array(&DataType::Float64, rows.len())),
        ("_score", new_null_array(&DataType::Float64, rows.len())),
        ("_similar", new_null_array(&DataType::Int64, rows.len())),
        ("_period", new_null_array(&DataType::Int64, rows.len())),
        ("_destination", texts(&vec![Some("203.0.113.9"); rows.len()])),
        ("_destination_bytes", Arc::new(Int64Array::from(vec![7; rows.len()]))),
        ("_destination_days", Arc::new(Int64Array::from(vec![0; rows.len()]))),
        ("_call_bytes", new_null_array(&DataType::Int64, rows.len())),
    ])
}

/// Rows of `dns_tunneling`: source, average bytes, first and last hour.
fn tunnels(rows: &[(Option<&str>, Option<f64>, i64, i64)]) -> RecordBatch {
    let sources: Vec<Option<&str>> = rows.iter().map(|row| row.0).collect();
    let first: Vec<i64> = rows.iter().map(|row| row.2 * HOUR_US).collect();
    let last: Vec<i64> = rows.iter().map(|row| row.3 * HOUR_US).collect();
    batch([
        ("source_ip", texts(&sources)),
        ("query_count", Arc::new(Int64Array::from(vec![30; rows.len()]))),
        ("avg_sent_bytes", Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>())),
        ("max_sent_bytes", Arc::new(Int64Array::from(vec![900; rows.len()]))),
        ("total_bytes_sent", Arc::new(Int64Array::from(vec![9_000; rows.len()]))),
        ("total_bytes_received", new_null_array(&DataType::Int64, rows.len())),
        ("distinct_destinations", Arc::new(Int64Array::from(vec![2; rows.len()]))),
        ("_first_seen", times(&first)),
        ("_last_seen", times(&last)),
    ])
}

#[test]
fn rows_of_the_same_entities_and_hour_are_one_finding() {
    let rows = spikes(&[
        (2, "WS-1.corp.example", 100, Some(3.0)),
        (2, "ws-1.corp.example", 500, Some(25.0)),
        (3, "ws-1.corp.example", 7, None),
        (2, "ws-1", 9, Some(4.0)),
    ]);
    let findings = findings_of(analysis("egress_spikes"), &rows, &config()).unwrap();
    let summary: Vec<_> = findings.iter().map(|one| (one.severity, one.confidence, one.rows)).collect();
    let (high, medium) = (Severity::High, Severity::Medium);
    assert_eq!(summary, [(high, 68, 2), (medium, 68, 1), (medium, 68, 1)]);

    let strongest = &findings[0];
    assert_eq!(
        strongest.explanation,
        "500 B sent in the hour, 25.0 times the 0 B of the preceding hours; 7 B of it to 203.0.113.9, to which the device did not send before. A backup, an upload or a call that comes at other times looks the same (2 rows in all)"
    );
    assert_eq!(
        strongest.evidence,
        json!({ "hour": "1970-01-01T02:00:00Z", "device_name": "ws-1.corp.example", "bytes_sent": 500, "ratio": 25.0, "baseline": null,
                "score": null, "similar": null, "destination": "203.0.113.9", "destination_bytes": 7, "destination_days": 0 })
    );
    assert_eq!(strongest.first_seen.as_deref(), Some("1970-01-01T02:00:00Z"));
    assert!(findings[1].explanation.starts_with("7 B sent in the hour, after hours without any; "));
    assert_eq!((strongest.analysis.as_str(), strongest.suite), ("egress_spikes", Suite::Exfiltration));
    assert_eq!(strongest.tactic(), Some(Tactic::Exfiltration));

    let names: Vec<&NamedEntity> = findings.iter().flat_map(|finding| &finding.entities).collect();
    assert!(names.iter().all(|entity| entity.name == "ws-1" && entity.kind == EntityKind::Device));
    assert_eq!(names[2].full_name, None);
}

#[test]
fn ids_depend_only_on_analysis_entities_and_period() {
    let of = |rows: &RecordBatch| findings_of(analysis("egress_spikes"), rows, &config()).unwrap();
    let one = of(&spikes(&[(2, "ws-1.corp.example", 100, Some(3.0))]));
    let again = of(&spikes(&[(2, "WS-1.CORP.EXAMPLE", 900, Some(30.0))]));
    assert_eq!((one[0].id.len(), &one[0].id), (24, &again[0].id));
    let others = of(&spikes(&[(3, "ws-1.corp.example", 100, None), (2, "ws-1.other.example", 100, None)]));
    let ids = BTreeSet::from([&one[0].id, &others[0].id, &others[1].id]);
    assert_eq!(ids.len(), 3, "another hour and another domain are other findings");
}

#[test]
fn only_rows_that_satisfy_the_rule_are_findings() {
    let rows = tunnels(&[
        (Some("10.0.0.1"), Some(512.0), 1, 2),
        (Some("10.0.0.2"), Some(900.0), 5, 6),
        (Some("10.0.0.3"), None, 1, 2),
        (Some("10.0.0.2"), Some(600.0), 1, 9),
        (None, Some(700.0), 1, 2),
    ]);
    let findings = findings_of(analysis("dns_tunneling"), &rows, &config()).unwrap();
    assert_eq!(findings.iter().map(|one| one.rows).collect::<Vec<_>>(), [2, 1]);
    // The period is the window: the first and the last time of both rows count.
    let times = (findings[0].first_seen.as_deref(), findings[0].last_seen.as_deref());
    assert_eq!(times, (Some("1970-01-01T01:00:00Z"), Some("1970-01-01T09:00:00Z")));
    assert_eq!(findings[0].confidence, 53);
    assert!(findings[1].entities.is_empty());
    assert!(findings_of(analysis("top_talkers"), &rows, &config()).unwrap().is_empty(), "it has no rule");
}

#[test]
fn entities_of_findings_and_of_candidates_have_canonical_names() {
    let rows = tunnels(&[
        (Some("10.0.0.1:53"), Some(1.0), 1, 2),
        (Some("::ffff:10.0.0.2"), Some(900.0), 1, 2),
        (Some("<null>"), Some(900.0), 1, 2),
    ]);
    let rule = analysis("dns_tunneling").finding.as_ref().unwrap();
    let names = |addresses: &[&str]| -> BTreeSet<(EntityKind, String)> {
        addresses.iter().map(|address| (EntityKind::Ip, (*address).to_owned())).collect()
    };
    assert_eq!(candidate_entities(rule, &rows), names(&["10.0.0.1", "10.0.0.2"]));
    let findings = findings_of(analysis("dns_tunneling"), &rows, &config()).unwrap();
    assert_eq!(finding_entities(&findings), names(&["10.0.0.2"]));
    let side_table = wanted_rows(&names(&["10.0.0.2"])).unwrap();
    let row = Row::new(&side_table, 0);
    assert_eq!((row.text("kind"), row.text("name")), (Some("ip"), Some("10.0.0.2")));
}

#[test]
fn prevalence_sums_the_counts_of_shards() {
    let answers = batch([
        ("name", texts(&[Some("192.0.2.1"), None, Some("192.0.2.2"), None, Some("192.0.2.1")])),
        ("sources", Arc::new(Int64Array::from(vec![Some(2), Some(5), Some(1), Some(4), None]))),
    ]);
    let prevalence = Prevalence::of_rows(&answers);
    assert_eq!(prevalence.total, 9);
    let of = |kind, name| prevalence.of(&Entity::of(kind, name).unwrap());
    assert_eq!(of(EntityKind::Ip, "192.0.2.1"), Some(2));
    assert_eq!((of(EntityKind::Ip, "192.0.2.9"), of(EntityKind::Url, "192.0.2.1")), (None, None));
    let rows = prevalence.rows().unwrap();
    assert_eq!(rows.num_rows(), 2);
    let last = Row::new(&rows, 1);
    assert_eq!((last.text("kind"), last.text("name")), (Some("ip"), Some("192.0.2.2")));
    assert_eq!((last.integer("distinct_sources"), last.integer("total_sources")), (Some(1), Some(9)));
}

#[test]
fn rows_of_other_operations_are_findings_of_their_own_and_have_other_ids() {
    let rows = |operations: &[Option<&str>]| {
        let length = operations.len();
        batch([
            ("time_generated", times(&vec![HOUR_US; length])),
            ("operation_name", texts(operations)),
            ("target_resources", new_null_array(&DataType::Utf8View, length)),
            ("_initiator", texts(&vec![Some("eve@contoso.com"); length])),
            ("_initiator_address", new_null_array(&DataType::Utf8View, length)),
        ])
    };
    let of = |operations: &[Option<&str>]| {
        findings_of(analysis("storage_audit"), &rows(operations), &config()).unwrap()
    };
    let findings = of(&[Some("ListKeys"), Some("SetServiceProperties"), Some("ListKeys"), None]);
    assert_eq!(findings.iter().map(|finding| finding.rows).collect::<Vec<_>>(), [2, 1, 1]);
    let ids: BTreeSet<&String> = findings.iter().map(|finding| &finding.id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(of(&[Some("SetServiceProperties")])[0].id, findings[1].id);
}
