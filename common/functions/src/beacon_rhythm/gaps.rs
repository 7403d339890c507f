//! Gaps between a pair's sessions, and how well they fit a clock that jitters and loses beats.

use super::chance::credit_by_chance;

/// A gap may span this many intervals. Longer gaps are pauses (a host that was off): only their number matters.
pub(super) const MAX_INTERVALS: f64 = 8.0;
/// Factor on the credit of a gap for each further interval that it spans.
pub(super) const WORTH_OF_NEXT_INTERVAL: f64 = 0.8;
/// The credit of a gap over `k` intervals: that factor to the power `k - 1`, and 0 for less than half an interval. With half
/// of all beats lost, the mean credit is 0.83 of that of a complete rhythm.
const WORTH_OF_INTERVALS: [f64; 9] = [0.0, 1.0, 0.8, 0.64, 0.512, 0.409_6, 0.327_68, 0.262_144, 0.209_715_2];
/// Gaps at chance level that are added to those observed, so that few gaps prove little (additive smoothing).
const ASSUMED_GAPS: f64 = 4.0;
/// Gaps below this fraction of the interval lie within one beat that opened several sessions.
const BURST_PART: f64 = 0.1;
/// Up to this many distinct lengths, a linear search is used.
const FEW_LENGTHS: usize = 32;
/// Longest beat in seconds, for any interval: a visit of minutes is not a beat of an hourly rhythm.
const MAX_BURST_S: f64 = 60.0;
/// Smallest room above chance: if nearly every second has sessions anyway, the rest is noise.
const MIN_ROOM: f64 = 0.1;

/// The distinct gaps of a sorted set of whole seconds with their counts, ascending. At most √(2 · span) distinct gaps add up
/// to a span, 2,300 for a month: this bounds the cost of everything below, for any number of seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Gaps {
    /// In seconds.
    lengths: Vec<f64>,
    counts: Vec<f64>,
    /// The totals of all shorter gaps, for each length and for the end.
    below: Vec<Below>,
}

/// Number and seconds of all shorter gaps: whole numbers, so that their differences are exact.
#[derive(Debug, Clone, Copy, Default)]
struct Below {
    count: f64,
    seconds: f64,
}

/// Positions among the lengths that separate gaps within a beat, gaps below half an interval, gaps of a run, and pauses.
#[derive(Debug, Clone, Copy)]
struct Cuts {
    burst: usize,
    half: usize,
    run: usize,
}

/// How well gaps fit an interval, or two.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Fit {
    /// 0 if no better than chance, 1 if perfect.
    pub(super) timing: f64,
    /// Beats that are missing within the gaps.
    pub(super) missed: f64,
}

impl Gaps {
    pub(super) fn of(seconds: &[i64]) -> Self {
        let mut lengths: Vec<i64> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        lengths.sort_unstable();
        let runs = lengths.chunk_by(|one, next| one == next);
        Self::of_distinct(runs.map(|run| (run[0] as f64, run.len() as f64)), lengths.len())
    }

    /// Gaps from at most `most` ascending lengths and their numbers.
    fn of_distinct(distinct: impl Iterator<Item = (f64, f64)>, most: usize) -> Self {
        let mut below = Vec::with_capacity(most + 1);
        below.push(Below::default());
        let mut gaps = Self { lengths: Vec::with_capacity(most), counts: Vec::with_capacity(most), below };
        for (length, count) in distinct {
            let all = gaps.all();
            gaps.lengths.push(length);
            gaps.counts.push(count);
            gaps.below.push(Below { count: all.count + count, seconds: all.seconds + count * length });
        }
        gaps
    }

    /// Distinct lengths with their counts, ascending.
    fn distinct(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lengths.iter().copied().zip(self.counts.iter().copied())
    }

    /// The totals of all gaps.
    fn all(&self) -> Below {
        self.below.last().copied().unwrap_or_default()
    }

    /// The gaps that satisfy `wanted`.
    pub(super) fn only(&self, wanted: impl Fn(f64) -> bool) -> Self {
        Self::of_distinct(self.distinct().filter(|(length, _)| wanted(*length)), self.lengths.len())
    }

    pub(super) fn shortest(&self) -> Option<f64> {
        self.lengths.first().copied()
    }

    pub(super) fn longest(&self) -> Option<f64> {
        self.lengths.last().copied()
    }

