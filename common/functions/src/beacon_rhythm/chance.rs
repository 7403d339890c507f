//! The credit that gaps between memoryless arrivals get by chance.

use super::gaps::{MAX_INTERVALS, WORTH_OF_NEXT_INTERVAL, credit_of_any, longest_of_run, shortest_of};

/// From this interval on, in seconds, whole seconds approximate continuous time well enough.
const CONTINUOUS_FROM_S: f64 = 16.0;
/// Number of cells per interval when chance is summed numerically, and the most cells in total.
const CELLS_AN_INTERVAL: f64 = 16.0;
const MAX_CELLS: f64 = 1_024.0;
/// With more arrivals per interval than this, hardly any gap is long enough to get credit.
const MAX_ARRIVALS: f64 = 50.0;

/// Mean credit that `intervals` give to the gaps between memoryless arrivals with the rate `arrivals_per_second`, for gaps
/// from `burst` seconds to the longest that is not a pause.
pub(super) fn credit_by_chance(intervals: &[f64], arrivals_per_second: f64, burst: f64) -> f64 {
    match intervals {
        [interval] if *interval >= CONTINUOUS_FROM_S => {
            integrated(arrivals_per_second * interval, burst / interval)
        }
        _ => summed(intervals, arrivals_per_second, burst),
    }
}

/// Gaps `x`, in intervals, have the density `r e^(-r (x - b)) / (1 - e^(-r (8.5 - b)))` from `b` on, where `r` is the number
/// of arrivals per interval. With the credit `0.8^(k - 1) (1 - |x - k|)` the mean is a geometric sum over `k` of
/// `A = ∫ r e^(-r u) (1 - |u|) du` from -1/2 to 1/2, which is `sinh(r / 2) + (2 / r) (cosh(r / 2) - 1)`.
fn integrated(arrivals: f64, burst: f64) -> f64 {
    if arrivals > MAX_ARRIVALS {
        return 0.0;
    }
    let half = arrivals / 2.0;
    let of_one_interval = half.sinh() + (half.cosh() - 1.0) / half;
    let ratio = WORTH_OF_NEXT_INTERVAL * (-arrivals).exp();
    let of_all = (1.0 - ratio.powi(MAX_INTERVALS as i32)) / (1.0 - ratio);
    let within_run = 1.0 - (-arrivals * (MAX_INTERVALS + 0.5 - burst)).exp();
    of_one_interval * (-arrivals * (1.0 - burst)).exp() * of_all / within_run
}

/// The same as a sum over whole seconds, for any intervals.
fn summed(intervals: &[f64], arrivals_per_second: f64, burst: f64) -> f64 {
    let longest = longest_of_run(intervals[0]);
    let step = (shortest_of(intervals) / CELLS_AN_INTERVAL).max(longest / MAX_CELLS).floor().max(1.0);
    let shrink = (-arrivals_per_second * step).exp();
    let (mut credits, mut weights, mut weight, mut gap) = (0.0, 0.0, 1.0, burst);
    while gap < longest {
        // The middle of a cell of whole seconds stands for the cell.
        credits += weight * credit_of_any(gap + (step - 1.0) / 2.0, intervals);
        weights += weight;
        weight *= shrink;
        gap += step;
    }
    credits / weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integral_is_what_the_sum_comes_to() {
        for (interval, burst) in [(160.0, 16.0), (3_600.0, 60.0), (86_400.0, 60.0)] {
            for arrivals in [0.15, 0.5, 1.0, 2.0, 8.0, 30.0] {
                let (sum, integral) =
                    (summed(&[interval], arrivals / interval, burst), integrated(arrivals, burst / interval));
                assert!((sum - integral).abs() < 0.02, "{interval} s, {arrivals}: {sum}, {integral}");
            }
        }
    }

    #[test]
    fn nearly_no_gap_is_long_enough_where_arrivals_are_many() {
        assert!(integrated(MAX_ARRIVALS, 0.1) < 1e-6);
        assert_eq!(integrated(MAX_ARRIVALS * 2.0, 0.1), 0.0);
    }
}
