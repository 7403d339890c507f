//! Tests of charts with hostile text and with many rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use hindcast_detections::config::Config;
use hindcast_detections::{ColumnType, Detections};
use hindcast_scan::ResultTable;

use super::points::MOST_POINTS;
use super::*;

const HOSTILE: &str = "<a href='javascript:alert(1)'>x</a><b>&lt;";

fn table(name: &str, columns: Vec<(&str, ArrayRef)>) -> ResultTable {
    ResultTable::held(name, &[RecordBatch::try_from_iter(columns).unwrap()]).unwrap()
}

fn texts(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from(vec![text; rows]))
}

fn numbers(rows: usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(1..=rows as i64))
}

fn times(rows: usize) -> ArrayRef {
    Arc::new(
        TimestampMicrosecondArray::from_iter_values((0..rows as i64).map(|n| n * 1_000_000))
            .with_timezone("UTC"),
    )
}

fn draw(table: &ResultTable) -> Vec<Chart> {
    of_table(table, &Config::load("default", &[]).unwrap()).unwrap()
}

#[test]
fn text_of_a_log_is_escaped_for_plotly() {
    let overview = table(
        "traffic_overview",
        vec![("event_class", texts(HOSTILE, 1)), ("action", texts(HOSTILE, 1)), ("events", numbers(1))],
    );
    let threats = table(
        "threat_breakdown",
        vec![("activity", texts(HOSTILE, 1)), ("action", texts(HOSTILE, 1)), ("events", numbers(1))],
    );
    let matrix = table(
        "operation_matrix_by_ip",
        vec![("ip", texts(HOSTILE, 1)), ("operation", texts(HOSTILE, 1)), ("operations", numbers(1))],
    );
    for table in [overview, threats, matrix] {
        let charts = draw(&table);
        assert_eq!(charts.len(), 1, "{}", table.name);
        let data = serde_json::to_string(&(&charts[0].data, &charts[0].layout)).unwrap();
        assert!(!data.contains("<a") && !data.contains("<b>") && data.contains("&lt;a href"), "{data}");
    }
}

#[test]
fn a_chart_of_too_many_events_has_a_note() {
    let rows = MOST_POINTS + 500;
    let timeline = table(
        "attack_timeline",
        vec![
            ("time_generated", times(rows)),
            ("event_class", texts("TRAFFIC", rows)),
            ("activity", texts("end", rows)),
            ("action", texts("Allowed", rows)),
            ("source_ip", texts("10.0.0.1", rows)),
            ("destination_ip", texts("203.0.113.1", rows)),
            ("destination_port", numbers(rows)),
            ("bytes_sent", numbers(rows)),
        ],
    );
    let chart = draw(&timeline).remove(0);
    assert_eq!(chart.data[0]["x"].as_array().map(Vec::len), Some(MOST_POINTS));
    assert!(chart.note.contains("showing 3,000 of 3,500 events"), "{}", chart.note);
}

#[test]
fn long_labels_are_truncated_on_axes_but_not_in_tooltips() {
    let long = "x".repeat(100);
    let threats = table(
        "threat_breakdown",
        vec![("activity", texts(&long, 1)), ("action", texts("Blocked", 1)), ("events", numbers(1))],
    );
    let chart = draw(&threats).remove(0);
    assert_eq!(chart.data[0]["customdata"][0], long.as_str());
    let tick = chart.layout["yaxis"]["ticktext"][0].as_str().unwrap();
    assert_eq!(tick.chars().count(), LABEL_CHARACTERS);
}

#[test]
fn a_table_without_rows_has_no_chart() {
    assert!(draw(&table("threat_breakdown", vec![("activity", texts("", 0))])).is_empty());
}

#[test]
fn every_chart_of_a_detection_is_drawn_even_from_nulls() {
    for analysis in Detections::built_in().all() {
        let charts = analysis.about.charts.iter().filter(|chart| chart.table().is_none()).count();
        let columns = analysis.about.columns.iter().map(|column| {
            let values: ArrayRef = match column.kind {
                ColumnType::Text => Arc::new(StringArray::from(vec![Some("a"), Some(""), None])),
                ColumnType::Integer => Arc::new(Int64Array::from(vec![Some(7), Some(0), None])),
                ColumnType::Float => Arc::new(Float64Array::from(vec![Some(0.5), Some(0.0), None])),
                ColumnType::Boolean => Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
                ColumnType::Time => {
                    let times = TimestampMicrosecondArray::from(vec![Some(0), Some(1), None]);
                    Arc::new(times.with_timezone("UTC"))
                }
            };
            (column.name, values)
        });
        if charts == 0 {
            continue;
        }
        let drawn = draw(&table(analysis.id, columns.collect()));
        assert_eq!(drawn.len(), charts, "{}", analysis.id);
        let text = serde_json::to_string(&drawn.iter().map(|chart| &chart.data).collect::<Vec<_>>()).unwrap();
        assert!(!text.contains("invalid operation"), "{}: {text}", analysis.id);
    }
}
