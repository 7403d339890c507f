//! `backfill.html`: risk by window as a chart in a self-contained file.

use std::fmt::Write;

use hindcast_base::format::{counted, format_time};
use hindcast_detections::analyses::Suite;
use hindcast_risk::Level;

use super::files::BackfillSummary;
use super::row::WindowRow;

/// Bars of a chart at most; with more windows, each bar is the worst of several.
const MAX_BARS: usize = 1_000;
/// Windows in the table at most, those of the highest risk.
const MAX_LISTED: usize = 400;
/// Width of a chart's bars, in units of the drawing.
const WIDTH: f64 = 960.0;
/// Space for numbers on the left.
const LEFT: f64 = 36.0;
/// Dates below a chart at most.
const MAX_DATES: usize = 8;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2433; --dim: #5b6474; --line: #d5dae3; --back: #ffffff;
  --high: #b42318; --medium: #c77700; --low: #2f6fb2; --none: #9aa3b2; --gap: #e9ecf2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9f0; --dim: #a3acbd; --line: #3a4254; --back: #151a24;
  --high: #f0705f; --medium: #e8a33d; --low: #6ba8e5; --none: #6b7486; --gap: #262d3b; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 1040px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; } p { margin: .3rem 0; } .dim, figcaption { color: var(--dim); }
figure { margin: 0; overflow-x: auto; } figure svg { width: 100%; min-width: 680px; height: auto; display: block; } svg text { fill: var(--dim); font-size: 12px; }
.HIGH { fill: var(--high); } .MEDIUM { fill: var(--medium); } .LOW { fill: var(--low); } .NONE { fill: var(--none); } .gap { fill: var(--gap); }
.grid { stroke: var(--line); } .cut { fill: none; stroke: var(--high); stroke-dasharray: 3 2; }
.key svg { width: .8em; height: .8em; } .key span { margin-right: 1.2em; white-space: nowrap; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; } th:first-child, td:first-child, .text { text-align: left; }
.why td { white-space: normal; color: var(--dim); } tr:has(+ .why) td { border-bottom: 0; }
@media print { body { margin: 0; max-width: none; } figure, tr { break-inside: avoid; } }";

/// One bar: a window, or the worst of several.
struct Bar<'a> {
    row: &'a WindowRow,
    /// Absent if nothing was looked at.
    value: Option<(u64, Level)>,
    is_incomplete: bool,
}

/// The page.
pub(super) fn page(rows: &[WindowRow], summary: &BackfillSummary) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    // The page is data: it fetches nothing and runs no script, whatever a log holds.
    page.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">");
    // Writing to a string never fails.
    let _ = writeln!(
        page,
        "<title>Hindcast backfill</title><style>{STYLE}</style></head><body>\n<h1>Risk by window</h1>"
    );
    head(&mut page, summary);
    chart(&mut page, "Risk, 0 to 100", rows, Some(100), 220.0, WindowRow::assessed);
    for suite in Suite::ALL.map(Suite::name) {
        if rows.iter().any(|row| row.suites.contains_key(suite)) {
            let score = |row: &WindowRow| row.suites.get(suite).map(|scored| (scored.score, scored.level));
            chart(&mut page, &format!("{suite}, points"), rows, None, 90.0, score);
        }
    }
    table(&mut page, rows);
    page.push_str("</body></html>\n");
    page
}

fn head(page: &mut String, summary: &BackfillSummary) {
    let BackfillSummary { span, window, step, windows, .. } = summary;
    let _ = writeln!(
        page,
        "<p>{} of {window}, one every {step}, from {} to {} (UTC). Each row is the result of a scan of that window.</p>",
        counted(*windows as u64, "window"),
        instant(&span.from),
        instant(&span.to)
    );
    if let Some(highest) = &summary.highest {
        let _ = writeln!(
            page,
            "<p>Highest: <b>{} {}</b> in {} to {}.</p><ul>",
            highest.risk.score().unwrap_or_default(),
            highest.risk.level().name(),
            instant(&highest.window.from),
            instant(&highest.window.to)
        );
        for part in highest.risk.explanation() {
            let _ = writeln!(page, "<li>{}</li>", escaped(&part));
        }
        page.push_str("</ul>\n");
    }
    page.push_str("<p class=\"key\">");
    for (class, name) in [
        ("HIGH", "high"),
        ("MEDIUM", "medium"),
        ("LOW", "low"),
        ("NONE", "nothing found"),
        ("gap", "not assessed"),
        ("cut", "something was not looked at"),
    ] {
        let _ = write!(
            page,
            "<span><svg viewBox=\"0 0 10 10\"><rect class=\"{class}\" width=\"10\" height=\"10\"/></svg> {name}</span>"
        );
    }
    page.push_str("</p>\n");
    if !summary.complete {
        let _ = writeln!(
            page,
            "<p><b>Incomplete:</b> {}, see the table.</p>",
            counted(summary.windows_incomplete as u64, "window")
        );
    }
}

