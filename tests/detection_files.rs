//! The files of detections: errors name the line, and built-in detections can be edited.

use std::fs;
use std::path::Path;

use crate::own_detections::{assert_refused, change, with_sessions, with_skeleton};
use crate::support::{hindcast, stderr, stdout};

#[test]
fn errors_name_file_and_line() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    let (dir, definition) = (folder.display(), folder.join("many_destinations/detection.toml"));
    let whole = fs::read_to_string(&definition).expect("a file");
    let lint = format!("detections lint {dir}");
    for (from, to, hints) in [
        ("suite = \"firewall\"", "suit = \"firewall\"", &["detection.toml:3", "suit"][..]),
        ("default = 3", "default = 0", &["detection.toml:", "min_destinations"]),
        ("\"external_pairs\"", "\"external_pair\"", &["detection.toml:6", "did you mean external_pairs?"]),
        ("'medium'", "'medium", &["detection.toml:"]),
        (
            "\"DeviceEventClassID\"",
            "\"DeviceEventClassId\"",
            &[
                "detection.toml:12: CommonSecurityLog has no column DeviceEventClassId; did you mean DeviceEventClassID?",
            ],
        ),
        (
            "name = \"destinations\"\ntype = \"integer\"",
            "name = \"destinations\"\ntype = \"float\"",
            &[
                "detection.toml:29: the column destinations is documented as float, but it is integer",
                "CAST(destinations AS DOUBLE)",
            ],
        ),
        (
            "rollups = [",
            "uses = { x = \"beaconing.max_jiter\" }\nrollups = [",
            &["detection.toml:6: uses names", "did you mean beaconing.max_jitter?"],
        ),
        (
            "first_seen = \"_first_seen\"",
            "first_seen = \"_first\"",
            &["detection.toml:63: finding.first_seen", "did you mean _first_seen?"],
        ),
        ("{{ destinations }}", "{{ destination }}", &["detection.toml:", "destination"]),
        (
            "\"T1046\", name = \"Network Service Discovery\", tactic = \"discovery\"",
            "\"T9999\", name = \"x\"",
            &["detection.toml:"],
        ),
    ] {
        fs::write(&definition, whole.replace(from, to)).expect("written");
        assert_refused(&lint, hints);
    }
    fs::write(&definition, &whole).expect("written");
    fs::write(folder.join("many_destinations/notes.txt"), "x").expect("written");
    assert_refused(&lint, &["many_destinations/notes.txt"]);
}

#[test]
fn errors_in_cases_and_names_are_reported() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    let dir = folder.display();
    let lint = format!("detections lint {dir}");
    let cases = folder.join("many_destinations/cases.toml");
    let whole_cases = fs::read_to_string(&cases).expect("a file");
    for (from, to, hints) in [
        ("SourceIP =", "SourceIp =", &["cases.toml:7: case ", "did you mean SourceIP?"][..]),
        ("sessions = 5", "session = 5", &["cases.toml:14: case ", "did you mean sessions?"]),
        (
            "[many_destinations]\\nmin_dest",
            "[many_destinations]\\nmin_best",
            &["cases.toml:5: case ", "did you mean min_destinations?"],
        ),
    ] {
        fs::write(&cases, whole_cases.replace(from, to)).expect("written");
        assert_refused(&lint, hints);
    }
    fs::write(&cases, &whole_cases).expect("written");
    // A failing case is not an invalid file.
    change(&folder.join("many_destinations/cases.toml"), "destinations = 4", "destinations = 5");
    let output = hindcast(&format!("detections test --detections {dir}"));
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("many_destinations/cases.toml:14: case"), "{}", stdout(&output));
    // Existing names.
    assert_refused(
        &format!("detections new beaconing --dir {dir}"),
        &["there is a detection beaconing already"],
    );
    assert_refused(&format!("detections new Bad-Name --dir {dir}"), &["lower-case"]);
    assert_refused(&format!("detections new many_destinations --dir {dir}"), &["exists already"]);
    assert_refused("detections show dns_tuneling", &["did you mean dns_tunneling?"]);
    let shown = stdout(&hindcast("detections show prevalence"));
    assert!(shown.contains("scans use this query internally"), "{shown}");
    assert_refused(
        &format!("detections list --detections {}", place.path("none").display()),
        &["no detection"],
    );
}

/// Only commands for authors of detections accept such a folder.
#[test]
fn a_folder_replaces_a_built_in_detection_in_commands_without_results() {
    let place = with_sessions();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../common/detections/detections/dns_tunneling");
    let folder = place.path("detections/dns_tunneling");
    fs::create_dir_all(&folder).expect("a folder");
    for entry in fs::read_dir(own).expect("a folder") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), folder.join(entry.file_name())).expect("copied");
    }
    fs::write(folder.join("detection.toml.bak"), "x").expect("written");
    change(
        &folder.join("detection.toml"),
        "title = \"DNS payload sizes by source\"",
        "title = \"Another title\"",
    );
    let dir = place.path("detections");
    let dir = dir.display();
    let pages = place.path("pages");
    for arguments in [
        format!("lint {dir}"),
        format!("test --detections {dir}"),
        format!("docs {} --detections {dir}", pages.display()),
        format!("test --detections {dir} --lake {} --no-cache", place.lake().display()),
    ] {
        let output = hindcast(&format!("detections {arguments}"));
        assert!(output.status.success(), "{arguments}: {}{}", stdout(&output), stderr(&output));
    }
    let page = fs::read_to_string(pages.join("dns_tunneling.md")).expect("a page");
    assert!(page.contains("Another title"), "{page}");
    change(
        &folder.join("query.sql"),
        "WHERE query_count >= $min_queries",
        "WHERE query_count > 10 * $min_queries",
    );
    let output = hindcast(&format!("detections test --detections {dir}"));
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let place_of_case = format!("{}:", folder.join("cases.toml").display());
    assert!(stdout(&output).lines().any(|line| line.contains(&place_of_case)), "{}", stdout(&output));
    let scan = format!("scan --lake {} --out {}", place.lake().display(), place.path("no").display());
    for arguments in [format!("detections list --detections {dir}"), format!("{scan} --detections {dir}")] {
        assert_refused(&arguments, &["there is a detection dns_tunneling already"]);
    }
}
