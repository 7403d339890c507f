//! Opens the files of an archive in the order of the archive, without reading it again for each.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::archive::{Member, Stop, walk};
use super::object::ObjectReader;
use super::streams::Bytestream;

/// Most passes over archives that wait for the next file to be opened: one reads rows, the other looks for proofs of
/// the order of dates.
const MAX_PARKED: usize = 2;

/// Passes over archives that can go on.
#[derive(Debug, Default)]
pub struct Parked(Mutex<Vec<Pass>>);

impl Parked {
    /// The pass over an archive that is closest before the member with this index.
    fn take(&self, archive: usize, index: usize) -> Option<Pass> {
        let mut passes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let can_go_on = |pass: &Pass| pass.archive == archive && pass.next <= index;
        let best =
            (0..passes.len()).filter(|at| can_go_on(&passes[*at])).max_by_key(|at| passes[*at].next)?;
        Some(passes.remove(best))
    }

    fn put(&self, pass: Pass) {
        let mut passes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if passes.len() == MAX_PARKED {
            passes.remove(0);
        }
        passes.push(pass);
    }
}

/// A thread that reads an archive from start to end. It ends when this is dropped.
#[derive(Debug)]
struct Pass {
    /// Number of the archive among the inputs.
    archive: usize,
    /// Index of the first member that it can still read.
    next: usize,
    orders: Sender<Order>,
}

/// The request to write a member into a pipe.
struct Order {
    index: usize,
    target: PipeWriter,
    outcome: Outcome,
}

/// Whether a member was read to its end; unset as long as it is being read.
type Outcome = Arc<OnceLock<Result<(), String>>>;

/// A file in an archive.
#[derive(Debug, Clone)]
pub struct Place {
    /// Number of the archive among the inputs.
    pub archive: usize,
    /// Its index in a walk through the archive.
    pub index: usize,
    /// Whether no file follows.
    pub is_last: bool,
    pub parked: Arc<Parked>,
}

impl Place {
    /// The bytes of the file. `archive` gives a reader of the archive and its size. Counts the bytes that are read.
    ///
    /// # Errors
    /// If there can be no pipe.
    pub fn open(
        &self,
        archive: impl FnOnce() -> (ObjectReader, u64),
        bytes_read: Arc<AtomicU64>,
    ) -> io::Result<Bytestream> {
        let (receiver, target) = io::pipe()?;
        let outcome = Outcome::default();
        let order = Order { index: self.index, target, outcome: Arc::clone(&outcome) };
        let mut pass = self.parked.take(self.archive, self.index).unwrap_or_else(|| {
            let (orders, received) = channel();
            let (reader, bytes) = archive();
            std::thread::spawn(move || follow(reader, bytes, &received));
            Pass { archive: self.archive, next: 0, orders }
        });
        pass.next = self.index + 1;
        // If the thread has ended, the outcome stays unset.
        let _ = pass.orders.send(order);
        let pass = Some(pass).filter(|_| !self.is_last);
        let parked = Arc::clone(&self.parked);
        Ok(Box::new(MemberReader { receiver, outcome, pass, parked, bytes_read }))
    }
}

/// Walks through an archive, and writes the ordered members, whose indexes grow.
fn follow(reader: ObjectReader, bytes: u64, orders: &Receiver<Order>) {
    let mut next = orders.recv().ok();
    let mut index = 0;
    let _ = walk(Box::new(reader), bytes, &mut |member: Member<'_>| {
        let Some(order) = next.take_if(|order| order.index == index) else {
            index += 1;
            return if next.is_some() { Ok(()) } else { Err(Stop::Enough) };
        };
        index += 1;
        let Order { mut target, outcome, .. } = order;
        let copied = member.content.and_then(|mut content| {
            io::copy(&mut content, &mut target).map(drop).map_err(|error| error.to_string())
        });
        let _ = outcome.set(copied);
        // The reader sees the end.
        drop(target);
        next = orders.recv().ok();
        if next.is_some() { Ok(()) } else { Err(Stop::Enough) }
    });
}

/// Reads a member.
struct MemberReader {
    receiver: PipeReader,
    outcome: Outcome,
    pass: Option<Pass>,
    parked: Arc<Parked>,
    bytes_read: Arc<AtomicU64>,
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.receiver.read(buffer)?;
        self.bytes_read.fetch_add(length as u64, Ordering::Relaxed);
        if length > 0 || buffer.is_empty() {
            return Ok(length);
        }
        match self.outcome.get() {
            Some(Ok(())) => Ok(0),
            Some(Err(reason)) => Err(io::Error::other(reason.clone())),
            None => Err(io::Error::other("the decoder of the archive failed")),
        }
    }
}

impl Drop for MemberReader {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.parked.put(pass);
        }
    }
}
