//! An HTTP proxy in front of an object store that injects faults: a seed determines which requests fail, and how.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// After this many consecutive faults a request succeeds, so that bounded retries succeed.
const MAX_CONSECUTIVE_FAULTS: u32 = 3;

/// Fault rates per thousand requests, at most a thousand in total.
#[derive(Clone, Debug, Default)]
pub struct StoreFaults {
    pub seed: u64,
    /// The answer is 503; the store never sees the request.
    pub per_mille_error: u32,
    /// The store executes the request, and the connection closes before any answer.
    pub per_mille_reset: u32,
    /// Like `reset`, but after the answer's head and half its body; an answer without a body passes.
    pub per_mille_truncate: u32,
    pub per_mille_delay: u32,
    pub delay: Duration,
    /// GET and HEAD of a path that contains this (`%3D` read as `=`) always get 500.
    pub poison: Option<String>,
    /// PUT of a path that contains this is always denied, like in a read-only store.
    pub refused: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Error,
    Reset,
    Truncate,
    Delay,
    Poison,
    Refusal,
}

/// A request or an answer: its head with the empty line, and its body as received, including chunk lengths.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn with_length(head: &str, body: &[u8]) -> Self {
        let head = format!("{}\r\nContent-Length: {}\r\n\r\n", head.trim_end(), body.len());
        Self { head, body: body.to_vec() }
    }

    fn failure(status: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{}</Code></Error>", &status[4..]);
        Self::with_length(&format!("HTTP/1.1 {status}\r\nContent-Type: application/xml"), body.as_bytes())
    }

    fn word(&self, position: usize) -> &str {
        self.head.split_whitespace().nth(position).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Sends the head with a new `Connection` header, and this many bytes of the body.
    fn send(&self, mut stream: &TcpStream, connection: &str, body_bytes: usize) -> io::Result<()> {
        let is_gone = |line: &str| line.starts_with("connection:") || line.starts_with("expect:");
        let lines = self.head.trim_end().lines().filter(|line| !is_gone(&line.to_ascii_lowercase()));
        let head = lines.collect::<Vec<_>>().join("\r\n") + "\r\nConnection: " + connection + "\r\n\r\n";
        stream.write_all(&[head.as_bytes(), &self.body[..body_bytes]].concat())
    }

    /// A request, or the answer to a request of the `answered` method; its length is added if it is missing.
    fn read(reader: &mut impl BufRead, answered: Option<&str>) -> io::Result<Self> {
        let mut message = Self { head: String::new(), body: Vec::new() };
        while !message.head.ends_with("\r\n\r\n") {
            (reader.read_line(&mut message.head)? > 0).then_some(()).ok_or(ErrorKind::UnexpectedEof)?;
        }
        if answered == Some("HEAD") || answered.is_some() && ["204", "304"].contains(&message.word(1)) {
            return Ok(message);
        }
        let mut is_chunk = message.header("transfer-encoding").is_some();
        if let Some(length) = message.header("content-length") {
            message.body.resize(length.parse().map_err(io::Error::other)?, 0);
            reader.read_exact(&mut message.body)?;
        } else if answered.is_some() && !is_chunk {
            reader.read_to_end(&mut message.body)?;
            message = Self::with_length(&message.head, &message.body);
        }
        while is_chunk {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk)?;
            message.body.extend([line.into_bytes(), chunk].concat());
            is_chunk = length > 0;
        }
        Ok(message)
    }

    fn ask(&self, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        self.send(&stream, "close", self.body.len())?;
        Self::read(&mut BufReader::new(&stream), Some(self.word(0)))
    }
}

/// The running proxy; it stops when dropped.
pub struct FaultyStore(Arc<Proxy>);

#[derive(Default)]
struct Proxy {
    port: u16,
    upstream_port: u16,
    faults: StoreFaults,
    /// How often each request was received, and its consecutive faults.
    requests: Mutex<HashMap<String, (u64, u32)>>,
    injected: AtomicU64,
    is_stopped: AtomicBool,
}