    pub(super) fn count(&self) -> f64 {
        self.all().count
    }

    /// The most frequent of the gaps that occur more than once; ties are ordered by length.
    pub(super) fn most_frequent(&self, wanted: usize) -> Vec<f64> {
        let mut by_count: Vec<(f64, f64)> = self.distinct().filter(|(_, count)| *count > 1.0).collect();
        by_count.sort_by(|one, other| other.1.total_cmp(&one.1));
        by_count.iter().take(wanted).map(|(length, _)| *length).collect()
    }

    /// The gap below which this fraction of all gaps lies.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = part * self.count();
        let place = self.below.iter().skip(1).position(|to_here| to_here.count > wanted);
        place.map(|place| self.lengths[place])
    }

    /// The interval refined to the mean of the gaps within half an interval of it, repeated until it hardly changes. `None` if
    /// no gap is near.
    pub(super) fn refined(&self, tried: f64) -> Option<f64> {
        let mut refined = None;
        for _ in 0..3 {
            let interval = refined.unwrap_or(tried);
            let about = self.between(0.5 * interval, 1.5 * interval);
            if about.count == 0.0 {
                break;
            }
            // Already the mean: a division must not change it.
            let is_mean = about.seconds == interval * about.count;
            refined = Some(if is_mean { interval } else { about.seconds / about.count });
            if is_mean {
                break;
            }
        }
        refined
    }

    /// Index of the first gap that is not shorter.
    fn place(&self, length: f64) -> usize {
        // A linear scan of a few is faster than a binary search.
        if self.lengths.len() <= FEW_LENGTHS {
            self.lengths.iter().map(|shorter| usize::from(*shorter < length)).sum()
        } else {
            self.lengths.partition_point(|shorter| *shorter < length)
        }
    }

    /// Number and seconds of the gaps from one length to below another.
    fn between(&self, from: f64, to: f64) -> Below {
        let (from, to) = (self.below[self.place(from)], self.below[self.place(to)]);
        Below { count: to.count - from.count, seconds: to.seconds - from.seconds }
    }

    /// How well the gaps fit `intervals`, of which the first is the dominant one. `sessions_per_second` is the mean number of
    /// sessions in a second that has any. Gaps below `burst` seconds lie within a beat and are left out. `None` if the timing
    /// is not above `least_timing`.
    ///
    /// A gap of `x` intervals has the credit `(1 - |x - k|) · 0.8^(k - 1)`, where `k` is `x` rounded, 1 to 8; other gaps have
    /// none. The mean credit `c` is compared with the credit `e` that memoryless arrivals (a Poisson process) of the same rate
    /// would have: `(c - e) / (1 - e)`, as Cohen's kappa corrects for chance. People make gaps shorter than half an interval and
    /// a sleeping program does not: the fraction of such gaps is subtracted once more.
    pub(super) fn fit(
        &self,
        intervals: &[f64],
        burst: f64,
        sessions_per_second: f64,
        least_timing: f64,
    ) -> Option<Fit> {
        let cuts = self.cuts(intervals, burst);
        if self.most_timing(intervals, &cuts) <= least_timing {
            return None;
        }
        let tally = self.tally(intervals, &cuts);
        // With a chance of 0 the timing is highest.
        if tally.in_run == 0.0 || tally.timing(0.0) <= least_timing {
            return None;
        }
        // Sessions per second within the run. Where single seconds count, seconds with several sessions count as several.
        let mean_s = tally.in_run_s / tally.in_run;
        let rate = if burst <= 1.0 { sessions_per_second / mean_s } else { 1.0 / (mean_s - burst).max(1.0) };
        let mut timing = tally.timing(credit_by_chance(&intervals[..1], rate, burst));
        if intervals.len() > 1 && timing > least_timing {
            // More intervals get more credit by chance. Summing that is expensive, so it is done only if it can matter.
            timing = tally.timing(credit_by_chance(intervals, rate, burst));
        }
        (timing > least_timing).then_some(Fit { timing, missed: tally.missed })
    }

    fn cuts(&self, intervals: &[f64], burst: f64) -> Cuts {
        let burst = self.place(burst);
        Cuts {
            burst,
            half: self.place(shortest_of(intervals) / 2.0).max(burst),
            run: self.place(longest_of_run(intervals[0])).max(burst),
        }
    }

    /// Upper bound of the timing, from the number of gaps that can have credit: it needs no look at each gap.
    fn most_timing(&self, intervals: &[f64], cuts: &Cuts) -> f64 {
        let [interval] = intervals else { return 1.0 };
        let [burst, half, run] = [cuts.burst, cuts.half, cuts.run].map(|place| self.below[place].count);
        let next = self.below[self.place(1.5 * interval)].count;
        let (total, late) = (self.count() - burst, self.count() - half);
        // Slightly more, for the rounding error of a credit's sum.
        (next - half + WORTH_OF_NEXT_INTERVAL * (run - next)) / (total + ASSUMED_GAPS) * (late / total) + 1e-9
    }

    fn tally(&self, intervals: &[f64], cuts: &Cuts) -> Tally {
        let dominant = intervals[0];
        let Cuts { burst, half, run } = *cuts;
        let credited = intervals[1..].iter().map(|second| self.place(1.5 * second)).fold(run, usize::max);
        let (before, early, in_run) = (self.below[burst], self.below[half], self.below[run]);
        let mut tally = Tally {
            credits: 0.0,
            total: self.count() - before.count,
            early: early.count - before.count,
            in_run: in_run.count - before.count,
            in_run_s: in_run.seconds - before.seconds,
            missed: 0.0,
        };
        // Gaps shorter than half an interval have no credit and miss no beat.
        for (place, (length, count)) in self.distinct().enumerate().take(credited).skip(half) {
            tally.credits += count * credit_of_any(length, intervals);
            if place < run && !intervals[1..].iter().any(|second| is_about(length, *second)) {
                tally.missed += count * whole_intervals(length / dominant).saturating_sub(1) as f64;
            }
        }
        tally
    }
}

