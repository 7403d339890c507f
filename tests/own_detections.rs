//! Users' own detections, from the first skeleton to a job on a cluster.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, row, stderr, stdout};

const DATE: &str = "2026-03-01";

/// A firewall session of `source` with an external destination.
fn session(source: &str, destination: &str, second: u32) -> std::collections::BTreeMap<String, Value> {
    row([
        ("TimeGenerated", json!(format!("{DATE}T10:00:{second:02}Z"))),
        ("SourceIP", json!(source)),
        ("DestinationIP", json!(destination)),
        ("DestinationPort", json!(443)),
        ("SentBytes", json!(100)),
        ("ReceivedBytes", json!(10)),
        ("DeviceEventClassID", json!("TRAFFIC")),
        ("DeviceVendor", json!("Palo Alto Networks")),
        ("ApplicationProtocol", json!("ssl")),
        ("DeviceAction", json!("allow")),
        ("SimplifiedDeviceAction", json!("allow")),
        ("Protocol", json!("tcp")),
        ("Activity", json!("end")),
        ("LogSeverity", json!("3")),
    ])
}

/// A lake in which one source talks to six external destinations and another to one.
pub(crate) fn with_sessions() -> Place {
    let place = Place::new();
    let mut rows: Vec<_> =
        (0..6).map(|index| session("10.0.0.1", &format!("8.8.8.{index}"), index)).collect();
    rows.push(session("10.0.0.2", "9.9.9.9", 1));
    place.write_rows("CommonSecurityLog", DATE, "rows.parquet", &rows);
    place
}

/// A place with the skeleton as `many_destinations` in its folder `detections`, and a threshold that its lake reaches.
pub(crate) fn with_skeleton(place: &Place) -> PathBuf {
    let folder = place.path("detections");
    let output = hindcast(&format!("detections new many_destinations --dir {}", folder.display()));
    assert!(output.status.success(), "{}", stderr(&output));
    change(&folder.join("many_destinations/detection.toml"), "default = 500", "default = 3");
    folder
}

pub(crate) fn change(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{} has no {from:?}", file.display());
    fs::write(file, text.replace(from, to)).expect("written");
}

pub(crate) fn assert_refused(arguments: &str, hints: &[&str]) {
    let output = hindcast(arguments);
    let printed = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(2), "{arguments}: {printed}");
    for hint in hints {
        assert!(printed.contains(hint), "{arguments}: no {hint:?} in {printed}");
    }
}

#[test]
fn a_skeleton_passes_lint_and_cases_and_its_findings_are_like_any_other() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    let dir = folder.display();
    for arguments in [format!("lint {dir}"), format!("test --detections {dir}"), "lint".to_owned()] {
        let output = hindcast(&format!("detections {arguments}"));
        assert!(output.status.success(), "{arguments}: {}{}", stdout(&output), stderr(&output));
    }
    let list = stdout(&hindcast(&format!("detections list --detections {dir}")));
    let line = list.lines().find(|line| line.starts_with("many_destinations")).expect("a line");
    assert!(line.contains("own") && line.contains("T1046") && line.contains("firewall"), "{line}");
    assert!(
        list.lines().any(|line| line.starts_with("dns_tunneling") && line.contains("built-in")),
        "{list}"
    );
    let shown = stdout(&hindcast(&format!("detections show many_destinations --detections {dir}")));
    assert!(shown.contains("min_destinations = 3") && shown.contains("FROM external_pairs"), "{shown}");

    place.scan_well(&format!("--detections {dir}"));
    let table = place.table("many_destinations");
    assert_eq!((table.len(), &table[0]["destinations"]), (1, &json!(6)), "{table:?}");
    let findings = place.findings();
    let own: Vec<&Value> = findings.iter().filter(|one| one["analysis"] == "many_destinations").collect();
    assert_eq!(own.len(), 1, "{findings:?}");
    assert_eq!(own[0]["explanation"], "6 external destinations in 6 sessions, 600 bytes sent");
    let summary = place.summary();
    assert_eq!(summary["suites"]["firewall"]["signals"]["many_destinations"], 1, "{summary}");
    assert_eq!(summary["analyses"]["many_destinations"], 1);
    assert_eq!(summary["coverage"]["complete"], true);
    let entities = fs::read_to_string(place.out().join("entities.jsonl")).expect("entities");
    assert!(entities.contains("10.0.0.1"), "{entities}");
    let html = place.path("html");
    let output = hindcast(&format!(
        "scan --lake {} --detections {dir} --no-cache --format html --out {}",
        place.lake().display(),
        html.display()
    ));
    assert!(output.status.success(), "{}", stderr(&output));
    let report = fs::read_to_string(html.join("report.html")).expect("a report");
    assert!(report.contains("Sources with many external destinations"));

    // Results contain the detection: a comparison needs no flag.
    fs::rename(place.out(), place.path("before")).expect("renamed");
    let config = place.path("own.toml");
    fs::write(&config, "[many_destinations]\nmin_destinations = 4").expect("written");
    place.scan_well(&format!("--detections {dir} --config {}", config.display()));
    let compared =
        stdout(&hindcast(&format!("diff {} {}", place.path("before").display(), place.out().display())));
    assert!(compared.contains("many_destinations.min_destinations 3, then 4"), "{compared}");
}

