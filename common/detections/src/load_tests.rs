//! Folders that are refused with the place of the mistake, and sets of detections that are loaded.

use std::ptr;

use crate::Detections;
use crate::config::Config;
use crate::test_texts::{DEFINITION, QUERY};

const ROLLUP: &str = "version = 1\ntables = ['CommonSecurityLog']\ncolumns = ['SourceIP AS source_ip']\nbucket_key = ['source_ip']";

fn files(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

/// A detection `many`, and more files.
fn with_many(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let many = [("mine/many/detection.toml", DEFINITION), ("mine/many/query.sql", QUERY)];
    files(&[&many[..], more].concat())
}

fn assert_refused(files: Vec<(String, String)>, expected: &str) {
    let error = Detections::with_own(files).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(expected), "no {expected:?} in {error:?}");
}

/// The error for a changed definition.
fn assert_definition_refused((from, to): (&str, &str), expected: &str) {
    assert!(DEFINITION.contains(from), "{from}");
    let changed = DEFINITION.replace(from, to);
    let folder = [("mine/many/detection.toml", changed.as_str()), ("mine/many/query.sql", QUERY)];
    assert_refused(files(&folder), expected);
}

#[test]
fn files_that_are_no_part_of_a_detection_are_refused() {
    for (more, expected) in [
        (
            ("mine/other/query.sql", QUERY),
            "mine/other: the folder has no detection.toml, so it is not a detection",
        ),
        (
            ("mine/other/detection.toml", DEFINITION),
            "mine/other/detection.toml, line 1: the folder has no query.sql",
        ),
        (
            ("mine/many/notes.txt", ""),
            "mine/many/notes.txt, line 1: this is not a file of a detection; its files are cases.toml, detection.toml, finish.sql, query.sql",
        ),
        (
            ("mine/rollups/notes.txt", ""),
            "mine/rollups/notes.txt, line 1: a rollup is a TOML file; move this file out of the folder",
        ),
    ] {
        assert_refused(with_many(&[more]), expected);
    }
}

#[test]
fn ids_are_valid_and_free() {
    for (id, expected) in [
        ("Many", "mine/Many/detection.toml, line 1: \"Many\" is not a valid id: use lower-case letters"),
        ("1st", "\"1st\" is not a valid id"),
        ("risk", "\"risk\" is the name of another section of configuration files"),
        ("beaconing", "there is a detection beaconing already; choose another name"),
        ("attack_timeline_summary", "there is a table attack_timeline_summary already; choose another name"),
    ] {
        let (definition, query) = (format!("mine/{id}/detection.toml"), format!("mine/{id}/query.sql"));
        assert_refused(files(&[(definition.as_str(), DEFINITION), (query.as_str(), QUERY)]), expected);
    }
    let twice = [("yours/many/detection.toml", DEFINITION), ("yours/many/query.sql", QUERY)];
    assert_refused(with_many(&twice), "there is a detection many already");
    let taken = [("mine/rollups/external_pairs.toml", ROLLUP)];
    assert_refused(
        with_many(&taken),
        "mine/rollups/external_pairs.toml, line 1: there is a rollup external_pairs already",
    );
}

#[test]
fn mistakes_in_a_definition_have_their_line() {
    for (change, expected) in [
        (("shows =", "show ="), "mine/many/detection.toml, line 4: unknown field `show`"),
        (
            ("\"external_pairs\"", "\"external_pair\""),
            "mine/many/detection.toml, line 5: there is no rollup \"external_pair\"; did you mean external_pairs?",
        ),
        (
            ("\"firewall\"", "\"investigation\""),
            "mine/many/detection.toml, line 2: a detection's suite is one of",
        ),
        (
            ("# more", "companion = \"by_subnet\""),
            "mine/many/detection.toml, line 6: the folder has no by_subnet.sql, which its companion needs",
        ),
    ] {
        assert_definition_refused(change, expected);
    }
}

#[test]
fn own_detections_are_added_to_the_built_in_ones() {
    let detections = Detections::with_own(with_many(&[("mine/rollups/sources.toml", ROLLUP)])).unwrap();
    let many = detections.by_id("many").unwrap();
    assert!(many.about.is_own && !detections.are_built_in());
    assert_eq!(detections.analyses().last().map(|analysis| analysis.id), Some("many"));
    assert_eq!(detections.analyses().len(), Detections::built_in().analyses().len() + 1);
    assert!(detections.rollup("sources").is_some() && Detections::built_in().rollup("sources").is_none());
    assert!(
        detections.by_table("attack_timeline_summary").is_some_and(|found| found.id == "attack_timeline")
    );
    assert!(detections.by_table("sources").is_none());

    // A process that receives the texts has the same detections.
    let text = serde_json::to_string(&detections).unwrap();
    let received: Detections = serde_json::from_str(&text).unwrap();
    assert!(ptr::eq(received.by_id("many").unwrap(), many), "a content is loaded once");
    assert_eq!(serde_json::to_string(&Detections::built_in()).unwrap(), "[]");
}

#[test]
fn own_tables_are_known_to_own_rollups_and_detections() {
    let table = "time_column = 'T'\n[columns]\nT = 'time'\nHost = 'text'";
    let rollup = "version = 1\ntables = ['Proxy_CL']\ncolumns = ['Host AS host']\nbucket_key = ['host']";
    let own = [("mine/tables/Proxy_CL.toml", table), ("mine/rollups/hosts.toml", rollup)];
    let detections = Detections::with_own(with_many(&own)).unwrap();
    assert!(detections.tables().by_name("Proxy_CL").is_some());
    assert_eq!(detections.rollup("hosts").unwrap().columns, ["T", "Host"]);
    assert!(Detections::built_in().tables().by_name("Proxy_CL").is_none());
    detections.check_own(&Config::load_with("default", &[], detections).unwrap()).unwrap();

    let alone = Detections::with_own(files(&own[..1])).unwrap();
    assert!(alone.tables().by_name("Proxy_CL").is_some() && !alone.are_built_in());
    for (from, to, expected) in [
        (
            "'Host AS",
            "'Hots AS",
            "mine/rollups/hosts.toml, line 3: Proxy_CL has no column Hots; did you mean Host?",
        ),
        (
            "'Proxy_CL'",
            "'Prxy_CL'",
            "mine/rollups/hosts.toml, line 2: there is no table Prxy_CL; did you mean Proxy_CL?",
        ),
    ] {
        let rollup = rollup.replace(from, to);
        assert_refused(files(&[own[0], ("mine/rollups/hosts.toml", &rollup)]), expected);
    }
    let wrong = [("mine/tables/Proxy_CL.toml", "time_column = 'T'\n[columns]\nT = 'text'")];
    assert_refused(files(&wrong), "mine/tables/Proxy_CL.toml, line 1: time_column names T, which is text");
}

#[test]
fn only_on_request_does_a_detection_replace_a_built_in_one() {
    let changed =
        files(&[("mine/top_talkers/detection.toml", DEFINITION), ("mine/top_talkers/query.sql", QUERY)]);
    assert_refused(changed.clone(), "there is a detection top_talkers already");
    let detections = Detections::replacing(changed).unwrap();
    assert_eq!(detections.by_id("top_talkers").unwrap().title, "Many destinations");
    assert_eq!(detections.analyses().len(), Detections::built_in().analyses().len());
}
