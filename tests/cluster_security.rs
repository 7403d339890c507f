//! Invalid clients: no certificate, a certificate of another authority, no token, a token for reading only, places that are not listed,
//! requests that are too large.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hindcast_node::Tls;
use hindcast_proto::v1::jobs_client::JobsClient;
use hindcast_proto::v1::{ScanRequest, SubmitRequest};
use sha2::{Digest, Sha256};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, stderr, stdout};

pub const SUBMIT: &str = "analyst-secret-1";
pub const READ: &str = "viewer-secret-2";

fn certificates(place: &Place, name: &str) -> PathBuf {
    let folder = place.path(name);
    let output = hindcast(&format!("certificates {}", folder.display()));
    assert!(output.status.success(), "{}", stderr(&output));
    folder
}

pub fn guarded(place: &Place) -> Setup {
    let hash =
        |token: &str| -> String { Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect() };
    let token = |name: &str, role: &str, token: &str| {
        format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{}\"\n", hash(token))
    };
    Setup {
        config: token("analyst", "submit", SUBMIT) + &token("viewer", "read", READ),
        certificates: Some(certificates(place, "certificates")),
        ..Setup::local(place)
    }
}

/// A user's command with a token, and with the certificates of `folder` or none.
pub fn ask(sandbox: &Sandbox, arguments: &str, token: &str, folder: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hindcast"));
    command
        .args(arguments.split_whitespace())
        .args(["--coordinator", &format!("127.0.0.1:{}", sandbox.port)]);
    if let Some(folder) = folder {
        command.arg("--tls").arg(folder);
    }
    command.env("HINDCAST_TOKEN", token).output().expect("the binary runs")
}

fn assert_refused(output: &Output, expected: &str) {
    assert!(!output.status.success(), "{}", stdout(output));
    let error = stderr(output);
    assert!(error.contains(expected), "{error}");
    assert!(!error.contains(SUBMIT) && !error.contains(READ), "a secret in {error}");
}

#[test]
fn people_need_certificates_and_tokens() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    place.scan_well("");
    let sandbox = Sandbox::start(&place, guarded(&place), 1);
    let client = place.path("certificates/client");
    let out = place.path("remote");
    let lake = place.lake().display().to_string();
    let scan = format!("scan --lake {lake} --out {} --format parquet,json", out.display());

    let output = ask(&sandbox, &scan, SUBMIT, Some(&client));
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_same(&files_of(&place.out()), &files_of(&out), "locally and with certificates and tokens");

    assert_refused(&ask(&sandbox, "jobs list", SUBMIT, None), "does not answer");
    let strangers = certificates(&place, "strangers");
    assert_refused(&ask(&sandbox, "jobs list", SUBMIT, Some(&strangers.join("client"))), "certificate");
    // A user's command does not accept a coordinator of another authority.
    let mixed = place.path("mixed");
    fs::create_dir(&mixed).expect("a folder");
    for (name, from) in [
        ("ca.crt", &strangers),
        ("tls.crt", &place.path("certificates")),
        ("tls.key", &place.path("certificates")),
    ] {
        fs::copy(from.join("client").join(name), mixed.join(name)).expect("copied");
    }
    assert_refused(&ask(&sandbox, "jobs list", SUBMIT, Some(&mixed)), "certificate");
    assert_refused(&ask(&sandbox, "jobs list", "", Some(&client)), "token is required");
    assert_refused(&ask(&sandbox, "jobs list", "guess", Some(&client)), "unknown token");
    assert!(ask(&sandbox, "jobs list", READ, Some(&client)).status.success());
    assert_refused(&ask(&sandbox, &scan, READ, Some(&client)), "only reading");
    let jobs = stdout(&ask(&sandbox, "jobs list --json", READ, Some(&client)));
    assert!(jobs.contains("\"submitted_by\": \"analyst\""), "{jobs}");
    let logs = sandbox.whole_logs();
    assert!(!logs.contains(SUBMIT) && !logs.contains(READ), "a secret in {logs}");
}

