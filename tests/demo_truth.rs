//! The default preset on a demo lake finds every planted attack, and little else.

use std::fs;

use serde_json::Value;

use crate::support::{Place, read_json, stderr};

/// Rows other than the planted ones that the default preset may report on this lake, by analysis: none for the exact detections, a
/// few chance beacons, and the largest ordinary transfers in the table of twenty, of which six are planted: three alone, the story's,
/// and two of look-alikes.
const OTHERS_ALLOWED: [(&str, usize); 8] = [
    ("compression_staging", 0),
    ("cli_storage_uploads", 0),
    ("storage_audit", 0),
    ("egress_spikes", 0),
    ("beaconing", 5),
    ("data_exfiltration", 14),
    ("multi_location_users", 0),
    ("rare_combinations", 0),
];

#[test]
fn every_planted_attack_is_found_and_others_are_few() {
    let place = Place::with_demo("--days 6 --rows-per-day 20000 --seed 5");
    scan_with_locations(&place);
    let truth: Value = read_json(&place.lake().join("truth.json"));
    let attacks = truth["attacks"].as_array().expect("attacks");
    let missed: Vec<&Value> =
        attacks.iter().filter(|attack| matching_rows(&place, attack).is_empty()).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(attacks.iter().any(|attack| attack["id"] == "beacon-86400s-1pct"), "a daily beacon is planted");

    // Expected rows of a look-alike are neither attacks nor unexpected.
    let lookalikes = truth["lookalikes"].as_array().expect("lookalikes");
    let shown = lookalikes.iter().flat_map(|lookalike| lookalike["may_show"].as_array().expect("rows"));
    let known: Vec<&Value> = attacks.iter().chain(shown).collect();
    for (analysis, allowed) in OTHERS_ALLOWED {
        let planted: Vec<&Value> =
            known.iter().copied().filter(|known| known["analysis"] == analysis).collect();
        let is_planted = |row: &Value| planted.iter().any(|attack| is_match(row, attack));
        let others = place.table(analysis).iter().filter(|row| !is_planted(row)).count();
        println!("{analysis}: {} planted, {others} other rows", planted.len());
        assert!(others <= allowed, "{analysis}: {others} other rows");
    }

    // Every attack is a finding. Regular servers of all and a possible journey are none.
    let findings = place.findings();
    for attack in attacks {
        assert!(findings.iter().any(|finding| is_finding_of(finding, attack)), "{attack} is no finding");
    }
    // Of all mail rules, only the planted one hides mail; the others sort it.
    let rules: Vec<&Value> =
        findings.iter().filter(|finding| finding["analysis"] == "mailbox_rules").collect();
    let story = attacks.iter().find(|attack| attack["id"] == "story-7-inbox-rule").expect("the rule");
    assert!(rules.len() == 1 && rules[0]["evidence"]["user"] == story["entities"]["user"], "{rules:?}");
    for lookalike in lookalikes.iter().filter(|lookalike| lookalike["id"] != "shared-proxy") {
        for shown in lookalike["may_show"].as_array().expect("rows") {
            let found = findings.iter().find(|finding| is_finding_of(finding, shown));
            assert!(found.is_none(), "{} is a finding: {found:?}", lookalike["id"]);
        }
    }
}

/// Whether a finding is about planted rows. Threats of a timeline are findings by their host.
fn is_finding_of(finding: &Value, known: &Value) -> bool {
    match known["analysis"] == "attack_timeline" {
        true => {
            finding["analysis"] == "repeated_threats"
                && finding["evidence"]["host"] == known["entities"]["source_ip"]
        }
        false => finding["analysis"] == known["analysis"] && is_match(&finding["evidence"], known),
    }
}

/// The parts of the story are one incident, the first. Look-alikes do not connect unrelated attacks. If a host that talks to the same
/// servers as many others also sent much by chance, its incident ranks far below.
#[test]
fn the_story_is_the_worst_incident_and_lookalikes_rank_far_below() {
    let place = Place::with_demo("--days 6 --rows-per-day 20000 --seed 5");
    scan_with_locations(&place);
    let truth: Value = read_json(&place.lake().join("truth.json"));
    let findings = place.findings();
    let findings_of = |known: &Value| -> Vec<&Value> {
        let is_its = |finding: &&Value| {
            finding["analysis"] == known["analysis"] && is_match(&finding["evidence"], known)
        };
        findings.iter().filter(is_its).map(|finding| &finding["id"]).collect()
    };
    let text = fs::read_to_string(place.out().join("incidents.jsonl")).expect("incidents.jsonl");
    let incidents: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an incident")).collect();
    let holds = |incident: &Value, known: &Value| {
        let ids = incident["findings"].as_array().expect("ids of findings");
        findings_of(known).into_iter().any(|id| ids.contains(id))
    };
    let score = |incident: &Value| incident["score"].as_i64().expect("a score");
    let attacks = truth["attacks"].as_array().expect("attacks");
    let attack = |id: &Value| attacks.iter().find(|attack| attack["id"] == *id).expect("a planted attack");
    for id in truth["incidents"][0]["attacks"].as_array().expect("its parts") {
        assert!(holds(&incidents[0], attack(id)), "{id} is not in {}", incidents[0]);
    }
    for lookalike in truth["lookalikes"].as_array().expect("lookalikes") {
        let alone = lookalike["attacks"].as_array().expect("ids of attacks");
        for incident in &incidents {
            let joined = alone.iter().filter(|id| holds(incident, attack(id))).count();
            assert!(joined < 2, "{} in {incident}", lookalike["id"]);
            let shown = lookalike["may_show"].as_array().expect("rows");
            let is_shown = shown.iter().any(|shown| holds(incident, shown));
            assert!(
                !is_shown || score(incident) * 2 < score(&incidents[0]),
                "{} in {incident}",
                lookalike["id"]
            );
        }
    }
}

/// A beacon with one call per day is not visible in a single day, but in every window of weeks.
#[test]
fn a_daily_beacon_is_found_over_sixty_days() {
    let place = Place::with_demo("--days 60 --rows-per-day 1500 --seed 9");
    let truth: Value = read_json(&place.lake().join("truth.json"));
    let attacks = truth["attacks"].as_array().expect("attacks");
    let daily = attacks.iter().find(|attack| attack["id"] == "beacon-86400s-1pct").expect("planted");
    place.scan_well("--only beaconing");
    let found = matching_rows(&place, daily);
    assert_eq!(found.len(), 1);
    assert!(
        found[0]["intervals"].as_i64() >= Some(50) && found[0]["jitter"].as_f64() < Some(0.05),
        "{found:?}"
    );
    let output = place.scan("--only beaconing --last 24h");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(matching_rows(&place, daily).is_empty());
}

/// Runs all analyses, with the locations of the lake's addresses.
fn scan_with_locations(place: &Place) {
    place.scan_well(&format!("--geoip {}", place.lake().join("geoip.mmdb").display()));
}

/// Rows of the attack's analysis that name all its entities.
fn matching_rows(place: &Place, attack: &Value) -> Vec<Value> {
    let analysis = attack["analysis"].as_str().expect("an analysis");
    place.table(analysis).into_iter().filter(|row| is_match(row, attack)).collect()
}

/// Whether a row has the attack's entities, of those that are columns of its table.
fn is_match(row: &Value, attack: &Value) -> bool {
    let entities = attack["entities"].as_object().expect("entities");
    let mut shared = entities.iter().filter(|(column, _)| row.get(column.as_str()).is_some()).peekable();
    shared.peek().is_some() && shared.all(|(column, value)| row[column] == *value)
}
