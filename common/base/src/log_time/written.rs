//! The grammar of written times: dates in the orders that logs use, the time of day, and the time zone.

use crate::time::MICROS_PER_SECOND;
use chrono::{Datelike, NaiveDate, Weekday};

use super::cursor::Cursor;
use super::day_month::DayMonth;
use super::zones::{Stated, Zone, is_abbreviation};

/// A leap year: every day of the year exists in it.
const LEAP_YEAR: i32 = 2000;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A parsed text: date, weekday, time of day and zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<'t> {
    /// The date.
    pub date: WrittenDate,
    /// The day of the week, if the text names it.
    weekday: Option<Weekday>,
    /// Microseconds since midnight.
    pub time_us: i64,
    /// The zone, if the text has one.
    pub zone: Option<Stated<'t>>,
}

/// A date, as far as the text determines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenDate {
    /// A date.
    Whole(NaiveDate),
    /// Day and month as numbers in unknown order.
    DayMonth(DayMonth),
    /// A day without a year.
    NoYear {
        /// From 1.
        month: u32,
        /// From 1.
        day: u32,
    },
}

impl<'t> Written<'t> {
    /// Parses all of `text`, which is ASCII; `None` if it is not a time.
    pub fn parse(text: &'t str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let weekday = weekday(&mut cursor);
        let date = date(&mut cursor)?;
        let is_date_alone = cursor.is_at_end() && !matches!(date, WrittenDate::NoYear { .. });
        let time_us = if is_date_alone { 0 } else { time_of_day(&mut cursor, date)? };
        let mut written = Self { date, weekday, time_us, zone: None };
        written.rest(&mut cursor)?;
        Some(written)
    }

    /// Whether `date` is on the day of the week that the text names.
    pub fn fits(&self, date: NaiveDate) -> bool {
        self.weekday.is_none_or(|weekday| date.weekday() == weekday)
    }

    /// Reads what follows the time of day: a zone, a comment on it, or the year.
    fn rest(&mut self, cursor: &mut Cursor<'t>) -> Option<()> {
        loop {
            cursor.spaces();
            match (cursor.peek(), self.date, self.zone) {
                (None, ..) => return Some(()),
                (Some(byte), WrittenDate::NoYear { month, day }, _) if byte.is_ascii_digit() => {
                    let year = i32::try_from(cursor.number_of(4)?).ok()?;
                    self.date = WrittenDate::Whole(NaiveDate::from_ymd_opt(year, month, day)?);
                }
                // RFC 9557: if there are an offset and a name, the offset counts.
                (Some(b'['), _, zone) => {
                    let named = Zone::parse(bracketed(cursor, b']')?)?;
                    self.zone = zone.or(Some(Stated::Zone(named)));
                }
                (Some(b'('), _, Some(_)) => drop(bracketed(cursor, b')')?),
                (Some(_), _, None) => {
                    let word = cursor.take_while(|byte| !b" [(".contains(&byte));
                    self.zone = Some(Stated::parse(word)?);
                }
                _ => return None,
            }
        }
    }
}

/// Takes the text between the next byte and `end`.
fn bracketed<'t>(cursor: &mut Cursor<'t>, end: u8) -> Option<&'t str> {
    cursor.at += 1;
    let inner = cursor.take_while(|byte| byte != end);
    cursor.take(end).then_some(inner)
}

/// Skips the name of a weekday, if one follows.
fn weekday(cursor: &mut Cursor<'_>) -> Option<Weekday> {
    let mut ahead = cursor.clone();
    let weekday = ahead.letters().parse().ok()?;
    ahead.take(b'.');
    ahead.take(b',');
    (ahead.spaces() > 0).then(|| *cursor = ahead)?;
    Some(weekday)
}

