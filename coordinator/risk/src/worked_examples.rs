//! Worked examples of docs/risk.md: scores, levels and contributions that were computed by hand.
//!
//! A finding of high severity with confidence 80 has p = 0.7 * 0.8 = 0.56, so its evidence is -ln(0.44) = 0.82098.

use hindcast_detections::config::Layer;

use super::days::DaySpan;
use super::tests::{config, findings};
use super::*;
use crate::test_entities::{acting, contacted};

const HIGH: usize = 2;

fn parts(risk: &Assessed) -> Vec<(String, u64)> {
    risk.contributions.iter().map(|part| (part.from.to_string(), part.points)).collect()
}

fn part(from: &str, points: u64) -> (String, u64) {
    (from.to_owned(), points)
}

fn assess_all(findings: &[Finding], config: &Config, prevalence: &Prevalence) -> Assessed {
    Assessor::new(config, prevalence).of(&findings.iter().collect::<Vec<_>>(), 0.0)
}

/// The risk of findings with the default parameters, whose entities no firewall sees.
fn assessed(list: &[(usize, usize, u8, u8)]) -> Assessed {
    assess_all(&findings(list), &config(), &Prevalence::default())
}

#[test]
fn one_finding_scores_the_probability_of_its_severity_times_its_confidence() {
    for (severity, confidence, score, level) in [
        (HIGH, 80, 56, Level::Medium),
        (3, 100, 95, Level::High),
        (HIGH, 100, 70, Level::High),
        (1, 100, 40, Level::Medium),
        (0, 100, 15, Level::Low),
        // 0.15 of a point: any evidence is at least one point.
        (0, 1, 1, Level::Low),
        (3, 0, 0, Level::None),
    ] {
        let risk = assessed(&[(0, severity, confidence, 1)]);
        assert_eq!((risk.score, risk.level), (score, level), "severity {severity}, confidence {confidence}");
        assert_eq!(parts(&risk), [part("finding 000", score)]);
    }
    assert_eq!(assessed(&[]), Assessed::default());
}

#[test]
fn a_confidence_above_100_counts_as_100() {
    assert_eq!(assessed(&[(0, HIGH, 255, 1)]), assessed(&[(0, HIGH, 100, 1)]));
}

#[test]
fn findings_of_two_analyses_count_in_full() {
    // 100 * (1 - 0.44^2) = 80.64. Each half of 81 is 40.5: the first in order gets the remaining point.
    let risk = assessed(&[(0, HIGH, 80, 1), (1, HIGH, 80, 1)]);
    assert_eq!((risk.score, risk.level), (81, Level::High));
    assert_eq!(parts(&risk), [part("finding 000", 41), part("finding 001", 40)]);
}

#[test]
fn a_repeat_of_one_analysis_counts_half() {
    // 100 * (1 - 0.44^1.5) = 70.81. Two thirds of 71 are 47.33, one third is 23.67.
    let risk = assessed(&[(0, HIGH, 80, 1), (0, HIGH, 80, 1)]);
    assert_eq!(risk.score, 71);
    assert_eq!(parts(&risk), [part("finding 000", 47), part("finding 001", 24)]);
    // Of 500 low findings, the sum is at most twice that of one: 100 * (1 - 0.85^2) = 27.75.
    assert_eq!(assessed(&[(0, 0, 100, 1); 500]).score, 28);
    // So it is if they are of several analyses.
    assert_eq!(assessed(&[[(0, 0, 100, 1); 2], [(1, 0, 100, 1), (2, 0, 100, 1)]].concat()).score, 26);
}

#[test]
fn evidence_never_exceeds_100() {
    // 100 * (1 - 0.05^3) = 99.99.
    assert_eq!(assessed(&[(0, 3, 100, 1), (1, 3, 100, 1), (2, 3, 100, 1)]).score, 100);
}