#[test]
fn a_lake_or_a_configuration_file_names_folders() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    let below = place.lake().join("own");
    fs::create_dir_all(&below).expect("a folder");
    fs::rename(folder.join("many_destinations"), below.join("many_destinations")).expect("moved");
    fs::write(
        place.lake().join("hindcast.toml"),
        "detections = [\"own\"]\n[many_destinations]\nmin_destinations = 2",
    )
    .expect("written");
    place.scan_well("--only many_destinations");
    assert_eq!(place.table("many_destinations").len(), 1);
    fs::remove_file(place.lake().join("hindcast.toml")).expect("removed");

    let config = place.path("own.toml");
    fs::write(&config, "\ndetections = [\"lake/own\"]\n[many_destinations]\nmin_destination = 2")
        .expect("written");
    let scan = format!("scan --lake {} --out {}", place.lake().display(), place.path("no").display());
    let with_config = format!("{scan} --no-cache --config {}", config.display());
    assert_refused(&with_config, &["own.toml, line 4", "min_destinations"]);
    change(&config, "min_destination =", "min_destinations =");
    let output = hindcast(&with_config);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_refused(&format!("{scan} --only many_destination"), &["there is no analysis"]);
}

#[test]
fn failing_sql_is_reported_with_file_and_line_and_affects_nothing_else() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    let query = folder.join("many_destinations/query.sql");
    change(&query, "sum(sessions) AS sessions", "sum(sessions) / (min(sessions) - 1) AS sessions");
    let output = place.scan(&format!("--suite firewall --detections {}", folder.display()));
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    let printed = stdout(&output);
    assert!(printed.contains("many_destinations/query.sql, line 3") && printed.contains("zero"), "{printed}");
    let summary = place.summary();
    let reason = summary["disabled"]["many_destinations"].as_str().expect("a reason");
    assert!(reason.contains("many_destinations/query.sql, line 3"), "{reason}");
    assert_eq!(summary["coverage"]["complete"], false);
    assert_eq!(summary["coverage"]["gaps"][0]["kind"], "detection", "{summary}");
    assert!(summary["analyses"].get("many_destinations").is_none());
    assert_eq!(summary["analyses"]["top_talkers"], 2);
    assert_eq!(place.table("top_talkers").len(), 7);

    // The same for a rule, and for a rollup.
    change(&query, " / (min(sessions) - 1)", "");
    let definition = folder.join("many_destinations/detection.toml");
    change(&definition, "confidence = \"50\"", "confidence = \"destinations + 95\"");
    let output = place.scan(&format!("--suite firewall --detections {}", folder.display()));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let reason = place.summary()["disabled"]["many_destinations"].to_string();
    assert!(reason.contains("many_destinations/detection.toml, line") && reason.contains("101"), "{reason}");
    change(&definition, "confidence = \"destinations + 95\"", "confidence = \"50\"");
    fs::create_dir_all(folder.join("rollups")).expect("a folder");
    fs::write(
        folder.join("rollups/odd_pairs.toml"),
        "version = 1\ntables = [\"CommonSecurityLog\"]\ncolumns = [\"SourceIP AS source_ip\", \
         \"DestinationPort / (SentBytes - 100) AS odd\"]\nbucket_key = [\"source_ip\"]\nkeys = [\"source_ip\"]\n\
         measures = [{ name = \"odds\", kind = \"sum\", of = \"odd\" }]\n",
    )
    .expect("written");
    change(&definition, "rollups = [\"external_pairs\"]", "rollups = [\"external_pairs\", \"odd_pairs\"]");
    let output = place.scan(&format!("--suite firewall --detections {}", folder.display()));
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    let reason = place.summary()["disabled"]["many_destinations"].to_string();
    assert!(reason.contains("rollups/odd_pairs.toml") && reason.contains("zero"), "{reason}");
    assert_eq!(place.table("top_talkers").len(), 7);
    assert_eq!(place.coverage("CommonSecurityLog", DATE)["status"], "scanned");
}

