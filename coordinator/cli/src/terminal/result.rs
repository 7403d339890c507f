//! The result of a scan: scores, incidents, coverage, and the sinks that received it.

use std::path::Path;
use std::time::Duration;

use hindcast_base::Result;
use hindcast_base::entities::EntityKind;
use hindcast_base::format::{counted, format_elapsed};
use hindcast_detections::analyses::Suite;
use hindcast_report::sinks::Delivery;
use hindcast_risk::correlate::Incident;
use hindcast_risk::{Level, RunRisk};
use hindcast_scan::{PlanOutline, Report, ScanResult, Summary};

use super::coverage::print_coverage;
use super::entity::print_entity_page;

/// Incidents printed, the worst first.
const SHOWN_INCIDENTS: usize = 5;

/// Devices and users printed per incident.
const SHOWN_NAMES: usize = 4;

/// Prints what a scan found and the folder of its results.
///
/// # Errors
/// If a result table can't be read.
pub fn print_result(result: &ScanResult, out: &Path, elapsed: Duration) -> Result<()> {
    let Report { outline, summary, incidents, computed_units, .. } = &result.report;
    print_entity_page(result)?;
    println!();
    for (suite, score) in &summary.suites {
        println!("{suite:<13} {:>3} points  {}", score.score, score.level.name());
        for (signal, rows) in &score.signals {
            let findings = result.findings.iter().filter(|finding| finding.analysis == *signal).count();
            println!("  {signal:<22} {rows:>8} rows  {findings:>6} findings");
        }
    }
    print_unassessed_suites(outline, summary);
    print_risk(&summary.risk);
    for (list, count) in &summary.suppressed {
        println!("  {count} findings suppressed by the watchlist {list}");
    }
    println!("{:<13} {:>3}", "incidents", incidents.len());
    for incident in incidents.iter().take(SHOWN_INCIDENTS) {
        println!("  {:>3}  {}", incident.risk.score, format_incident(incident));
    }
    if incidents.len() > SHOWN_INCIDENTS {
        println!("  and {} more in incidents.jsonl", incidents.len() - SHOWN_INCIDENTS);
    }
    print_coverage(&summary.coverage);
    for root in &summary.roots {
        let (files, rows) = (counted(root.files, "file"), counted(root.rows, "row"));
        println!("root          {}: {files}, {rows}, {}", root.name, root.when());
    }
    let (computed, units) = computed_units;
    let rows = summary.coverage.rows();
    println!(
        "{} analyses of {rows} rows in {}; {computed} of {units} units computed, {} from the cache",
        outline.analyses.len(),
        format_elapsed(elapsed),
        units - computed,
    );
    println!("results in {}", out.display());
    Ok(())
}

/// An incident on one line: time, phases, number of findings, and entities.
fn format_incident(incident: &Incident) -> String {
    let phases: Vec<&str> = incident.stages.iter().map(|phase| phase.name()).collect();
    let of_kinds = |kinds: &[EntityKind]| -> Vec<&str> {
        let named = incident.entities.iter().filter(|entity| kinds.contains(&entity.kind));
        let mut names: Vec<&str> = named.map(|entity| entity.name.as_str()).collect();
        names.dedup();
        names.truncate(SHOWN_NAMES);
        names
    };
    let mut who = of_kinds(&[EntityKind::Device, EntityKind::User]);
    if who.is_empty() {
        who = of_kinds(&[EntityKind::Ip]);
    }
    let since = incident.first_seen.as_deref().unwrap_or_default();
    let roots: Vec<&str> = incident.roots.iter().map(String::as_str).collect();
    let roots = if roots.is_empty() { String::new() } else { format!(" in {}", roots.join(", ")) };
    format!(
        "{since}  {}: {} findings, {}{roots}",
        phases.join(" > "),
        incident.findings.len(),
        who.join(", ")
    )
}

/// Prints the suites that ran but read no row: they have no score.
fn print_unassessed_suites(plan: &PlanOutline, summary: &Summary) {
    let suites = Suite::ALL.map(Suite::name).into_iter();
    let ran = suites.filter(|suite| plan.analyses.iter().any(|analysis| analysis.suite == *suite));
    for suite in ran.filter(|suite| !summary.suites.contains_key(*suite)) {
        println!("{suite:<13} {}", Level::NotAssessed.name());
    }
}

fn print_risk(risk: &RunRisk) {
    match risk.score() {
        Some(score) => println!("{:<13} {score:>3} of 100  {}", "risk", risk.level().name()),
        None => {
            println!("{:<13} {}", "risk", risk.level().name());
            risk.reasons().iter().for_each(|reason| println!("  {reason}"));
        }
    }
}

/// Prints which sinks received the findings. The log has the reasons of failures.
pub fn print_deliveries(deliveries: &[Delivery]) {
    for Delivery { sink, findings, failure } in deliveries {
        match failure {
            None => println!("sent to       {sink}: {findings} findings"),
            Some(_) => println!("NOT sent to   {sink}: {findings} findings"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn incident(entities: &[(&str, &str)]) -> Incident {
        let entities: Vec<_> =
            entities.iter().map(|(kind, name)| json!({ "kind": kind, "name": name })).collect();
        serde_json::from_value(json!({
            "id": "i-1", "score": 85, "level": "HIGH", "contributions": [], "severity": "critical",
            "first_seen": "2026-01-05T06:00:00Z", "last_seen": "2026-01-05T08:00:00Z",
            "suites": ["exfiltration", "firewall"], "tactics": [], "stages": ["staging", "beacon"],
            "entities": entities, "ties": [], "findings": ["a", "b", "c"],
        }))
        .unwrap()
    }

    #[test]
    fn an_incident_is_one_line_with_its_devices_and_users() {
        let named = [("device", "ws-1"), ("user", "ada"), ("ip", "10.0.0.1")];
        let line = "2026-01-05T06:00:00Z  staging > beacon: 3 findings, ws-1, ada";
        assert_eq!(format_incident(&incident(&named)), line);
        let many = ["a", "b", "c", "d", "e"].map(|name| ("device", name));
        assert!(format_incident(&incident(&many)).ends_with("3 findings, a, b, c, d"));
    }

    #[test]
    fn an_incident_of_addresses_names_them() {
        let line = format_incident(&incident(&[("ip", "10.0.0.1"), ("url", "files.example")]));
        assert!(line.ends_with("3 findings, 10.0.0.1"), "{line}");
    }
}