#[test]
fn each_tactic_of_an_incident_beyond_the_first_adds_a_quarter() {
    let (config, prevalence) = (config(), Prevalence::default());
    let assessor = Assessor::new(&config, &prevalence);
    // Collection and exfiltration: 100 * (1 - 0.44^2 * exp(-0.25)) = 84.92.
    let two = findings(&[(0, HIGH, 80, 1), (1, HIGH, 80, 1)]);
    let risk = assessor.incident(&two.iter().collect::<Vec<_>>());
    assert_eq!(risk.score, 85);
    let expected = [part("finding 000", 37), part("finding 001", 37), part("several tactics", 11)];
    assert_eq!(parts(&risk), expected);
    assert_eq!(risk.contributions[2].from, RiskSource::SeveralTactics);
    // The same analysis twice is one tactic, and no bonus.
    let one = findings(&[(0, HIGH, 80, 1), (0, HIGH, 80, 1)]);
    assert_eq!(assessor.incident(&one.iter().collect::<Vec<_>>()).score, 71);
}

#[test]
fn a_weight_multiplies_evidence() {
    let list = |name: &str, weight: &str| {
        format!(
            "[[watchlists]]\nname = '{name}'\nkind = 'ip'\neffect = 'weigh'\nweight = {weight}\nentries = ['192.0.2.1']\n"
        )
    };
    // Of two lists, the larger weight counts: 100 * (1 - 0.44^2) = 80.64.
    let text = list("servers", "1.5") + &list("crown jewels", "2.0");
    let weighed = Config::load("default", &[Layer { name: "own", text: &text }]).unwrap();
    let score =
        |address| assess_all(&findings(&[(0, HIGH, 80, address)]), &weighed, &Prevalence::default()).score;
    assert_eq!((score(1), score(2)), (81, 56));
}

#[test]
fn rarity_is_linear_in_the_number_of_sources() {
    let score = |sources, total| {
        let prevalence = Prevalence { sources: [("192.0.2.1".to_owned(), sources)].into(), total };
        assess_all(&findings(&[(0, HIGH, 80, 1)]), &config(), &prevalence).score
    };
    // 4 of 20 other sources: 0.56 * 0.8 = 0.448.
    assert_eq!(score(5, 21), 45);
    assert_eq!(score(1, 21), 56);
    assert_eq!(score(21, 21), 0);
    // At least 20 sources are assumed: 0.56 * (1 - 4 / 19) = 0.4421.
    assert_eq!(score(5, 5), 44);
}

#[test]
fn the_most_common_of_several_addresses_counts() {
    let mut finding = findings(&[(0, HIGH, 80, 1)]);
    finding[0].entities.extend(contacted(EntityKind::Ip, "192.0.2.2"));
    let sources = [("192.0.2.1".to_owned(), 1), ("192.0.2.2".to_owned(), 5)];
    let prevalence = Prevalence { sources: sources.into(), total: 21 };
    assert_eq!(assess_all(&finding, &config(), &prevalence).score, 45);
}

/// What a busy server does itself counts as much as what a workstation does.
#[test]
fn how_many_sources_contact_an_address_that_acts_does_not_matter() {
    let mut finding = findings(&[(0, HIGH, 80, 1)]);
    finding[0].entities = acting(EntityKind::Ip, "192.0.2.1").into_iter().collect();
    let prevalence = Prevalence { sources: [("192.0.2.1".to_owned(), 40)].into(), total: 40 };
    assert_eq!(assess_all(&finding, &config(), &prevalence).score, 56);
}

#[test]
fn a_run_counts_its_worst_entity_in_full_and_all_findings_by_a_quarter() {
    let (config, prevalence) = (config(), Prevalence::default());
    let assessor = Assessor::new(&config, &prevalence);
    let finding = findings(&[(0, HIGH, 80, 1)]);
    let entities = assessor.entities(&finding);
    // 100 * (1 - 0.44^1.25) = 64.16; four fifths are 51.2, one fifth is 12.8.
    let (risk, _) = run_risk(&assessor, &finding, &[], &entities, &[]);
    assert_eq!((risk.score(), risk.level()), (Some(64), Level::Medium));
    let json = serde_json::json!({
        "score": 64,
        "level": "MEDIUM",
        "explanation": ["51 points: the worst, ip 192.0.2.1", "13 points: 1 findings of compression_staging"],
    });
    assert_eq!(serde_json::to_value(&risk).unwrap(), json);
    assert_eq!(serde_json::from_value::<RunRisk>(json).unwrap(), risk);
}

