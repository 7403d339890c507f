//! The process of one query. It has its own stack, memory and time, so that no statement, however it is made, takes the coordinator's: what
//! is beyond them ends this process alone.

use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use hindcast_common::catalog::{Location, Stores};
use hindcast_common::{Error, Result};
use prost::Message;
use tonic::Status;

use super::frames::{Frame, QueryRequest};
use super::queries::answer;
use crate::api::jobs::status_of;
use crate::jobs::JobResults;

/// Stack on which a statement is planned and run: deep expressions are walked level by level.
const STACK_BYTES: usize = 256 << 20;
/// Memory beside that of grouping, sorting and joining: batches on their way, buffers of readers.
const WORKING_BYTES: u64 = 128 << 20;
/// Threads that read files.
const READING_THREADS: usize = 2;
/// Time beyond that of a query after which its process ends by itself, should nobody end it.
const GRACE: Duration = Duration::from_secs(2);

/// Answers the query on standard input, on standard output.
///
/// # Errors
/// [`Error::Io`] where nobody takes the answer.
pub fn answer_query() -> Result<()> {
    let told = Error::io("answering a query");
    let mut bytes = Vec::new();
    let answered = io::stdin().read_to_end(&mut bytes).and_then(|_| {
        let ask = QueryRequest::decode(bytes.as_slice()).map_err(io::Error::other)?;
        let last = match run(ask) {
            Ok(()) => Frame::End,
            Err(status) => Frame::failed(&status),
        };
        let mut target = io::stdout().lock();
        last.write(&mut target)?;
        target.flush()
    });
    answered.map_err(told)
}

/// Runs a query within its bounds, on a stack of its own; writes all frames but the last.
fn run(ask: QueryRequest) -> std::result::Result<(), Status> {
    bound_memory(ask.memory_bytes)?;
    let longest = Duration::from_secs(ask.seconds) + GRACE;
    thread::spawn(move || {
        thread::sleep(longest);
        std::process::exit(1);
    });
    let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(READING_THREADS)
            .enable_all()
            .build()
            .map_err(|error| Status::internal(format!("starting a query: {error}")))?;
        runtime.block_on(begin(ask))
    });
    let worker = worker.map_err(|error| Status::internal(format!("starting a query: {error}")))?;
    worker.join().unwrap_or_else(|_| Err(Status::internal("an error in Hindcast broke the query off")))
}

async fn begin(ask: QueryRequest) -> std::result::Result<(), Status> {
    let scratch = DiskManagerMode::Directories(vec![PathBuf::from(&ask.scratch)]);
    let disk =
        DiskManagerBuilder::default().with_mode(scratch).with_max_temp_directory_size(ask.scratch_bytes);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(ask.memory_bytes as usize)))
        .with_disk_manager_builder(disk)
        .with_object_store_registry(Arc::new(Stores::default()))
        .build_arc()
        .map_err(|error| Status::internal(error.to_string()))?;
    let state = Location::parse(&ask.state).map_err(|error| status_of(&error))?;
    let mut target = BufWriter::new(io::stdout());
    let write = move |frame: Frame| frame.write(&mut target).and_then(|()| target.flush());
    answer(&ask, JobResults::new(state), runtime, write).await
}

/// Has the system refuse this process more than it has, `memory_bytes` and what any query needs beside.
fn bound_memory(memory_bytes: u64) -> std::result::Result<(), Status> {
    #[cfg(target_os = "linux")]
    {
        // Where a container's memory ends nevertheless, this process goes first; a system without that choice has its own.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        let most = data_bytes().saturating_add(memory_bytes + WORKING_BYTES + STACK_BYTES as u64);
        rlimit::setrlimit(rlimit::Resource::DATA, most, most)
            .map_err(|error| Status::internal(format!("bounding the memory of a query: {error}")))?;
    }
    // Elsewhere there is no such bound that works; the memory pool's holds all the same.
    #[cfg(not(target_os = "linux"))]
    let _ = (memory_bytes, WORKING_BYTES);
    Ok(())
}

/// What this process has by now.
#[cfg(target_os = "linux")]
fn data_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = data.and_then(|data| data.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(WORKING_BYTES, |kib| kib << 10)
}
