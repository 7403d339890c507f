//! Arguments, exit codes, output and result files of a scan.

use std::fs;

use serde_json::Value;

use crate::support::{Place, hindcast, run, stderr, stdout};

const DEMO: &str = "--days 1 --rows-per-day 4000 --seed 2";

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let place = Place::with_demo(DEMO);
    let output = place.scan("--dry-run");
    assert!(output.status.success() && !place.out().exists());
    let printed = stdout(&output);
    for word in ["window    2026-01-05", "CommonSecurityLog", "beaconing", "egress_spikes"] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
    let plan: Value = serde_json::from_str(&stdout(&place.scan("--dry-run --json"))).expect("JSON");
    assert_eq!(plan["analyses"].as_array().map(Vec::len), Some(28));
}

#[test]
fn a_missing_table_or_column_disables_only_what_needs_it() {
    let place = Place::with_demo(DEMO);
    fs::remove_dir_all(place.lake().join("AuditLogs")).expect("removed");
    let geoip = place.lake().join("geoip.mmdb");
    place.scan_well(&format!("--geoip {}", geoip.display()));
    let summary = place.summary();
    assert_eq!(
        summary["disabled"].as_object().map(|d| d.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["storage_audit".into()])
    );
    assert!(summary["disabled"]["storage_audit"].as_str().is_some_and(|why| why.contains("AuditLogs")));
    assert_eq!(place.coverage("AuditLogs", "2026-01-05")["status"], "missing");
    assert!(!place.out().join("tables/storage_audit.json").exists());
}

#[test]
fn invalid_arguments_exit_with_2_before_the_scan() {
    let place = Place::with_demo(DEMO);
    let cases = [
        ("--only beconing", "did you mean beaconing"),
        ("--suite firewal", "did you mean firewall"),
        ("--from yesterday", "not a time"),
        ("--from 2026-01-06 --to 2026-01-05", "the window is empty"),
        ("--from 2031-01-01 --to 2031-01-02", "no file between"),
        ("--last 5parsecs", "not a length of time"),
        ("--preset notebok", "unknown preset"),
        ("--suite firewall --only egress_spikes", "leaves out"),
        ("--memory lots", "4GiB"),
        ("--format docx", "docx"),
    ];
    for (arguments, message) in cases {
        let output = place.scan(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(message), "{arguments}: {}", stderr(&output));
        assert!(!place.out().exists());
    }
    let config = place.path("own.toml");
    fs::write(&config, "[beaconing]\nmax_jitter = 'high'").expect("written");
    let output = place.scan(&format!("--config {}", config.display()));
    assert_eq!(output.status.code(), Some(2));
    let expected = "own.toml, line 2: beaconing.max_jitter is 'high': it must be a number";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn invalid_parameters_are_named_with_file_and_line() {
    let place = Place::with_demo(DEMO);
    let config = place.path("own.toml");
    let allow = "[[watchlists]]\nname = 'scanners'\nkind = 'ip'\neffect = 'allow'\n";
    let patterns =
        "[compression_staging]\nallowed_commands = [{ pattern = 'robocopy', hits = ['copy a b'] }]";
    let cases = [
        (
            "[beaconing]\nmax_jitter = -1",
            "line 2: beaconing.max_jitter is -1: it must be above 0 and at most 100 (deviation over mean)",
        ),
        ("[beacon_scores]\nmin_score = 1.5", "beacon_scores.min_score is 1.5: it must be from 0 to 1"),
        ("[score]\ncap = 0", "score.cap is 0: it must be from 1 to"),
        ("[beconing]", "line 1: there is no section beconing; did you mean beaconing?"),
        (
            "[beaconing]\nmax_jiter = 1",
            "line 2: there is no parameter beaconing.max_jiter; did you mean max_jitter?",
        ),
        (
            "[multi_location_users]\ntravel_window = '99999d'",
            "travel_window is '99999d': it must be from 0s to 36500d",
        ),
        (
            patterns,
            "line 2: compression_staging.allowed_commands: pattern \"robocopy\" does not match \"copy a b\"",
        ),
        (
            &format!("{allow}analyses = ['beconing']"),
            "line 5: watchlist scanners: there is no analysis \"beconing\"; did you mean beaconing?",
        ),
    ];
    for (text, message) in cases {
        fs::write(&config, text).expect("written");
        let output = place.scan(&format!("--config {}", config.display()));
        assert_eq!(output.status.code(), Some(2), "{text}: {}", stderr(&output));
        let printed = stderr(&output);
        assert!(printed.contains("own.toml") && printed.contains(message), "{message}: {printed}");
    }
    // The same in the lake's configuration file.
    fs::write(place.lake().join("hindcast.toml"), "[top_talkers]\nlimit = 0").expect("written");
    let output = place.scan("");
    assert_eq!(output.status.code(), Some(2));
    let expected = "hindcast.toml, line 2: top_talkers.limit is 0";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn fail_on_exits_with_4_if_the_level_is_reached() {
    let place = Place::with_demo(DEMO);
    assert_eq!(place.scan("--fail-on high").status.code(), Some(4));
    // A suite without signals reaches no level.
    assert_eq!(place.scan("--only traffic_overview --fail-on low").status.code(), Some(0));
}

#[test]
fn results_replace_earlier_results_and_nothing_else() {
    let place = Place::with_demo(DEMO);
    place.scan_well("--only beaconing");
    assert!(place.out().join("tables/beaconing.parquet").exists());
    place.scan_well("--only traffic_overview");
    assert!(!place.out().join("tables/beaconing.parquet").exists());
    let precious = place.path("precious");
    fs::create_dir(&precious).expect("a folder");
    fs::write(precious.join("thesis.txt"), "years of work").expect("written");
    let lake = place.lake().display().to_string();
    let output = run(&["scan", "--lake", &lake, "--out", &precious.display().to_string(), "--no-cache"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(precious.join("thesis.txt").exists());
    let strays = fs::read_dir(place.path(""))
        .expect("a folder")
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(".hindcast"));
    assert_eq!(strays.count(), 0);
}

#[test]
fn summary_findings_and_ocsf_have_the_fields_for_scripts() {
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    let summary = place.summary();
    assert_eq!(summary["window"]["from"], "2026-01-05T00:00:00Z");
    let signals = summary["suites"]["exfiltration"]["signals"].as_object().expect("signals");
    let points: u64 = signals.values().filter_map(Value::as_u64).map(|rows| rows.min(10)).sum();
    assert_eq!(summary["suites"]["exfiltration"]["score"].as_u64(), Some(points));
    assert_eq!(summary["coverage"]["complete"], true);
    let findings = place.findings();
    assert_eq!(summary["findings"].as_u64(), Some(findings.len() as u64));
    let mut ids: Vec<&str> = findings.iter().filter_map(|finding| finding["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), findings.len(), "ids are distinct");
    assert!(
        findings
            .iter()
            .all(|finding| finding["techniques"][0]["id"].as_str().is_some_and(|id| id.starts_with('T')))
    );

    place.scan_well("--format ocsf");
    let events = place.findings();
    assert_eq!(events.len(), findings.len());
    for event in events {
        assert_eq!((event["class_uid"].as_u64(), event["type_uid"].as_u64()), (Some(2004), Some(200_401)));
        assert!(event["time"].as_i64().is_some_and(|millis| millis > 1_700_000_000_000), "{event}");
    }
}

#[test]
fn the_demo_refuses_a_folder_in_use() {
    let place = Place::with_demo(DEMO);
    let output = hindcast(&format!("demo {}", place.lake().display()));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
