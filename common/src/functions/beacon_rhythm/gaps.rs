//! Gaps between a pair's sessions, and how well they fit a clock that jitters and loses beats.

/// A gap may span so many intervals; longer ones are pauses (a host that was off), which speak neither way but by number.
pub(super) const MOST_INTERVALS: f64 = 8.0;
/// What a gap over `k` intervals counts: 0.8 to the power `k - 1`, and nothing where it is less than half of one. At half of
/// all beats lost, the mean is 0.83 of that of a whole rhythm.
const WORTH_OF_INTERVALS: [f64; 9] = [0.0, 1.0, 0.8, 0.64, 0.512, 0.409_6, 0.327_68, 0.262_144, 0.209_715_2];
/// Gaps at chance level that are assumed beside those seen, so that few gaps prove little (additive smoothing).
const ASSUMED_GAPS: f64 = 4.0;
/// Gaps below this part of the interval lie within one beat, which opened several sessions.
const BURST_PART: f64 = 0.1;
/// A beat lasts no longer, in seconds, whatever the interval: a visit of minutes is no beat of an hourly rhythm.
const LONGEST_BURST_S: f64 = 60.0;
/// Room that is left above chance at least: where every second has sessions nearly for sure, the last bit is noise.
const LEAST_ROOM: f64 = 0.1;
/// Cells an interval is cut into where arrivals by chance are summed up, and most cells in all.
const CELLS_AN_INTERVAL: f64 = 16.0;
const MOST_CELLS: f64 = 1_024.0;

/// The distinct gaps of a sorted set of whole seconds with their numbers, ascending. Distinct gaps that add up to a span
/// are at most √(2 · span) many, 2,300 in a month: that bounds the cost of all below, however many seconds there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Gaps(Vec<(f64, f64)>);

/// How well gaps fit an interval, or two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// 0 where no better than chance, 1 where perfect.
    pub(super) timing: f64,
    /// Beats that should have come within the gaps and did not.
    pub(super) missed: f64,
}

impl Gaps {
    pub(super) fn of(seconds: &[i64]) -> Self {
        let mut lengths: Vec<i64> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        lengths.sort_unstable();
        let runs = lengths.chunk_by(|one, next| one == next);
        Self(runs.map(|run| (run[0] as f64, run.len() as f64)).collect())
    }

    /// The gaps that `wanted` takes.
    pub(super) fn only(&self, wanted: impl Fn(f64) -> bool) -> Self {
        Self(self.0.iter().copied().filter(|(gap, _)| wanted(*gap)).collect())
    }

    pub(super) fn shortest(&self) -> Option<f64> {
        self.0.first().map(|(gap, _)| *gap)
    }

    pub(super) fn longest(&self) -> Option<f64> {
        self.0.last().map(|(gap, _)| *gap)
    }

    pub(super) fn count(&self) -> f64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The most frequent gaps, the shorter first among equals.
    pub(super) fn most_frequent(&self, wanted: usize) -> Vec<f64> {
        let mut by_count = self.0.clone();
        by_count.sort_by(|one, other| other.1.total_cmp(&one.1));
        by_count.iter().take(wanted).map(|(gap, _)| *gap).collect()
    }

