//! ConnectionSlots for the connections of a listener: bounded in number, and given anew to whoever comes where none is left, from whoever has
//! least claim to his. So those who connect and say nothing shut nobody out.

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

/// Wait before a connection is accepted again where that failed, for want of file descriptors mostly.
const ACCEPT_WAIT: Duration = Duration::from_millis(50);
/// Time between looks for those who say nothing.
const LOOK: Duration = Duration::from_secs(1);

/// Nothing is known of who sits there.
const UNKNOWN: u8 = 0;
/// A person, or a program of one, who may ask.
const PERSON: u8 = 1;
/// A coordinator or worker.
const NODE: u8 = 2;

/// The slots of one listener.
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

/// The slot of a connection. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct ConnectionSlot(Arc<Held>);

#[derive(Debug)]
struct Held {
    since: Instant,
    standing: AtomicU8,
    last_asked: Mutex<Instant>,
    is_closed: AtomicBool,
    waker: AtomicWaker,
}

impl ConnectionSlot {
    fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Held {
            since: now,
            standing: AtomicU8::new(UNKNOWN),
            last_asked: Mutex::new(now),
            is_closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }))
    }

    /// Notes a request of somebody who may ask.
    pub fn note_user_request(&self) {
        self.asked(PERSON);
    }

    /// Notes a request of a coordinator or worker.
    pub fn note_node_request(&self) {
        self.asked(NODE);
    }

    fn asked(&self, standing: u8) {
        self.0.standing.fetch_max(standing, Ordering::Relaxed);
        *self.0.last_asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// What decides who has to go first: who is known least, then who asked longest ago. Nodes stay.
    fn claim(&self) -> Option<(u8, Instant)> {
        let last = *self.0.last_asked.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.standing.load(Ordering::Relaxed) {
            NODE => None,
            standing => Some((standing, last)),
        }
    }

    fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Fails once the slot is closed; has the connection looked at again when it is.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.0.waker.register(context.waker());
        match self.0.is_closed.load(Ordering::Acquire) {
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "others need the connection")),
            false => Ok(()),
        }
    }
}

impl ConnectionSlots {
    /// So many slots.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// So many slots; who has asked nothing that may be asked within `patience` has to leave.
    pub fn with_first_request_timeout(most: usize, patience: Duration) -> Arc<Self> {
        let slots = Self::new(most);
        let watched = Arc::downgrade(&slots);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(slots) = watched.upgrade() else { return };
                slots.close_silent(patience);
            }
        });
        slots
    }

    /// The next connection of `listener`, with a slot.
    pub async fn accept(self: &Arc<Self>, listener: &TcpListener) -> SlottedConnection<TcpStream> {
        loop {
            let failed = match listener.accept().await {
                Ok((stream, _)) => match self.take() {
                    Some((number, slot)) => {
                        // Small answers must not wait for more; where that can't be set they do.
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
            tracing::debug!(error = %failed, "a connection could not be accepted");
            self.make_room(&mut self.taken());
            tokio::time::sleep(ACCEPT_WAIT).await;
        }
    }

    /// A slot, where need be that of another; none where all are nodes'.
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

    /// Closes the connection with the least claim; false where there is none.
    fn make_room(&self, taken: &mut Taken) -> bool {
        let claims = taken.slots.iter().filter_map(|(number, slot)| Some((slot.claim()?, *number)));
        let Some((_, number)) = claims.min() else { return false };
        if let Some(slot) = taken.slots.remove(&number) {
            slot.close();
        }
        true
    }

    fn close_silent(&self, patience: Duration) {
        self.taken().slots.retain(|_, slot| {
            let is_silent = slot.0.standing.load(Ordering::Relaxed) == UNKNOWN;
            let stays = !is_silent || slot.0.since.elapsed() < patience;
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

/// Connections of `listener` for a gRPC server, each with a slot; requests carry their [`ConnectionSlot`] as an extension.
pub fn slotted_connections(
    listener: TcpListener,
    slots: Arc<ConnectionSlots>,
) -> impl Stream<Item = io::Result<SlottedConnection<TcpStream>>> + Send {
    stream::unfold((listener, slots), |(listener, slots)| async move {
        let connection = slots.accept(&listener).await;
        Some((Ok(connection), (listener, slots)))
    })
}

/// A connection that has a slot.
#[derive(Debug)]
pub struct SlottedConnection<S> {
    stream: S,
    slot: ConnectionSlot,
    _place: Place,
}

/// Gives the slot back at the connection's end.
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
    fn who_is_known_least_and_asked_longest_ago_makes_room() {
        let slots = ConnectionSlots::new(4);
        let mut taken: Vec<ConnectionSlot> = (0..4).map(|_| slots.take().unwrap().1).collect();
        taken[0].note_node_request();
        taken[1].note_user_request();
        taken[2].note_user_request();
        taken[1].note_user_request();
        // The one of whom nothing is known, then people, the one first who asked longest ago, and the node never.
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
    fn who_says_nothing_has_to_leave() {
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
