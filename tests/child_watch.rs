//! Memory of processes and of their children.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

fn status_number(process: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
}

/// Peak memory of a process in KiB.
pub fn peak_kib(process: u32) -> Option<u64> {
    status_number(&process.to_string(), "VmHWM")
}

/// Samples the children of a process many times per second.
pub struct ChildWatch {
    is_over: Arc<AtomicBool>,
    watching: JoinHandle<u64>,
}

impl ChildWatch {
    /// Starts to watch the children of `parent`.
    pub fn of(parent: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let watching = std::thread::spawn(move || {
            let mut most = 0;
            while !ended.load(Ordering::Relaxed) {
                let names =
                    fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
                for process in names.filter_map(|name| name.into_string().ok()) {
                    if status_number(&process, "PPid") == Some(u64::from(parent)) {
                        most = most.max(status_number(&process, "VmHWM").unwrap_or_default());
                    }
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            most
        });
        Self { is_over, watching }
    }

    /// Peak memory of any child in KiB.
    pub fn peak_child_kib(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.watching.join().expect("it ends")
    }
}
