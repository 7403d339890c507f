//! The coordinator's pages: permissions, and a scan that is submitted, watched, cancelled and viewed, also over HTTPS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::page_client::{Answer, ask, get, send};
use crate::sandbox::{Sandbox, Setup, free_port};
use crate::support::{Place, hindcast, stderr};

const SUBMIT: &str = "analyst secret/1+";
const READ: &str = "viewer-secret-2";

fn setup(place: &Place, web: u16, tokens: &[(&str, &str, &str)]) -> Setup {
    let mut config = format!("web = \"127.0.0.1:{web}\"\n");
    for (name, role, token) in tokens {
        let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
        config += &format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n");
    }
    Setup { config, ..Setup::local(place) }
}

/// The cookie that a browser sends after the login.
fn log_in(web: u16, token: &str) -> String {
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let answer = send(web, "/login", "", &format!("token={token}&next=%2Fsubmit"));
    assert_eq!((answer.status, answer.header("location")), (303, "/submit"), "{}", answer.body);
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("httponly") && cookie.contains("samesite=strict"), "{cookie}");
    // This client lower-cases headers, and this token is lower case.
    cookie.split(';').next().unwrap_or_default().to_owned()
}

fn ask_with(web: u16, path: &str, cookie: &str) -> Answer {
    ask(web, "GET", path, &[("Cookie", cookie)], "")
}

