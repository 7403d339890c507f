//! The bundle of a hand-made result: its objects, and the references between them.

use std::collections::BTreeSet;

use super::super::example::result;
use super::*;

fn bundle_of(result: &ScanResult) -> Value {
    serde_json::from_slice(&bundle(result).unwrap()).unwrap()
}

fn of_type<'a>(bundle: &'a Value, kind: &str) -> Vec<&'a Value> {
    bundle["objects"].as_array().unwrap().iter().filter(|object| object["type"] == kind).collect()
}

/// Every id that an object refers to.
fn references(object: &Value) -> Vec<&str> {
    let fields = object.as_object().unwrap().iter();
    let refs = fields.filter(|(name, _)| name.ends_with("_ref") || name.ends_with("_refs"));
    refs.flat_map(|(_, value)| match value {
        Value::Array(ids) => ids.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    })
    .collect()
}

#[test]
fn a_bundle_has_the_objects_of_its_findings_and_incidents() {
    let bundle = bundle_of(&result());
    for (kind, count) in [
        ("identity", 1),
        ("attack-pattern", 2),
        ("domain-name", 1),
        ("user-account", 1),
        ("ipv4-addr", 2),
        ("observed-data", 2),
        ("sighting", 2),
        ("incident", 1),
        ("relationship", 2),
    ] {
        assert_eq!(of_type(&bundle, kind).len(), count, "{kind}");
    }
    assert_eq!(bundle["objects"].as_array().map(Vec::len), Some(14));
}

#[test]
fn every_reference_is_to_an_object_of_the_bundle() {
    let bundle = bundle_of(&result());
    let objects = bundle["objects"].as_array().unwrap();
    let ids: BTreeSet<&str> = objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), objects.len(), "an id occurs twice");
    for object in objects {
        for id in references(object) {
            assert!(ids.contains(id), "{id} of {object}");
        }
    }
    let addresses: Vec<_> = of_type(&bundle, "ipv4-addr").iter().map(|object| &object["id"]).collect();
    // The id that the Python library stix2 gives 198.51.100.3.
    assert!(addresses.iter().any(|id| **id == "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"));
}

#[test]
fn a_sighting_says_when_how_often_and_how_sure() {
    let bundle = bundle_of(&result());
    let sightings = of_type(&bundle, "sighting");
    let sighting = sightings.iter().find(|one| one["count"] == 3).unwrap();
    assert_eq!(sighting["description"], "Data was compressed: 7z packed files (risk 85 of 100)");
    assert_eq!(sighting["first_seen"], "2026-01-05T06:00:00.123456Z");
    assert_eq!(sighting["last_seen"], "2026-01-05T07:00:00Z");
    // Versions have three decimals.
    assert_eq!(sighting["created"], "2026-01-05T06:00:00.123Z");
    assert_eq!(sighting["modified"], "2026-01-05T07:00:00.000Z");
    assert_eq!(sighting["confidence"], 80);
    assert_eq!(sighting["labels"], json!(["compression_staging", "exfiltration", "severity-high"]));
    let technique = of_type(&bundle, "attack-pattern");
    let technique = technique.iter().find(|one| one["id"] == sighting["sighting_of_ref"]).unwrap();
    assert_eq!(technique["name"], "Archive via Utility");
    let phase = json!([{ "kill_chain_name": "mitre-attack", "phase_name": "collection" }]);
    assert_eq!(technique["kill_chain_phases"], phase);
    assert_eq!(technique["external_references"][0]["url"], "https://attack.mitre.org/techniques/T1560/001/");
}

#[test]
fn an_incident_is_related_to_what_was_observed() {
    let bundle = bundle_of(&result());
    let incident = of_type(&bundle, "incident")[0];
    assert_eq!(incident["name"], "Incident of 2 findings: staging, beacon");
    let description =
        "Risk 85 of 100, severity critical, from 2026-01-05T06:00:00.123456Z to 2026-01-05T08:00:00Z";
    assert_eq!(incident["description"], description);
    let observed: BTreeSet<_> =
        of_type(&bundle, "observed-data").iter().map(|object| object["id"].as_str()).collect();
    let targets: BTreeSet<_> = of_type(&bundle, "relationship")
        .iter()
        .map(|relation| {
            assert_eq!(relation["relationship_type"], "related-to");
            assert_eq!(relation["source_ref"], incident["id"]);
            relation["target_ref"].as_str()
        })
        .collect();
    assert_eq!(targets, observed);
}

#[test]
fn counts_and_confidence_stay_in_the_bounds_of_stix() {
    let mut result = result();
    result.findings[0].rows = u64::MAX;
    result.findings[1].rows = 0;
    result.findings[1].confidence = 200;
    let bundle = bundle_of(&result);
    let counts: BTreeSet<_> =
        of_type(&bundle, "observed-data").iter().map(|one| one["number_observed"].as_u64()).collect();
    assert_eq!(counts, BTreeSet::from([Some(1), Some(999_999_999)]));
    assert!(of_type(&bundle, "sighting").iter().any(|one| one["confidence"] == 100));
}

#[test]
fn a_finding_without_entities_is_left_out() {
    let mut result = result();
    result.findings[1].entities.clear();
    let bundle = bundle_of(&result);
    assert_eq!((of_type(&bundle, "sighting").len(), of_type(&bundle, "relationship").len()), (1, 1));
}

#[test]
fn the_same_result_makes_the_same_bundle() {
    assert_eq!(bundle(&result()).unwrap(), bundle(&result()).unwrap());
}
