//! Times as numbers: seconds or their fractions since 1970, Windows FILETIME since 1601, .NET ticks since the year 1, or the
//! digits of a date.

use chrono::NaiveDate;

use crate::time::{MICROS_PER_SECOND, date_start_us};

/// Seconds from 1601, the epoch of FILETIME, to 1970.
const FILETIME_EPOCH_SECONDS: i64 = 11_644_473_600;
/// FILETIMEs of 1990 to 2200. As nanoseconds since 1970, all of them would be before 1976.
const FILETIMES: std::ops::Range<i64> = 122_756_256_000_000_000..189_025_920_000_000_000;
/// Seconds from the year 1, the epoch of .NET ticks, to 1970.
const TICKS_EPOCH_SECONDS: i64 = 62_135_596_800;
/// Ticks of 1990 to 2200. As nanoseconds since 1970, they would be times of 1989 to 1992, before any log in nanoseconds.
const TICKS: std::ops::Range<i64> = 627_667_488_000_000_000..693_937_152_000_000_000;
/// The first number after those that may be the digits of a date and time.
const AFTER_DATES: i64 = 22_000_000_000_000;
/// Nanoseconds since 1970 are accepted from 2000 on.
const FIRST_NANOSECONDS: i64 = 946_684_800_000_000_000;

/// A time written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// An instant, in UTC microseconds.
    Instant(i64),
    /// A local time (`20260305064013`, or ticks, which have no zone), in microseconds.
    Local(i64),
}

/// Reads a number, with or without a fraction behind a point or a comma, as a time whose unit follows from its size; `None` for other text.
pub(super) fn number(text: &str) -> Option<Number> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 19 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    // Digits beyond microseconds are dropped.
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let fraction_us = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    of_digits(number, whole.len(), fraction_us)
}

/// Like [`number`], for a number that is stored as one.
pub(super) fn integer(number: i64) -> Option<Number> {
    let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1);
    if number < 0 { None } else { of_digits(number, digits, 0) }
}

/// A unit in which numbers have the order of their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    FileTime,
    Nanos,
}

/// The unit of a number; `None` for the digits of a date and for numbers next to them.
pub(super) fn unit(number: i64) -> Option<Unit> {
    match number {
        0..10_000_000_000 => Some(Unit::Seconds),
        10_000_000_000..10_000_000_000_000 => Some(Unit::Millis),
        AFTER_DATES..10_000_000_000_000_000 => Some(Unit::Micros),
        _ if FILETIMES.contains(&number) => Some(Unit::FileTime),
        FIRST_NANOSECONDS.. => Some(Unit::Nanos),
        _ => None,
    }
}

/// A number of so many digits. Its fraction counts if it is in seconds or milliseconds.
fn of_digits(number: i64, digits: usize, fraction_us: i64) -> Option<Number> {
    match digits {
        // Seconds up to the year 2286.
        1..=10 => Some(Number::Instant(number * MICROS_PER_SECOND + fraction_us)),
        11..=13 => Some(Number::Instant(number * 1_000 + fraction_us / 1_000)),
        14 if (19..=21).contains(&(number / 1_000_000_000_000)) => {
            digits_of_a_date(number).map(Number::Local)
        }
        14..=16 => Some(Number::Instant(number)),
        _ if FILETIMES.contains(&number) => {
            Some(Number::Instant(number / 10 - FILETIME_EPOCH_SECONDS * MICROS_PER_SECOND))
        }
        _ if TICKS.contains(&number) => {
            Some(Number::Local(number / 10 - TICKS_EPOCH_SECONDS * MICROS_PER_SECOND))
        }
        _ => (number >= FIRST_NANOSECONDS).then_some(Number::Instant(number / 1_000)),
    }
}

/// Reads `20260305064013`. As microseconds since 1970, all such numbers would be within 1970.
fn digits_of_a_date(number: i64) -> Option<i64> {
    let part = |divisor: i64| (number / divisor % 100) as u32;
    let date = NaiveDate::from_ymd_opt((number / 10_000_000_000) as i32, part(100_000_000), part(1_000_000))?;
    let (hour, minute, second) = (part(10_000), part(100), part(1));
    let seconds = i64::from(hour * 3_600 + minute * 60 + second);
    (hour < 24 && minute < 60 && second < 60).then(|| date_start_us(date) + seconds * MICROS_PER_SECOND)
}

/// The instant of PowerShell's `/Date(1767599900000)/`, milliseconds since 1970. An offset only affects how it is displayed.
pub(super) fn json_date_us(text: &str) -> Option<i64> {
    let number = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let end = number.find(['+', '-']).unwrap_or(number.len());
    let (number, offset) = number.split_at(end);
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(number) || number.len() > 15 || !(offset.is_empty() || is_number(&offset[1..])) {
        return None;
    }
    number.parse::<i64>().ok().map(|millis| millis * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_time;

    #[test]
    fn the_size_of_a_number_decides_its_unit() {
        let instant = |text| match number(text) {
            Some(Number::Instant(micros)) => micros,
            other => panic!("{text}: {other:?}"),
        };
        let wanted = parse_time("2026-03-05T06:40:13Z").unwrap();
        for text in ["1772692813", "1772692813.0", "1772692813000", "1772692813000.0", "1772692813000000.5"] {
            assert_eq!(instant(text), wanted, "{text}");
        }
        assert_eq!(instant("1772692813000000000"), wanted);
        assert_eq!(instant("134171664130000000"), wanted);
        for text in ["1772692813.9881239", "1772692813,9881239", "1772692813988.123"] {
            assert_eq!(instant(text), wanted + 988_123, "{text}");
        }
        assert_eq!(number("20260305064013"), Some(Number::Local(wanted)));
        for text in ["639082896130000000", "0639082896130000000"] {
            assert_eq!(number(text), Some(Number::Local(wanted)), "{text}");
        }
        // Between ticks and nanoseconds, and text that is not a number.
        for text in ["700000000000000000", "20261305064013", "1.2.3", "1,772,692", "", "-1", "1e9"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_stored_number_is_read_like_its_text() {
        for digits in [
            "0",
            "1772692813",
            "99999999999",
            "1772692813000",
            "20260305064013",
            "20261305064013",
            "1772692813000000",
            "134171664130000000",
            "637552227260000000",
            "639082896130000000",
            "1772692813000000000",
        ] {
            assert_eq!(integer(digits.parse().unwrap()), number(digits), "{digits}");
        }
        assert_eq!(integer(-1), None);
        assert_eq!(integer(i64::MIN), None);
    }

    #[test]
    fn dates_of_powershell_are_milliseconds() {
        let wanted = Some(parse_time("2026-03-05T06:40:13Z").unwrap());
        assert_eq!(json_date_us("/Date(1772692813000)/"), wanted);
        assert_eq!(json_date_us("/Date(1772692813000+0100)/"), wanted);
        for text in ["/Date()/", "/Date(x)/", "/Date(1+)/", "/Date(-62135596800000)/"] {
            assert_eq!(json_date_us(text), None, "{text}");
        }
    }
}