fn chart(
    page: &mut String,
    title: &str,
    rows: &[WindowRow],
    top: Option<u64>,
    height: f64,
    value: impl Fn(&WindowRow) -> Option<(u64, Level)>,
) {
    let per_bar = rows.len().div_ceil(MAX_BARS).max(1);
    let bars: Vec<Bar<'_>> = rows.chunks(per_bar).filter_map(|group| bar_of(group, &value)).collect();
    let most = bars.iter().filter_map(|bar| bar.value).map(|(value, _)| value).max().unwrap_or(0);
    let top = top.unwrap_or(most).max(1);
    let (full_width, full_height) = (LEFT + WIDTH, height + 26.0);
    let _ = writeln!(
        page,
        "<figure><h2>{0}</h2><svg viewBox=\"0 0 {full_width} {full_height}\" role=\"img\" aria-label=\"{0} by window\">",
        escaped(title)
    );
    let y_of = |value: u64| 6.0 + height * (1.0 - value as f64 / top as f64);
    for mark in [0, top / 2, top] {
        let y = y_of(mark);
        let _ = write!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{full_width}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
        );
        let _ = writeln!(
            page,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
            LEFT - 5.0,
            y + 4.0
        );
    }
    let slot = WIDTH / bars.len().max(1) as f64;
    let thickness = slot * if bars.len() > 200 { 1.0 } else { 0.8 };
    let every = bars.len().div_ceil(MAX_DATES).max(1);
    for (index, bar) in bars.iter().enumerate() {
        let x = LEFT + slot * index as f64 + (slot - thickness) / 2.0;
        let (class, y) = match bar.value {
            Some((value, level)) => (level.name(), y_of(value)),
            None => ("gap", 6.0),
        };
        // A bar of zero stays visible: the window was looked at.
        let tall = (6.0 + height - y).max(1.5);
        let y = 6.0 + height - tall;
        let text = escaped(&bar_title(bar));
        let _ = writeln!(
            page,
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{thickness:.2}\" height=\"{tall:.2}\"><title>{text}</title></rect>"
        );
        if bar.is_incomplete {
            let _ = writeln!(
                page,
                "<rect class=\"cut\" x=\"{x:.2}\" y=\"6\" width=\"{thickness:.2}\" height=\"{height}\"><title>{text}</title></rect>"
            );
        }
        if index % every == 0 {
            let start = LEFT + slot * index as f64;
            // Near the right edge there is no room for text after the bar.
            let (x, anchor) = match start > full_width - 80.0 {
                true => (start + slot, "end"),
                false => (start, "start"),
            };
            let (y, text) = (full_height - 4.0, axis_label(&bar.row.from));
            let _ = writeln!(page, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
        }
    }
    page.push_str("</svg>");
    if per_bar > 1 {
        let _ =
            write!(page, "<figcaption>Each bar shows the highest risk of {per_bar} windows.</figcaption>");
    }
    page.push_str("</figure>\n");
}

/// The worst window of a group.
fn bar_of<'a>(
    group: &'a [WindowRow],
    value: &impl Fn(&WindowRow) -> Option<(u64, Level)>,
) -> Option<Bar<'a>> {
    // The first of equal ones.
    let worst = group.iter().rev().max_by_key(|row| value(row))?;
    Some(Bar { row: worst, value: value(worst), is_incomplete: group.iter().any(|row| !row.complete) })
}

fn bar_title(bar: &Bar<'_>) -> String {
    let WindowRow { from, to, reason, .. } = bar.row;
    let mut text = format!("{from} to {to}: ");
    match bar.value {
        Some((value, level)) => {
            let _ = write!(
                text,
                "{value} {}; {}, {}",
                level.name(),
                counted(bar.row.all_findings(), "finding"),
                counted(bar.row.incidents, "incident")
            );
        }
        None => text.push_str("nothing was looked at"),
    }
    if let Some(reason) = reason {
        let _ = write!(text, "; {reason}");
    }
    text
}

