//! All randomness of the demo lake: seeded streams, hashes of keys, and distributions read from quantile tables.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A seeded stream of random values. Streams with the same seed, day and name return the same values.
pub struct SeededRng {
    generator: ChaCha8Rng,
}

impl SeededRng {
    /// The stream `name` (its first 16 bytes count) of day number `day` for `seed`.
    pub fn new(seed: u64, day: u64, name: &str) -> Self {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&day.to_le_bytes());
        for (slot, byte) in key[16..].iter_mut().zip(name.bytes()) {
            *slot = byte;
        }
        Self { generator: ChaCha8Rng::from_seed(key) }
    }

    /// 64 random bits, for callers that take several small choices from one draw.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A number in `0..bound`, or 0 if `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        scale(self.generator.next_u32(), bound)
    }

    /// A number in `low..high`, or `low` if the range is empty.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = (high - low).max(1);
        low + ((u128::from(self.bits()) * width as u128) >> 64) as i64
    }

    /// A number in `[0, 1)`.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        f64::from(self.generator.next_u32()) / 4_294_967_296.0
    }

    /// True with the given probability, 0 to 1.
    #[inline]
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A standard normal value, limited to about 4 standard deviations.
    pub fn normal(&mut self) -> f64 {
        normal_quantile((self.unit() + 0.5e-9).clamp(3e-5, 1.0 - 3e-5))
    }

    /// One of `items` with equal probability. `items` must not be empty.
    #[inline]
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Maps 32 random bits to `0..bound` without division.
#[inline]
pub fn scale(bits: u32, bound: usize) -> usize {
    ((u64::from(bits) * bound as u64) >> 32) as usize
}

/// A hash of a key (the splitmix64 finaliser), so that properties of a pair or a day need no stored state.
#[inline]
pub fn mix(key: u64) -> u64 {
    let mut mixed = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A distribution as 4,097 quantiles with linear interpolation: one table look-up instead of a logarithm per row.
pub(crate) struct Quantiles {
    points: Vec<f64>,
}

const STEPS: usize = 4096;

impl Quantiles {
    /// Log-normal values with the given median; `sigma` is the standard deviation of the logarithm.
    pub(crate) fn log_normal(median: f64, sigma: f64) -> Self {
        let quantile = |step: usize| {
            let share = (step as f64 + 0.25) / (STEPS as f64 + 0.5);
            median * (sigma * normal_quantile(share)).exp()
        };
        Self { points: (0..=STEPS).map(quantile).collect() }
    }

    /// Values whose logarithm is uniform between the logarithms of `low` and `high`.
    pub(crate) fn log_uniform(low: f64, high: f64) -> Self {
        let quantile = |step: usize| low * (high / low).powf(step as f64 / STEPS as f64);
        Self { points: (0..=STEPS).map(quantile).collect() }
    }

    /// Times of the day in microseconds after midnight UTC. `weights` are the relative volumes of the 24 hours.
    pub(crate) fn day_curve(weights: &[f64; 24]) -> Self {
        let total: f64 = weights.iter().sum();
        let mut points = Vec::with_capacity(STEPS + 1);
        let (mut hour, mut before) = (0, 0.0);
        for step in 0..=STEPS {
            let target = total * step as f64 / STEPS as f64;
            while hour < 23 && before + weights[hour] < target {
                before += weights[hour];
                hour += 1;
            }
            let within = ((target - before) / weights[hour]).clamp(0.0, 1.0);
            points.push((hour as f64 + within) * 3.6e9);
        }
        Self { points }
    }

    /// The quantile for the share `bits / 2^32`.
    #[inline]
    pub fn at(&self, bits: u32) -> f64 {
        let step = (bits >> 20) as usize;
        let within = f64::from(bits & 0xF_FFFF) / 1_048_576.0;
        let low = self.points[step];
        low + (self.points[step + 1] - low) * within
    }
}

/// The standard normal quantile, by Acklam's rational approximation (relative error below 1.2e-9).
fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    if share > 0.5 {
        return -normal_quantile(1.0 - share);
    }
    if share < 0.024_25 {
        let q = (-2.0 * share.ln()).sqrt();
        return polynomial(&C, q) / (polynomial(&D, q) * q + 1.0);
    }
    let q = share - 0.5;
    let r = q * q;
    polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_day_and_name_and_repeat() {
        let draw = |day, name| SeededRng::new(1, day, name).bits();
        assert_eq!(draw(0, "a"), draw(0, "a"));
        assert_ne!(draw(0, "a"), draw(1, "a"));
        assert_ne!(draw(0, "a"), draw(0, "b"));
    }

    #[test]
    fn normal_quantiles_match_the_table() {
        for (share, expected) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.01, -2.326_347_874)] {
            assert!((normal_quantile(share) - expected).abs() < 1e-7, "{share}");
        }
    }

    #[test]
    fn a_day_curve_stays_inside_the_day() {
        let curve = Quantiles::day_curve(&[1.0; 24]);
        assert!(curve.at(0) >= 0.0);
        assert!(curve.at(u32::MAX) < 86_400e6);
        assert!((curve.at(1 << 31) - 43_200e6).abs() < 1e6);
    }
}
