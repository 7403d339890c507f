//! The rhythm of one pair: its interval, or two, and how well the sessions keep it.

use super::gaps::{Gaps, MAX_INTERVALS, burst_below, is_about};

/// Fewest gaps of a rhythm.
const MIN_GAPS: usize = 4;
/// Ratio of neighbouring candidate intervals between the shortest and the longest gap; candidates are then refined.
const CANDIDATE_RATIO: f64 = 2.0;
/// Number of most frequent gaps that are further candidates.
const FREQUENT_CANDIDATES: usize = 8;
/// A second interval needs at least this many beats, and this number and fraction of gaps that the first leaves unexplained.
const MIN_BEATS_OF_TWO: usize = 12;
const MIN_GAPS_OF_SECOND: f64 = 6.0;
const MIN_SHARE_OF_SECOND: f64 = 0.15;
/// Two intervals explain more than one merely because they are two: their timing is multiplied by this.
const FACTOR_OF_TWO: f64 = 0.95;
/// Smallest timing of two intervals.
const MIN_TIMING_OF_TWO: f64 = 0.3;
/// Fraction of the requested timing that the best interval must reach on raw gaps: once sessions are merged into beats, timing improves.
const SHARE_OF_LEAST: f64 = 0.5;
/// Width of a slot of coverage in intervals, and at least an hour. With half of all beats lost, one slot in sixteen is empty.
const INTERVALS_PER_SLOT: f64 = 4.0;
const MIN_SLOT_S: f64 = 3_600.0;
/// Shortest span that coverage is measured against.
const SECONDS_PER_DAY: f64 = 86_400.0;

/// The rhythm of a pair.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rhythm {
    /// The dominant interval, in seconds.
    pub(super) interval_s: f64,
    /// A further interval that explains what the first does not, in seconds.
    pub(super) second_interval_s: Option<f64>,
    /// Beats seen; sessions within a beat are one.
    pub(super) beats: usize,
    /// Beats missing between those seen.
    pub(super) missed_beats: f64,
    /// 0 to 1: how much better than chance the gaps fit.
    pub(super) timing: f64,
    /// 0 to 1: fraction of the time from first to last beat, or of a day if that is longer, with beats.
    pub(super) coverage: f64,
}

impl Rhythm {
    /// The rhythm of `sessions` sessions at these sorted distinct seconds. `None` if they are too few, or if no interval reaches
    /// half of `least_timing` before sessions are merged into beats.
    pub(super) fn of(seconds: &[i64], sessions: i64, least_timing: f64) -> Option<Self> {
        if seconds.len() <= MIN_GAPS {
            return None;
        }
        let sessions_per_second = (sessions as f64 / seconds.len() as f64).max(1.0);
        let interval =
            dominant_interval(&Gaps::of(seconds), sessions_per_second, SHARE_OF_LEAST * least_timing)?;
        let burst = burst_below(interval);
        let beats = beats_of(seconds, burst);
        let gaps = Gaps::of(&beats);
        let interval = gaps.refined(interval).unwrap_or(interval);
        let alone = gaps.fit(&[interval], burst, sessions_per_second, 0.0).unwrap_or_default();
        let mut rhythm = Self {
            interval_s: interval,
            second_interval_s: None,
            beats: beats.len(),
            missed_beats: alone.missed,
            // Few beats with many sessions are not a rhythm.
            timing: if beats.len() <= MIN_GAPS { 0.0 } else { alone.timing },
            coverage: coverage(&beats, interval),
        };
        rhythm.add_second_interval(&gaps, burst, sessions_per_second);
        Some(rhythm)
    }

    /// Looks for an interval among the gaps that the first leaves unexplained: the beacon changed its pace, or alternates.
    fn add_second_interval(&mut self, gaps: &Gaps, burst: f64, sessions_per_second: f64) {
        let first = self.interval_s;
        let rest = gaps.only(|gap| !is_about(gap, first));
        let fewest = MIN_GAPS_OF_SECOND.max(MIN_SHARE_OF_SECOND * gaps.count());
        if self.beats < MIN_BEATS_OF_TWO || rest.count() < fewest {
            return;
        }
        let mut candidates = rest.most_frequent(FREQUENT_CANDIDATES);
        candidates.extend([0.1, 0.25, 0.5, 0.75, 0.9].iter().filter_map(|part| rest.quantile(*part)));
        for second in candidates {
            let second = rest.refined(second).unwrap_or(second);
            if is_of_lost_beats(second / first) {
                continue;
            }
            let least = (self.timing / FACTOR_OF_TWO).max(MIN_TIMING_OF_TWO);
            if let Some(fit) = gaps.fit(&[first, second], burst, sessions_per_second, least) {
                self.timing = FACTOR_OF_TWO * fit.timing;
                self.missed_beats = fit.missed;
                self.second_interval_s = Some(second);
            }
        }
    }
}

/// The interval that the gaps fit best.
fn dominant_interval(gaps: &Gaps, sessions_per_second: f64, least_timing: f64) -> Option<f64> {
    let (shortest, longest) = (gaps.shortest()?, gaps.longest()?);
    let mut candidates = gaps.most_frequent(FREQUENT_CANDIDATES);
    let mut interval = shortest;
    while interval <= longest * CANDIDATE_RATIO {
        // An interval without a gap near it is skipped.
        candidates.extend(gaps.refined(interval));
        interval *= CANDIDATE_RATIO;
    }
    candidates.sort_by(f64::total_cmp);
    candidates.dedup();
    // Without a least timing there is always an interval.
    let mut best = (least_timing, candidates.first().copied().filter(|_| least_timing <= 0.0));
    for interval in candidates {
        let fit = gaps.fit(&[interval], burst_below(interval), sessions_per_second, best.0);
        best = fit.map_or(best, |fit| (fit.timing, Some(interval)));
    }
    best.1
}

/// Whether the number of intervals is whole within a twentieth: lost beats are then the simpler explanation.
fn is_of_lost_beats(intervals: f64) -> bool {
    intervals > 1.5
        && intervals < MAX_INTERVALS + 0.5
        && (intervals - intervals.round()).abs() < 0.05 * intervals
}

/// The first second of each run of seconds that are less than `burst_below` apart.
fn beats_of(seconds: &[i64], burst_below: f64) -> Vec<i64> {
    let starts =
        seconds.windows(2).filter(|pair| (pair[1] - pair[0]) as f64 >= burst_below).map(|pair| pair[1]);
    seconds.first().copied().into_iter().chain(starts).collect()
}

/// Fraction of the time slots from the first beat to the last that hold one.
fn coverage(beats: &[i64], interval: f64) -> f64 {
    let (Some(first), Some(last)) = (beats.first(), beats.last()) else {
        return 0.0;
    };
    let slot_s = (INTERVALS_PER_SLOT * interval).max(MIN_SLOT_S);
    let slots = (((last - first) as f64).max(SECONDS_PER_DAY) / slot_s).ceil().max(1.0);
    let slot_of = |beat: &i64| ((beat - first) as f64 / slot_s).floor();
    let occupied = beats.chunk_by(|one, next| slot_of(one) == slot_of(next)).count();
    (occupied as f64 / slots).min(1.0)
}
