//! Charts over all suites: the risk by day, and the findings of an incident along the kill chain.

use hindcast_detections::findings::{Finding, Severity, Tactic};
use hindcast_risk::{DayRisk, Level};
use serde_json::{Value, json};

use super::{Chart, long_label};
use crate::output::report::format;

const UNKNOWN_TACTIC: &str = "no tactic";
const SEVERITIES: [(Severity, &str); 4] = [
    (Severity::Critical, "#b03a83"),
    (Severity::High, "#d9534f"),
    (Severity::Medium, "#e09b2d"),
    (Severity::Low, "#5b9bd5"),
];

/// The score and the findings per day.
pub(in super::super) fn risk_by_day(days: &[DayRisk]) -> Option<Chart> {
    let colour = |level: Level| match level {
        Level::High => "#d9534f",
        Level::Medium => "#e09b2d",
        Level::Low => "#5b9bd5",
        Level::NotAssessed | Level::None => "#7d8896",
    };
    // Runs of days without data are left out, because they would only lengthen the axis.
    let days: Vec<&DayRisk> = days.iter().filter(|day| day.through.is_none()).collect();
    let of = |value: &dyn Fn(&DayRisk) -> Value| days.iter().map(|day| value(day)).collect::<Vec<_>>();
    let hover = |day: &DayRisk| {
        let Some(score) = day.score else { return format!("{}: {}", day.date, day.level.name()) };
        format!(
            "{}: {score} of 100, {}, {} findings",
            day.date,
            day.level.name(),
            format::count(day.findings)
        )
    };
    let chart = Chart::new("Risk by day", 260)
        .with(json!({
            "type": "bar",
            "x": of(&|day| day.date.to_string().into()),
            "y": of(&|day| day.score.into()),
            "text": of(&|day| day.score.into()),
            "textposition": if days.len() <= 31 { "outside" } else { "none" },
            "cliponaxis": false,
            "customdata": of(&|day| hover(day).into()),
            "hovertemplate": "%{customdata}<extra></extra>",
            "marker": { "color": of(&|day| colour(day.level).into()) },
        }))
        .with_layout(json!({
            "bargap": 0.3,
            "xaxis": { "type": "date", "dtick": if days.len() <= 14 { json!(86_400_000) } else { Value::Null }, "tickformat": "%d %b", "showgrid": false },
            "yaxis": { "range": [0, 108], "tickvals": [0, 20, 40, 60, 80, 100], "title": { "text": "risk, 0 to 100" } },
        }));
    (!days.is_empty()).then_some(chart)
}

/// The findings of an incident by time (x) and tactic (y). A bar spans the time of the evidence of a finding.
pub(in super::super) fn incident(findings: &[&Finding]) -> Option<Chart> {
    let row_of = |finding: &Finding| finding.tactic().map_or(UNKNOWN_TACTIC, Tactic::title);
    let mut rows: Vec<&str> = Tactic::ALL.map(Tactic::title).to_vec();
    rows.push(UNKNOWN_TACTIC);
    rows.retain(|row| findings.iter().any(|finding| row_of(finding) == *row));
    let chart = Chart::new("Findings along the kill chain", 110 + 46 * rows.len().max(2)).with_layout(json!({
        "hovermode": "closest",
        "xaxis": { "type": "date" },
        "yaxis": { "type": "category", "categoryorder": "array", "categoryarray": rows, "range": [-0.6, rows.len() as f64 - 0.4], "showgrid": true },
    }));
    let hover = |finding: &Finding| {
        format!(
            "{}<br>{}<br>{}",
            format::time(finding.first_seen.as_deref()),
            finding.title,
            wrapped(&finding.explanation)
        )
    };
    let chart = SEVERITIES.iter().fold(chart, |chart, (severity, colour)| {
        let of_severity: Vec<&&Finding> = findings.iter().filter(|finding| finding.severity == *severity).collect();
        if of_severity.is_empty() {
            return chart;
        }
        let (mut times, mut tactics) = (Vec::new(), Vec::new());
        for finding in &of_severity {
            let first = finding.first_seen.as_deref();
            let span = [first, finding.last_seen.as_deref().or(first)].map(|time| json!(format::time(time)));
            times.extend(span.into_iter().chain([Value::Null]));
            tactics.extend([row_of(finding).into(), row_of(finding).into(), Value::Null]);
        }
        let name = severity.name();
        chart
            .with(json!({
                "type": "scatter", "mode": "lines", "x": times, "y": tactics, "hoverinfo": "skip", "showlegend": false,
                "legendgroup": name, "opacity": 0.4, "line": { "width": 9, "color": colour },
            }))
            .with(json!({
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "legendgroup": name,
                "x": of_severity.iter().map(|finding| format::time(finding.first_seen.as_deref())).collect::<Vec<_>>(),
                "y": of_severity.iter().map(|finding| row_of(finding)).collect::<Vec<_>>(),
                "customdata": of_severity.iter().map(|finding| hover(finding)).collect::<Vec<_>>(),
                "hovertemplate": "%{customdata}<extra></extra>",
                "marker": { "size": 13, "symbol": "diamond", "color": colour, "line": { "width": 1, "color": "rgba(255,255,255,0.8)" } },
            }))
    });
    (!findings.is_empty()).then_some(chart.with_layout(json!({ "showlegend": true })))
}

/// A long sentence on several lines, because Plotly does not wrap text.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in long_label(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.chars().count() + word.chars().count() < 80 => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("<br>")
}
