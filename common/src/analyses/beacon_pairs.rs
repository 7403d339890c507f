//! Pairs as beacons: their sessions over all classes, and the scores that `beaconing` and `beacon_scores` share.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result, ScalarValue};
use datafusion::functions::core::expr_fn::{coalesce, get_field, greatest, least};
use datafusion::functions::math::expr_fn::{ln, sqrt};
use datafusion::logical_expr::{Expr, cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::Inputs;
use crate::config::{BeaconScores, Config};
use crate::entities::EntityKind;
use crate::findings::{Row, Severity};
use crate::functions::{CLASSES_AN_OCTAVE, beacon_gaps, beacon_rhythm, canonical_address, round_half_up};

/// Octaves (doublings) of deviation at which sizes count as not alike at all: a beacon's polls differ by less than one, what
/// people send by two.
const OCTAVES_NOT_ALIKE: f64 = 2.0;
/// Mean sizes, as binary logarithms of bytes, up to which a session is as small as a poll (8 KiB), and from which on it is
/// none at all (1 MiB). RITA's first versions scored smallness likewise, up to 8 KiB in all.
const OCTAVES_OF_POLL: f64 = 13.0;
const OCTAVES_OF_TRANSFER: f64 = 20.0;
/// Sources below which a network is too small for prevalence to tell much: it counts as one of so many.
const FEWEST_SOURCES: f64 = 20.0;
/// Scores from which a beacon is of that severity.
const MEDIUM_FROM: f64 = 0.5;
const HIGH_FROM: f64 = 0.75;

/// One row a pair with an external address, with `seconds`, `sessions`, their sizes and ports, and the statistics of its `gaps`.
pub(super) fn pairs(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let sessions = ident("sessions") + ident("threat_sessions");
    // None is left out before its gaps are known: a filter copies the seconds of all that it keeps.
    inputs
        .merged("external_pairs")?
        .select(vec![
            ident("source_ip"),
            ident("destination_ip"),
            ident("seconds"),
            sessions.alias("sessions"),
            ident("size_classes"),
            ident("size_class_squares"),
            ident("lowest_port"),
            ident("highest_port"),
            ident("first_seen"),
            ident("threat_first_seen"),
            ident("last_seen"),
            ident("threat_last_seen"),
        ])?
        .with_column("gaps", beacon_gaps(ident("seconds")))
}

/// A field of a pair's gaps.
pub(super) fn gap(name: &str) -> Expr {
    get_field(ident("gaps"), name)
}

/// Whether `beaconing` lists the pair.
pub(super) fn is_in_beaconing(config: &Config) -> Expr {
    let parameters = &config.beaconing;
    gap("intervals").gt_eq(lit(parameters.min_intervals)).and(gap("jitter").lt(lit(parameters.max_jitter)))
}

/// The pairs with all scores that a pair alone has, their `_first_seen` and `_last_seen`, and `_own_score`, what they come to.
///
/// `_own_score` is `√timing · (1 + context) / 2 · service`, where `context` is the mean of size and coverage, of those known: no
/// size or persistence makes a beacon of what keeps no time, and timing alone comes half way. The root spreads the lower half,
/// where jitter and loss lie: at 50 % of both a beacon's timing is a third, chance's next to nothing. Scores of a pair whose timing
/// is far below `least_timing` are null.
pub(super) fn with_own_scores(pairs: DataFrame, config: &Config, least_timing: f64) -> Result<DataFrame> {
    let port = when(ident("lowest_port").eq(ident("highest_port")), ident("lowest_port")).end()?;
    let context =
        (coalesce(vec![ident("size_score"), ident("coverage_score")]) + ident("coverage_score")) / lit(2.0);
    let own = sqrt(ident("timing_score")) * (lit(1.0) + context) / lit(2.0) * ident("service_factor");
    let rhythm = beacon_rhythm(ident("seconds"), ident("sessions"), least_timing);
    let mut scored = pairs.with_column("rhythm", rhythm)?;
    for field in
        ["interval_s", "second_interval_s", "beats", "missed_beats", "timing_score", "coverage_score"]
    {
        scored = scored.with_column(field, get_field(ident("rhythm"), field))?;
    }
    let (service, factor) = known_service(&config.beacon_scores)?;
    scored
        .with_column("_first_seen", least(vec![ident("first_seen"), ident("threat_first_seen")]))?
        .with_column("_last_seen", greatest(vec![ident("last_seen"), ident("threat_last_seen")]))?
        .with_column("size_score", size_score()?)?
        .with_column("destination_port", port)?
        .with_column("known_service", service)?
        .with_column("service_factor", factor)?
        .with_column("_own_score", own)
}

/// How alike and how small what the pair sends is: `max(0, 1 - d / 2) · s`, with `d` the deviation of the sizes' binary logarithms
/// and `s` falling from 1 at a mean of 8 KiB to 0 at 1 MiB. Null where no size is known.
fn size_score() -> Result<Expr> {
    let number = |column: &str| cast(ident(column), DataType::Float64);
    let mean = number("size_classes") / number("sessions");
    let variance = number("size_class_squares") / number("sessions") - mean.clone() * mean.clone();
    let octaves = |classes: Expr| classes / lit(CLASSES_AN_OCTAVE as f64);
    let within = |value: Expr| least(vec![lit(1.0), greatest(vec![lit(0.0), value])]);
    let deviation = octaves(sqrt(greatest(vec![lit(0.0), variance])));
    let alike = within(lit(1.0) - deviation / lit(OCTAVES_NOT_ALIKE));
    let small =
        within((lit(OCTAVES_OF_TRANSFER) - octaves(mean)) / lit(OCTAVES_OF_TRANSFER - OCTAVES_OF_POLL));
    when(ident("size_classes").is_not_null(), round_half_up(alike * small, 4)).end()
}

/// Name and factor of the known service at the pair's port: null and 1 where there is none.
fn known_service(parameters: &BeaconScores) -> Result<(Expr, Expr)> {
    let (mut name, mut factor) = (lit(ScalarValue::Utf8(None)), lit(1.0));
    for service in parameters.known_services.iter().rev() {
        let is_this = ident("destination_port").eq(lit(service.port));
        name = when(is_this.clone(), lit(service.name.as_str())).otherwise(name)?;
        factor = when(is_this, lit(service.factor)).otherwise(factor)?;
    }
    Ok((name, factor))
}

/// The pairs with what `prevalence` (`kind`, `name`, `distinct_sources`, `total_sources`) says of their destinations:
/// `destination_sources`, `prevalence_score`, and their `score` in place of `_own_score`.
///
/// `prevalence_score` is `ln(n / d) / ln n`, with `d` sources of `n` that talk to the destination: the inverse document frequency
/// (Spärck Jones 1972) as part of its maximum, 1 for a destination of one source, 0 for one of all. The score is `_own_score` times
/// that; a destination of which nothing is known counts as rare.
pub(super) fn with_prevalence(pairs: DataFrame, prevalence: DataFrame) -> Result<DataFrame> {
    let of_addresses = prevalence.filter(ident("kind").eq(lit(EntityKind::Ip.name())))?.select(vec![
        ident("name").alias("_destination"),
        ident("distinct_sources").alias("destination_sources"),
        ident("total_sources").alias("_total_sources"),
    ])?;
    let number = |column: &str| cast(ident(column), DataType::Float64);
    let total = greatest(vec![number("_total_sources"), lit(FEWEST_SOURCES)]);
    let rarity = ln(total.clone() / number("destination_sources")) / ln(total);
    let rarity = when(ident("destination_sources").is_not_null(), round_half_up(rarity, 4)).end()?;
    let score = ident("_own_score") * coalesce(vec![ident("prevalence_score"), lit(1.0)]);
    pairs
        .join_on(
            of_addresses,
            JoinType::Left,
            vec![canonical_address(ident("destination_ip")).eq(ident("_destination"))],
        )?
        .with_column("prevalence_score", rarity)?
        .with_column("score", round_half_up(score, 4))?
        .drop_columns(&["_destination", "_total_sources", "_own_score"])
}

/// How bad a beacon of that score is.
pub(super) fn severity(row: &Row<'_>, score: &str) -> Severity {
    match row.number(score) {
        Some(score) if score >= HIGH_FROM => Severity::High,
        Some(score) if score >= MEDIUM_FROM => Severity::Medium,
        _ => Severity::Low,
    }
}

/// How likely a pair of that score is a beacon, 0 to 95: a service nobody knows can look the same.
pub(super) fn confidence(row: &Row<'_>, score: &str) -> u8 {
    (95.0 * row.number(score).unwrap_or(0.0).clamp(0.0, 1.0)).round() as u8
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Float64Type;
    use datafusion::prelude::SessionContext;
    use std::sync::Arc;

    use super::*;

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    /// Scores of pairs with the same own score, whose destinations have 1, 2, 50, 100 sources of 100, or are unknown.
    fn scores(total: i64) -> Vec<f64> {
        let names = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"];
        let session = SessionContext::new();
        let pairs = RecordBatch::try_from_iter([
            ("destination_ip", texts(&names)),
            ("_own_score", Arc::new(Float64Array::from(vec![0.8; 5])) as ArrayRef),
        ])
        .unwrap();
        let prevalence = RecordBatch::try_from_iter([
            ("kind", texts(&["ip", "ip", "ip", "ip", "device"])),
            ("name", texts(&names)),
            ("distinct_sources", Arc::new(Int64Array::from(vec![1, 2, total / 2, total, 7])) as ArrayRef),
            ("total_sources", Arc::new(Int64Array::from(vec![total; 5])) as ArrayRef),
        ])
        .unwrap();
        let frame =
            with_prevalence(session.read_batch(pairs).unwrap(), session.read_batch(prevalence).unwrap());
        let frame = frame
            .unwrap()
            .sort(vec![ident("score").sort(false, false), ident("destination_ip").sort(true, false)]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let batches = runtime.block_on(frame.unwrap().collect()).unwrap();
        let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
        assert_eq!(rows.column_by_name("destination_ip").unwrap().len(), 5);
        assert!(rows.column_by_name("_own_score").is_none());
        rows.column_by_name("score").unwrap().as_primitive::<Float64Type>().values().to_vec()
    }

    #[test]
    fn the_more_sources_talk_to_a_destination_the_lower_the_score() {
        // One source and an unknown destination count as rare; all sources as nothing.
        let of_hundred = scores(100);
        assert_eq!((of_hundred[0], of_hundred[1], of_hundred[4]), (0.8, 0.8, 0.0));
        assert!((of_hundred[2] - 0.8 * (1.0 - 2f64.ln() / 100f64.ln())).abs() < 1e-4, "{of_hundred:?}");
        assert!(of_hundred.windows(2).all(|pair| pair[1] <= pair[0]), "{of_hundred:?}");
        // Of four sources, all four: the network is too small for that to count for much.
        assert!(scores(4)[4] > 0.4, "{:?}", scores(4));
    }
}