#[test]
fn sql_reads_its_rollups_and_nothing_else() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    let query = folder.join("many_destinations/query.sql");
    let lint = format!("detections lint {}", folder.display());
    let secret = place.path("secret.csv");
    fs::write(&secret, "a\n1\n").expect("written");
    let secret = secret.display();
    for (sql, hint) in [
        ("CREATE TABLE x AS SELECT 1".to_owned(), "SELECT"),
        (format!("COPY (SELECT 1) TO '{secret}'"), "SELECT"),
        (format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{secret}'"), "SELECT"),
        ("DELETE FROM external_pairs".to_owned(), "SELECT"),
        ("SELECT 1; SELECT 2".to_owned(), "one SELECT"),
        (format!("SELECT * FROM '{secret}'"), "there is no table"),
        ("SELECT * FROM internal_pairs".to_owned(), "there is no table"),
        ("SELECT * FROM information_schema.tables".to_owned(), "there is no table"),
        ("SELECT * FROM generate_series(1, 10)".to_owned(), ""),
        (format!("SELECT * FROM read_csv('{secret}')"), ""),
        (
            "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 AS n FROM x) SELECT n FROM x"
                .to_owned(),
            "",
        ),
        ("SELECT now() FROM external_pairs".to_owned(), "now"),
        ("SELECT random() FROM external_pairs".to_owned(), "random"),
        ("SELECT source_ipp\nFROM external_pairs".to_owned(), "source_ip"),
        (
            "SELECT source_ip\nFROM external_pairs\nWHERE sessions > $min_destination".to_owned(),
            "query.sql:3",
        ),
        (
            "SELECT source_ip FROM external_pairs".to_owned(),
            "toml:29: the result lacks destinations, sessions",
        ),
    ] {
        fs::write(&query, &sql).expect("written");
        assert_refused(&lint, &["many_destinations/", hint]);
        let scan = format!(
            "scan --lake {} --detections {} --out {}",
            place.lake().display(),
            folder.display(),
            place.path("no").display()
        );
        assert_refused(&scan, &["many_destinations/"]);
    }
    assert!(!place.path("no").exists());
}

#[test]
fn a_lake_is_scanned_with_one_detection() {
    let place = with_sessions();
    let dir = with_skeleton(&place);
    let output = hindcast(&format!(
        "detections test --detections {} --lake {} --no-cache",
        dir.display(),
        place.lake().display()
    ));
    let printed = stdout(&output);
    assert!(output.status.success(), "{printed}{}", stderr(&output));
    for hint in ["many_destinations: 1 row, 1 finding, 1.0 per day", "2026-03-01  1", "ip 10.0.0.1  1"] {
        assert!(printed.contains(hint), "no {hint:?} in {printed}");
    }
}

#[test]
fn a_coordinator_accepts_detections_only_if_configured() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    place.scan_well(&format!("--detections {} --only many_destinations", folder.display()));
    let alone = fs::read(place.out().join("tables/many_destinations.parquet")).expect("a table");
    let setup = Setup::local(&place);
    let mut sandbox = Sandbox::start(&place, setup.clone(), 2);
    let own = format!("--detections {} --only many_destinations", folder.display());
    let output = sandbox.scan(&place.path("refused"), &own);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("allow_detections = true"), "{}", stderr(&output));
    assert!(!place.path("refused").exists());

    sandbox.kill_coordinator();
    sandbox.change(Setup { config: "allow_detections = true\n".to_owned(), ..setup.clone() });
    sandbox.start_coordinator();
    sandbox.wait_until_ready();
    let output = sandbox.scan(&place.path("allowed"), &own);
    assert!(output.status.success(), "{}{}\n{}", stdout(&output), stderr(&output), sandbox.logs());
    let there = fs::read(place.path("allowed/tables/many_destinations.parquet")).expect("a table");
    assert!(there == alone, "the table differs from that of a scan without a cluster");

    // A failure on the cluster affects nothing else either.
    let query = folder.join("many_destinations/query.sql");
    change(&query, "sum(sessions) AS sessions", "sum(sessions) / (min(sessions) - 1) AS sessions");
    let failing = format!("--suite firewall --detections {}", folder.display());
    let output = sandbox.scan(&place.path("failing"), &failing);
    assert_eq!(output.status.code(), Some(3), "{}{}\n{}", stdout(&output), stderr(&output), sandbox.logs());
    assert!(stdout(&output).contains("many_destinations/query.sql, line 3"), "{}", stdout(&output));
    change(&query, " / (min(sessions) - 1)", "");

    // The coordinator's own detections need no permission.
    sandbox.kill_coordinator();
    let brought = format!("detections = [{:?}]\n", folder.display().to_string());
    sandbox.change(Setup { config: brought, ..setup });
    sandbox.start_coordinator();
    sandbox.wait_until_ready();
    let output = sandbox.scan(&place.path("brought"), "--only many_destinations");
    assert!(output.status.success(), "{}{}\n{}", stdout(&output), stderr(&output), sandbox.logs());
    assert!(place.path("brought/tables/many_destinations.parquet").exists());
}

