//! A cluster of real processes over loopback or network namespaces: a coordinator and workers that can be killed, stopped,
//! drained and disconnected.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::child_watch::{ChildWatch, peak_kib};
use crate::support::{Place, stderr};

/// Longest start of a process.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Longest time of a scan under any conditions.
const SCAN_LIMIT: Duration = Duration::from_secs(240);

/// The setup of a sandbox.
#[derive(Clone)]
pub struct Setup {
    /// Lakes the coordinator reads.
    pub lake: String,
    pub state: String,
    /// The rest of the coordinator's configuration, TOML.
    pub config: String,
    /// Environment of all processes, such as a store's address.
    pub environment: Vec<(String, String)>,
    /// Folder of certificates made by `hindcast certificates`; plain text without.
    pub certificates: Option<PathBuf>,
}

impl Setup {
    /// The lake of a place in a local folder, with the state next to it.
    pub fn local(place: &Place) -> Self {
        Self {
            lake: place.lake().display().to_string(),
            state: place.path("state").display().to_string(),
            config: String::new(),
            environment: Vec::new(),
            certificates: None,
        }
    }

    /// Deadlines that are short enough for a test.
    pub fn with_short_deadlines(mut self) -> Self {
        self.config += "\n[faults]\nworker_timeout_seconds = 3\nstall_seconds = 8\nattempts = 3\n";
        self
    }
}

/// A process that ends with the test.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn signal(&self, name: &str) {
        let _ = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running cluster.
pub struct Sandbox {
    setup: Setup,
    folder: PathBuf,
    coordinator: Option<Process>,
    workers: Vec<Process>,
    /// Address of the coordinator for users and workers.
    host: String,
    pub port: u16,
    pub http: u16,
    started: usize,
}

/// A free port of this machine.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port()
}

impl Sandbox {
    pub fn start(place: &Place, setup: Setup, workers: usize) -> Self {
        Self::start_at(place, setup, "127.0.0.1", workers)
    }

    /// A cluster with a coordinator that listens at `host`.
    pub fn start_at(place: &Place, setup: Setup, host: &str, workers: usize) -> Self {
        let folder = place.path("cluster");
        fs::create_dir_all(&folder).expect("a folder");
        let (coordinator, started) = (None, 0);
        let (port, http) = (free_port(), free_port());
        let host = host.to_owned();
        let mut sandbox = Self { setup, folder, coordinator, workers: vec![], host, port, http, started };
        sandbox.start_coordinator();
        for _ in 0..workers {
            sandbox.add_worker("");
        }
        sandbox.wait_until_ready();
        sandbox
    }

    fn spawn(&mut self, arguments: Vec<String>, prefix: &str) -> Process {
        self.started += 1;
        let log = self.folder.join(format!("{}-{}.log", arguments[0], self.started));
        let mut line: Vec<String> = prefix.split_whitespace().map(str::to_owned).collect();
        line.push(env!("CARGO_BIN_EXE_hindcast").to_owned());
        line.extend(arguments);
        let output = File::create(&log).expect("a log");
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .envs(self.setup.environment.iter().cloned())
            .stdout(output.try_clone().expect("the log again"))
            .stderr(output);
        Process { child: command.spawn().expect("a process"), log }
    }

    fn tls(&self, role: &str) -> Vec<String> {
        let folder = self.setup.certificates.as_ref().map(|folder| folder.join(role).display().to_string());
        folder.map_or_else(Vec::new, |folder| vec!["--tls".to_owned(), folder])
    }

    pub fn start_coordinator(&mut self) {
        let config = self.folder.join("coordinator.toml");
        let text =
            format!("lakes = [{:?}]\nstate = {:?}\n{}", self.setup.lake, self.setup.state, self.setup.config);
        fs::write(&config, text).expect("a configuration");
        let line = format!(
            "coordinator --config {} --listen {}:{} --http 127.0.0.1:{} --threads 2",
            config.display(),
            self.host,
            self.port,
            self.http
        );
        let arguments = line.split_whitespace().map(str::to_owned).chain(self.tls("coordinator")).collect();
        self.coordinator = Some(self.spawn(arguments, ""));
        self.until("the coordinator answers", |sandbox| sandbox.get("/healthz").is_some());
    }

    /// Adds a worker whose command starts with `prefix`, such as another program that starts it.
    pub fn add_worker(&mut self, prefix: &str) {
        self.add_worker_at(prefix, "127.0.0.1");
    }

    /// Adds a worker that reaches the coordinator through `port` of this machine.
    pub fn add_worker_through(&mut self, port: u16) {
        let own = std::mem::replace(&mut self.port, port);
        self.add_worker("");
        self.port = own;
    }

    /// Adds a worker that serves its results at `host`.
    pub fn add_worker_at(&mut self, prefix: &str, host: &str) {
        self.add_worker_with(prefix, host, "");
    }

    /// Adds a worker that does not wait for its tasks when it must leave.
    pub fn add_hasty_worker(&mut self) {
        self.add_worker_with("", "127.0.0.1", "--drain-timeout 0s");
    }

    fn add_worker_with(&mut self, prefix: &str, host: &str, more: &str) {
        let line = format!(
            "worker --coordinator {}:{} --listen {host}:0 --http {host}:0 --threads 1 --work-dir {} {more}",
            self.host,
            self.port,
            self.folder.display()
        );
        let arguments = line.split_whitespace().map(str::to_owned).chain(self.tls("worker")).collect();
        let worker = self.spawn(arguments, prefix);
        self.workers.push(worker);
    }

    pub fn wait_until_ready(&mut self) {
        self.until("a worker is there", |sandbox| {
            sandbox.get("/readyz").is_some_and(|answer| answer.starts_with("ready"))
        });
    }

