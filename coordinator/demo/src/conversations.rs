//! Conversations of sources with external addresses: a few per source and day, each in bursts, as people browse.

use super::rng::{Quantiles, SeededRng, mix};
use super::world::World;

/// Bursts of sessions per conversation and day.
const BURSTS: usize = 3;
/// Rows per conversation of a source and day.
const ROWS_PER_CONVERSATION: u64 = 12;

/// The conversations of all sources on one day.
///
/// Sessions of a pair come in bursts whose gaps span orders of magnitude. Uniformly random times would by chance give
/// low jitter to pairs with few sessions, and the lake thousands of accidental beacons.
pub(crate) struct Conversations {
    per_source: usize,
    /// By source and conversation: index of the external peer.
    peers: Vec<u32>,
    /// By source, conversation and burst: microseconds after midnight.
    bursts: Vec<i64>,
    /// Distribution of the microseconds from the start of a burst to a session.
    offsets: Quantiles,
}

impl Conversations {
    /// The conversations of a day with `external_rows` rows of external sessions.
    pub fn new(world: &World, external_rows: u64, rng: &mut SeededRng) -> Self {
        let sources = world.hosts.len() + world.unmanaged.len();
        let per_source = (external_rows / sources as u64 / ROWS_PER_CONVERSATION).clamp(1, 400) as usize;
        let peers =
            (0..sources * per_source).map(|_| world.popular_external(rng.bits() as u32) as u32).collect();
        let bursts = (0..sources * per_source * BURSTS)
            .map(|_| world.working_day.at(rng.bits() as u32) as i64)
            .collect();
        Self { per_source, peers, bursts, offsets: Quantiles::log_uniform(0.3e6, 2_400e6) }
    }

    /// The external peer (index) and the time (microseconds after midnight) of a session of `source`.
    #[inline]
    pub(crate) fn pick(&self, source: usize, bits: u64, rng: &mut SeededRng) -> (usize, i64) {
        let share = (bits >> 40) as f64 / 16_777_216.0;
        // Squared, so that a source's first conversations have most of its sessions.
        let conversation = source * self.per_source + (share * share * self.per_source as f64) as usize;
        let burst = conversation * BURSTS + (mix(bits) % BURSTS as u64) as usize;
        let moment = self.bursts[burst] + self.offsets.at(rng.bits() as u32) as i64;
        (self.peers[conversation] as usize, moment % 86_400_000_000)
    }
}
