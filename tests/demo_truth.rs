//! The default preset on a demo lake: every planted attack is found, and little else.

use serde_json::Value;

use crate::support::{Place, read_json, stderr};

/// Rows beside the planted ones that the default preset may report on this lake, by analysis: none of the exact
/// detections, a few beacons by chance, and the largest ordinary transfers that fill the table of twenty, of which six
/// are planted: three alone, the story's, and two of look-alikes.
const OTHERS_ALLOWED: [(&str, usize); 6] = [
    ("compression_staging", 0),
    ("cli_storage_uploads", 0),
    ("storage_audit", 0),
    ("egress_spikes", 0),
    ("beaconing", 5),
    ("data_exfiltration", 14),
];
/// Analyses whose planted rows are checked in the lake itself (`coordinator/src/demo/tests/office.rs`).
const READ_FROM_THE_LAKE: [&str; 2] = ["multi_location_users", "rare_combinations"];

#[test]
fn every_planted_attack_is_found_and_others_are_few() {
    let place = Place::with_demo("--days 6 --rows-per-day 20000 --seed 5");
    place.scan_well("");
    let truth: Value = read_json(&place.lake().join("truth.json"));
    let attacks = truth["attacks"].as_array().expect("attacks");
    let missed: Vec<&Value> = attacks
        .iter()
        .filter(|attack| !READ_FROM_THE_LAKE.iter().any(|analysis| attack["analysis"] == *analysis))
        .filter(|attack| matching_rows(&place, attack).is_empty())
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(attacks.iter().any(|attack| attack["id"] == "beacon-86400s-1pct"), "a daily beacon is planted");

    // What a look-alike may show is neither an attack nor a surprise.
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
}

/// A beacon that calls once a day shows in no single day and in every window of weeks.
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

/// Rows of the attack's own analysis that name all its entities.
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
