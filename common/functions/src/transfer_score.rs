//! How much a transfer looks like data that leaves.

use arrow::datatypes::DataType;
use datafusion::functions::core::expr_fn::{coalesce, greatest, least};
use datafusion::functions::math::expr_fn::log10;
use datafusion::logical_expr::{Expr, cast, lit};

use super::round_half_up;

pub(crate) const BYTES_PER_MEGABYTE: f64 = 1_048_576.0;

/// Decades of the ratio that count: from 1 to 1,000.
const DECADES_OF_RATIO: f64 = 3.0;
/// Decades of the volume that count: from 1 MB to 10 GB.
const DECADES_OF_VOLUME: f64 = 4.0;
/// Share of the ratio in the score; the rest is the volume's, which measures the damage.
const RATIO_SHARE: f64 = 0.4;
/// What an unknown ratio counts: neither a transfer nor work in both directions.
const UNKNOWN_RATIO: f64 = 0.5;

/// `rarity · (0.4 · ratio + 0.6 · volume)`, with the decimal logarithms of sent by received bytes, divided by 3, and of sent megabytes,
/// divided by 4, both bounded to 0 and 1. The ratio counts a half if the received bytes are unknown, and the rarity 1 if it is.
///
/// Work in both directions, such as calls and browsing, has a ratio near or below 1, and copies of data have one of hundreds: only the
/// protocol's own answers come back. The volume alone says little, because backups and uploads to shared services are large.
pub(crate) fn transfer_score(sent: Expr, received: Expr, rarity: Expr) -> Expr {
    let number = |value: Expr| cast(value, DataType::Float64);
    let within = |value: Expr| least(vec![lit(1.0), greatest(vec![lit(0.0), value])]);
    // Unlike `greatest`, null stays null.
    let at_least_one = |value: Expr| number(value.clone()) + number(value.lt(lit(1)));
    let decades = log10(at_least_one(sent.clone()) / at_least_one(received));
    let ratio = within(coalesce(vec![decades / lit(DECADES_OF_RATIO), lit(UNKNOWN_RATIO)]));
    let volume = within(log10(at_least_one(sent) / lit(BYTES_PER_MEGABYTE)) / lit(DECADES_OF_VOLUME));
    let score = lit(RATIO_SHARE) * ratio + lit(1.0 - RATIO_SHARE) * volume;
    round_half_up(coalesce(vec![rarity, lit(1.0)]) * score, 4)
}
