//! Tests of `[finding]` rules: their lines, techniques and names.

use hindcast_base::Result;
use serde::Deserialize;

use super::attack::Tactic;
use super::definition::FindingDefinition;
use super::rule::{FindingRule, KillChainPhase, Role, Severity, Technique};

const FILE: &str = "mine/detection.toml";
const RULE: &str = r#"version = 1
explanation = "of another section"
[finding]
title = "Busy source"
techniques = [
  { id = "T1046", name = "Network Service Discovery", tactic = "discovery" },
  { id = "T1071.004", name = "DNS", tactic = "command_and_control" },
  { id = "T1567", name = "Web Service", tactic = "collection" },
]
stage = "beacon"
period = "day"
entities = [{ kind = "ip", column = "source_ip", role = "source" }]
first_seen = "first"
last_seen = "last"
severity = """
CASE WHEN n > 1 THEN 'high' ELSE 'low' END"""
confidence = "50"
explanation = "{{ n }} sessions"
"#;

#[derive(Deserialize)]
struct File {
    finding: FindingDefinition,
}

fn load(text: &str) -> Result<FindingRule> {
    FindingRule::load(toml::from_str::<File>(text).unwrap().finding, FILE, text)
}

#[test]
fn expressions_have_the_lines_on_which_they_begin() {
    let rule = load(RULE).unwrap();
    assert_eq!((rule.severity.line, rule.confidence.line), (16, 17));
    assert_eq!(rule.lines, [13, 14, 12, 1]);
    assert_eq!((rule.is_finding.text, rule.is_finding.line), ("true", 1), "every row, if it is absent");
}

#[test]
fn a_technique_keeps_its_tactic_only_if_hindcast_has_another() {
    let rule = load(RULE).unwrap();
    let own: Vec<Option<Tactic>> = rule.techniques.iter().map(|technique| technique.tactic).collect();
    assert_eq!(own, [Some(Tactic::Discovery), None, Some(Tactic::Collection)]);
    let all: Vec<Option<Tactic>> = rule.techniques.iter().map(Technique::tactic).collect();
    let dns = Some(Tactic::CommandAndControl);
    assert_eq!(all, [Some(Tactic::Discovery), dns, Some(Tactic::Collection)]);
    assert_eq!(rule.techniques[1].parent(), Some("T1071"));
    assert_eq!(rule.techniques[0].parent(), None);
    assert_eq!(rule.techniques[1].url(), "https://attack.mitre.org/techniques/T1071/004/");
}

#[test]
fn invalid_techniques_are_named_with_their_line() {
    let format = "is not written as ATT&CK writes them";
    for (from, to, line, expected) in [
        ("\"T1046\"", "\"T104\"", 6, format),
        ("\"T1046\"", "\"1046\"", 6, format),
        ("\"T1071.004\"", "\"T1071.4\"", 7, format),
        (", tactic = \"discovery\"", "", 6, "needs a tactic"),
    ] {
        assert!(RULE.contains(from), "{from}");
        let error = load(&RULE.replace(from, to)).unwrap_err().to_string();
        let place = format!("{FILE}, line {line}: technique ");
        assert!(error.contains(&place) && error.contains(expected), "{to}: {error}");
    }
    assert!(toml::from_str::<File>(&RULE.replace("\"discovery\"", "\"discover\"")).is_err());
}

#[test]
fn severities_and_phases_are_in_order_and_serialised_by_their_names() {
    assert!(Severity::ALL.is_sorted() && KillChainPhase::ALL.is_sorted());
    for severity in Severity::ALL {
        assert_eq!(serde_json::to_value(severity).unwrap(), severity.name());
    }
    for phase in KillChainPhase::ALL {
        assert_eq!(serde_json::to_value(phase).unwrap(), phase.name());
    }
    for role in [Role::Source, Role::Actor, Role::Destination, Role::Target] {
        assert_eq!(serde_json::to_value(role).unwrap(), role.name());
    }
}
