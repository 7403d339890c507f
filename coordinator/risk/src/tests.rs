//! The claims that docs/risk.md makes, each as a property over generated findings.

use hindcast_detections::analyses::Suite;
use hindcast_detections::findings::{KillChainPhase, technique};
use proptest::prelude::*;

use super::days::DaySpan;
use super::*;
use crate::test_entities::contacted;
use crate::test_finding;

const ANALYSES: [(&str, &str); 4] = [
    ("compression_staging", "T1560.001"),
    ("cli_storage_uploads", "T1567.002"),
    ("beaconing", "T1071"),
    ("storage_audit", "T1552"),
];
const SEVERITIES: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

pub(super) fn config() -> Config {
    Config::load("default", &[]).unwrap()
}

fn finding(index: usize, (analysis, severity, confidence, address): (usize, usize, u8, u8)) -> Finding {
    let (analysis, shown) = ANALYSES[analysis];
    Finding {
        analysis: analysis.into(),
        suite: Suite::Exfiltration,
        severity: SEVERITIES[severity],
        confidence,
        stage: KillChainPhase::Staging,
        entities: contacted(EntityKind::Ip, &format!("192.0.2.{address}")).into_iter().collect(),
        techniques: vec![technique(shown, "")],
        ..test_finding::finding(format!("finding {index:03}"), "2026-01-01T10:00:00Z")
    }
}

fn any_finding() -> impl Strategy<Value = (usize, usize, u8, u8)> {
    (0usize..4, 0usize..4, 0u8..=100, 0u8..3)
}

pub(super) fn findings(parts: &[(usize, usize, u8, u8)]) -> Vec<Finding> {
    parts.iter().enumerate().map(|(index, part)| finding(index, *part)).collect()
}

fn points(risk: &Assessed) -> u64 {
    risk.contributions.iter().map(|part| part.points).sum()
}

proptest! {
    #[test]
    fn contributions_add_up_exactly(parts in prop::collection::vec(any_finding(), 0..40)) {
        let (config, prevalence) = (config(), Prevalence::default());
        let assessor = Assessor::new(&config, &prevalence);
        let findings = findings(&parts);
        let incident = assessor.incident(&findings.iter().collect::<Vec<_>>());
        prop_assert_eq!(points(&incident), incident.score);
        prop_assert!(incident.score <= 100);
        for entity in assessor.entities(&findings) {
            prop_assert_eq!(points(&entity.risk), entity.risk.score);
        }
    }

    #[test]
    fn more_evidence_never_lowers_a_risk(
        parts in prop::collection::vec(any_finding(), 0..20),
        more in any_finding(),
    ) {
        let (config, prevalence) = (config(), Prevalence::default());
        let assessor = Assessor::new(&config, &prevalence);
        let all = findings(&[parts.as_slice(), &[more]].concat());
        let before = &all[..parts.len()];
        let score = |findings: &[Finding]| assessor.incident(&findings.iter().collect::<Vec<_>>()).score;
        prop_assert!(score(&all) >= score(before));
        let run = |findings: &[Finding]| {
            let entities = assessor.entities(findings);
            run_risk(&assessor, findings, &[], &entities, &[]).0.score()
        };
        prop_assert!(run(&all) >= run(before));
        for entity in assessor.entities(before) {
            let after = assessor.entities(&all);
            let after = after.iter().find(|other| other.entity == entity.entity).unwrap();
            prop_assert!(after.risk.score >= entity.risk.score);
        }
    }

    #[test]
    fn the_order_of_findings_does_not_matter(parts in prop::collection::vec(any_finding(), 0..20)) {
        let (config, prevalence) = (config(), Prevalence::default());
        let assessor = Assessor::new(&config, &prevalence);
        let findings = findings(&parts);
        let forward: Vec<&Finding> = findings.iter().collect();
        let backward: Vec<&Finding> = findings.iter().rev().collect();
        prop_assert_eq!(assessor.incident(&forward), assessor.incident(&backward));
    }

    #[test]
    fn the_risk_of_an_entity_depends_on_its_own_findings_alone(parts in prop::collection::vec(any_finding(), 1..20)) {
        let (config, prevalence) = (config(), Prevalence::default());
        let assessor = Assessor::new(&config, &prevalence);
        let all = findings(&parts);
        let entity = all[0].entities.first().unwrap();
        let own: Vec<Finding> = all.iter().filter(|finding| finding.entities.contains(entity)).cloned().collect();
        let among_all = assessor.entities(&all).into_iter().find(|risk| risk.entity == entity.entity).unwrap();
        let alone = assessor.entities(&own).into_iter().find(|risk| risk.entity == entity.entity).unwrap();
        prop_assert_eq!(among_all.risk, alone.risk);
    }
}

