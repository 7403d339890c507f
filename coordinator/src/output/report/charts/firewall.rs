//! Charts of the firewall suite: those of its notebook.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hindcast_common::Result;
use hindcast_common::config::Config;
use hindcast_common::findings::Row;
use hindcast_common::time::MICROS_PER_SECOND;
use serde_json::{Value, json};

use super::areas::areas;
use super::bars::{MOST_BARS, stacked};
use super::points::{Point, Series, cut, first_by, points};
use super::{BLUE, COLOURS, Chart, GREY, RED, label, long_label, number, text_or};
use crate::output::report::told;
use crate::scan::ResultTable;

const NONE: &str = "(none)";

fn class_colour(class: &str) -> &'static str {
    match class {
        "TRAFFIC" => BLUE,
        "THREAT" => RED,
        _ => GREY,
    }
}

fn pair(row: &Row<'_>) -> String {
    format!("{} \u{2192} {}", text_or(row, "source_ip", NONE), text_or(row, "destination_ip", NONE))
}

/// Ring of classes, and around it their actions.
pub(super) fn traffic_overview(rows: &[Row<'_>]) -> Option<Chart> {
    let parts = rows
        .iter()
        .map(|row| (text_or(row, "event_class", NONE), text_or(row, "action", NONE), number(row, "events")));
    let mut tree = Tree::default();
    parts.for_each(|(class, action, events)| tree.add(class, action, events, class_colour(class)));
    Some(tree.chart("Events by class and action", "sunburst", "events", 420))
}

/// Boxes of protocols, and in them their ports.
pub(super) fn port_usage(rows: &[Row<'_>]) -> Option<Chart> {
    let mut tree = Tree::default();
    let mut colours: BTreeMap<&str, &'static str> = BTreeMap::new();
    for row in rows {
        let protocol = text_or(row, "protocol", NONE);
        let next = COLOURS[colours.len() % COLOURS.len()];
        let colour = *colours.entry(protocol).or_insert(next);
        let port =
            row.integer("destination_port").map_or_else(|| "no port".to_owned(), |port| port.to_string());
        tree.add(protocol, &port, number(row, "sessions"), colour);
    }
    Some(tree.chart("Sessions by protocol and destination port", "treemap", "sessions", 440))
}

/// Two levels of labels with values, for a sunburst or a treemap.
#[derive(Default)]
struct Tree {
    inner: BTreeMap<String, (f64, &'static str)>,
    outer: Vec<(String, String, f64)>,
}

impl Tree {
    fn add(&mut self, inner: &str, outer: &str, value: f64, colour: &'static str) {
        self.inner.entry(inner.to_owned()).or_insert((0.0, colour)).0 += value;
        self.outer.push((inner.to_owned(), outer.to_owned(), value));
    }

    fn chart(self, title: &str, kind: &str, what: &str, height: usize) -> Chart {
        let place: BTreeMap<&String, usize> =
            self.inner.keys().enumerate().map(|(index, key)| (key, index)).collect();
        let (mut ids, mut labels, mut parents, mut values, mut colours) =
            (vec![], vec![], vec![], vec![], vec![]);
        for (name, (total, colour)) in &self.inner {
            ids.push(format!("{}", place[name]));
            labels.push(label(name));
            parents.push(String::new());
            values.push(*total);
            colours.push((*colour).to_owned());
        }
        for (index, (parent, name, value)) in self.outer.iter().enumerate() {
            ids.push(format!("{}/{index}", place[parent]));
            labels.push(label(name));
            parents.push(format!("{}", place[parent]));
            values.push(*value);
            colours.push(self.inner[parent].1.to_owned());
        }
        Chart::new(title, height)
            .with(json!({
                "type": kind,
                "ids": ids,
                "labels": labels,
                "parents": parents,
                "values": values,
                "branchvalues": "total",
                "textinfo": "label+percent root",
                "hovertemplate": format!("%{{label}}: %{{value:,}} {what}, %{{percentRoot:.1%}}<extra></extra>"),
                "marker": { "colors": colours, "line": { "width": 1.5, "color": "rgba(128,128,128,0.6)" } },
                "insidetextorientation": "horizontal",
                "tiling": { "pad": 2 },
                "pathbar": { "visible": false },
            }))
            .laid_out(json!({ "margin": { "l": 8, "r": 8, "t": 8, "b": 8 }, "uniformtext": { "minsize": 9, "mode": "hide" } }))
    }
}

pub(super) fn event_timeline(rows: &[Row<'_>], config: &Config) -> Option<Chart> {
    let bin_us = config.event_timeline.bin_minutes.max(1) * 60 * MICROS_PER_SECOND;
    let values = rows.iter().filter_map(|row| {
        Some((row.micros("time_bin")?, text_or(row, "event_class", NONE).to_owned(), number(row, "events")))
    });
    areas("Events over time by class", "events", bin_us, values)
}

/// Sessions and megabytes of the busiest pairs, side by side.
pub(super) fn top_talkers(rows: &[Row<'_>]) -> Option<Chart> {
    let rows = &rows[..rows.len().min(MOST_BARS)];
    let positions: Vec<usize> = (0..rows.len()).collect();
    let names: Vec<String> = rows.iter().map(|row| label(&pair(row))).collect();
    let bar = |name: &str, column: &str, colour: &str, axis: &str| {
        json!({
            "type": "bar", "orientation": "h", "name": name, "xaxis": axis, "y": positions,
            "x": rows.iter().map(|row| number(row, column)).collect::<Vec<_>>(),
            "customdata": rows.iter().map(|row| long_label(&pair(row))).collect::<Vec<_>>(),
            "hovertemplate": format!("%{{customdata}}: %{{x:,}} {name}<extra></extra>"),
            "marker": { "color": colour },
        })
    };
    let chart = Chart::new("Pairs with the most sessions", 90 + 24 * rows.len())
        .with(bar("sessions", "sessions", BLUE, "x"))
        .with(bar("MB", "total_mb", RED, "x2"))
        .laid_out(json!({
            "showlegend": false,
            "bargap": 0.25,
            "xaxis": { "domain": [0, 0.48], "title": { "text": "sessions" }, "nticks": 4 },
            "xaxis2": { "domain": [0.52, 1], "title": { "text": "MB, both ways", "standoff": 8 }, "automargin": true, "zeroline": false, "nticks": 4 },
            "yaxis": { "autorange": "reversed", "tickvals": positions, "ticktext": names, "showgrid": false },
        }));
    Some(chart)
}

/// Mean gap against jitter: the lower, the more of a clock.
pub(super) fn beaconing(rows: &[Row<'_>]) -> Option<Chart> {
    let (rows, note) = cut(rows.to_vec(), "pairs, those of the least jitter");
    let point = |row: &Row<'_>| Point {
        x: number(row, "avg_delta").into(),
        y: number(row, "jitter").into(),
        amount: number(row, "intervals"),
        shade: number(row, "jitter"),
        told: format!(
            "{}<br>{} gaps of {} s, jitter {}",
            long_label(&pair(row)),
            told::decimal(number(row, "intervals")),
            told::decimal(number(row, "avg_delta")),
            told::decimal(number(row, "jitter")),
        ),
    };
    let series = Series { name: String::new(), colour: None, points: rows.iter().map(point).collect() };
    let scale = json!({ "scale": [[0, "#d9534f"], [0.5, "#e09b2d"], [1, "#2f9e6e"]], "title": "jitter" });
    let chart = points("Regular sessions: jitter by gap", 400, vec![series], &scale);
    Some(chart.noted("area: number of gaps").noted(note).laid_out(json!({
        "xaxis": { "type": "log", "title": { "text": "mean gap, seconds" } },
        "yaxis": { "title": { "text": "jitter (deviation / mean)" }, "rangemode": "tozero" },
    })))
}

/// Beacon score against interval, with the score from which a pair is a finding.
pub(super) fn beacon_scores(rows: &[Row<'_>], config: &Config) -> Option<Chart> {
    let (rows, note) = cut(rows.to_vec(), "pairs, those of the highest score");
    let point = |row: &Row<'_>| Point {
        x: number(row, "interval_s").into(),
        y: number(row, "score").into(),
        amount: number(row, "beats"),
        shade: number(row, "score"),
        told: format!(
            "{}<br>{} beats every {} s, score {}",
            long_label(&pair(row)),
            told::decimal(number(row, "beats")),
            told::decimal(number(row, "interval_s")),
            told::decimal(number(row, "score")),
        ),
    };
    let series = Series { name: String::new(), colour: Some(BLUE), points: rows.iter().map(point).collect() };
    let least = config.beacon_scores.min_score;
    let chart = points("Beacon scores by interval", 400, vec![series], &Value::Null);
    Some(chart.noted("area: number of beats").noted(note).laid_out(json!({
        "xaxis": { "type": "log", "title": { "text": "interval, seconds" } },
        "yaxis": { "title": { "text": "score" }, "range": [0, 1.05] },
        "shapes": [limit_line(least)],
        "annotations": [limit_text(least, format!("a finding from {}", told::decimal(least)))],
    })))
}

fn limit_line(y: f64) -> Value {
    json!({ "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": { "color": RED, "width": 1.5, "dash": "dash" } })
}

fn limit_text(y: f64, text: String) -> Value {
    json!({ "xref": "paper", "x": 1, "xanchor": "right", "y": y, "yanchor": "bottom", "showarrow": false, "text": text })
}

/// Mean and largest DNS payload by source, with the size from which it looks like a tunnel.
pub(super) fn dns_tunneling(rows: &[Row<'_>], config: &Config) -> Option<Chart> {
    let shown = &rows[..rows.len().min(MOST_BARS)];
    let positions: Vec<usize> = (0..shown.len()).collect();
    let limit = config.dns_tunneling.max_average_bytes;
    let bar = |name: &str, column: &str, colour: &str| {
        json!({
            "type": "bar", "name": name, "x": positions,
            "y": shown.iter().map(|row| number(row, column).round()).collect::<Vec<_>>(),
            "customdata": shown.iter().map(|row| long_label(text_or(row, "source_ip", NONE))).collect::<Vec<_>>(),
            "hovertemplate": format!("%{{customdata}}: %{{y:,}} bytes, {name}<extra></extra>"),
            "marker": { "color": colour },
        })
    };
    let names: Vec<String> = shown.iter().map(|row| label(text_or(row, "source_ip", NONE))).collect();
    let chart = Chart::new("DNS payloads by source", 380)
        .noted(told::cut(shown.len(), rows.len(), "sources, those of the largest mean"))
        .with(bar("mean sent", "avg_sent_bytes", BLUE))
        .with(bar("largest sent", "max_sent_bytes", "#9dbdeb"))
        .laid_out(json!({
            "barmode": "group",
            "xaxis": { "tickvals": positions, "ticktext": names, "tickangle": -45, "showgrid": false },
            "yaxis": { "title": { "text": "bytes" }, "rangemode": "tozero" },
            "shapes": [limit_line(limit)],
            "annotations": [limit_text(limit, format!("{} bytes: a tunnel above it", told::decimal(limit)))],
        }));
    Some(chart)
}

/// Megabytes sent against how many more they are than those received.
pub(super) fn data_exfiltration(rows: &[Row<'_>]) -> Option<Chart> {
    let (rows, note) = cut(rows.to_vec(), "pairs, those that sent most");
    let point = |row: &Row<'_>| Point {
        x: number(row, "total_sent_mb").into(),
        y: number(row, "ratio").into(),
        amount: number(row, "sessions"),
        shade: 0.0,
        told: format!(
            "{}<br>{} MB sent, {} MB received, {} sessions",
            long_label(&pair(row)),
            told::decimal(number(row, "total_sent_mb")),
            told::decimal(number(row, "total_received_mb")),
            told::decimal(number(row, "sessions")),
        ),
    };
    let series = Series { name: String::new(), colour: Some(RED), points: rows.iter().map(point).collect() };
    let chart = points("Large transfers: sent by ratio", 400, vec![series], &Value::Null);
    Some(chart.noted("area: sessions").noted(note).laid_out(json!({
        "xaxis": { "type": "log", "title": { "text": "MB sent" } },
        "yaxis": { "type": "log", "title": { "text": "sent / received" } },
    })))
}

pub(super) fn threat_breakdown(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows.iter().map(|row| {
        let (activity, action) = (text_or(row, "activity", NONE), text_or(row, "action", NONE));
        (activity.to_owned(), action.to_owned(), number(row, "events"))
    });
    stacked("Threats by activity and action", "events", values)
}

/// Every suspicious event: when, to which port, how much was sent.
///
/// # Errors
/// Where a long table can't be read.
pub(super) fn attack_timeline(table: &ResultTable) -> Result<Option<Chart>> {
    let (batch, all) = first_by(table, |row| {
        row.integer("destination_port")?;
        let is_threat = text_or(row, "event_class", NONE) == "THREAT";
        Some((Reverse(is_threat), Reverse(row.integer("bytes_sent").unwrap_or_default())))
    })?;
    let rows: Vec<Row<'_>> = (0..batch.num_rows()).map(|index| Row::new(&batch, index)).collect();
    let note = told::cut(rows.len(), all, "events, threats first, then those that sent most");
    let point = |row: &Row<'_>| Point {
        x: told::instant(row.micros("time_generated").unwrap_or_default()).into(),
        y: row.integer("destination_port").unwrap_or_default().into(),
        amount: number(row, "bytes_sent"),
        shade: 0.0,
        told: format!(
            "{}<br>{}<br>{} ({}), port {}, {} bytes sent",
            told::instant(row.micros("time_generated").unwrap_or_default()),
            long_label(&pair(row)),
            long_label(text_or(row, "activity", NONE)),
            long_label(text_or(row, "action", NONE)),
            row.integer("destination_port").unwrap_or_default(),
            told::decimal(number(row, "bytes_sent")),
        ),
    };
    let mut of_class: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    rows.iter()
        .for_each(|row| of_class.entry(text_or(row, "event_class", NONE)).or_default().push(point(row)));
    // Few threats among much traffic are drawn last, on top.
    let series = of_class.into_iter().rev().map(|(class, points)| Series {
        name: class.to_owned(),
        colour: Some(class_colour(class)),
        points,
    });
    let series: Vec<Series> = series.collect();
    let is_empty = series.is_empty();
    let chart = points("Suspicious events over time", 440, series, &Value::Null);
    let chart = chart.noted("area: bytes sent").noted(note).laid_out(json!({
        "showlegend": true,
        "xaxis": { "type": "date" },
        "yaxis": { "type": "log", "title": { "text": "destination port" }, "tickvals": [22, 53, 80, 443, 1_000, 3_389, 8_080, 20_000, 65_535], "tickformat": "d" },
    }));
    Ok((!is_empty).then_some(chart))
}
