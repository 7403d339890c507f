//! The page of a hand-made result.

use hindcast_detections::config::Config;
use hindcast_risk::RunRisk;
use hindcast_scan::ScanResult;

use super::super::example;
use super::page;

fn result() -> ScanResult {
    let mut result = example::result();
    result.report.parameters = serde_json::to_value(Config::load("default", &[]).unwrap()).unwrap();
    result
}

fn html(result: &ScanResult) -> String {
    String::from_utf8(page(result).unwrap()).unwrap()
}

#[test]
fn a_page_shows_risks_with_their_contributions() {
    let html = html(&result());
    for part in [
        // The run, with a link to its worst incident.
        "<td class=\"number\">85</td><td><a href=\"#incident-i-1\">the worst, incident i-1</a></td>",
        "<article class=\"card tall\" id=\"incident-i-1\">",
        // The findings of the incident with their points, and the bonus.
        "staging, 2026-01-05 06:00:00 to 2026-01-05 07:00:00, 50 points",
        "beacon, 2026-01-05 08:00:00, 24 points",
        "11 points: several tactics",
        // The device, by the title of its finding.
        "56: Data was compressed",
        "<p class=\"muted\">2026-01-01 00:00:00 to 2026-02-01 00:00:00, all times UTC</p>",
    ] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn a_page_of_a_run_that_was_not_assessed_has_the_reasons() {
    let mut result = result();
    result.report.summary.risk = RunRisk::NotAssessed(vec!["the lake has no table <AuditLogs>".into()]);
    let html = html(&result);
    assert!(html.contains("This is not an all-clear."));
    assert!(html.contains("<li>the lake has no table &#60;AuditLogs&#62;</li>"));
    assert!(html.contains("<span class=\"score level-unknown\">not assessed</span>"));
}

#[test]
fn text_of_a_log_is_never_markup() {
    let mut result = result();
    let hostile = "</script><script>alert(1)</script>";
    result.findings[0].explanation = hostile.into();
    result.findings[0].evidence = serde_json::json!({ "command_line": hostile });
    let html = html(&result);
    assert!(!html.contains("<script>alert(1)"));
    assert!(html.contains("&#60;script&#62;alert(1)"));
}

#[test]
fn the_same_result_makes_the_same_page() {
    assert!(page(&result()).unwrap() == page(&result()).unwrap());
}
