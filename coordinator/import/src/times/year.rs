//! Finds the year of a time without one.

use chrono::{Datelike, NaiveDate};
use hindcast_base::time::{MICROS_PER_DAY, date_of_us};

/// Years within which every day of the year exists, including 29 February.
const YEARS: i32 = 8;

/// The instant and the year of a time in the latest year in which it is not after `latest_us`. One more day is allowed,
/// because times without a zone may be ahead by up to 14 hours. `instant_of` returns the instant on a date, if it
/// exists.
pub(super) fn latest_not_after(
    (month, day): (u32, u32),
    latest_us: i64,
    instant_of: impl Fn(NaiveDate) -> Option<i64>,
) -> Option<(i64, i32)> {
    let limit_us = latest_us.saturating_add(MICROS_PER_DAY);
    let last_year = date_of_us(limit_us).year() + 1;
    (last_year - YEARS - 1..=last_year).rev().find_map(|year| {
        let instant_us = instant_of(NaiveDate::from_ymd_opt(year, month, day)?)?;
        (instant_us <= limit_us).then_some((instant_us, year))
    })
}

/// The instant in the year that brings the time closest to `near_us`, another time of the record.
pub(super) fn nearest(
    (month, day): (u32, u32),
    near_us: i64,
    instant_of: impl Fn(NaiveDate) -> Option<i64>,
) -> Option<i64> {
    let year = date_of_us(near_us).year();
    (year - YEARS..=year + YEARS)
        .filter_map(|year| instant_of(NaiveDate::from_ymd_opt(year, month, day)?))
        .min_by_key(|instant_us| instant_us.abs_diff(near_us))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hindcast_base::time::{MICROS_PER_SECOND, date_start_us, format_micros, parse_time};

    fn at(time: &str) -> impl Fn(NaiveDate) -> Option<i64> {
        let seconds = parse_time(&format!("1970-01-01T{time}")).unwrap() / MICROS_PER_SECOND;
        move |date| Some(date_start_us(date) + seconds * MICROS_PER_SECOND)
    }

    #[test]
    fn the_year_is_the_last_before_the_file_was_written() {
        for (latest, (month, day), time, wanted) in [
            ("2026-11-30T06:00:00Z", (1, 5), "08:00:00", "2026-01-05T08:00:00Z"),
            ("2026-11-30T06:00:00Z", (12, 24), "08:00:00", "2025-12-24T08:00:00Z"),
            // Around New Year, also in a zone that is ahead.
            ("2026-01-01T00:10:00Z", (12, 31), "23:59:59", "2025-12-31T23:59:59Z"),
            ("2026-01-01T00:10:00Z", (1, 1), "00:09:00", "2026-01-01T00:09:00Z"),
            ("2025-12-31T20:00:00Z", (1, 1), "09:00:00", "2026-01-01T09:00:00Z"),
            ("2025-12-31T20:00:00Z", (1, 2), "09:00:00", "2025-01-02T09:00:00Z"),
            ("2026-11-30T06:00:00Z", (2, 29), "08:00:00", "2024-02-29T08:00:00Z"),
        ] {
            let latest = parse_time(latest).unwrap();
            let (found, year) = latest_not_after((month, day), latest, at(time)).unwrap();
            assert_eq!(format_micros(found), wanted);
            assert!(wanted.starts_with(&year.to_string()));
        }
    }

    #[test]
    fn another_time_of_the_record_gives_the_year() {
        for (near, (month, day), wanted) in [
            ("2026-01-01T00:00:05Z", (12, 31), "2025-12-31T08:00:00Z"),
            ("2025-12-31T23:59:55Z", (1, 1), "2026-01-01T08:00:00Z"),
            ("2025-12-31T23:59:55Z", (12, 31), "2025-12-31T08:00:00Z"),
            ("2025-06-01T00:00:00Z", (2, 29), "2024-02-29T08:00:00Z"),
        ] {
            let found = nearest((month, day), parse_time(near).unwrap(), at("08:00:00")).unwrap();
            assert_eq!(format_micros(found), wanted);
        }
    }
}
