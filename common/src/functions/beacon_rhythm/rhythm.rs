//! The rhythm of one pair: its interval, or two, and how well the sessions keep it.

use super::gaps::{Gaps, MOST_INTERVALS, burst_below, is_about};

/// Fewest gaps a rhythm is made of.
const FEWEST_GAPS: usize = 4;
/// Ratio of neighbouring intervals that are tried between the shortest and the longest gap; what is found is refined.
const STEP_OF_TRIED: f64 = 2.0;
/// Most frequent gaps that are tried beside those.
const FREQUENT_TRIED: usize = 8;
/// Fewest beats, and gaps that the first interval leaves unexplained, in number and part, for a second one.
const FEWEST_BEATS_OF_TWO: usize = 12;
const FEWEST_GAPS_OF_SECOND: f64 = 6.0;
const LEAST_PART_OF_SECOND: f64 = 0.15;
/// Two intervals explain more than one by their number alone: what they explain counts so much less.
const WORTH_OF_TWO: f64 = 0.95;
/// Timing that two intervals must have to be taken for such.
const LEAST_TIMING_OF_TWO: f64 = 0.3;
/// Part of the timing asked for that the best interval must have among the plain gaps: told apart, beats keep better time.
const PART_OF_LEAST: f64 = 0.5;
/// A slot of coverage is so many intervals wide, so that at half of all beats lost one in sixteen is empty, and at least an hour.
const INTERVALS_A_SLOT: f64 = 4.0;
const SHORTEST_SLOT_S: f64 = 3_600.0;
/// Shortest span that coverage is measured against.
const SECONDS_A_DAY: f64 = 86_400.0;

/// What is known of a pair's rhythm.
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
    /// 0 to 1: in how much of the time from first to last, or of a day where that is shorter, there are beats.
    pub(super) coverage: f64,
}

impl Rhythm {
    /// The rhythm of `sessions` sessions at these sorted distinct seconds; none where they are too few, or where no interval's
    /// timing comes to half of `least_timing` before beats are told from sessions.
    pub(super) fn of(seconds: &[i64], sessions: i64, least_timing: f64) -> Option<Self> {
        if seconds.len() <= FEWEST_GAPS {
            return None;
        }
        let sessions_a_second = (sessions as f64 / seconds.len() as f64).max(1.0);
        let interval =
            dominant_interval(&Gaps::of(seconds), sessions_a_second, PART_OF_LEAST * least_timing)?;
        let burst = burst_below(interval);
        let beats = beats_of(seconds, burst);
        let gaps = Gaps::of(&beats);
        let interval = gaps.refined(interval).unwrap_or(interval);
        let alone = gaps.fit(&[interval], burst, sessions_a_second, 0.0).unwrap_or_default();
        let mut rhythm = Self {
            interval_s: interval,
            second_interval_s: None,
            beats: beats.len(),
            missed_beats: alone.missed,
            // Few beats of many sessions: there is no rhythm to speak of.
            timing: if beats.len() <= FEWEST_GAPS { 0.0 } else { alone.timing },
            coverage: coverage(&beats, interval),
        };
        rhythm.add_second_interval(&gaps, burst, sessions_a_second);
        Some(rhythm)
    }

    /// Looks for an interval among the gaps that the first leaves unexplained: of a beacon that changed its pace, or takes turns.
    fn add_second_interval(&mut self, gaps: &Gaps, burst: f64, sessions_a_second: f64) {
        let first = self.interval_s;
        let rest = gaps.only(|gap| !is_about(gap, first));
        let fewest = FEWEST_GAPS_OF_SECOND.max(LEAST_PART_OF_SECOND * gaps.count());
        if self.beats < FEWEST_BEATS_OF_TWO || rest.count() < fewest {
            return;
        }
        let mut tried = rest.most_frequent(FREQUENT_TRIED);
        tried.extend([0.1, 0.25, 0.5, 0.75, 0.9].iter().filter_map(|part| rest.quantile(*part)));
        for second in tried {
            let second = rest.refined(second).unwrap_or(second);
            if is_of_lost_beats(second / first) {
                continue;
            }
            let least = (self.timing / WORTH_OF_TWO).max(LEAST_TIMING_OF_TWO);
            if let Some(fit) = gaps.fit(&[first, second], burst, sessions_a_second, least) {
                self.timing = WORTH_OF_TWO * fit.timing;
                self.missed_beats = fit.missed;
                self.second_interval_s = Some(second);
            }
        }
    }
}

/// The interval that the gaps fit best.
fn dominant_interval(gaps: &Gaps, sessions_a_second: f64, least_timing: f64) -> Option<f64> {
    let (shortest, longest) = (gaps.shortest()?, gaps.longest()?);
    let mut tried = gaps.most_frequent(FREQUENT_TRIED);
    let mut interval = shortest;
    while interval <= longest * STEP_OF_TRIED {
        // An interval that no gap comes near is nobody's clock.
        tried.extend(gaps.refined(interval));
        interval *= STEP_OF_TRIED;
    }
    tried.sort_by(f64::total_cmp);
    tried.dedup();
    // Where nothing is asked of the timing, there is always an interval.
    let mut best = (least_timing, tried.first().copied().filter(|_| least_timing <= 0.0));
    for interval in tried {
        let fit = gaps.fit(&[interval], burst_below(interval), sessions_a_second, best.0);
        best = fit.map_or(best, |fit| (fit.timing, Some(interval)));
    }
    best.1
}

/// Whether that many intervals are whole ones, give or take a twentieth: beats that got lost are the simpler explanation.
fn is_of_lost_beats(intervals: f64) -> bool {
    intervals > 1.5
        && intervals < MOST_INTERVALS + 0.5
        && (intervals - intervals.round()).abs() < 0.05 * intervals
}

/// First seconds of the runs of seconds less than `burst_below` apart.
fn beats_of(seconds: &[i64], burst_below: f64) -> Vec<i64> {
    let starts =
        seconds.windows(2).filter(|pair| (pair[1] - pair[0]) as f64 >= burst_below).map(|pair| pair[1]);
    seconds.first().copied().into_iter().chain(starts).collect()
}

/// Part of the slots of time from the first beat to the last that hold one.
fn coverage(beats: &[i64], interval: f64) -> f64 {
    let (Some(first), Some(last)) = (beats.first(), beats.last()) else {
        return 0.0;
    };
    let slot_s = (INTERVALS_A_SLOT * interval).max(SHORTEST_SLOT_S);
    let slots = (((last - first) as f64).max(SECONDS_A_DAY) / slot_s).ceil().max(1.0);
    let slot_of = |beat: &i64| ((beat - first) as f64 / slot_s).floor();
    let occupied = beats.chunk_by(|one, next| slot_of(one) == slot_of(next)).count();
    (occupied as f64 / slots).min(1.0)
}
