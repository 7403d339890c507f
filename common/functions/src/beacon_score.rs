//! The parts of a beacon's score that are computed from sums over the sessions of its pair, and their combination. docs/beacons.md
//! has the formulas with their sources, and their quality on generated ground truth.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions::core::expr_fn::{coalesce, greatest, least};
use datafusion::functions::math::expr_fn::{ln, sqrt};
use datafusion::logical_expr::{Expr, cast, lit, when};

use super::{CLASSES_PER_OCTAVE, round_half_up};

/// Deviation in octaves (doublings) from which sizes count as not alike at all: a beacon's polls differ by less than one octave,
/// transfers of people by two.
const OCTAVES_NOT_ALIKE: f64 = 2.0;
/// Deviation in octaves from which sizes are not those of one request, if only sizes count: a factor of √2. An interface that people
/// or programs call with changing content differs more.
const OCTAVES_NOT_ONE_REQUEST: f64 = 0.5;
/// What constant sizes are worth as timing: half of a perfect rhythm, because sleeping programs alone keep time, and all programs repeat
/// requests.
const TIMING_OF_CONSTANT_SIZES: f64 = 0.5;
/// Mean sizes as binary logarithms of bytes: up to the first (8 KiB) a session is as small as a poll, from the second (1 MiB) it is
/// not a poll at all. RITA's first versions scored smallness in a similar way, up to 8 KiB in total.
const OCTAVES_OF_POLL: f64 = 13.0;
const OCTAVES_OF_TRANSFER: f64 = 20.0;
/// Beats that count as half of full persistence: half an hour of one per minute.
const BEATS_OF_HALF: f64 = 30.0;
/// A network with fewer sources is too small for prevalence to be meaningful: it is treated as if it had this many.
const MIN_SOURCES: f64 = 20.0;

/// How alike and how small the transfers of a pair are: `max(0, 1 - d / 2) · s`, with `d` the deviation of the sizes' binary logarithms
/// and `s` falling from 1 at a mean of 8 KiB to 0 at 1 MiB. Null if no size is known.
///
/// `size_classes` and `size_class_squares` are sums over `sessions` of [`super::size_class`] and of its square.
///
/// # Errors
/// If the expression can't be built.
pub(crate) fn beacon_size_score(
    size_classes: Expr,
    size_class_squares: Expr,
    sessions: Expr,
) -> Result<Expr> {
    let is_known = size_classes.clone().is_not_null();
    let score = alike_and_small(size_classes, size_class_squares, sessions, OCTAVES_NOT_ALIKE);
    when(is_known, score).end()
}

/// How constant and how small the transfers of a pair are: as [`beacon_size_score`], but `max(0, 1 - 2 d)`, so that only sessions that
/// all send nearly the same have a score. Null if no size is known, or nothing was sent.
///
/// # Errors
/// If the expression can't be built.
pub(crate) fn beacon_polling_score(
    size_classes: Expr,
    size_class_squares: Expr,
    sessions: Expr,
) -> Result<Expr> {
    let has_sent = size_classes.clone().gt(lit(0));
    let score = alike_and_small(size_classes, size_class_squares, sessions, OCTAVES_NOT_ONE_REQUEST);
    when(has_sent, score).end()
}

/// `max(0, 1 - d / not_alike) · s` in four decimals, with `d` and `not_alike` in octaves.
fn alike_and_small(size_classes: Expr, size_class_squares: Expr, sessions: Expr, not_alike: f64) -> Expr {
    let sessions = number(sessions);
    let mean = number(size_classes) / sessions.clone();
    let variance = number(size_class_squares) / sessions - mean.clone() * mean.clone();
    let octaves = |classes: Expr| classes / lit(CLASSES_PER_OCTAVE as f64);
    let within = |value: Expr| least(vec![lit(1.0), greatest(vec![lit(0.0), value])]);
    let deviation = octaves(sqrt(greatest(vec![lit(0.0), variance])));
    let alike = within(lit(1.0) - deviation / lit(not_alike));
    let small =
        within((lit(OCTAVES_OF_TRANSFER) - octaves(mean)) / lit(OCTAVES_OF_TRANSFER - OCTAVES_OF_POLL));
    round_half_up(alike * small, 4)
}

/// The evidence that a program polls, 0 to 1: the larger of its timing and half of [`beacon_polling_score`]. Null if both are.
pub(crate) fn beacon_regularity(timing_score: Expr, polling_score: Expr) -> Expr {
    greatest(vec![timing_score, polling_score * lit(TIMING_OF_CONSTANT_SIZES)])
}