#[test]
fn a_run_without_findings_has_no_risk_and_one_without_data_no_score() {
    let (config, prevalence) = (config(), Prevalence::default());
    let (risk, days) = run_risk(&Assessor::new(&config, &prevalence), &[], &[], &[], &[]);
    assert_eq!((risk.score(), risk.level(), days.len()), (Some(0), Level::None, 0));
    let unread = RunRisk::NotAssessed(vec!["no file".into()]);
    let json = serde_json::json!({ "score": null, "level": "not assessed", "explanation": ["no file"] });
    assert_eq!(serde_json::to_value(&unread).unwrap(), json);
    assert_eq!(serde_json::from_value::<RunRisk>(json).unwrap(), unread);
    assert_eq!(
        (unread.score_text().as_str(), unread.reasons()),
        ("not assessed", &["no file".to_owned()][..])
    );
}

#[test]
fn a_stored_risk_with_an_unknown_contribution_keeps_score_level_and_lines() {
    let json = serde_json::json!({ "score": 5, "level": "LOW", "explanation": ["five points"] });
    let risk: RunRisk = serde_json::from_value(json.clone()).unwrap();
    assert_eq!((risk.score(), risk.level(), risk.is_assessed()), (Some(5), Level::Low, true));
    assert!(risk.contributions().is_empty() && risk.reasons().is_empty());
    assert_eq!(risk.explanation(), ["five points"]);
    assert_eq!(serde_json::to_value(&risk).unwrap(), json);
}

#[test]
fn a_run_of_days_is_one_entry_with_its_own_score() {
    let (config, prevalence) = (config(), Prevalence::default());
    let assessor = Assessor::new(&config, &prevalence);
    let finding = findings(&[(0, HIGH, 80, 1)]);
    let entities = assessor.entities(&finding);
    let day = |text: &str| text.parse().unwrap();
    let spans = [
        DaySpan { first: day("2026-01-01"), last: day("2026-01-01"), was_read: true },
        DaySpan { first: day("2026-01-02"), last: day("2026-03-31"), was_read: false },
        DaySpan { first: day("2026-04-01"), last: day("2026-04-01"), was_read: true },
    ];
    let (_, days) = run_risk(&assessor, &finding, &[], &entities, &spans);
    let found: Vec<_> = days.iter().map(|day| (day.through, day.score, day.level, day.findings)).collect();
    assert_eq!(
        found,
        [
            (None, Some(64), Level::Medium, 1),
            (Some(day("2026-03-31")), None, Level::NotAssessed, 0),
            (None, Some(0), Level::None, 0),
        ]
    );
}

#[test]
fn entities_are_ordered_by_risk_and_have_the_fullest_name() {
    let (config, prevalence) = (config(), Prevalence::default());
    let mut list = findings(&[(0, HIGH, 80, 1), (1, 3, 100, 2), (2, 0, 100, 1)]);
    list[0].entities.extend(acting(EntityKind::Device, "ws-1"));
    list[2].entities.extend(acting(EntityKind::Device, "WS-1.corp.example"));
    let entities = Assessor::new(&config, &prevalence).entities(&list);
    // 192.0.2.1 and ws-1 have the same two findings: 100 * (1 - 0.44 * 0.85) = 62.6.
    let scores: Vec<_> = entities.iter().map(|risk| (risk.entity.name.as_str(), risk.risk.score)).collect();
    assert_eq!(scores, [("192.0.2.2", 95), ("ws-1", 63), ("192.0.2.1", 63)]);
    assert_eq!(entities[1].entity.full_name.as_deref(), Some("ws-1.corp.example"));
}
