//! Findings that are pushed at the end of a run, and jobs that a coordinator submits by a schedule.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::listeners::{syslog_tcp, syslog_udp, web};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, stderr, stdout};

const DEMO: &str = "--days 1 --rows-per-day 4000 --seed 2";

fn scan(place: &Place, sinks: &str) -> Output {
    let file = place.path("sinks.toml");
    fs::write(&file, sinks).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_hindcast"))
        .args(["scan", "--no-cache", "--lake", &place.lake().display().to_string()])
        .args(["--out", &place.out().display().to_string(), "--sinks", &file.display().to_string()])
        .env("SOC_TOKEN", "Bearer very-secret")
        .output()
        .expect("the binary runs")
}

fn of_level(place: &Place, levels: &[&str]) -> usize {
    let is_sent = |finding: &&Value| levels.contains(&finding["severity"].as_str().unwrap_or_default());
    place.findings().iter().filter(is_sent).count()
}

#[test]
fn findings_reach_webhooks_and_collectors_of_their_level() {
    let place = Place::with_demo(DEMO);
    let (hook, datagrams, stream) = (web(&["503 Busy", "429 Wait"]), syslog_udp(), syslog_tcp());
    let output = scan(
        &place,
        &format!(
            "[[sinks]]\nname = 'soc'\nkind = 'webhook'\nurl = 'http://127.0.0.1:{}/hook'\n\
             headers_from_env = {{ Authorization = 'SOC_TOKEN' }}\n\
             [[sinks]]\nname = 'udp'\nkind = 'syslog'\nurl = 'udp://127.0.0.1:{}'\n\
             [[sinks]]\nname = 'tcp'\nkind = 'syslog'\nurl = 'tcp://127.0.0.1:{}'\nmin_level = 'low'\nevery_run = true\n",
            hook.port, datagrams.port, stream.port
        ),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let (severe, all) = (of_level(&place, &["high", "critical"]), place.findings().len());
    assert!(severe > 0 && all > severe);
    let printed = stdout(&output);
    assert!(
        printed.contains(&format!("soc: {severe} findings"))
            && printed.contains(&format!("tcp: {all} findings")),
        "{printed}"
    );

    // Refused twice, then accepted: the same message each time.
    let tries = [hook.next(), hook.next(), hook.next()];
    assert!(tries.iter().all(|request| request.body == tries[0].body));
    assert!(
        tries[0].head.starts_with("post /hook ")
            && tries[0].head.contains("authorization: bearer very-secret")
    );
    let body = &tries[2].body;
    assert_eq!(body["findings"].as_array().map(Vec::len), Some(severe));
    assert_eq!(body["run"]["state"], "done");
    assert_eq!(body["run"]["findings"].as_u64(), Some(all as u64));
    assert!(body["incidents"].as_array().is_some_and(|incidents| !incidents.is_empty()));
    assert_eq!(hook.rest(), 0);

    for _ in 0..severe {
        let message = datagrams.next();
        // Facility 4, critical or error.
        assert!(
            message.starts_with("<34>1 2026-01-0") || message.starts_with("<35>1 2026-01-0"),
            "{message}"
        );
        assert!(
            message.contains(" - hindcast - ") && message.contains(" - CEF:0|Hindcast|Hindcast|"),
            "{message}"
        );
    }
    for _ in 0..all {
        assert!(stream.next().contains("externalId="));
    }
    assert!(stream.next().contains("|run_end|Scan ended|0|"));
}

#[test]
fn a_failing_sink_loses_nothing_and_is_reported() {
    let place = Place::with_demo(DEMO);
    let hook = web(&["302 Found\r\nLocation: http://127.0.0.1:1/elsewhere"]);
    let sinks = format!(
        "[[sinks]]\nname = 'soc'\nkind = 'webhook'\nurl = 'http://127.0.0.1:{}/very-secret'\n",
        hook.port
    );
    let output = scan(&place, &sinks);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("NOT sent to   soc"), "{}", stdout(&output));
    assert!(stderr(&output).contains("302"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("very-secret"), "{}", stderr(&output));
    assert!(!place.findings().is_empty());
    hook.next();
    assert_eq!(hook.rest(), 0, "a permanent failure is not retried");
}

#[test]
fn requests_and_lakes_can_not_name_a_sink() {
    let place = Place::with_demo("--days 1 --rows-per-day 1000 --seed 2");
    let sink = "[[sinks]]\nname = 'soc'\nkind = 'webhook'\nurl = 'http://127.0.0.1:1'\n";
    let config = place.path("own.toml");
    fs::write(&config, sink).expect("a file");
    let output = place.scan(&format!("--config {}", config.display()));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    fs::write(place.lake().join("hindcast.toml"), sink).expect("a file");
    let output = place.scan("");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("hindcast.toml, line 1: there is no section sinks"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_schedule_has_one_job_per_period_even_after_a_restart() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 2");
    let hook = web(&[]);
    let mut setup = Setup::local(&place);
    setup.environment.push(("HOOK".into(), format!("http://127.0.0.1:{}/hook", hook.port)));
    let lake = &setup.lake;
    setup.config = format!(
        "[[schedule]]\nname = 'yearly'\nlake = {lake:?}\nevery = '3650d'\nlast = '24h'\nsuites = ['firewall']\n\
         [[schedule]]\nname = 'broken'\nlake = '{lake}/nowhere'\nevery = '3650d'\n\
         [[sinks]]\nname = 'soc'\nkind = 'webhook'\nurl_from_env = 'HOOK'\nmin_level = 'critical'\nevery_run = true\n",
    );
    let mut sandbox = Sandbox::start(&place, setup, 1);
    let mut runs = [hook.next().body, hook.next().body].map(|body| body["run"].clone());
    runs.sort_by_key(|run| run["state"].to_string());
    assert_eq!((&runs[0]["state"], &runs[1]["state"]), (&json!("done"), &json!("failed")));
    assert!(runs[1]["error"].as_str().is_some_and(|error| error.contains("nowhere")), "{}", runs[1]);

    let start = Instant::now();
    let until = |sandbox: &Sandbox, is_so: &dyn Fn(&Sandbox) -> bool| {
        while !is_so(sandbox) {
            assert!(start.elapsed() < Duration::from_secs(60), "{}", sandbox.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    // Sinks are notified before the end is stored.
    until(&sandbox, &|sandbox| sandbox.jobs().iter().all(|job| job["ended"].is_string()));
    let first = sandbox.jobs();
    let by = |name: &str| first.iter().find(|job| job["submitted_by"] == name).expect("its job");
    assert_eq!(first.len(), 2);
    assert_eq!(
        (&by("schedule yearly")["id"], &by("schedule broken")["id"]),
        (&runs[0]["job"], &runs[1]["job"])
    );
    let metrics = sandbox.get("/metrics").expect("metrics");
    assert!(metrics.contains("hindcast_sink_deliveries_total{outcome=\"sent\"} 2"), "{metrics}");

    sandbox.kill_coordinator();
    sandbox.start_coordinator();
    until(&sandbox, &|sandbox| sandbox.whole_logs().matches("scheduled job submitted").count() == 2);
    assert_eq!(sandbox.jobs(), first);
    assert_eq!(hook.rest(), 0, "each run is sent once");
}