/// The combined score of a pair, before prevalence: `√regularity · (1 + context) / 2 · service`. `context` is the geometric mean of
/// size and persistence, or persistence if no size is known; persistence is the larger of coverage and `beats / (beats + 30)`.
///
/// Without [regularity](beacon_regularity), size and persistence never make a beacon; a perfect one reaches half of the score. The root
/// spreads the lower
/// half of timing, where jitter and loss put beacons: at 50 % of both, a beacon's timing is a third, and that of chance nearly 0.
/// A channel that is minutes old covers little of a day, so its number of beats counts as well. Polls are small and go on: one of
/// both is not enough, which is why the mean is geometric.
pub(crate) fn beacon_own_score(
    regularity: Expr,
    size_score: Expr,
    coverage_score: Expr,
    beats: Expr,
    service_factor: Expr,
) -> Expr {
    let beats = number(beats);
    let many = beats.clone() / (beats + lit(BEATS_OF_HALF));
    let persistence = greatest(vec![coverage_score, many]);
    // Without a size, the root of the square is persistence itself.
    let size = coalesce(vec![size_score, persistence.clone()]);
    let context = sqrt(size * persistence);
    sqrt(regularity) * (lit(1.0) + context) / lit(2.0) * service_factor
}

/// How rare a destination is: `ln(n / d) / ln n`, if `d` of `n` sources talk to it. This is the inverse document frequency
/// (Spärck Jones 1972) relative to its maximum: 1 for a destination of one source, 0 for a destination of all. Null if `d` is null.
///
/// # Errors
/// If the expression can't be built.
pub(crate) fn beacon_prevalence(distinct_sources: Expr, total_sources: Expr) -> Result<Expr> {
    let is_known = distinct_sources.clone().is_not_null();
    let total = greatest(vec![number(total_sources), lit(MIN_SOURCES)]);
    let rarity = ln(total.clone() / number(distinct_sources)) / ln(total);
    when(is_known, round_half_up(rarity, 4)).end()
}

