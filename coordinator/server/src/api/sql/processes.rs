//! Starts the process of a query, forwards its frames, and ends it when the client leaves, the time is over or the coordinator stops.

use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use hindcast_base::format::format_bytes;
use hindcast_base::{Error, Result};
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::frames::{Frame, QueryRequest};
use super::statement::Statement;
use crate::api::settings::SqlLimits;

/// The command that answers a query.
pub(super) const COMMAND: &str = "sql-query";
/// Frames that may wait for a slow reader.
const WAITING_FRAMES: usize = 2;
/// Bytes of its standard error that are read.
const STDERR_BYTES: u64 = 64 << 10;

/// Starts queries, up to the limit of concurrent ones.
pub(super) struct QueryProcesses {
    limits: SqlLimits,
    /// URL of the state.
    state: String,
    running: Arc<Semaphore>,
}

type FrameResult = Result<Frame>;

impl QueryProcesses {
    pub(super) fn new(limits: SqlLimits, state: String) -> Self {
        let running = Arc::new(Semaphore::new(limits.concurrent));
        Self { limits, state, running }
    }

    /// A permit to run a query.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many queries run.
    pub(super) fn permit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.running).try_acquire_owned().map_err(|_| {
            Error::Busy(format!("{} queries are running: try again later", self.limits.concurrent))
        })
    }

    /// Longest time of a query.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_secs(self.limits.seconds)
    }

    /// The error of a query that takes longer.
    pub(super) fn too_long(&self) -> Error {
        Error::Busy(format!("the query took longer than {} seconds", self.limits.seconds))
    }

    /// Starts a process that plans `statement` and, with `execute`, runs it. Returns its frames. Dropping the stream ends the
    /// process.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many queries run.
    pub(super) fn start(
        &self,
        statement: &Statement,
        execute: bool,
    ) -> Result<impl Stream<Item = FrameResult> + Send + Unpin + use<>> {
        let permit = self.permit()?;
        let limits = &self.limits;
        // The limits apply to all queries together.
        let divisor = limits.concurrent as u64;
        let request = QueryRequest {
            statement: statement.clone(),
            state: self.state.clone(),
            execute,
            rows: limits.rows as u64,
            seconds: limits.seconds,
            memory_bytes: limits.memory_bytes as u64 / divisor,
            scratch_bytes: limits.scratch_bytes / divisor,
            scratch: String::new(),
        };
        let (sender, receiver) = channel(WAITING_FRAMES);
        let session =
            QuerySession { deadline: Instant::now() + self.longest(), handle: Handle::current(), sender };
        let too_long = self.too_long();
        tokio::task::spawn_blocking(move || {
            let ended = session.run(request, too_long);
            // A slow reader does not block other queries.
            drop(permit);
            if let Err(error) = ended {
                let QuerySession { sender, handle, .. } = session;
                handle.spawn(async move { sender.send(Err(error)).await });
            }
        });
        Ok(frames(receiver).boxed())
    }
}

fn frames(receiver: Receiver<FrameResult>) -> impl Stream<Item = FrameResult> + Send {
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

/// The conversation with the process of one query.
struct QuerySession {
    deadline: Instant,
    handle: Handle,
    sender: Sender<FrameResult>,
}

impl QuerySession {
    /// Runs the process and forwards all frames except the last one.
    fn run(&self, mut request: QueryRequest, too_long: Error) -> Result<()> {
        let failed = |what: &str, error: &io::Error| Error::Internal(format!("{what} of a query: {error}"));
        let scratch = tempfile::tempdir().map_err(|error| failed("the scratch folder", &error))?;
        request.scratch = scratch.path().display().to_string();
        let mut child = spawn().map_err(|error| failed("the process", &error))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        let watcher = self.watch(Arc::clone(&child));
        let sent = stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&request.encode_to_vec()));
        let answer =
            sent.and_then(|()| stdout.map_or(Ok(None), |stdout| self.forward(BufReader::new(stdout))));
        // The answer is complete, or the client has left.
        kill(&child);
        let message = read_stderr(stderr);
        end(&child);
        watcher.abort();
        match answer {
            // The answer is complete, the process reported a failure, or the client has left.
            Ok(Some(ended)) => ended,
            _ if Instant::now() >= self.deadline => Err(too_long),
            Ok(None) | Err(_) => Err(failure_of(&message, request.memory_bytes)),
        }
    }

    /// Ends the process when its time is over, when the client leaves, or when the runtime of the coordinator stops.
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

    /// Forwards frames until one ends the answer. Returns `None` if the process ended before that.
    fn forward(&self, mut source: impl Read) -> io::Result<Option<Result<()>>> {
        while let Some(frame) = Frame::read(&mut source)? {
            match frame {
                Frame::End => return Ok(Some(Ok(()))),
                Frame::Failed(kind, text) => return Ok(Some(Err(Error::of_kind(kind, text)))),
                frame => {
                    let sent = self.handle.block_on(timeout_at(self.deadline, self.sender.send(Ok(frame))));
                    match sent {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Ok(Some(Ok(()))),
                        // The deadline has passed, which the caller sees by the time.
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

/// The binary of this process, even if the file was replaced since.
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
    // The process may have ended by itself.
    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
}

fn end(child: &Mutex<Child>) {
    if let Err(error) = child.lock().unwrap_or_else(PoisonError::into_inner).wait() {
        tracing::warn!(%error, "the process of a query can't be waited for");
    }
}

fn read_stderr(stderr: Option<ChildStderr>) -> String {
    let mut text = Vec::new();
    // What can't be read is only missing in the log.
    let _ = stderr.map(|stderr| stderr.take(STDERR_BYTES).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// Why a process ended without an answer, derived from the messages of the system and of the standard library.
fn failure_of(message: &str, memory_bytes: u64) -> Error {
    if message.contains("overflowed its stack") {
        return Error::Invalid("the statement is nested too deeply".into());
    }
    if message.contains("memory allocation of") || message.contains("capacity overflow") || message.is_empty()
    {
        return Error::Busy(format!(
            "the query needs more memory than is allowed: {} for grouping, sorting and joining (sql.memory_bytes divided by \
             sql.concurrent) and a small amount in addition",
            format_bytes(memory_bytes)
        ));
    }
    tracing::error!(message, "the process of a query ended");
    Error::Internal("the process of the query ended before its answer did".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_an_ended_process_is_recognized() {
        use hindcast_base::ErrorKind;
        for (message, kind) in [
            ("thread '<unnamed>' (7) has overflowed its stack\nfatal runtime error", ErrorKind::InvalidInput),
            ("memory allocation of 268435456 bytes failed", ErrorKind::Busy),
            ("thread panicked at x.rs: capacity overflow", ErrorKind::Busy),
            // The system killed the process because of its memory.
            ("", ErrorKind::Busy),
            ("error: answering a query", ErrorKind::Internal),
        ] {
            assert_eq!(failure_of(message, 32 << 20).kind(), kind, "{message}");
        }
    }
}
