//! Series with spikes, seasons, trends and bursts.

use proptest::prelude::*;

use super::*;

const MEGABYTE: f64 = 1_048_576.0;

/// A repeatable number from 0 to 1 for each hour.
fn noise(hour: usize) -> f64 {
    let mixed = (hour as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / (1_u64 << 24) as f64
}

/// Office hours with ten times the traffic of nights and weekends, a tenth of noise.
fn office(hour: usize) -> f64 {
    let is_working = hour / HOURS_PER_DAY % 7 < 5 && (8..18).contains(&(hour % HOURS_PER_DAY));
    (if is_working { 50.0 } else { 5.0 }) * MEGABYTE * (0.95 + 0.1 * noise(hour))
}

/// Hours that score at least 3 and have at most 4 similar ones.
fn spikes(series: &[f64]) -> Vec<usize> {
    let is_spike = |hour: &HourScore| hour.score >= 3.0 && hour.similar <= 4;
    let scores = score_hours(series);
    (0..series.len()).filter(|hour| scores[*hour].as_ref().is_some_and(is_spike)).collect()
}

#[test]
fn an_ordinary_amount_at_an_unusual_hour_is_a_spike() {
    let mut series: Vec<f64> = (0..5 * HOURS_PER_WEEK).map(office).collect();
    assert_eq!(spikes(&series), [0_usize; 0]);
    // Saturday at 3 in the fourth week sends what every working hour sends.
    let hour = 3 * HOURS_PER_WEEK + 5 * HOURS_PER_DAY + 3;
    series[hour] = 50.0 * MEGABYTE;
    assert_eq!(spikes(&series), [hour]);
    let score = score_hours(&series)[hour].unwrap();
    assert!((score.usual / MEGABYTE - 5.0).abs() < 0.5 && score.period == 168, "{score:?}");
    assert_eq!(score.similar, 0);
}

#[test]
fn jobs_of_every_night_and_week_growth_and_busy_days_are_no_spikes() {
    let job = |series: &mut Vec<f64>, every: usize, at: usize| {
        (at..series.len())
            .step_by(every)
            .for_each(|hour| series[hour] += 4_000.0 * MEGABYTE * (0.98 + 0.04 * noise(hour)));
    };
    let plain: Vec<f64> = (0..6 * HOURS_PER_WEEK).map(office).collect();
    let mut nightly = plain.clone();
    job(&mut nightly, HOURS_PER_DAY, 2);
    assert_eq!(spikes(&nightly), [0_usize; 0]);
    let mut weekly = plain.clone();
    job(&mut weekly, HOURS_PER_WEEK, 6 * HOURS_PER_DAY + 4);
    assert_eq!(spikes(&weekly), [0_usize; 0]);
    let growing: Vec<f64> =
        plain.iter().enumerate().map(|(hour, bytes)| bytes * (1.0 + hour as f64 / 300.0)).collect();
    assert_eq!(spikes(&growing), [0_usize; 0]);
    let mut busy = plain;
    (0..HOURS_PER_DAY).for_each(|hour| busy[24 * HOURS_PER_DAY + hour] *= 2.0);
    assert!(spikes(&busy).len() <= 2, "{:?}", spikes(&busy));
}

#[test]
fn bursts_that_come_again_and_again_have_similar_hours() {
    // A call on most working days, at another hour each time.
    let mut series: Vec<f64> = (0..5 * HOURS_PER_WEEK).map(office).collect();
    for day in (0..35).filter(|day| day % 7 < 5) {
        series[day * HOURS_PER_DAY + 8 + (noise(day) * 9.0) as usize] += 900.0 * MEGABYTE;
    }
    assert_eq!(spikes(&series), [0_usize; 0]);
    // Far more than any call.
    series[20 * HOURS_PER_DAY + 1] += 9_000.0 * MEGABYTE;
    assert_eq!(spikes(&series), [20 * HOURS_PER_DAY + 1]);
}

#[test]
fn two_weeks_and_some_hours_with_data_are_needed() {
    let hours: Vec<i64> = (0..MIN_HOURS as i64).collect();
    let amounts =
        |length: usize| -> Int64Array { (0..length).map(|hour| Some(office(hour) as i64)).collect() };
    assert!(series(&hours[1..], &amounts(MIN_HOURS - 1)).is_none());
    let (full, places) = series(&hours, &amounts(MIN_HOURS)).unwrap();
    assert_eq!((full.len(), places[335]), (336, 335));
    assert_eq!(score_hours(&full)[0].unwrap().period, 24);
    // 47 hours with data, on both sides of a long pause.
    let mut sparse = vec![0.0; 60 * HOURS_PER_DAY];
    (0..47).for_each(|place| sparse[place * 7] = MEGABYTE);
    assert!(score_hours(&sparse).iter().all(Option::is_none));
    sparse[47 * 7] = MEGABYTE;
    assert!(score_hours(&sparse)[47 * 7].is_some() && score_hours(&sparse)[1].is_none());
}

#[test]
fn times_far_apart_and_none_are_no_series() {
    let amounts = Int64Array::from(vec![Some(1), None]);
    for hours in [vec![], vec![i64::MIN, i64::MAX], vec![0, 1 << 40]] {
        assert!(series(&hours, &amounts).is_none(), "{hours:?}");
    }
    let (values, places) = series(&[5, 5 + 335], &amounts).unwrap();
    assert_eq!((values.iter().sum::<f64>(), places), (1.0, vec![0, 335]));
}

proptest! {
    /// The level of a series does not matter, and no series gives numbers that are none.
    #[test]
    fn scores_do_not_depend_on_the_unit(seed in 0usize..1_000, factor in 1u32..64) {
        let base: Vec<f64> =
            (0..MIN_HOURS + seed % 400).map(|hour| MEGABYTE * (noise(hour + seed) * 100.0).floor()).collect();
        let scaled: Vec<f64> = base.iter().map(|bytes| bytes * f64::from(factor)).collect();
        for (plain, scaled) in score_hours(&base).into_iter().zip(score_hours(&scaled)) {
            prop_assert_eq!(plain.is_some(), scaled.is_some());
            if let (Some(plain), Some(scaled)) = (plain, scaled) {
                prop_assert!(plain.score.is_finite() && (plain.score - scaled.score).abs() < 1e-6);
            }
        }
    }
}
