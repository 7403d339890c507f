//! A coordinator's answers to workers, with the tasks in them, may be lost on the network.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, stderr};

/// An answer of a coordinator with more bytes contains tasks.
const TASKS_BYTES: usize = 4000;

/// A proxy to the coordinator at `port` that drops the first `cuts` answers with tasks and closes their connections.
fn lossy_proxy(port: u16, cuts: &Arc<AtomicI32>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("its address").port();
    let cuts = Arc::clone(cuts);
    thread::spawn(move || {
        for worker in listener.incoming().flatten() {
            let Ok(coordinator) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let ends = || (worker.try_clone().expect("an end"), coordinator.try_clone().expect("an end"));
            let ((to_worker, from_coordinator), (from_worker, to_coordinator)) = (ends(), ends());
            let cuts = Arc::clone(&cuts);
            let is_lost = move |bytes| bytes > TASKS_BYTES && cuts.fetch_sub(1, Ordering::SeqCst) > 0;
            thread::spawn(move || pass(from_coordinator, to_worker, is_lost));
            thread::spawn(move || pass(from_worker, to_coordinator, |_| false));
        }
    });
    own
}

/// Forwards data until one end closes or data is dropped.
fn pass(mut from: TcpStream, mut to: TcpStream, is_lost: impl Fn(usize) -> bool) {
    let mut bytes = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if is_lost(count) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn tasks_that_never_reached_their_worker_are_sent_again() {
    let place = Place::with_demo("--days 2 --rows-per-day 3000 --seed 3");
    place.scan_well("");
    let setup = Setup { config: "[faults]\nworker_timeout_seconds = 3\n".into(), ..Setup::local(&place) };
    let mut sandbox = Sandbox::start(&place, setup, 1);
    let cuts = Arc::new(AtomicI32::new(2));
    sandbox.add_worker_through(lossy_proxy(sandbox.port, &cuts));
    sandbox.signal_worker(0, "TERM");
    sandbox.wait_for_end(0);
    sandbox.wait_until_ready();
    let (out, start) = (place.path("cut"), Instant::now());
    let output = sandbox.scan(&out, "");
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_same(&files_of(&place.out()), &files_of(&out), "undisturbed and cut");
    assert!(cuts.load(Ordering::SeqCst) <= 0, "no answer was cut");
    assert!(start.elapsed() < Duration::from_secs(60), "it took {:?}", start.elapsed());
    let metrics = sandbox.get("/metrics").expect("metrics");
    assert!(metrics.contains("reason=\"lost\""), "{metrics}");
    assert!(sandbox.whole_logs().contains("do not know the tasks"), "{}", sandbox.logs());
    assert!(!metrics.contains("reason=\"stalled\""), "{metrics}");
}
