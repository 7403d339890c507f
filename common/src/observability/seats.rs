//! Seats for the connections of a listener: bounded in number, and given anew to whoever comes where none is left, from whoever has
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

/// The seats of one listener.
#[derive(Debug)]
pub struct Seats {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: BTreeMap<u64, Seat>,
}

/// The seat of a connection. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct Seat(Arc<Held>);

#[derive(Debug)]
struct Held {
    since: Instant,
    standing: AtomicU8,
    last_asked: Mutex<Instant>,
    is_closed: AtomicBool,
    waker: AtomicWaker,
}

impl Seat {
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
    pub fn asked_by_person(&self) {
        self.asked(PERSON);
    }

    /// Notes a request of a coordinator or worker.
    pub fn asked_by_node(&self) {
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

    /// Fails once the seat is closed; has the connection looked at again when it is.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.0.waker.register(context.waker());
        match self.0.is_closed.load(Ordering::Acquire) {
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "others need the connection")),
            false => Ok(()),
        }
    }
}

impl Seats {
    /// So many seats.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// So many seats; who has asked nothing that may be asked within `patience` has to leave.
    pub fn with_patience(most: usize, patience: Duration) -> Arc<Self> {
        let seats = Self::new(most);
        let watched = Arc::downgrade(&seats);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(seats) = watched.upgrade() else { return };
                seats.close_silent(patience);
            }
        });
        seats
    }

    /// The next connection of `listener`, with a seat.
    pub async fn accept(self: &Arc<Self>, listener: &TcpListener) -> Seated<TcpStream> {
        loop {
            let failed = match listener.accept().await {
                Ok((stream, _)) => match self.take() {
                    Some((number, seat)) => {
                        // Small answers must not wait for more; where that can't be set they do.
                        let _ = stream.set_nodelay(true);
                        return Seated { stream, seat, _place: Place { number, seats: Arc::clone(self) } };
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

    /// A seat, where need be that of another; none where all are nodes'.
    fn take(&self) -> Option<(u64, Seat)> {
        let mut taken = self.taken();
        if taken.seats.len() >= self.most && !self.make_room(&mut taken) {
            return None;
        }
        let (number, seat) = (taken.next, Seat::new());
        taken.next += 1;
        taken.seats.insert(number, seat.clone());
        Some((number, seat))
    }

    /// Closes the connection with the least claim; false where there is none.
    fn make_room(&self, taken: &mut Taken) -> bool {
        let claims = taken.seats.iter().filter_map(|(number, seat)| Some((seat.claim()?, *number)));
        let Some((_, number)) = claims.min() else { return false };
        if let Some(seat) = taken.seats.remove(&number) {
            seat.close();
        }
        true
    }

    fn close_silent(&self, patience: Duration) {
        self.taken().seats.retain(|_, seat| {
            let is_silent = seat.0.standing.load(Ordering::Relaxed) == UNKNOWN;
            let stays = !is_silent || seat.0.since.elapsed() < patience;
            if !stays {
                seat.close();
            }
            stays
        });
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections of `listener` for a gRPC server, each with a seat; requests carry their [`Seat`] as an extension.
pub fn seated(
    listener: TcpListener,
    seats: Arc<Seats>,
) -> impl Stream<Item = io::Result<Seated<TcpStream>>> + Send {
    stream::unfold((listener, seats), |(listener, seats)| async move {
        let connection = seats.accept(&listener).await;
        Some((Ok(connection), (listener, seats)))
    })
}

/// A connection that has a seat.
#[derive(Debug)]
pub struct Seated<S> {
    stream: S,
    seat: Seat,
    _place: Place,
}

/// Gives the seat back at the connection's end.
#[derive(Debug)]
struct Place {
    number: u64,
    seats: Arc<Seats>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seats.taken().seats.remove(&self.number);
    }
}

impl<S> Seated<S> {
    /// Its seat.
    pub fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl Connected for Seated<TcpStream> {
    type ConnectInfo = Seat;

    fn connect_info(&self) -> Seat {
        self.seat.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Seated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.seat.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Seated<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.seat.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seat.check(context)?;
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
        self.seat.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closed(seat: &Seat) -> bool {
        seat.0.is_closed.load(Ordering::Relaxed)
    }

    #[test]
    fn who_is_known_least_and_asked_longest_ago_makes_room() {
        let seats = Seats::new(4);
        let mut taken: Vec<Seat> = (0..4).map(|_| seats.take().unwrap().1).collect();
        taken[0].asked_by_node();
        taken[1].asked_by_person();
        taken[2].asked_by_person();
        taken[1].asked_by_person();
        // The one of whom nothing is known, then people, the one first who asked longest ago, and the node never.
        for closed in [3, 2, 1] {
            let (_, next) = seats.take().unwrap();
            assert!(is_closed(&taken[closed]), "{closed}");
            next.asked_by_node();
            taken.push(next);
        }
        assert!(seats.take().is_none() && !is_closed(&taken[0]));
        assert_eq!(seats.taken().seats.len(), 4);
    }

    #[test]
    fn who_says_nothing_has_to_leave() {
        let seats = Seats::new(10);
        let [silent, asking] = [(); 2].map(|()| seats.take().unwrap().1);
        asking.asked_by_person();
        seats.close_silent(Duration::from_secs(60));
        assert!(!is_closed(&silent));
        seats.close_silent(Duration::ZERO);
        assert!(is_closed(&silent) && !is_closed(&asking));
        assert_eq!(seats.taken().seats.len(), 1);
    }
}