#[test]
fn only_listed_lakes_are_read() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    let sandbox = Sandbox::start(&place, guarded(&place), 1);
    let client = place.path("certificates/client");
    let lake = place.lake().display().to_string();
    let secret = place.path("secret");
    fs::create_dir_all(&secret).expect("a folder");
    for other in
        ["/etc".to_owned(), format!("{lake}/../secret"), "s3://somebody/else".to_owned(), "/".to_owned()]
    {
        let scan = format!("scan --lake {other} --out {}", place.out().display());
        assert_refused(&ask(&sandbox, &scan, SUBMIT, Some(&client)), "not among the lakes");
    }
    // Nor with a table that is mapped to another place.
    let config = place.path("mapped.toml");
    for (mapping, expected) in [
        (format!("url = {:?}", secret.display().to_string()), "not among the lakes"),
        ("workspace = \"../secret\"".to_owned(), "not among the lakes"),
    ] {
        fs::write(&config, format!("[tables.AuditLogs]\n{mapping}")).expect("a file");
        let scan =
            format!("scan --lake {lake} --out {} --config {}", place.out().display(), config.display());
        assert_refused(&ask(&sandbox, &scan, SUBMIT, Some(&client)), expected);
    }
    assert!(!place.out().exists());
}

/// A connection with the certificates of `folder`, without the checks of the command line.
pub async fn channel(sandbox: &Sandbox, folder: &Path) -> Channel {
    let tls = Tls::load(folder).expect("certificates");
    let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", sandbox.port)).expect("an address");
    endpoint.tls_config(tls.client(None)).expect("a TLS setting").connect().await.expect("a connection")
}

#[test]
fn users_can_not_reach_the_scheduler_and_requests_are_bounded() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let sandbox = Sandbox::start(&place, guarded(&place), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // Ballista's scheduler accepts any plan from any client: a user's certificate must not reach it.
        use ballista_core::serde::protobuf::CleanJobDataParams;
        use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
        let person = channel(&sandbox, &place.path("certificates/client")).await;
        let answer = SchedulerGrpcClient::new(person.clone())
            .clean_job_data(CleanJobDataParams { job_id: "any".into(), remove_stage_ids: vec![] })
            .await;
        assert_eq!(answer.expect_err("refused").code(), Code::PermissionDenied);

        // A request of a gigabyte is refused before it is read.
        let scan = ScanRequest { config: "#".repeat(1 << 30), ..ScanRequest::default() };
        let id = "01a20ac3-32dc-7536-81c3-a2ae14b70c83".to_owned();
        let mut request = Request::new(SubmitRequest { id, scan: Some(scan) });
        let token = format!("Bearer {SUBMIT}").parse().expect("a header");
        request.metadata_mut().insert("authorization", token);
        let answer = JobsClient::new(person).submit(request).await;
        assert!(answer.is_err(), "a gigabyte was accepted");
    });
    assert!(sandbox.get("/healthz").is_some(), "{}", sandbox.logs());
}

#[test]
fn jobs_beyond_the_queue_limit_are_refused() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let mut setup = Setup::local(&place).with_short_deadlines();
    setup.config += "[limits]\nconcurrent_jobs = 1\nqueued_jobs = 1\n";
    let sandbox = Sandbox::start(&place, setup, 1);
    // Without a worker no job ends.
    sandbox.signal_worker(0, "STOP");
    let mut waiting: Vec<_> =
        (0..2).map(|job| sandbox.begin_scan(&place.path(&format!("out-{job}")), "--quiet")).collect();
    let start = std::time::Instant::now();
    while stdout(&sandbox.hindcast("jobs list")).lines().count() < 2 {
        assert!(start.elapsed().as_secs() < 30, "{}", sandbox.logs());
    }
    let output = sandbox.scan(&place.path("out-2"), "");
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stderr(&output).contains("the coordinator is busy"), "{}", stderr(&output));
    sandbox.signal_worker(0, "CONT");
    for scan in waiting.drain(..) {
        assert!(sandbox.finish(scan).status.success(), "{}", sandbox.logs());
    }
}

#[test]
fn plain_text_stays_on_this_machine() {
    let place = Place::new();
    let state = place.path("state").display().to_string();
    for (arguments, expected) in [
        (format!("coordinator --state {state} --listen 0.0.0.0:0"), "--insecure"),
        ("worker --coordinator 192.0.2.1:7480".to_owned(), "--insecure"),
        ("jobs list --coordinator 192.0.2.1:7480".to_owned(), "--insecure"),
        ("coordinator".to_owned(), "--state"),
    ] {
        let output = hindcast(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments}: {}", stderr(&output));
    }
    let folder = certificates(&place, "certificates");
    let tls = folder.join("coordinator").display().to_string();
    let output = hindcast(&format!("coordinator --state {state} --listen 0.0.0.0:0 --tls {tls}"));
    assert!(stderr(&output).contains("[[tokens]]"), "{}", stderr(&output));
}
