//! Starts the process of a query, hands on what it says, and ends it: with its reader, with its time, or with the coordinator.

use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;

use super::frames::{Frame, QueryRequest};
use super::statement::Statement;
use crate::api::settings::SqlLimits;

/// The command that answers a query.
pub(super) const COMMAND: &str = "sql-query";
/// Frames that may wait for a slow reader.
const WAITING_FRAMES: usize = 2;
/// Bytes of its last words that are read.
const LAST_WORDS_BYTES: u64 = 64 << 10;

/// Starts queries, so many at once as may be.
pub(super) struct QueryProcesses {
    limits: SqlLimits,
    /// URL of the state.
    state: String,
    running: Arc<Semaphore>,
}

type FrameResult = Result<Frame, Status>;

impl QueryProcesses {
    pub(super) fn new(limits: SqlLimits, state: String) -> Self {
        let running = Arc::new(Semaphore::new(limits.concurrent));
        Self { limits, state, running }
    }

    /// A place among the queries that run.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where there is none.
    pub(super) fn permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.running).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{} queries are running: try again later",
                self.limits.concurrent
            ))
        })
    }

    /// Longest that a query may take.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_secs(self.limits.seconds)
    }

    /// What goes wrong where it takes longer.
    pub(super) fn too_long(&self) -> Status {
        Status::resource_exhausted(format!("the query took longer than {} seconds", self.limits.seconds))
    }

    /// Has a process plan `statement`, and run it where `execute`; gives what it says before its end. Dropped, the process is ended.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where too many run.
    pub(super) fn start(
        &self,
        statement: &Statement,
        execute: bool,
    ) -> Result<impl Stream<Item = FrameResult> + Send + Unpin + use<>, Status> {
        let permit = self.permit()?;
        let limits = &self.limits;
        // Bounds are those of all queries together.
        let part = limits.concurrent as u64;
        let ask = QueryRequest {
            statement: statement.clone(),
            state: self.state.clone(),
            execute,
            rows: limits.rows as u64,
            seconds: limits.seconds,
            memory_bytes: limits.memory_bytes as u64 / part,
            scratch_bytes: limits.scratch_bytes / part,
            scratch: String::new(),
        };
        let (sender, receiver) = channel(WAITING_FRAMES);
        let talk =
            QuerySession { deadline: Instant::now() + self.longest(), handle: Handle::current(), sender };
        let too_long = self.too_long();
        tokio::task::spawn_blocking(move || {
            let ended = talk.through(ask, &too_long);
            // Whoever reads slowly holds no place any more.
            drop(permit);
            if let Err(status) = ended {
                let QuerySession { sender, handle, .. } = talk;
                handle.spawn(async move { sender.send(Err(status)).await });
            }
        });
        Ok(frames(receiver).boxed())
    }
}

fn frames(receiver: Receiver<FrameResult>) -> impl Stream<Item = FrameResult> + Send {
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

/// One query's process, as it is listened to.
struct QuerySession {
    deadline: Instant,
    handle: Handle,
    sender: Sender<FrameResult>,
}

impl QuerySession {
    /// Hands on all frames but the end's.
    fn through(&self, mut ask: QueryRequest, too_long: &Status) -> Result<(), Status> {
        let failed = |what: &str, error: &io::Error| Status::internal(format!("{what} of a query: {error}"));
        let scratch = tempfile::tempdir().map_err(|error| failed("the scratch folder", &error))?;
        ask.scratch = scratch.path().display().to_string();
        let mut child = spawn().map_err(|error| failed("the process", &error))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        let watcher = self.watch(Arc::clone(&child));
        let asked = stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&ask.encode_to_vec()));
        let said = asked.and_then(|()| stdout.map_or(Ok(None), |stdout| self.listen(BufReader::new(stdout))));
        // It has said all, or nobody listens any more.
        kill(&child);
        let words = last_words(stderr);
        end(&child);
        watcher.abort();
        match said {
            // An end, a failure it tells, or nobody who listens any more.
            Ok(Some(ended)) => ended,
            _ if Instant::now() >= self.deadline => Err(too_long.clone()),
            Ok(None) | Err(_) => Err(cause(&words, ask.memory_bytes)),
        }
    }

    /// Ends the process when its time is over, or nobody wants its answer; with the coordinator's runtime too.
    fn watch(&self, child: Arc<Mutex<Child>>) -> tokio::task::JoinHandle<()> {
        let (sender, deadline, ended) = (self.sender.clone(), self.deadline, KillAtEnd(child));
        self.handle.spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = sleep_until(deadline) => {}
            }
            drop(ended);
        })
    }

    /// Hands frames on until one ends the answer; nothing where the process ended without.
    fn listen(&self, mut source: impl Read) -> io::Result<Option<Result<(), Status>>> {
        while let Some(frame) = Frame::read(&mut source)? {
            match frame {
                Frame::End => return Ok(Some(Ok(()))),
                Frame::Failed(code, text) => return Ok(Some(Err(Status::new(code, text)))),
                frame => {
                    let sent = self.handle.block_on(timeout_at(self.deadline, self.sender.send(Ok(frame))));
                    match sent {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Ok(Some(Ok(()))),
                        // It is told by the time.
                        Err(_) => return Ok(None),
                    }
                }
            }
        }
        Ok(None)
    }
}

fn spawn() -> io::Result<Child> {
    let mut command = Command::new(own_binary()?);
    command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn()
}

/// This process's own binary, also where another has been put in its place.
fn own_binary() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// Ends a process when it is dropped.
struct KillAtEnd(Arc<Mutex<Child>>);

impl Drop for KillAtEnd {
    fn drop(&mut self) {
        kill(&self.0);
    }
}

fn kill(child: &Mutex<Child>) {
    // It may have ended by itself.
    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
}

fn end(child: &Mutex<Child>) {
    if let Err(error) = child.lock().unwrap_or_else(PoisonError::into_inner).wait() {
        tracing::warn!(%error, "the process of a query can't be waited for");
    }
}

fn last_words(stderr: Option<ChildStderr>) -> String {
    let mut words = Vec::new();
    // What could not be read of them is missing in a log.
    let _ = stderr.map(|stderr| stderr.take(LAST_WORDS_BYTES).read_to_end(&mut words));
    String::from_utf8_lossy(&words).into_owned()
}

/// Why a process ended that did not say so itself, by what the system and the standard library say.
fn cause(words: &str, memory_bytes: u64) -> Status {
    if words.contains("overflowed its stack") {
        return Status::invalid_argument("the statement is nested too deep to be planned");
    }
    if words.contains("memory allocation of") || words.contains("capacity overflow") || words.is_empty() {
        return Status::resource_exhausted(format!(
            "the query needs more memory than one may have, which is {} MiB for grouping, sorting and joining (sql.memory_bytes by \
             sql.concurrent) and a little beside",
            memory_bytes >> 20
        ));
    }
    tracing::error!(words, "the process of a query ended");
    Status::internal("the process of the query ended before its answer did")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_a_process_is_told_apart() {
        use tonic::Code;
        for (words, code) in [
            ("thread '<unnamed>' (7) has overflowed its stack\nfatal runtime error", Code::InvalidArgument),
            ("memory allocation of 268435456 bytes failed", Code::ResourceExhausted),
            ("thread panicked at x.rs: capacity overflow", Code::ResourceExhausted),
            // The system's own end of one that has too much.
            ("", Code::ResourceExhausted),
            ("error: answering a query", Code::Internal),
        ] {
            assert_eq!(cause(words, 32 << 20).code(), code, "{words}");
        }
    }
}