/// Sums over the gaps.
#[derive(Debug, Default)]
struct Tally {
    credits: f64,
    total: f64,
    /// Gaps shorter than half an interval.
    early: f64,
    /// Gaps that are not pauses, and their seconds.
    in_run: f64,
    in_run_s: f64,
    missed: f64,
}

impl Tally {
    /// The timing score if gaps in the run have this mean credit by chance.
    fn timing(&self, by_chance: f64) -> f64 {
        let by_chance = by_chance * self.in_run / self.total;
        let mean_credit = (self.credits + ASSUMED_GAPS * by_chance) / (self.total + ASSUMED_GAPS);
        let above_chance = (mean_credit - by_chance) / (1.0 - by_chance).max(MIN_ROOM);
        above_chance.max(0.0) * (1.0 - self.early / self.total)
    }
}

/// Gaps of this many seconds or more are pauses.
pub(super) fn longest_of_run(interval: f64) -> f64 {
    (MAX_INTERVALS + 0.5) * interval
}

/// Gaps below this many seconds lie within one beat; 1 if none do.
pub(super) fn burst_below(interval: f64) -> f64 {
    (interval * BURST_PART).min(MAX_BURST_S).ceil().max(1.0)
}

/// Whether a gap equals the interval within half of it.
pub(super) fn is_about(gap: f64, interval: f64) -> bool {
    (0.5..1.5).contains(&(gap / interval))
}

pub(super) fn shortest_of(intervals: &[f64]) -> f64 {
    intervals.iter().copied().fold(f64::INFINITY, f64::min)
}

fn whole_intervals(gap_in_intervals: f64) -> usize {
    // Gaps are positive: the cast rounds down, and is several times faster than `floor` on targets where `floor` is a call.
    (gap_in_intervals + 0.5) as usize
}

fn credit(gap_in_intervals: f64) -> f64 {
    let whole = whole_intervals(gap_in_intervals);
    match WORTH_OF_INTERVALS.get(whole) {
        Some(worth) => (1.0 - (gap_in_intervals - whole as f64).abs()) * worth,
        None => 0.0,
    }
}

/// The highest credit of a gap by any of the intervals. Intervals other than the dominant one allow no missed beats, and half the
/// jitter: two wide humps would cover the sessions of any people.
pub(super) fn credit_of_any(gap: f64, intervals: &[f64]) -> f64 {
    let others = intervals[1..].iter().map(|interval| 1.0 - 2.0 * (gap / interval - 1.0).abs());
    others.fold(credit(gap / intervals[0]), f64::max)
}