fn table(page: &mut String, rows: &[WindowRow]) {
    let mut listed: Vec<&WindowRow> = rows.iter().collect();
    page.push_str("<h2>Windows</h2>");
    if listed.len() > MAX_LISTED {
        listed.sort_by_key(|row| std::cmp::Reverse(row.assessed()));
        listed.truncate(MAX_LISTED);
        let _ = write!(
            page,
            "<p class=\"dim\">The {MAX_LISTED} with the highest risk; backfill.jsonl has all {}.</p>",
            rows.len()
        );
    }
    page.push_str("<div class=\"wide\"><table><thead><tr><th>from</th><th class=\"text\">to</th><th>risk</th><th class=\"text\">level</th>");
    for suite in Suite::ALL.map(Suite::name) {
        let _ = write!(page, "<th>{suite}</th>");
    }
    page.push_str("<th>findings</th><th>critical</th><th>high</th><th>incidents</th><th>rows</th></tr></thead><tbody>\n");
    for row in listed {
        let risk = row.assessed();
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td class=\"text\">{}</td>",
            instant(&row.from),
            instant(&row.to),
            risk.map_or_else(String::new, |(score, _)| score.to_string()),
            row.level_name()
        );
        for suite in Suite::ALL.map(Suite::name) {
            let score = row.suites.get(suite).map_or_else(String::new, |scored| scored.score.to_string());
            let _ = write!(page, "<td>{score}</td>");
        }
        let of_severity = |severity: &str| row.findings.get(severity).copied().unwrap_or_default();
        let _ = writeln!(
            page,
            "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            row.all_findings(),
            of_severity("critical"),
            of_severity("high"),
            row.incidents,
            row.rows
        );
        if let Some(reason) = &row.reason {
            // A row of its own: next to the other cells a sentence would lie outside the page.
            let columns = 9 + Suite::ALL.len();
            let _ = writeln!(
                page,
                "<tr class=\"why\"><td class=\"text\" colspan=\"{columns}\">{}</td></tr>",
                escaped(reason)
            );
        }
    }
    page.push_str("</tbody></table></div>\n");
}

/// An instant; a midnight as its date.
fn instant(text: &str) -> String {
    match text.strip_suffix("T00:00:00Z") {
        Some(date) => escaped(date),
        None => escaped(&format_time(Some(text))),
    }
}

/// An instant below a chart: a midnight as its date, others without year and seconds.
fn axis_label(text: &str) -> String {
    match (text.ends_with("T00:00:00Z"), text.get(5..16)) {
        (false, Some(short)) => escaped(&short.replace('T', " ")),
        _ => instant(text),
    }
}

/// Escapes text for HTML: whatever logs and file names hold stays text.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            control if control.is_control() => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hindcast_base::time::{MICROS_PER_DAY, Window};
    use hindcast_risk::{Assessed, Contribution, RiskSource, RunRisk};

    use super::super::windows::WindowSeries;
    use super::*;

    fn rows(count: i64) -> (Vec<WindowRow>, WindowSeries) {
        let span = Window::new(0, count * MICROS_PER_DAY).unwrap();
        let series = WindowSeries::new(span, MICROS_PER_DAY, MICROS_PER_DAY).unwrap();
        let hostile =
            Contribution { from: RiskSource::Finding("<script>alert(1)</script>".into()), points: 5 };
        let risk = |index: usize| Assessed {
            score: (index as u64 * 7) % 101,
            level: Level::Low,
            contributions: vec![hostile.clone()],
        };
        let row = |(index, window): (usize, Window)| WindowRow {
            risk: (index != 1).then(|| RunRisk::Assessed(risk(index))),
            findings: BTreeMap::from([("high".to_owned(), 2)]),
            ..WindowRow::without_data(&window)
        };
        (series.windows().into_iter().enumerate().map(row).collect(), series)
    }

    #[test]
    fn what_logs_hold_stays_text() {
        let (mut rows, series) = rows(5);
        rows[2].complete = false;
        rows[2].reason = Some("<img src=x onerror=\"alert(1)\">'&\u{7}".into());
        let page = page(&rows, &BackfillSummary::of(&series, &rows));
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{7}'));
        assert!(page.contains("&lt;script&gt;") && page.contains("&lt;img src=x onerror=&quot;"));
        assert!(page.contains("class=\"cut\" x") && page.contains("class=\"gap\" x"));
    }

    #[test]
    fn many_windows_share_bars_and_lose_no_peak() {
        let (mut rows, series) = rows(2_500);
        rows[1_777].risk =
            Some(RunRisk::Assessed(Assessed { score: 100, level: Level::High, contributions: vec![] }));
        let page = page(&rows, &BackfillSummary::of(&series, &rows));
        assert!(page.contains("Each bar shows the highest risk of 3 windows"));
        assert!(page.contains("class=\"HIGH\" x"));
        assert_eq!(page.matches("<tr><td>").count(), MAX_LISTED);
    }
}