    /// The gap below which that part of all gaps lies.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = part * self.count();
        let mut below = 0.0;
        self.0.iter().find_map(|(gap, count)| {
            below += count;
            (below > wanted).then_some(*gap)
        })
    }

    /// The mean of the gaps within half an interval of it, again until it hardly moves: the interval itself.
    pub(super) fn refined(&self, mut interval: f64) -> f64 {
        for _ in 0..3 {
            let first = self.0.partition_point(|(gap, _)| *gap < 0.5 * interval);
            let about = self.0[first..].iter().take_while(|(gap, _)| *gap < 1.5 * interval);
            let (sum, count) =
                about.fold((0.0, 0.0), |(sum, count), (gap, number)| (sum + gap * number, count + number));
            if count == 0.0 || sum == interval * count {
                break;
            }
            interval = sum / count;
        }
        interval
    }

    /// Mean credit of the gaps, less the part that comes too early: the [`Gaps::fit`] is not above it, and costs far more.
    pub(super) fn most_timing(&self, intervals: &[f64], burst: f64) -> f64 {
        let half = shortest_of(intervals) / 2.0;
        let (mut credits, mut early, mut total) = (0.0, 0.0, 0.0);
        for (gap, count) in self.0.iter().filter(|(gap, _)| *gap >= burst) {
            credits += count * credit_of_any(*gap, intervals);
            early += if *gap < half { *count } else { 0.0 };
            total += count;
        }
        if total == 0.0 { 0.0 } else { credits / total * (1.0 - early / total) }
    }

    /// How well the gaps fit `intervals`, of which the first is the dominant one; `sessions_a_second` is the mean number of
    /// sessions in a second that has any. Gaps below `burst` seconds lie within a beat and are left out.
    ///
    /// A gap of `x` intervals has the credit `(1 - |x - k|) · 0.8^(k - 1)`, `k` being `x` rounded, 1 to 8; else none. The
    /// mean credit `c` is set against the credit `e` that arrivals without memory (a Poisson process) of the same rate would
    /// have: `(c - e) / (1 - e)`, as Cohen's kappa corrects for chance. Gaps shorter than half an interval, which a
    /// sleeping program does not make and people do, take their part off once more.
    pub(super) fn fit(&self, intervals: &[f64], burst: f64, sessions_a_second: f64) -> Fit {
        let dominant = intervals[0];
        let least = shortest_of(intervals);
        let longest = (MOST_INTERVALS + 0.5) * dominant;
        let (mut credits, mut early, mut missed, mut total) = (0.0, 0.0, 0.0, 0.0);
        let (mut in_run, mut in_run_s) = (0.0, 0.0);
        for (gap, count) in self.0.iter().filter(|(gap, _)| *gap >= burst) {
            credits += count * credit_of_any(*gap, intervals);
            total += count;
            early += if *gap < least / 2.0 { *count } else { 0.0 };
            if *gap < longest {
                in_run += count;
                in_run_s += count * gap;
                if !intervals[1..].iter().any(|second| is_about(*gap, *second)) {
                    missed += count * ((gap / dominant + 0.5).floor() - 1.0).max(0.0);
                }
            }
        }
        if in_run == 0.0 {
            return Fit { timing: 0.0, missed: 0.0 };
        }
        // Sessions a second within the run. Where single seconds count, those with several sessions count as such.
        let mean_s = in_run_s / in_run;
        let rate = if burst <= 1.0 { sessions_a_second / mean_s } else { 1.0 / (mean_s - burst).max(1.0) };
        let by_chance = credit_by_chance(intervals, rate, burst, longest) * in_run / total;
        let mean_credit = (credits + ASSUMED_GAPS * by_chance) / (total + ASSUMED_GAPS);
        let above_chance = (mean_credit - by_chance) / (1.0 - by_chance).max(LEAST_ROOM);
        Fit { timing: above_chance.max(0.0) * (1.0 - early / total), missed }
    }
}

/// Gaps below this many seconds lie within one beat; 1 where none do.
pub(super) fn burst_below(interval: f64) -> f64 {
    (interval * BURST_PART).min(LONGEST_BURST_S).ceil().max(1.0)
}

/// Whether a gap is that interval, give or take half of it.
pub(super) fn is_about(gap: f64, interval: f64) -> bool {
    (0.5..1.5).contains(&(gap / interval))
}

fn shortest_of(intervals: &[f64]) -> f64 {
    intervals.iter().copied().fold(f64::INFINITY, f64::min)
}

fn credit(gap_in_intervals: f64) -> f64 {
    // Gaps are positive: the cast rounds down, and is several times faster than `floor` where that is a call.
    let whole = (gap_in_intervals + 0.5) as usize;
    match WORTH_OF_INTERVALS.get(whole) {
        Some(worth) => (1.0 - (gap_in_intervals - whole as f64).abs()) * worth,
        None => 0.0,
    }
}

/// The most that a gap is worth by any of the intervals. Those beside the dominant one have no missed beats, and half the room
/// for jitter: two wide humps would cover what any people's sessions do.
fn credit_of_any(gap: f64, intervals: &[f64]) -> f64 {
    let others = intervals[1..].iter().map(|interval| 1.0 - 2.0 * (gap / interval - 1.0).abs());
    others.fold(credit(gap / intervals[0]), f64::max)
}

/// Mean credit of gaps from `shortest` to `longest` seconds between arrivals without memory, so many a second.
fn credit_by_chance(intervals: &[f64], arrivals_a_second: f64, shortest: f64, longest: f64) -> f64 {
    let least = shortest_of(intervals);
    let step = (least / CELLS_AN_INTERVAL).max(longest / MOST_CELLS).floor().max(1.0);
    let shrink = (-arrivals_a_second * step).exp();
    let (mut credits, mut weights, mut weight, mut gap) = (0.0, 0.0, 1.0, shortest);
    while gap < longest {
        // A cell of whole seconds counts by its middle.
        credits += weight * credit_of_any(gap + (step - 1.0) / 2.0, intervals);
        weights += weight;
        weight *= shrink;
        gap += step;
    }
    credits / weights
}