#[test]
fn one_certain_critical_finding_is_high_in_every_score() {
    let (config, prevalence) = (config(), Prevalence::default());
    let assessor = Assessor::new(&config, &prevalence);
    let findings = findings(&[(0, 3, 100, 1)]);
    let entities = assessor.entities(&findings);
    assert_eq!(entities[0].risk.level, Level::High);
    assert_eq!(assessor.incident(&[&findings[0]]).level, Level::High);
    assert_eq!(run_risk(&assessor, &findings, &[], &entities, &[]).0.level(), Level::High);
}

#[test]
fn many_low_findings_of_one_analysis_do_not_make_a_high_risk() {
    let (config, prevalence) = (config(), Prevalence::default());
    let assessor = Assessor::new(&config, &prevalence);
    let risk = &assessor.entities(&findings(&[(0, 0, 100, 1); 500]))[0].risk;
    assert_eq!(risk.level, Level::Low, "{}", risk.score);
}

#[test]
fn an_address_that_many_sources_contact_counts_less() {
    let config = config();
    let finding = findings(&[(2, 2, 80, 1)]);
    let score = |sources| {
        let prevalence = Prevalence { sources: [("192.0.2.1".to_owned(), sources)].into(), total: 100 };
        Assessor::new(&config, &prevalence).entities(&finding)[0].risk.score
    };
    let scores: Vec<u64> = [1, 10, 50, 99, 100].into_iter().map(score).collect();
    assert!(scores.is_sorted_by(|left, right| left > right), "{scores:?}");
    assert_eq!(scores[4], 0);
}

#[test]
fn a_weighed_asset_raises_the_risk() {
    let text = "[[watchlists]]\nname = 'crown jewels'\nkind = 'ip'\neffect = 'weigh'\nweight = 2.0\nentries = ['192.0.2.1']";
    let layer = hindcast_detections::config::Layer { name: "own", text };
    let (plain, weighed) = (config(), Config::load("default", &[layer]).unwrap());
    let prevalence = Prevalence::default();
    let finding = findings(&[(0, 1, 60, 1)]);
    let score = |config| Assessor::new(config, &prevalence).entities(&finding)[0].risk.score;
    assert!(score(&weighed) > score(&plain));
}

#[test]
fn a_day_is_scored_by_the_evidence_that_reaches_into_it() {
    let (config, prevalence) = (config(), Prevalence::default());
    let assessor = Assessor::new(&config, &prevalence);
    let mut findings = findings(&[(0, 2, 80, 1), (1, 2, 80, 1)]);
    findings[1].first_seen = Some("2026-01-02T23:00:00Z".into());
    findings[1].last_seen = Some("2026-01-03T01:00:00Z".into());
    let entities = assessor.entities(&findings);
    let dates = (1..=5).filter_map(|day| chrono::NaiveDate::from_ymd_opt(2026, 1, day));
    // Nothing of the last day was read.
    let days =
        dates.enumerate().map(|(index, date)| DaySpan { first: date, last: date, was_read: index < 4 });
    let (_, days) = run_risk(&assessor, &findings, &[], &entities, &days.collect::<Vec<_>>());
    assert_eq!(days.iter().map(|day| day.findings).collect::<Vec<_>>(), [1, 1, 1, 0, 0]);
    assert_eq!((days[3].score, days[3].level), (Some(0), Level::None));
    assert_eq!((days[4].score, days[4].level), (None, Level::NotAssessed));
    assert!(days[1].score > Some(0) && days[1].score == days[2].score);
}