fn wait_until_done(web: u16, job: &str, cookie: &str) -> Answer {
    let start = Instant::now();
    loop {
        let answer = ask_with(web, &format!("{job}/progress"), cookie);
        assert_eq!(answer.status, 200, "{}", answer.body);
        if answer.body.contains("data-ended") {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{}", answer.body);
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn form(page: &Answer, lake: &Path, suite: &str) -> String {
    let id = page.between("name=\"id\" value=\"", "\"");
    let lake: String = url::form_urlencoded::byte_serialize(lake.display().to_string().as_bytes()).collect();
    format!("id={id}&lake={lake}&suite={suite}&preset=default")
}

#[test]
fn a_scan_is_submitted_watched_and_viewed_as_tokens_allow() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    let web = free_port();
    let tokens = [("analyst", "submit", SUBMIT), ("viewer", "read", READ)];
    let sandbox = Sandbox::start(&place, setup(&place, web, &tokens), 1);

    // Without a token only the login page is visible.
    let first = get(web, "/");
    assert_eq!((first.status, first.header("location")), (303, "/login?next=%2f"));
    assert_eq!(get(web, "/assets/style.css").status, 200);
    assert_eq!(send(web, "/login", "", "token=guess").status, 401);
    assert_eq!(ask_with(web, "/jobs", "hindcast-token=guess").status, 303);

    let (analyst, viewer) = (log_in(web, SUBMIT), log_in(web, READ));
    let lake = place.lake();
    let page = ask_with(web, "/submit", &analyst);
    let filled = form(&page, &lake, "exfiltration");
    assert_eq!(ask_with(web, "/submit", &viewer).status, 403);
    assert_eq!(send(web, "/jobs", &viewer, &filled).status, 403);
    assert_eq!(send(web, "/jobs", "", &filled).status, 401);
    // A page of another site can't submit with the browser's cookie.
    for headers in [
        &[("Origin", "http://elsewhere.example"), ("Cookie", analyst.as_str())][..],
        &[("Cookie", analyst.as_str())],
        &[("Sec-Fetch-Site", "cross-site"), ("Cookie", analyst.as_str())],
    ] {
        assert_eq!(ask(web, "POST", "/jobs", headers, &filled).status, 403);
    }
    let elsewhere = send(web, "/jobs", &analyst, &form(&page, Path::new("/etc"), "firewall"));
    assert!(elsewhere.status == 400 && elsewhere.body.contains("not among the lakes"), "{}", elsewhere.body);

    let submitted = send(web, "/jobs", &analyst, &filled);
    assert_eq!(submitted.status, 303, "{}", submitted.body);
    let job = submitted.header("location").to_owned();
    assert_eq!(
        send(web, "/jobs", &analyst, &filled).header("location"),
        job,
        "the same form is the same job"
    );
    wait_until_done(web, &job, &viewer);
    let listed = ask_with(web, "/", &viewer);
    assert!(listed.body.contains("state done") && listed.body.contains("analyst"), "{}", listed.body);
    let overview = ask_with(web, &job, &viewer);
    assert!(overview.body.contains("Worst incidents"), "{}", overview.body);
    let findings = ask_with(web, &format!("{job}/findings?q=suite%3Aexfiltration"), &viewer);
    assert!(findings.body.contains("class=\"open\""), "{}", findings.body);
    assert_eq!(ask_with(web, "/jobs/no-such-job/findings", &viewer).status, 404);

    let out = ask(web, "POST", "/logout", &[("Sec-Fetch-Site", "same-origin"), ("Cookie", &viewer)], "");
    assert!(out.header("set-cookie").contains("max-age=0"), "{}", out.head);
    let logs = sandbox.whole_logs();
    assert!(!logs.contains("analyst secret") && !logs.contains(READ), "a secret in {logs}");
}

#[test]
fn two_jobs_are_compared_and_a_waiting_job_is_cancelled() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    let web = free_port();
    let sandbox = Sandbox::start(&place, setup(&place, web, &[]), 1);
    let submit = |suite: &str| {
        let answer = send(web, "/jobs", "", &form(&get(web, "/submit"), &place.lake(), suite));
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.header("location").to_owned()
    };
    let (one, other) = (submit("exfiltration"), submit("firewall"));
    wait_until_done(web, &one, "");
    wait_until_done(web, &other, "");
    let id = |job: &str| job.trim_start_matches("/jobs/").to_owned();
    let compared = get(web, &format!("/compare?before={}&after={}", id(&one), id(&other)));
    assert!(compared.body.contains("it was not requested"), "{}", compared.body);

    sandbox.signal_worker(0, "KILL");
    let waiting = submit("office365");
    let page = get(web, &waiting);
    assert!(page.body.contains("data-poll") && page.body.contains("Cancel"), "{}", page.body);
    assert_eq!(send(web, &format!("{waiting}/cancel"), "", "").status, 303);
    assert!(wait_until_done(web, &waiting, "").body.contains("state cancelled"));
    assert_eq!(get(web, &format!("{waiting}/findings")).status, 404);
}

#[test]
fn with_certificates_the_pages_are_https() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    let folder = place.path("certificates");
    let made = hindcast(&format!("certificates {}", folder.display()));
    assert!(made.status.success(), "{}", stderr(&made));
    let web = free_port();
    let certificates = Some(folder.clone());
    let setup = Setup { certificates, ..setup(&place, web, &[("viewer", "read", READ)]) };
    let _sandbox = Sandbox::start(&place, setup, 1);

    let mut roots = RootCertStore::empty();
    let authority = fs::read(folder.join("client/ca.crt")).expect("the authority");
    roots.add(CertificateDer::from_pem_slice(&authority).expect("a certificate")).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    // A client that never completes its handshake blocks nobody.
    let _silent = TcpStream::connect(("127.0.0.1", web)).expect("a connection");
    let stream = TcpStream::connect(("127.0.0.1", web)).expect("a connection");
    let mut stream = StreamOwned::new(client, stream);
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: localhost:{web}\r\nAuthorization: Bearer {READ}\r\nConnection: close\r\n\r\n"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let answer = Answer::parse(&answer);
    assert!(answer.status == 200 && answer.body.contains("There is no job yet"), "{answer:?}");
}

#[test]
fn pages_open_to_everybody_are_not_started_without_a_flag() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    let lake = place.lake().display().to_string();
    let state = place.path("state").display().to_string();
    let refused = hindcast(&format!("coordinator --allow-lake {lake} --state {state} --web 0.0.0.0:0"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("0.0.0.0:0 is not on this machine"), "{}", stderr(&refused));
}
