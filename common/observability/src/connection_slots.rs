//! Bounds the number of a listener's connections. If all slots are taken, the connection with the lowest priority is closed
//! to make room for a new one, so that clients that connect and send nothing can't shut others out.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use futures::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tonic::transport::server::Connected;

/// Wait after a failed accept, which mostly means that file descriptors are used up.
const ACCEPT_WAIT: Duration = Duration::from_millis(50);
/// Time between checks for silent connections.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The peer has sent no authorised request yet.
const UNKNOWN: u8 = 0;
/// A user, or a user's program, with an authorised request.
const USER: u8 = 1;
/// A coordinator or worker.
const NODE: u8 = 2;

/// The connection slots of one listener.
#[derive(Debug)]
pub struct ConnectionSlots {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    slots: BTreeMap<u64, ConnectionSlot>,
}

/// The slot of a connection. Clones share it.
#[derive(Debug, Clone)]
pub struct ConnectionSlot(Arc<SlotState>);

#[derive(Debug)]
struct SlotState {
    since: Instant,
    standing: AtomicU8,
    last_request: Mutex<Instant>,
    is_closed: AtomicBool,
    waker: AtomicWaker,
}

impl ConnectionSlot {
    fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(SlotState {
            since: now,
            standing: AtomicU8::new(UNKNOWN),
            last_request: Mutex::new(now),
            is_closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }))
    }

    /// Notes an authorised request of a user.
    pub fn note_user_request(&self) {
        self.note_request(USER);
    }

    /// Notes a request of a coordinator or worker.
    pub fn note_node_request(&self) {
        self.note_request(NODE);
    }

    fn note_request(&self, standing: u8) {
        self.0.standing.fetch_max(standing, Ordering::Relaxed);
        *self.0.last_request.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The connection with the lowest priority is closed first: unknown peers before users, and of these the one whose last
    /// request is the longest ago. Nodes have none: they are never closed.
    fn priority(&self) -> Option<(u8, Instant)> {
        let last = *self.0.last_request.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.standing.load(Ordering::Relaxed) {
            NODE => None,
            standing => Some((standing, last)),
        }
    }

    fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Fails once the slot is closed; wakes the connection's task when it closes.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.0.waker.register(context.waker());
        match self.0.is_closed.load(Ordering::Acquire) {
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "others need the connection")),
            false => Ok(()),
        }
    }
}

impl ConnectionSlots {
    /// At most `most` slots.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// At most `most` slots. A connection without an authorised request within `timeout` is closed.
    pub fn with_first_request_timeout(most: usize, timeout: Duration) -> Arc<Self> {
        let slots = Self::new(most);
        let watched = Arc::downgrade(&slots);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(CHECK_INTERVAL).await;
                let Some(slots) = watched.upgrade() else { return };
                slots.close_silent(timeout);
            }
        });
        slots
    }

    /// Accepts the next connection of `listener`, with a slot.
    pub async fn accept(self: &Arc<Self>, listener: &TcpListener) -> SlottedConnection<TcpStream> {
        loop {
            let failed = match listener.accept().await {
                Ok((stream, _)) => match self.take() {
                    Some((number, slot)) => {
                        // Small responses must not wait for more data. If the option can't be set, they do.
                        let _ = stream.set_nodelay(true);
                        return SlottedConnection {
                            stream,
                            slot,
                            _place: Place { number, slots: Arc::clone(self) },
                        };
                    }
                    None => continue,
                },
                Err(error) => error,
            };
            tracing::debug!(error = %failed, "accepting a connection failed");
            self.make_room(&mut self.taken());
            tokio::time::sleep(ACCEPT_WAIT).await;
        }
    }

    /// A slot, if necessary that of another connection; `None` if nodes have all of them.
    fn take(&self) -> Option<(u64, ConnectionSlot)> {
        let mut taken = self.taken();
        if taken.slots.len() >= self.most && !self.make_room(&mut taken) {
            return None;
        }
        let (number, slot) = (taken.next, ConnectionSlot::new());
        taken.next += 1;
        taken.slots.insert(number, slot.clone());
        Some((number, slot))
    }

    /// Closes the connection with the lowest priority; false if there is none to close.
    fn make_room(&self, taken: &mut Taken) -> bool {
        let priorities = taken.slots.iter().filter_map(|(number, slot)| Some((slot.priority()?, *number)));
        let Some((_, number)) = priorities.min() else { return false };
        if let Some(slot) = taken.slots.remove(&number) {
            slot.close();
        }
        true
    }

    fn close_silent(&self, timeout: Duration) {
        self.taken().slots.retain(|_, slot| {
            let is_silent = slot.0.standing.load(Ordering::Relaxed) == UNKNOWN;
            let stays = !is_silent || slot.0.since.elapsed() < timeout;
            if !stays {
                slot.close();
            }
            stays
        });
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections of `listener` for a gRPC server, each with a slot. Requests carry their [`ConnectionSlot`] as an extension.
pub fn slotted_connections(
    listener: TcpListener,
    slots: Arc<ConnectionSlots>,
) -> impl Stream<Item = io::Result<SlottedConnection<TcpStream>>> + Send {
    stream::unfold((listener, slots), |(listener, slots)| async move {
        let connection = slots.accept(&listener).await;
        Some((Ok(connection), (listener, slots)))
    })
}

/// A connection with its slot.
#[derive(Debug)]
pub struct SlottedConnection<S> {
    stream: S,
    slot: ConnectionSlot,
    _place: Place,
}

/// Returns the slot when the connection ends.
#[derive(Debug)]
struct Place {
    number: u64,
    slots: Arc<ConnectionSlots>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.slots.taken().slots.remove(&self.number);
    }
}

impl<S> SlottedConnection<S> {
    /// Its slot.
    pub fn slot(&self) -> &ConnectionSlot {
        &self.slot
    }
}

impl Connected for SlottedConnection<TcpStream> {
    type ConnectInfo = ConnectionSlot;

    fn connect_info(&self) -> ConnectionSlot {
        self.slot.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SlottedConnection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.slot.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SlottedConnection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.slot.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.slot.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.slot.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closed(slot: &ConnectionSlot) -> bool {
        slot.0.is_closed.load(Ordering::Relaxed)
    }

    #[test]
    fn unknown_peers_make_room_first_then_the_user_who_is_idle_longest() {
        let slots = ConnectionSlots::new(4);
        let mut taken: Vec<ConnectionSlot> = (0..4).map(|_| slots.take().unwrap().1).collect();
        taken[0].note_node_request();
        taken[1].note_user_request();
        taken[2].note_user_request();
        taken[1].note_user_request();
        // The unknown peer first, then users by the time of their last request, and never the node.
        for closed in [3, 2, 1] {
            let (_, next) = slots.take().unwrap();
            assert!(is_closed(&taken[closed]), "{closed}");
            next.note_node_request();
            taken.push(next);
        }
        assert!(slots.take().is_none() && !is_closed(&taken[0]));
        assert_eq!(slots.taken().slots.len(), 4);
    }

    #[test]
    fn silent_connections_are_closed() {
        let slots = ConnectionSlots::new(10);
        let [silent, asking] = [(); 2].map(|()| slots.take().unwrap().1);
        asking.note_user_request();
        slots.close_silent(Duration::from_secs(60));
        assert!(!is_closed(&silent));
        slots.close_silent(Duration::ZERO);
        assert!(is_closed(&silent) && !is_closed(&asking));
        assert_eq!(slots.taken().slots.len(), 1);
    }
}