fn month_of_name(name: &str) -> Option<u32> {
    let is_it = |month: &&str| {
        let is_short = name.len() == 3 || name.eq_ignore_ascii_case("sept");
        name.eq_ignore_ascii_case(month)
            || is_short && month.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    MONTHS.iter().zip(1..).find(|(month, _)| is_it(month)).map(|(_, number)| number)
}

fn date(cursor: &mut Cursor<'_>) -> Option<WrittenDate> {
    if !cursor.peek()?.is_ascii_digit() {
        return date_by_name(cursor);
    }
    let whole = |year: u32, month, day| {
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day).map(WrittenDate::Whole)
    };
    let (number, digits) = cursor.number(8)?;
    match digits {
        8 => whole(number / 10_000, number / 100 % 100, number % 100),
        4 => {
            let separator = cursor.take_any(b"-/. ")?;
            let month = month_of_number_or_name(cursor, separator)?;
            cursor.take(separator).then_some(())?;
            whole(number, month, cursor.number(2)?.0)
        }
        1 | 2 => {
            let separator = cursor.take_any(b"/-. ")?;
            let is_named = cursor.peek()?.is_ascii_alphabetic();
            let second = month_of_number_or_name(cursor, separator)?;
            if is_named {
                cursor.take_any(&[separator, b',']);
                cursor.spaces();
                return whole(cursor.number_of(4)?, second, number);
            }
            cursor.take(separator).then_some(())?;
            let year = i32::try_from(cursor.number_of(4)?).ok()?;
            Some(WrittenDate::DayMonth(DayMonth { first: number, second, year }))
        }
        _ => None,
    }
}

fn month_of_number_or_name(cursor: &mut Cursor<'_>, separator: u8) -> Option<u32> {
    match cursor.peek()?.is_ascii_alphabetic() {
        true => month_of_name(cursor.letters()),
        false => (separator != b' ').then(|| cursor.number(2))?.map(|(number, _)| number),
    }
}

/// The date in a leap year; `None` if no year has it.
pub fn in_a_leap_year(month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(LEAP_YEAR, month, day)
}

/// Reads `Mar 5, 2026`, `Mar  5 2026`, or `Mar  5` without a year.
fn date_by_name(cursor: &mut Cursor<'_>) -> Option<WrittenDate> {
    let month = month_of_name(cursor.letters())?;
    cursor.take(b'.');
    (cursor.spaces() > 0).then_some(())?;
    let (day, _) = cursor.number(2)?;
    let mut ahead = cursor.clone();
    ahead.take(b',');
    ahead.spaces();
    if let Some(year) = ahead.number_of(4) {
        *cursor = ahead;
        return NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day).map(WrittenDate::Whole);
    }
    in_a_leap_year(month, day).map(|_| WrittenDate::NoYear { month, day })
}

/// Reads the separator and the time of day, as microseconds since midnight.
fn time_of_day(cursor: &mut Cursor<'_>, date: WrittenDate) -> Option<i64> {
    let separator = cursor.take_any(b"Tt:, ")?;
    if matches!(separator, b',' | b' ') {
        cursor.spaces();
        // `March 5, 2026 at 6:40 AM`
        let mut ahead = cursor.clone();
        if ahead.letters() == "at" && ahead.spaces() > 0 {
            *cursor = ahead;
        }
    }
    let (hour, minute, second) = match cursor.number(6)? {
        (number, 6) if matches!(date, WrittenDate::Whole(_)) => {
            (number / 10_000, number / 100 % 100, number % 100)
        }
        (hour, 1 | 2) => {
            cursor.take(b':').then_some(())?;
            let minute = cursor.number_of(2)?;
            (hour, minute, if cursor.take(b':') { cursor.number_of(2)? } else { 0 })
        }
        _ => return None,
    };
    let micros = fraction_us(cursor);
    let hour = match is_afternoon(cursor) {
        None => hour,
        Some(is_afternoon) if (1..=12).contains(&hour) => hour % 12 + if is_afternoon { 12 } else { 0 },
        Some(_) => return None,
    };
    // A second of 60 is a leap second.
    let seconds = i64::from(hour * 3_600 + minute * 60 + second);
    (hour < 24 && minute < 60 && second <= 60).then_some(seconds * MICROS_PER_SECOND + micros)
}