#[test]
fn a_query_that_exceeds_its_time_affects_nothing_else() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    let joined: String = (0..12).map(|index| format!(", external_pairs p{index}")).collect();
    change(
        &folder.join("many_destinations/query.sql"),
        "FROM external_pairs\nWHERE sessions > 0\nGROUP BY source_ip",
        &format!(
            "FROM (SELECT q.* FROM external_pairs q{joined}) WHERE bytes_sent + 1 > 0 GROUP BY source_ip"
        ),
    );
    let config = place.path("own.toml");
    fs::write(&config, "[own_detections]\nmax_seconds = 1").expect("written");
    let output = place.scan(&format!(
        "--suite firewall --memory 8GiB --detections {} --config {}",
        folder.display(),
        config.display()
    ));
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    let reason = place.summary()["disabled"]["many_destinations"].to_string();
    assert!(reason.contains("many_destinations/query.sql, line 3: "), "{reason}");
    assert!(reason.contains("own_detections.max_seconds allows, 1 s"), "{reason}");
    assert_eq!(place.table("top_talkers").len(), 7);
}

#[test]
fn a_rollup_without_rows_affects_no_other() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    fs::create_dir_all(folder.join("rollups")).expect("a folder");
    fs::write(
        folder.join("rollups/no_pairs.toml"),
        "version = 1\ntables = [\"CommonSecurityLog\"]\nfilter = \"is_one_of(SourceIP, [])\"\n\
         columns = [\"SourceIP AS source_ip\"]\nbucket_key = [\"source_ip\"]\nkeys = [\"source_ip\"]\n\
         measures = [{ name = \"rows\", kind = \"count\" }]\n",
    )
    .expect("written");
    let definition = folder.join("many_destinations/detection.toml");
    change(&definition, "rollups = [\"external_pairs\"]", "rollups = [\"external_pairs\", \"no_pairs\"]");
    change(
        &folder.join("many_destinations/query.sql"),
        "WHERE sessions > 0",
        "WHERE source_ip NOT IN (SELECT source_ip FROM no_pairs)",
    );
    place.scan_well(&format!("--suite firewall --detections {}", folder.display()));
    assert_eq!(place.coverage("CommonSecurityLog", DATE)["status"], "scanned");
    assert_eq!((place.table("many_destinations").len(), place.table("top_talkers").len()), (1, 7));
}

#[test]
fn a_panic_in_the_last_step_affects_nothing_else() {
    let place = with_sessions();
    let folder = with_skeleton(&place);
    // DataFusion overflows when it adds to the bound of this window.
    let most = u64::MAX;
    let panicking = format!(
        "SELECT source_ip, destinations, CAST(sum(sessions) OVER (ORDER BY sessions ROWS BETWEEN {most} PRECEDING AND {most} FOLLOWING) \
         AS BIGINT) AS sessions, bytes_sent, _first_seen, _last_seen FROM "
    );
    fs::write(folder.join("many_destinations/finish.sql"), format!("{panicking} candidates"))
        .expect("written");
    let output = place.scan(&format!("--suite firewall --detections {}", folder.display()));
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    let reason = place.summary()["disabled"]["many_destinations"].to_string();
    assert!(
        reason.contains("many_destinations/finish.sql, line 1: ") && reason.contains("panicked"),
        "{reason}"
    );
    assert_eq!(place.table("top_talkers").len(), 7);
}
