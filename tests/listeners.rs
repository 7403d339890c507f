//! Servers in a test that receive findings: HTTP with scripted answers, syslog over UDP and TCP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// Longest time a message may take to arrive.
const LIMIT: Duration = Duration::from_secs(60);

/// A received request.
pub struct Request {
    /// Its lines before the body, in lower case.
    pub head: String,
    pub body: Value,
}

/// Messages that arrive at a port.
pub struct Inbox<T> {
    pub port: u16,
    arrived: Receiver<T>,
}

impl<T> Inbox<T> {
    pub fn next(&self) -> T {
        self.arrived.recv_timeout(LIMIT).expect("a message arrives")
    }

    /// Messages that have arrived and were not taken.
    pub fn rest(&self) -> usize {
        self.arrived.try_iter().count()
    }
}

/// A web server that answers the first requests with these status lines, and all others with 200.
pub fn web(answers: &'static [&'static str]) -> Inbox<Request> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (sender, arrived) = channel();
    std::thread::spawn(move || {
        let mut answers = answers.iter();
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let status = answers.next().unwrap_or(&"200 OK");
            let mut stream = reader.into_inner();
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let body = serde_json::from_slice(&body).expect("JSON");
            if sender.send(Request { head, body }).is_err() {
                break;
            }
        }
    });
    Inbox { port, arrived }
}

/// A syslog collector over UDP.
pub fn syslog_udp() -> Inbox<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("its address").port();
    let (sender, arrived) = channel();
    std::thread::spawn(move || {
        let mut datagram = vec![0; 65_536];
        while let Ok(length) = socket.recv(&mut datagram) {
            let message = String::from_utf8(datagram[..length].to_vec()).expect("UTF-8");
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    Inbox { port, arrived }
}

/// A syslog collector over TCP, with frames that begin with their length.
pub fn syslog_tcp() -> Inbox<String> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (sender, arrived) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut length = Vec::new();
            while reader.read_until(b' ', &mut length).is_ok_and(|read| read > 0) {
                let octets =
                    std::str::from_utf8(&length).expect("a length").trim().parse().expect("a number");
                let mut message = vec![0; octets];
                reader.read_exact(&mut message).expect("a whole frame");
                length.clear();
                if sender.send(String::from_utf8(message).expect("UTF-8")).is_err() {
                    return;
                }
            }
        }
    });
    Inbox { port, arrived }
}