/// Reads the fraction of a second that follows, in microseconds; further digits are dropped.
fn fraction_us(cursor: &mut Cursor<'_>) -> i64 {
    let mut ahead = cursor.clone();
    let digits = match ahead.take_any(b".,") {
        Some(_) => ahead.take_while(|byte| byte.is_ascii_digit()),
        None => "",
    };
    if !digits.is_empty() {
        *cursor = ahead;
    }
    let digits = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
    digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
}

/// Skips `AM`, `pm`, `a.m.` and the like; returns whether it is the afternoon.
fn is_afternoon(cursor: &mut Cursor<'_>) -> Option<bool> {
    let mut ahead = cursor.clone();
    ahead.spaces();
    let word = ahead.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'.');
    let is_afternoon = match word.to_ascii_lowercase().as_str() {
        "am" | "a.m." => false,
        "pm" | "p.m." => true,
        _ => return None,
    };
    *cursor = ahead;
    Some(is_afternoon)
}

/// The time at the start of `text`, as in a syslog header: `Jan  5 08:00:00` or `2026-01-05 08:00:00`, with or without year,
/// fraction and zone. The host follows it.
pub fn header_time(text: &str) -> Option<&str> {
    let end = text.bytes().position(|byte| !byte.is_ascii()).unwrap_or(text.len());
    let mut cursor = Cursor::new(&text[..end]);
    let date = date(&mut cursor).filter(|date| !matches!(date, WrittenDate::DayMonth(_)))?;
    time_of_day(&mut cursor, date)?;
    let mut ahead = cursor.clone();
    let is_apart = ahead.spaces() > 0;
    let start = ahead.at;
    let word = ahead.take_while(|byte| byte.is_ascii_alphanumeric() || b"+-:".contains(&byte));
    let word = word.trim_end_matches(':');
    let is_offset = word.starts_with(['+', '-']) && Zone::parse(word).is_some();
    let is_zone = is_offset || word == "Z" || is_apart && is_abbreviation(word);
    Some(&text[..if is_zone { start + word.len() } else { cursor.at }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(text: &str) -> Option<Stated<'_>> {
        Stated::parse(text)
    }

    #[test]
    fn dates_are_read_in_the_orders_that_logs_use() {
        let whole = WrittenDate::Whole(NaiveDate::from_ymd_opt(2026, 3, 5).unwrap());
        let open = WrittenDate::DayMonth(DayMonth { first: 3, second: 5, year: 2026 });
        for (text, wanted) in [
            ("2026-03-05T06:40:13.9880000Z", whole),
            ("2026-03-05t06:40:13z", whole),
            ("2026-03-05", whole),
            ("2026/03/05 06:40:13", whole),
            ("2026.3.5 6:40", whole),
            ("2026 Mar 05 06:40:13", whole),
            ("20260305T064013Z", whole),
            ("05/Mar/2026:06:40:13 +0100", whole),
            ("5-Mar-2026 06:40:13", whole),
            ("Thu, 05 Mar 2026 06:40:13 GMT", whole),
            ("Thu Mar  5 06:40:13 2026", whole),
            ("Thu Mar  5 06:40:13 CET 2026", whole),
            ("Thu Mar 05 2026 06:40:13 GMT+0100 (Central European Standard Time)", whole),
            ("Mar 05 2026 06:40:13.988 GMT", whole),
            ("March 5, 2026 6:40:13 AM", whole),
            ("March 5, 2026 at 6:40:13 AM", whole),
            ("Sept. 5 2026", WrittenDate::Whole(NaiveDate::from_ymd_opt(2026, 9, 5).unwrap())),
            ("May 5 06:40:13", WrittenDate::NoYear { month: 5, day: 5 }),
            ("3/5/2026, 6:40:13.123 AM", open),
            ("03/05/2026 18:41:25.123", open),
            ("3.5.2026", open),
            ("03-05-2026 06:40:13", open),
            ("Mar  5 06:40:13", WrittenDate::NoYear { month: 3, day: 5 }),
            ("Mar 05 06:40:13.123 CET", WrittenDate::NoYear { month: 3, day: 5 }),
            ("Feb 29 06:40:13", WrittenDate::NoYear { month: 2, day: 29 }),
        ] {
            assert_eq!(Written::parse(text).map(|written| written.date), Some(wanted), "{text}");
        }
    }

    #[test]
    fn times_of_day_and_zones_are_read() {
        for (text, seconds, micros, stated) in [
            ("2026-03-05T06:40:13.123456789+01:00", 24_013, 123_456, zone("+01:00")),
            ("2026-03-05 06:40:13,5 +0100", 24_013, 500_000, zone("+01:00")),
            ("2026-03-05T06:40:13+01", 24_013, 0, zone("+01:00")),
            ("2026-03-05 06:40:13 UTC+1", 24_013, 0, zone("+01:00")),
            ("2026-03-05T06:40:13[Europe/Berlin]", 24_013, 0, zone("Europe/Berlin")),
            ("2026-03-05T06:40:13+01:00[Europe/Berlin]", 24_013, 0, zone("+01:00")),
            ("2026-03-05 06:40:13 CET", 24_013, 0, zone("CET")),
            ("2026-03-05 06:40 pm", 67_200, 0, None),
            ("3/5/2026, 12:00:01 a.m.", 1, 0, None),
            ("3/5/2026 12:00:01PM UTC", 43_201, 0, zone("UTC")),
            ("2016-12-31T23:59:60Z", 86_400, 0, zone("UTC")),
        ] {
            let written = Written::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(
                (written.time_us, written.zone),
                (seconds * MICROS_PER_SECOND + micros, stated),
                "{text}"
            );
        }
    }

    #[test]
    fn other_text_is_not_a_time() {
        for text in [
            "",
            "yesterday",
            "Mar 5",
            "Mar 2026",
            "Feb 30 06:40:13",
            "2026-13-05",
            "2026-02-29",
            "26-03-05 06:40:13",
            "05/03/26 06:40:13",
            "2026-03-05 25:00:00",
            "2026-03-05 13:00 PM",
            "2026-03-05 0:00 AM",
            "2026-03-05 06:40:61",
            "2026-03-05 06:40:13 in the morning",
            "2026-03-05 06:40:13 +01:00 +02:00",
            "2026-03-05 06:40:13 Europe/Nowhere",
            "2026-03/05",
            "10.0.0.1",
            "46086.278",
            "1.772692813E9",
        ] {
            assert_eq!(Written::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_named_weekday_must_match_the_date() {
        let fits = |text: &str, date: &str| Written::parse(text).unwrap().fits(date.parse().unwrap());
        assert!(fits("Thu, 05 Mar 2026 06:40:13", "2026-03-05"));
        assert!(!fits("Mon, 05 Mar 2026 06:40:13", "2026-03-05"));
    }

    #[test]
    fn headers_begin_with_their_time() {
        for (text, wanted) in [
            ("Jan  5 08:00:00 FG1 CEF:0", Some("Jan  5 08:00:00")),
            ("Jan 05 2026 08:00:00.123 fw", Some("Jan 05 2026 08:00:00.123")),
            ("Jan  5 08:00:00 CET fw", Some("Jan  5 08:00:00 CET")),
            ("Jan  5 08:00:00 CST: %ASA", Some("Jan  5 08:00:00 CST")),
            ("Jan  5 08:00:00+01:00 fw", Some("Jan  5 08:00:00+01:00")),
            ("Jan  5 08:00:00 fw-1 f\u{fc}r", Some("Jan  5 08:00:00")),
            ("Jan five", None),
            ("fw 1", None),
        ] {
            assert_eq!(header_time(text), wanted, "{text}");
        }
    }
}