impl FaultyStore {
    /// Listens on a free port of 127.0.0.1, in front of the store at `upstream_port`.
    pub fn start(upstream_port: u16, faults: StoreFaults) -> Self {
        println!("before the store: {faults:?}");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let proxy = Arc::new(Proxy { port, upstream_port, faults, ..Proxy::default() });
        let accepting = Arc::clone(&proxy);
        thread::spawn(move || {
            let mut clients = listener.incoming().flatten();
            while let Some(client) = clients.next().filter(|_| !accepting.is_stopped.load(Ordering::SeqCst)) {
                let proxy = Arc::clone(&accepting);
                thread::spawn(move || proxy.serve(&client));
            }
        });
        Self(proxy)
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Number of injected faults, including poison.
    pub fn injected(&self) -> u64 {
        self.0.injected.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyStore {
    fn drop(&mut self) {
        self.0.is_stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.0.port));
    }
}

impl Proxy {
    /// The key is method, target and range, without upload ids, which the store chooses at random.
    fn next_fault(&self, request: &Message) -> Option<Fault> {
        let (method, target, of) = (request.word(0), request.word(1), &self.faults);
        let path = target.split('?').next().unwrap_or_default();
        let is_in_path = |text: &String| path.contains(text) || path.replace("%3D", "=").contains(text);
        if ["GET", "HEAD"].contains(&method) && of.poison.as_ref().is_some_and(is_in_path) {
            return Some(Fault::Poison);
        }
        if method == "PUT" && of.refused.as_ref().is_some_and(is_in_path) {
            return Some(Fault::Refusal);
        }
        let target = target.split("uploadId=").next().unwrap_or_default();
        let key = format!("{method} {target} {}", request.header("range").unwrap_or_default());
        let mut requests = self.requests.lock().expect("no thread died");
        let (count, consecutive) = requests.entry(key.clone()).or_default();
        let bytes = key.bytes().chain(count.to_le_bytes()).chain(of.seed.to_le_bytes());
        let mix = |z: u64, byte| (z.rotate_left(23) ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let roll = (bytes.fold(0, mix) >> 32) % 1000;
        let rates = [of.per_mille_error, of.per_mille_reset, of.per_mille_truncate, of.per_mille_delay];
        let chosen = (0..4).find(|&last| roll < u64::from(rates[..=last].iter().sum::<u32>()));
        let chosen = chosen.filter(|_| *consecutive < MAX_CONSECUTIVE_FAULTS);
        *count += 1;
        *consecutive = if chosen.is_some() { *consecutive + 1 } else { 0 };
        chosen.map(|position| [Fault::Error, Fault::Reset, Fault::Truncate, Fault::Delay][position])
    }

    /// Serves a client until it ends, the proxy is dropped, or a fault closes the connection.
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client);
        loop {
            let request = Message::read(&mut reader, None)?;
            let mut fault = self.next_fault(&request);
            let answer = match fault {
                _ if self.is_stopped.load(Ordering::SeqCst) => return Ok(()),
                Some(Fault::Poison) => Message::failure("500 InternalError"),
                Some(Fault::Refusal) => Message::failure("403 AccessDenied"),
                Some(Fault::Error) => Message::failure("503 SlowDown"),
                _ => request.ask(self.upstream_port).unwrap_or_else(|_| Message::failure("502 NoStore")),
            };
            fault = fault.filter(|fault| *fault != Fault::Truncate || !answer.body.is_empty());
            self.injected.fetch_add(u64::from(fault.is_some()), Ordering::SeqCst);
            let connection = request.header("connection").unwrap_or("keep-alive");
            match fault {
                Some(Fault::Reset) => return Ok(()),
                Some(Fault::Truncate) => return answer.send(client, connection, answer.body.len() / 2),
                Some(Fault::Delay) => thread::sleep(self.faults.delay),
                _ => {}
            }
            answer.send(client, connection, if request.word(0) == "HEAD" { 0 } else { answer.body.len() })?;
            if connection.eq_ignore_ascii_case("close") {
                return Ok(());
            }
        }
    }
}

/// A store that echoes the request; the path determines how it marks the end.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let request = Message::read(&mut BufReader::new(&client), None).expect("a request");
            let body = [request.head.as_bytes(), &request.body].concat();
            let length = body.len();
            let (headers, end) = match request.word(1) {
                "/chunked" => (format!("Transfer-Encoding: chunked\r\n\r\n{length:x}"), "\r\n0\r\n\r\n"),
                "/until-close" => ("Server: echo\r\n".to_owned(), ""),
                _ => (format!("Content-Length: {length}\r\n"), ""),
            };
            let body = if request.word(0) == "HEAD" { Vec::new() } else { [&body, end.as_bytes()].concat() };
            let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
            client.write_all(&[head.as_bytes(), &body].concat()).expect("an answer sent");
        }
    });
    port
}