    /// Waits until something is so.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(
                start.elapsed() < START_LIMIT,
                "still not after {START_LIMIT:?}: {what}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The answer of the coordinator's HTTP port.
    pub fn get(&self, path: &str) -> Option<String> {
        http_get(self.http, path)
    }

    /// The value of one of the coordinator's metrics, by its name and labels; 0 if it has none yet.
    pub fn metric(&self, name: &str) -> u64 {
        metric_in(&self.get("/metrics").unwrap_or_default(), name)
    }

    /// The value of a worker's metric; 0 if it has none yet.
    pub fn worker_metric(&self, worker: usize, name: &str) -> u64 {
        let log = self.workers[worker].log();
        let port = log.split_once("http=127.0.0.1:").map(|(_, rest)| rest);
        let port = port.and_then(|rest| rest.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok());
        metric_in(&port.and_then(|port| http_get(port, "/metrics")).unwrap_or_default(), name)
    }

    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// Sends a signal to a worker: KILL, STOP, CONT, TERM.
    pub fn signal_worker(&self, worker: usize, signal: &str) {
        if let Some(worker) = self.workers.get(worker) {
            worker.signal(signal);
        }
    }

    /// Limits a worker's memory to slightly more than its current size; returns whether that succeeded.
    pub fn starve_worker(&self, worker: usize, spare_kib: u64) -> bool {
        let id = self.workers[worker].child.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let size_kib: u64 =
            size.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        let limit = format!("--as={}", (size_kib + spare_kib) << 10);
        let done = Command::new("prlimit").args(["--pid", &id.to_string(), &limit]).status();
        done.is_ok_and(|status| status.success())
    }

    /// Workers that have ended.
    pub fn ended_workers(&mut self) -> usize {
        self.workers.iter_mut().map(|worker| usize::from(worker.has_ended())).sum()
    }

    /// Waits until a drained worker has ended.
    pub fn wait_for_end(&mut self, worker: usize) {
        self.until("the worker has left", |sandbox| sandbox.workers[worker].has_ended());
    }

    /// Changes the setup of the coordinator for its next start.
    pub fn change(&mut self, setup: Setup) {
        self.setup = setup;
    }

    /// Peak memory of the coordinator in KiB.
    pub fn coordinator_peak_kib(&self) -> u64 {
        self.coordinator.as_ref().and_then(|process| peak_kib(process.child.id())).unwrap_or_default()
    }

    /// Watches the child processes of the coordinator.
    pub fn watch_children(&self) -> ChildWatch {
        ChildWatch::of(self.coordinator.as_ref().map_or(0, |process| process.child.id()))
    }

    pub fn kill_coordinator(&mut self) {
        if let Some(coordinator) = &self.coordinator {
            coordinator.signal("KILL");
        }
        self.coordinator = None;
    }

    /// The last log lines of all processes, for messages.
    pub fn logs(&self) -> String {
        self.last_lines(15)
    }

    /// The complete logs of all processes.
    pub fn whole_logs(&self) -> String {
        self.last_lines(usize::MAX)
    }

    fn last_lines(&self, count: usize) -> String {
        let processes = self.coordinator.iter().chain(&self.workers);
        let tail = |process: &Process| {
            let log = process.log();
            let lines: Vec<&str> = log.lines().rev().take(count).collect();
            let last: Vec<&str> = lines.into_iter().rev().collect();
            format!("--- {}\n{}\n", process.log.display(), last.join("\n"))
        };
        processes.map(tail).collect()
    }

    /// The arguments of a user's connection to the coordinator.
    pub fn connection(&self) -> Vec<String> {
        let mut arguments = vec!["--coordinator".to_owned(), format!("{}:{}", self.host, self.port)];
        arguments.extend(self.tls("client"));
        arguments
    }

    /// Runs `hindcast` with `arguments` and the connection.
    pub fn hindcast(&self, arguments: &str) -> Output {
        let process = self.begin(arguments);
        self.finish(process)
    }

    /// The listed jobs.
    pub fn jobs(&self) -> Vec<Value> {
        let listed = self.hindcast("jobs list --json");
        serde_json::from_slice(&listed.stdout).unwrap_or_else(|_| panic!("{}", stderr(&listed)))
    }

    /// Starts a scan of the lake into `out`.
    pub fn begin_scan(&self, out: &Path, arguments: &str) -> Child {
        self.begin(&format!(
            "scan --lake {} --out {} --format parquet,json {arguments}",
            self.setup.lake,
            out.display()
        ))
    }

    /// Scans the lake into `out`.
    pub fn scan(&self, out: &Path, arguments: &str) -> Output {
        let process = self.begin_scan(out, arguments);
        self.finish(process)
    }

    /// Starts `hindcast` with `arguments` and the connection.
    pub fn begin(&self, arguments: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_hindcast"))
            .args(arguments.split_whitespace())
            .args(self.connection())
            .envs(self.setup.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs")
    }

    /// Waits for a started scan.
    pub fn finish(&self, process: Child) -> Output {
        let id = process.id().to_string();
        let (sender, ended) = std::sync::mpsc::channel();
        // Its output is read while it runs: a pipe has a small buffer.
        std::thread::spawn(move || sender.send(process.wait_with_output()));
        match ended.recv_timeout(SCAN_LIMIT) {
            Ok(output) => output.expect("its output"),
            Err(_) => {
                let _ = Command::new("kill").args(["-KILL", &id]).status();
                panic!("the scan did not end within {SCAN_LIMIT:?}\n{}", self.logs());
            }
        }
    }
}

fn metric_in(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// The body of an answer of a local HTTP server, if there is one.
pub fn http_get(port: u16, path: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}
