//! The process of one query. It has its own limits of stack, memory and time, so that no statement can exhaust the coordinator:
//! a statement that exceeds them ends only this process.

use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use hindcast_base::{Error, Result};
use hindcast_lake::{Location, Stores};
use prost::Message;

use super::frames::{Frame, QueryRequest};
use super::queries::answer;
use crate::jobs::JobResults;

/// Stack on which a statement is planned and run: the planner recurses into nested expressions.
const STACK_BYTES: usize = 256 << 20;
/// Memory in addition to that of grouping, sorting and joining, for record batches in flight and buffers of readers.
const WORKING_BYTES: u64 = 128 << 20;
/// Threads that read files.
const READING_THREADS: usize = 2;
/// Time after the limit of a query at which its process ends itself, if the coordinator has not ended it.
const GRACE: Duration = Duration::from_secs(2);

/// Reads a query from standard input and writes the answer to standard output.
///
/// # Errors
/// [`Error::Io`] if the answer can't be written.
pub fn answer_query() -> Result<()> {
    let failed = Error::io("answering a query");
    let mut bytes = Vec::new();
    let answered = io::stdin().read_to_end(&mut bytes).and_then(|_| {
        let request = QueryRequest::decode(bytes.as_slice()).map_err(io::Error::other)?;
        let last = match run(request) {
            Ok(()) => Frame::End,
            Err(error) => Frame::failed(&error),
        };
        let mut target = io::stdout().lock();
        last.write(&mut target)?;
        target.flush()
    });
    answered.map_err(failed)
}

/// Runs a query within its limits, on its own stack. Writes all frames except the last one.
fn run(request: QueryRequest) -> Result<()> {
    limit_memory(request.memory_bytes)?;
    let longest = Duration::from_secs(request.seconds) + GRACE;
    thread::spawn(move || {
        thread::sleep(longest);
        std::process::exit(1);
    });
    let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(READING_THREADS)
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(format!("starting a query: {error}")))?;
        runtime.block_on(execute(request))
    });
    let worker = worker.map_err(|error| Error::Internal(format!("starting a query: {error}")))?;
    worker.join().unwrap_or_else(|_| Err(Error::Internal("an error in Hindcast stopped the query".into())))
}

async fn execute(request: QueryRequest) -> Result<()> {
    let scratch = DiskManagerMode::Directories(vec![PathBuf::from(&request.scratch)]);
    let disk =
        DiskManagerBuilder::default().with_mode(scratch).with_max_temp_directory_size(request.scratch_bytes);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(request.memory_bytes as usize)))
        .with_disk_manager_builder(disk)
        .with_object_store_registry(Arc::new(Stores::default()))
        .build_arc()
        .map_err(|error| Error::Internal(error.to_string()))?;
    let state = Location::parse(&request.state)?;
    let mut target = BufWriter::new(io::stdout());
    let write = move |frame: Frame| frame.write(&mut target).and_then(|()| target.flush());
    answer(&request, JobResults::new(state), runtime, write).await
}

/// Limits the memory of this process to what it has now, `memory_bytes` and what every query needs in addition.
fn limit_memory(memory_bytes: u64) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        // If the memory of the container is exhausted nevertheless, the system should kill this process first. Not every system can.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        let most = data_bytes().saturating_add(memory_bytes + WORKING_BYTES + STACK_BYTES as u64);
        rlimit::setrlimit(rlimit::Resource::DATA, most, most)
            .map_err(|error| Error::Internal(format!("limiting the memory of a query: {error}")))?;
    }
    // Other systems have no such limit that works. The limit of the memory pool applies everywhere.
    #[cfg(not(target_os = "linux"))]
    let _ = (memory_bytes, WORKING_BYTES);
    Ok(())
}

/// Bytes of data that this process has now.
#[cfg(target_os = "linux")]
fn data_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = data.and_then(|data| data.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(WORKING_BYTES, |kib| kib << 10)
}
