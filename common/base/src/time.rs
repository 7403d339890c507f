//! Times, dates and the half-open window `[from, to)`, in microseconds, UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in an hour.
pub const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;
/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A half-open span of time `[from, to)`, in microseconds since the epoch, UTC.
///
/// ```
/// use hindcast_base::time::{Window, parse_time};
///
/// let window = Window::new(parse_time("2026-01-05")?, parse_time("2026-01-06T12:00:00Z")?)?;
/// assert!(window.covers_date(window.first_date()));
/// assert!(!window.covers_date(window.last_date()), "half of the last date");
/// assert!(Window::new(window.to_us, window.from_us).is_err());
/// # Ok::<(), hindcast_base::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First microsecond that belongs to the window.
    pub from_us: i64,
    /// First microsecond after the window.
    pub to_us: i64,
}

impl Window {
    /// A window that is not empty.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `to` is not after `from`.
    pub fn new(from_us: i64, to_us: i64) -> Result<Self> {
        if to_us <= from_us {
            return Err(Error::Invalid(format!(
                "the window is empty: it starts at {} and ends at {}",
                format_micros(from_us),
                format_micros(to_us)
            )));
        }
        Ok(Self { from_us, to_us })
    }

    /// Whether the whole of `date` lies in the window.
    pub fn covers_date(&self, date: NaiveDate) -> bool {
        let start_us = date_start_us(date);
        self.from_us <= start_us && start_us + MICROS_PER_DAY <= self.to_us
    }

    /// Whether `date`, extended by `slack_days` on both sides, overlaps the window.
    pub fn touches_date(&self, date: NaiveDate, slack_days: u32) -> bool {
        let slack_us = i64::from(slack_days) * MICROS_PER_DAY;
        let start_us = date_start_us(date);
        start_us - slack_us < self.to_us && start_us + MICROS_PER_DAY + slack_us > self.from_us
    }

    /// The UTC date of its first microsecond.
    pub fn first_date(&self) -> NaiveDate {
        date_of_us(self.from_us)
    }

    /// The UTC date of its last microsecond.
    pub fn last_date(&self) -> NaiveDate {
        date_of_us(self.to_us - 1)
    }
}

/// Midnight at which `date` starts, in microseconds since the epoch.
pub fn date_start_us(date: NaiveDate) -> i64 {
    date.and_time(NaiveTime::MIN).and_utc().timestamp_micros()
}

/// The UTC date of a time; a time beyond the calendar falls on its first or last day.
pub fn date_of_us(micros: i64) -> NaiveDate {
    match DateTime::<Utc>::from_timestamp_micros(micros) {
        Some(instant) => instant.date_naive(),
        None if micros < 0 => NaiveDate::MIN,
        None => NaiveDate::MAX,
    }
}

/// RFC 3339 in UTC, with as many decimals as the value needs.
pub fn format_micros(micros: i64) -> String {
    rfc3339(micros, SecondsFormat::AutoSi)
}

/// RFC 3339 in UTC with these decimals, for formats that need a certain number.
pub fn rfc3339(micros: i64, decimals: SecondsFormat) -> String {
    match DateTime::<Utc>::from_timestamp_micros(micros) {
        Some(instant) => instant.to_rfc3339_opts(decimals, true),
        None => format!("{micros} us"),
    }
}

/// Parses an RFC 3339 time, a time without a zone (taken as UTC) or a date (its midnight).
///
/// # Errors
/// [`Error::Invalid`] if the text is none of these.
pub fn parse_time(text: &str) -> Result<i64> {
    parse_time_us(text).ok_or_else(|| {
        Error::Invalid(format!(
            "{text:?} is not a time: give a date (2026-01-31) or RFC 3339 (2026-01-31T08:00:00Z)"
        ))
    })
}

/// Like [`parse_time`], but `None` if the text is not a time.
pub fn parse_time_us(text: &str) -> Option<i64> {
    let text = text.trim();
    // The formats below also accept years with fewer digits: 26-01-05 would be a date in the year 26.
    let has_year = text.len() > 4 && text.bytes().take(4).all(|byte| byte.is_ascii_digit());
    if !has_year || text.as_bytes()[4] != b'-' {
        return None;
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_micros());
    }
    const ZONED: [&str; 2] = ["%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
    const LOCAL: [&str; 4] =
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    for format in ZONED {
        if let Ok(instant) = DateTime::parse_from_str(text, format) {
            return Some(instant.timestamp_micros());
        }
    }
    let without_zulu = text.strip_suffix('Z').unwrap_or(text);
    for format in LOCAL {
        if let Ok(instant) = NaiveDateTime::parse_from_str(without_zulu, format) {
            return Some(instant.and_utc().timestamp_micros());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date_start_us(date))
}

/// Parses a duration such as `90s`, `60m`, `24h` or `7d`, in microseconds.
///
/// # Errors
/// [`Error::Invalid`] if the text is not a whole number with one of these units, or is too long.
///
/// ```
/// use hindcast_base::time::parse_duration;
///
/// assert_eq!(parse_duration("90s").unwrap(), 90_000_000);
/// assert!(parse_duration("soon").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<i64> {
    let malformed = || {
        Error::Invalid(format!("{text:?} is not a length of time: give a number and s, m, h or d, as in 24h"))
    };
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(malformed()),
    };
    let number: i64 = number.parse().map_err(|_| malformed())?;
    number.checked_mul(seconds * MICROS_PER_SECOND).ok_or_else(malformed)
}

/// The clock of this process. It says when something happened, and how old it is; no result depends on it.
#[allow(clippy::disallowed_methods)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_in_the_usual_forms() {
        let noon = date_start_us(NaiveDate::from_ymd_opt(2026, 1, 31).unwrap()) + MICROS_PER_DAY / 2;
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T13:00:00+01:00",
            "2026-01-31 12:00:00",
            "2026-01-31T12:00",
            "2026-01-31T12:00:00.000000Z",
            "2026-01-31T12:00:00.0000000Z",
            "2026-01-31 12:00:00+00:00",
        ] {
            assert_eq!(parse_time_us(text), Some(noon), "{text}");
        }
        for text in ["yesterday", "26-01-31", "05-01-20 12:00:00", "+2026-01-31", "12026-01-31"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("60m").unwrap(), 3_600 * MICROS_PER_SECOND);
        assert!(parse_duration("60").is_err());
        assert!(parse_duration("99999999999999d").is_err());
    }

    #[test]
    fn a_window_knows_its_dates() {
        let window =
            Window::new(parse_time("2026-01-01T12:00:00Z").unwrap(), parse_time("2026-01-03").unwrap())
                .unwrap();
        let (first, last) = (window.first_date(), window.last_date());
        assert_eq!((first.to_string(), last.to_string()), ("2026-01-01".into(), "2026-01-02".into()));
        assert!(!window.covers_date(first) && window.covers_date(last));
        assert!(Window::new(5, 5).is_err());
    }
}