fn number(value: Expr) -> Expr {
    cast(value, DataType::Float64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Float64Type;
    use datafusion::logical_expr::ident;
    use datafusion::prelude::SessionContext;
    use proptest::prelude::*;

    use super::*;

    /// The value of `expr` for each row.
    fn values(columns: Vec<(&str, ArrayRef)>, expr: Expr) -> Float64Array {
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let frame = SessionContext::new().read_batch(rows).unwrap();
        let frame = frame.select(vec![expr.alias("value")]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let batches = runtime.block_on(frame.collect()).unwrap();
        let all = concat_batches(&batches[0].schema(), &batches).unwrap();
        all.column(0).as_primitive::<Float64Type>().clone()
    }

    /// Prevalence of destinations with 1, 2, half and all of `total` sources.
    fn prevalences(total: i64) -> Vec<f64> {
        let sources: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, total / 2, total]));
        let totals: ArrayRef = Arc::new(Int64Array::from(vec![total; 4]));
        let expr = beacon_prevalence(ident("sources"), ident("total")).unwrap();
        values(vec![("sources", sources), ("total", totals)], expr).values().to_vec()
    }

    #[test]
    fn a_destination_of_more_sources_is_less_rare() {
        let of_hundred = prevalences(100);
        assert_eq!((of_hundred[0], of_hundred[3]), (1.0, 0.0));
        assert!((of_hundred[1] - (1.0 - 2f64.ln() / 100f64.ln())).abs() < 1e-4, "{of_hundred:?}");
        assert!(of_hundred.windows(2).all(|pair| pair[1] <= pair[0]), "{of_hundred:?}");
        // All four of four sources: the network is too small for this to matter much.
        assert!(prevalences(4)[3] > 0.5, "{:?}", prevalences(4));
    }

    #[test]
    fn the_prevalence_of_an_unknown_destination_is_null() {
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let expr = beacon_prevalence(ident("sources"), ident("total")).unwrap();
        assert!(values(vec![("sources", Arc::clone(&none)), ("total", none)], expr).is_null(0));
    }

    #[test]
    fn small_and_similar_sizes_score_one_and_unknown_sizes_are_null() {
        // Ten sessions each: of 256 bytes, of alternating 256 and 4,096 bytes, of 1 MiB, and of unknown size.
        let classes: ArrayRef = Arc::new(Int64Array::from(vec![Some(1_280), Some(1_600), Some(3_200), None]));
        let squares: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(163_840), Some(266_240), Some(1_024_000), None]));
        let sessions: ArrayRef = Arc::new(Int64Array::from(vec![10; 4]));
        let columns = vec![("classes", classes), ("squares", squares), ("sessions", sessions)];
        let expr = beacon_size_score(ident("classes"), ident("squares"), ident("sessions")).unwrap();
        let scores = values(columns, expr);
        assert_eq!(scores.iter().collect::<Vec<_>>(), [Some(1.0), Some(0.0), Some(0.0), None]);
    }

    /// The polling score of sessions that sent these bytes; their sums are added in two parts.
    fn polling(sent: &[i64], first_part: usize) -> Option<f64> {
        let class = |bytes: &i64| i64::from(bytes.max(&1).ilog2()) * CLASSES_PER_OCTAVE;
        let sums = |part: &[i64]| {
            part.iter().map(class).fold((0, 0, 0), |sums, c| (sums.0 + c, sums.1 + c * c, sums.2 + 1))
        };
        let (one, two) = sent.split_at(first_part);
        let (one, two) = (sums(one), sums(two));
        let column = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        let columns = vec![
            ("classes", column(one.0 + two.0)),
            ("squares", column(one.1 + two.1)),
            ("sessions", column(one.2 + two.2)),
        ];
        let expr = beacon_polling_score(ident("classes"), ident("squares"), ident("sessions")).unwrap();
        values(columns, expr).iter().next().flatten()
    }

    #[test]
    fn only_small_polls_of_one_size_have_a_polling_score() {
        assert_eq!(polling(&[1_024; 200], 0), Some(1.0));
        // Half of them one octave larger, which deviates by half an octave.
        assert_eq!(polling(&[1_024, 2_048].repeat(100), 0), Some(0.0));
        // One in a hundred two octaves larger: a deviation of 0.199.
        let mut tasked = [1_024; 100];
        tasked[7] = 4_096;
        assert_eq!(polling(&tasked, 0), Some(0.602));
        assert_eq!(polling(&[1 << 20; 200], 0), Some(0.0));
        assert_eq!(polling(&[0; 200], 0), None);
    }

    #[test]
    fn constant_sizes_are_worth_half_of_a_rhythm() {
        let column = |value: Option<f64>| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
        let regularity = |timing, polling| {
            let columns = vec![("timing", column(timing)), ("polling", column(polling))];
            values(columns, beacon_regularity(ident("timing"), ident("polling"))).iter().next().flatten()
        };
        assert_eq!(regularity(None, Some(0.8)), Some(0.4));
        assert_eq!(regularity(Some(0.3), Some(1.0)), Some(0.5));
        assert_eq!(regularity(Some(0.7), Some(1.0)), Some(0.7));
        assert_eq!(regularity(Some(0.7), None), Some(0.7));
        assert_eq!(regularity(None, None), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Sums of whole classes are exact: sessions in any split and order have the same score.
        #[test]
        fn a_polling_score_is_the_same_in_any_split_and_order(
            sent in prop::collection::vec(0i64..1 << 22, 1..60),
            split in 0usize..60,
            turn in 0usize..60,
        ) {
            let whole = polling(&sent, 0);
            let mut turned = sent.clone();
            turned.rotate_left(turn % sent.len());
            prop_assert_eq!(polling(&turned, split.min(sent.len())), whole);
            prop_assert!(whole.is_none_or(|score| (0.0..=1.0).contains(&score)), "{:?}", whole);
        }
    }

    #[test]
    fn timing_alone_reaches_half_and_context_needs_both_size_and_persistence() {
        let column = |value: Option<f64>| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
        let score = |timing, size, coverage, beats, factor| {
            let columns = vec![
                ("timing", column(timing)),
                ("size", column(size)),
                ("coverage", column(coverage)),
                ("beats", Arc::new(Int64Array::from(vec![beats])) as ArrayRef),
                ("factor", column(factor)),
            ];
            let [timing, size, coverage, beats, factor] =
                ["timing", "size", "coverage", "beats", "factor"].map(ident);
            let expr = beacon_own_score(timing, size, coverage, beats, factor);
            values(columns, expr).iter().next().flatten()
        };
        assert_eq!(score(Some(1.0), Some(0.0), Some(1.0), 600, Some(1.0)), Some(0.5));
        assert_eq!(score(Some(1.0), None, Some(1.0), 600, Some(0.5)), Some(0.5));
        // 30 beats are half of full persistence, also if they cover less of a day.
        assert_eq!(score(Some(1.0), Some(0.5), Some(0.02), 30, Some(1.0)), Some(0.75));
        assert_eq!(score(Some(1.0), None, Some(0.02), 30, Some(1.0)), Some(0.75));
        assert_eq!(score(None, Some(1.0), None, 600, Some(1.0)), None);
    }
}
