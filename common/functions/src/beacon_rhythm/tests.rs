//! Tests of rhythms: clocks, jitter, lost beats and chance.

use proptest::prelude::*;

use super::rhythm::Rhythm;

/// Session times in whole seconds with these gaps in seconds; fractions are dropped as in real times.
fn after(gaps: impl IntoIterator<Item = f64>) -> Vec<i64> {
    let mut time = 1_772_409_600.25;
    let times = gaps.into_iter().map(|gap| {
        time += gap;
        time as i64
    });
    let mut seconds: Vec<i64> = std::iter::once(1_772_409_600).chain(times).collect();
    seconds.dedup();
    seconds
}

/// Numbers from 0 to 1 that look random and are the same in every run (Weyl's sequence of the golden ratio).
fn spread(count: usize) -> impl Iterator<Item = f64> {
    (1..=count).map(|number| (number as f64 * 0.618_033_988_749_894_9).fract())
}

fn rhythm(seconds: &[i64]) -> Rhythm {
    Rhythm::of(seconds, seconds.len() as i64, 0.0).unwrap()
}

fn jittered(interval: f64, jitter: f64, count: usize) -> Vec<i64> {
    after(spread(count).map(|part| interval * (1.0 + jitter * (2.0 * part - 1.0))))
}

#[test]
fn a_perfect_clock_has_its_interval_and_nearly_the_full_score() {
    for interval in [10.0, 60.0, 3_600.0, 86_400.0] {
        let found = rhythm(&after(vec![interval; 40]));
        assert_eq!((found.interval_s, found.beats, found.missed_beats), (interval, 41, 0.0));
        assert!(found.timing > 0.9 && found.second_interval_s.is_none(), "{found:?}");
    }
}

#[test]
fn every_second_counts_as_a_clock_only_where_each_second_has_one_session() {
    let seconds: Vec<i64> = (0..600).collect();
    assert!(Rhythm::of(&seconds, 600, 0.0).unwrap().timing > 0.9);
    assert!(Rhythm::of(&seconds, 2_400, 0.0).unwrap().timing < 0.5);
}

#[test]
fn lost_beats_are_counted_and_cost_little() {
    let whole = rhythm(&after(vec![300.0; 99]));
    let seconds = after(vec![300.0; 99]);
    let every_third_lost: Vec<i64> =
        seconds.iter().enumerate().filter(|(beat, _)| beat % 3 != 1).map(|(_, second)| *second).collect();
    let found = rhythm(&every_third_lost);
    assert_eq!((found.interval_s, found.missed_beats), (300.0, 33.0));
    assert!(found.timing > 0.75 && found.timing < whole.timing, "{found:?}");
}

#[test]
fn sessions_within_seconds_are_one_beat() {
    let bursts = after((0..50).flat_map(|_| [600.0, 1.0, 2.0, 1.0]));
    let found = rhythm(&bursts);
    assert!((found.interval_s - 604.0).abs() < 0.5 && found.beats == 51, "{found:?}");
    assert!(found.timing > 0.9, "{found:?}");
}

#[test]
fn jitter_lowers_timing_and_half_the_interval_is_still_above_chance() {
    let timings = [0.0, 0.1, 0.2, 0.3, 0.5].map(|jitter| rhythm(&jittered(900.0, jitter, 400)).timing);
    assert!(timings.windows(2).all(|pair| pair[1] < pair[0]), "{timings:?}");
    assert!(timings[4] > 0.45, "{timings:?}");
}

#[test]
fn memoryless_arrivals_and_visits_are_near_chance() {
    let memoryless = after(spread(2_000).map(|part| -900.0 * (1.0 - part).ln()));
    assert!(rhythm(&memoryless).timing < 0.3, "{:?}", rhythm(&memoryless));
    // Pages every half minute to some minutes, then hours without any.
    let visits = after(spread(900).zip(1..).map(|(part, page)| {
        if page % 6 == 0 { 3_600.0 * (1.0 + 9.0 * part) } else { 20.0 * (1.0 + 30.0 * part * part * part) }
    }));
    assert!(rhythm(&visits).timing < 0.3, "{:?}", rhythm(&visits));
}

#[test]
fn two_intervals_in_turn_and_one_after_the_other_are_both_found() {
    let in_turn = rhythm(&after((0..200).map(|beat| if beat % 2 == 0 { 240.0 } else { 1_020.0 })));
    assert_eq!((in_turn.interval_s, in_turn.second_interval_s), (240.0, Some(1_020.0)));
    assert!(in_turn.timing > 0.8, "{in_turn:?}");
    let changed = rhythm(&after([vec![60.0; 500], vec![777.0; 300]].concat()));
    assert_eq!((changed.interval_s, changed.second_interval_s), (60.0, Some(777.0)));
}

#[test]
fn coverage_is_relative_to_the_time_from_first_to_last_or_a_day() {
    assert!(rhythm(&after(vec![60.0; 14 * 1_440])).coverage > 0.99);
    assert!(rhythm(&after(vec![86_400.0; 14])).coverage > 0.99);
    assert!((rhythm(&after(vec![10.0; 6 * 360])).coverage - 0.25).abs() < 0.05);
}

#[test]
fn fewer_than_four_gaps_have_no_rhythm() {
    assert_eq!(Rhythm::of(&[0, 60, 120, 180], 4, 0.0), None);
    assert_eq!(Rhythm::of(&[], 0, 0.0), None);
}

#[test]
fn a_rhythm_far_below_the_requested_timing_is_not_computed() {
    let (clock, people) = (after(vec![300.0; 40]), after(spread(400).map(|part| -900.0 * (1.0 - part).ln())));
    let of = |seconds: &[i64], least| Rhythm::of(seconds, seconds.len() as i64, least);
    assert_eq!(of(&clock, 0.5), of(&clock, 0.0));
    assert!(of(&people, 0.0).is_some_and(|rhythm| rhythm.timing < 0.3));
    assert_eq!(of(&people, 0.9), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Scores stay within 0 and 1, and a set shifted in time has the same rhythm: the start does not matter.
    #[test]
    fn the_rhythm_depends_only_on_the_gaps(gaps in prop::collection::vec(1i64..5_000, 5..80), moved in -1_000_000i64..1_000_000) {
        let seconds: Vec<i64> = gaps.iter().scan(0, |time, gap| { *time += gap; Some(*time) }).collect();
        let elsewhere: Vec<i64> = seconds.iter().map(|second| second + moved).collect();
        let found = rhythm(&seconds);
        prop_assert_eq!(&found, &rhythm(&elsewhere));
        prop_assert!((0.0..=1.0).contains(&found.timing) && (0.0..=1.0).contains(&found.coverage), "{:?}", found);
        // Timing depends on the gaps as a multiset: another order gives the same if no burst joins separate beats.
        let fewest = *gaps.iter().min().unwrap() as f64;
        if fewest > 60.0 {
            let sorted: Vec<i64> = { let mut g = gaps[1..].to_vec(); g.sort_unstable(); g };
            let again: Vec<i64> = std::iter::once(0).chain(sorted).scan(0, |time, gap| { *time += gap; Some(*time) }).collect();
            prop_assert_eq!(found.timing, rhythm(&again).timing);
        }
    }

    /// More beats of a clock without jitter never lower its timing.
    #[test]
    fn more_beats_of_a_clock_never_lower_its_timing(interval in 2i64..100_000, beats in 5i64..60) {
        let of = |count: i64| rhythm(&(0..count).map(|beat| beat * interval).collect::<Vec<i64>>()).timing;
        prop_assert!(of(beats + 1) >= of(beats));
    }
}
