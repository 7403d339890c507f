//! Times as logs write them.

use chrono::NaiveDateTime;
use hindcast_common::time::{MICROS_PER_SECOND, date_start_us, parse_time_us};

/// Forms beside ISO 8601, all without a zone and taken as UTC: of a portal's export, of CEF and syslog, and of the
/// management API's exports.
const FORMS: [&str; 5] = [
    "%m/%d/%Y, %I:%M:%S%.f %p",
    "%b %d %Y %H:%M:%S%.f",
    "%m/%d/%Y %I:%M:%S%.f %p",
    "%Y/%m/%d %H:%M:%S%.f",
    "%d/%b/%Y:%H:%M:%S%.f",
];

/// Years in which a log can have been written.
const FIRST_YEAR: i32 = 1990;
const LAST_YEAR: i32 = 2200;

/// The instant `text` tells, in UTC microseconds: ISO 8601, the forms above, or seconds, milliseconds, microseconds or
/// nanoseconds since the epoch, told apart by their size. Nothing outside the years 1990 to 2200 is one.
pub(super) fn instant_us(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")).unwrap_or(text);
    let micros = match text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        true => since_epoch_us(text)?,
        false => parse_time_us(text).or_else(|| {
            let parse = |form: &&str| NaiveDateTime::parse_from_str(text, form).ok();
            FORMS.iter().find_map(|form| parse(&form)).map(|time| time.and_utc().timestamp_micros())
        })?,
    };
    let year_start = |year| chrono::NaiveDate::from_ymd_opt(year, 1, 1).map(date_start_us);
    (year_start(FIRST_YEAR)? <= micros && micros < year_start(LAST_YEAR)?).then_some(micros)
}

fn since_epoch_us(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok()?;
    match whole.len() {
        // Seconds up to the year 2286; a fraction beyond microseconds is cut.
        1..=10 => {
            let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
            Some(number * MICROS_PER_SECOND + digits.parse::<i64>().ok()?)
        }
        11..=13 => Some(number * 1_000),
        14..=16 => Some(number),
        17..=19 => Some(number / 1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_logs_write_them() {
        let wanted = parse_time_us("2021-04-28T15:05:26Z");
        for text in [
            "2021-04-28T15:05:26.0000000Z",
            "4/28/2021, 3:05:26.000 PM",
            "4/28/2021 3:05:26 PM",
            "Apr 28 2021 15:05:26",
            "Apr 28 2021 15:05:26 UTC",
            "Apr 28 2021 15:05:26 GMT",
            "2021/04/28 15:05:26",
            "2021-04-28 15:05:26.000",
            "1619622326",
            "1619622326.000000",
            "1619622326000",
            "1619622326000000",
            "1619622326000000000",
        ] {
            assert_eq!(instant_us(text), wanted, "{text}");
        }
        assert_eq!(instant_us("1588205199.82437"), parse_time_us("2020-04-30T00:06:39.824370Z"));
        for text in
            ["", "0", "yesterday", "1601-01-01T00:00:00Z", "9999-12-31", "99999999999999999999", "1.2.3"]
        {
            assert_eq!(instant_us(text), None, "{text}");
        }
    }
}
