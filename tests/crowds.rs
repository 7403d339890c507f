//! Many clients that connect and send nothing, or never finish a request, do not block others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::page_client::get;
use crate::sandbox::{Sandbox, Setup, free_port, http_get};
use crate::support::{Place, stderr};

const CROWD: usize = 300;
const TOKEN: &str = "analyst-secret-1";
/// Longest time of an answer while many clients are connected.
const PROMPT: Duration = Duration::from_secs(1);

/// Connections to a port, each of which has sent `begun`.
fn crowd(port: u16, begun: &str) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        // The first connections may be closed by now.
        let _ = stream.write_all(begun.as_bytes());
        stream
    };
    (0..CROWD).map(connect).collect()
}

fn promptly<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() < PROMPT, "{what} took {:?}", start.elapsed());
    result
}

#[test]
fn silent_clients_do_not_block_others() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let web = free_port();
    let hash: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let config = format!(
        "web = \"127.0.0.1:{web}\"\n[[tokens]]\nname = \"analyst\"\nrole = \"submit\"\nsha256 = \"{hash}\"\n"
    );
    let setup =
        Setup { config, environment: vec![("HINDCAST_TOKEN".into(), TOKEN.into())], ..Setup::local(&place) };
    let sandbox = Sandbox::start(&place, setup, 1);
    let login = format!(
        "POST /login HTTP/1.1\r\nHost: 127.0.0.1:{web}\r\nOrigin: http://127.0.0.1:{web}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ntoken="
    );
    let idle = crowd(sandbox.port, "");
    // A preface, and settings that never end.
    let silent = crowd(sandbox.port, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
    let half = crowd(sandbox.http, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n");
    let logins = crowd(web, &login);
    for _ in 0..3 {
        let health = promptly("health", || http_get(sandbox.http, "/healthz"));
        assert_eq!(health.as_deref(), Some("alive\n"), "{}", sandbox.logs());
        assert_eq!(promptly("the login page", || get(web, "/login")).status, 200);
    }
    let output = sandbox.scan(&place.out(), "");
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    // A client that never sends a request is disconnected.
    for mut stream in [idle, silent].map(|mut crowd| crowd.swap_remove(0)) {
        stream.set_read_timeout(Some(Duration::from_secs(40))).expect("a limit");
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        let is_ended =
            ended.as_ref().map_or_else(|error| error.kind() != std::io::ErrorKind::WouldBlock, |_| true);
        assert!(is_ended, "{ended:?}");
    }
    // A login whose body never ends is also closed.
    let mut login = logins.into_iter().next_back().expect("a connection");
    let mut answer = String::new();
    login.set_read_timeout(Some(Duration::from_secs(40))).expect("a limit");
    login.read_to_string(&mut answer).expect("an answer");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    drop(half);
}

#[test]
fn a_worker_polls_an_absent_coordinator_with_back_off() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let mut sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    sandbox.kill_coordinator();
    std::thread::sleep(Duration::from_secs(8));
    let warnings = sandbox.whole_logs().matches("poll work loop failed").count();
    assert!((2..=9).contains(&warnings), "{warnings} warnings in\n{}", sandbox.whole_logs());
    let start = Instant::now();
    sandbox.start_coordinator();
    sandbox.wait_until_ready();
    assert!(start.elapsed() < Duration::from_secs(20), "ready after {:?}", start.elapsed());
    let output = sandbox.scan(&place.out(), "");
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
}