fn faulty(store: u16, seed: u64, rates: [u32; 4]) -> FaultyStore {
    let (delay, poison) = (Duration::from_millis(60), Some("date=1/bad".to_owned()));
    let mut of = StoreFaults { seed, delay, poison, ..StoreFaults::default() };
    [of.per_mille_error, of.per_mille_reset, of.per_mille_truncate, of.per_mille_delay] = rates;
    FaultyStore::start(store, of)
}

fn request(method: &str, path: &str, body: &[u8]) -> Message {
    Message::with_length(&format!("{method} {path} HTTP/1.1\r\nHost: lake.s3"), body)
}

/// The outcome of a GET: a status, or an error.
fn outcome(proxy: &FaultyStore, path: &str) -> String {
    request("GET", path, b"").ask(proxy.port()).map_or_else(|e| e.to_string(), |a| a.word(1).to_owned())
}

#[test]
fn without_faults_everything_passes() {
    let proxy = faulty(echo(), 0, [0; 4]);
    let megabyte = b"0123456\xff".repeat(1 << 17);
    let connection = TcpStream::connect(("127.0.0.1", proxy.port())).expect("a connection");
    for (path, end) in [("/plain?a=b", &b""[..]), ("/chunked", b"\r\n0\r\n\r\n"), ("/until-close", b"")] {
        request("PUT", path, &megabyte).send(&connection, "keep-alive", megabyte.len()).expect("sent");
        let answer = Message::read(&mut BufReader::new(&connection), Some("PUT")).expect("an answer");
        assert!(answer.word(1) == "200" && answer.body.ends_with(&[&megabyte, end].concat()), "{path}");
    }
    let got = request("GET", "/a", b"").ask(proxy.port()).expect("an answer");
    assert!(got.body.starts_with(b"GET /a HTTP/1.1\r\nHost: lake.s3\r\n"));
    let head = request("HEAD", "/a", b"").ask(proxy.port()).expect("an answer");
    assert!(head.body.is_empty() && head.header("content-length") == Some(&(got.body.len() + 1).to_string()));
    let mut chunked = request("PUT", "/a", b"3;x=y\r\nabc\r\n0\r\n\r\n");
    chunked.head = chunked.head.replace("Content-Length: 17", "Transfer-Encoding: chunked");
    assert!(chunked.ask(proxy.port()).expect("an answer").body.ends_with(&chunked.body));
    let (port, injected) = (proxy.port(), proxy.injected());
    drop(proxy);
    assert!(injected == 0 && request("GET", "/a", b"").ask(port).is_err());
}

#[test]
fn each_fault_occurs_at_most_three_times_in_a_row() {
    let (store, kinds) = (echo(), ["503", "unexpected end of file", "failed to fill whole buffer", "200"]);
    for (position, kind) in kinds.into_iter().enumerate() {
        let proxy = faulty(store, 1, std::array::from_fn(|other| if other == position { 1000 } else { 0 }));
        let start = Instant::now();
        let outcomes: Vec<String> = (0..8).map(|_| outcome(&proxy, "/a")).collect();
        assert_eq!(outcomes, [kind, kind, kind, "200", kind, kind, kind, "200"]);
        assert!(kind != "200" || start.elapsed() >= proxy.0.faults.delay * 6);
        assert!((0..5).all(|_| outcome(&proxy, "/t/date%3D1/bad.parquet") == "500"));
        assert_eq!(proxy.injected(), 11);
    }
}

#[test]
fn a_seed_reproduces_in_any_order() {
    let store = echo();
    let outcomes = |seed| {
        let proxy = faulty(store, seed, [200, 200, 200, 0]);
        let of_path = |path: u32| (0..8).map(|_| outcome(&proxy, &format!("/{path}"))).collect::<Vec<_>>();
        thread::scope(|scope| {
            let asking = [0, 1, 2, 3, 4, 5].map(|path| scope.spawn(move || of_path(path)));
            asking.map(|thread| thread.join().expect("outcomes"))
        })
    };
    assert_eq!(outcomes(7), outcomes(7));
    assert_ne!(outcomes(7), outcomes(8));
}
