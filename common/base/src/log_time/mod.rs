//! The grammar of times as logs write them, for imported records and for the columns of a lake: texts and numbers, with or without
//! a zone.

mod cursor;
mod day_month;
mod epoch;
mod written;
mod zones;

use std::borrow::Cow;

use chrono::NaiveDate;

pub use day_month::{DateOrder, DayMonth};
pub use written::{Written, WrittenDate, header_time, in_a_leap_year};
pub use zones::{Stated, Zone};

use crate::time::{MICROS_PER_SECOND, date_start_us, parse_time_us};
use epoch::{Number, json_date_us, number};

/// The years 1990 to 2200 in microseconds since 1970: times outside are not accepted.
pub const LOGGED_US: std::ops::Range<i64> =
    631_152_000 * MICROS_PER_SECOND..7_258_118_400 * MICROS_PER_SECOND;

/// The content of a text, before conversion to an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedText<'t> {
    /// An instant, in UTC microseconds.
    Instant(i64),
    /// A local time, in microseconds.
    Local(i64),
    /// A date, a time of day, and a zone, as far as the text has them.
    Written(Written<'t>),
}

impl<'t> ParsedText<'t> {
    /// Parses a text from [`normalize_spaces`]; `None` if it is not a time.
    pub fn parse(text: &'t str) -> Option<Self> {
        if text.starts_with('/') {
            return json_date_us(text).map(ParsedText::Instant);
        }
        match number(text) {
            Some(Number::Instant(micros)) => Some(ParsedText::Instant(micros)),
            Some(Number::Local(local_us)) => Some(ParsedText::Local(local_us)),
            None if text.is_ascii() => Written::parse(text).map(ParsedText::Written),
            None => None,
        }
    }
}

/// The trimmed text, with non-breaking spaces replaced by plain ones, and without marks of the writing direction.
pub fn normalize_spaces(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => {
            let plain = text.replace(['\u{a0}', '\u{2009}', '\u{202f}'], " ");
            Cow::Owned(plain.replace(['\u{200e}', '\u{200f}'], ""))
        }
    }
}

/// What the times of a stored column mean, where they do not say it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeForms {
    /// The order of day and month in numeric dates. Without it, such dates are refused.
    pub dates: Option<DateOrder>,
    /// The zone of times without one.
    pub zone: Zone,
}

/// Why a stored value is not read as a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTime {
    /// It is not a time, or one without a year.
    Unreadable,
    /// Its day and month are in an order that nobody gave.
    Undecided(DayMonth),
}

impl TimeForms {
    /// The instant of a text, in UTC microseconds.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// ```
    /// use hindcast_base::log_time::{DateOrder, NoTime, TimeForms};
    ///
    /// let forms = TimeForms::default();
    /// assert_eq!(forms.read("05/Mar/2026:06:40:13 +0100"), forms.read("2026-03-05T05:40:13Z"));
    /// assert!(matches!(forms.read("3/5/2026 06:40"), Err(NoTime::Undecided(_))));
    /// let month_first = TimeForms { dates: Some(DateOrder::MonthFirst), ..forms };
    /// assert_eq!(month_first.read("3/5/2026 06:40"), forms.read("2026-03-05 06:40"));
    /// ```
    pub fn read(&self, text: &str) -> Result<i64, NoTime> {
        // Most columns have times in this form. Without a zone they are in UTC.
        if self.zone == Zone::default()
            && let Some(micros) = parse_time_us(text)
        {
            return Ok(micros);
        }
        let text = normalize_spaces(text);
        match ParsedText::parse(&text).ok_or(NoTime::Unreadable)? {
            ParsedText::Instant(micros) => Some(micros),
            ParsedText::Local(local_us) => self.zone.instant_us(local_us),
            ParsedText::Written(written) => match written.date {
                WrittenDate::Whole(date) => self.instant_on(date, &written),
                WrittenDate::DayMonth(date) => {
                    let date = match (date.only_date(), self.dates) {
                        (Some(date), _) => Some(date),
                        (None, Some(order)) => date.date(order),
                        (None, None) if date.is_possible() => return Err(NoTime::Undecided(date)),
                        (None, None) => None,
                    };
                    date.and_then(|date| self.instant_on(date, &written))
                }
                WrittenDate::NoYear { .. } => None,
            },
        }
        .filter(|micros| LOGGED_US.contains(micros))
        .ok_or(NoTime::Unreadable)
    }

    /// The instant of a number, whose unit follows from its size; `None` if it is not a time.
    pub fn read_integer(&self, number: i64) -> Option<i64> {
        let micros = match epoch::integer(number)? {
            Number::Instant(micros) => micros,
            Number::Local(local_us) => self.zone.instant_us(local_us)?,
        };
        LOGGED_US.contains(&micros).then_some(micros)
    }

    /// The times of a smallest and a largest number, if those of all numbers between them lie between them too: numbers of one unit
    /// have the order of their times.
    pub fn read_bounds(&self, first: i64, last: i64) -> Option<(i64, i64)> {
        let has_one_unit = epoch::unit(first)? == epoch::unit(last)?;
        let bounds = has_one_unit.then(|| self.read_integer(first).zip(self.read_integer(last)));
        bounds.flatten().filter(|(first, last)| first <= last)
    }

    fn instant_on(&self, date: NaiveDate, written: &Written<'_>) -> Option<i64> {
        let local_us = date_start_us(date) + written.time_us;
        let zone = match written.zone {
            Some(stated) => stated.zone_at(local_us, self.zone)?,
            None => self.zone,
        };
        if written.fits(date) { zone.instant_us(local_us) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::format_micros;

    fn read(forms: TimeForms, text: &str) -> Result<String, NoTime> {
        forms.read(text).map(format_micros)
    }

    #[test]
    fn stored_times_are_read_in_the_forms_of_logs() {
        for (text, wanted) in [
            ("2026-03-05T06:40:13.988Z", "2026-03-05T06:40:13.988Z"),
            ("Mar 05 2026 06:40:13.988 GMT", "2026-03-05T06:40:13.988Z"),
            ("1772692813988", "2026-03-05T06:40:13.988Z"),
            ("1772692813.988", "2026-03-05T06:40:13.988Z"),
            ("20260305064013", "2026-03-05T06:40:13Z"),
            ("3/3/2026 18:41:25", "2026-03-03T18:41:25Z"),
            ("/Date(1772692813000)/", "2026-03-05T06:40:13Z"),
            // Beyond the years that logs have, as a full date.
            ("1601-01-01T00:00:00Z", "1601-01-01T00:00:00Z"),
        ] {
            assert_eq!(read(TimeForms::default(), text), Ok(wanted.to_owned()), "{text}");
        }
        for text in ["", "0", "soon", "Jan 05 08:00:04", "31/31/2026", "Mon, 05 Mar 2026 06:40:13 GMT"] {
            let unread = read(TimeForms::default(), text).unwrap_err();
            assert_eq!(unread, NoTime::Unreadable, "{text}");
        }
    }

    #[test]
    fn the_order_of_day_and_month_must_be_given() {
        let open = DayMonth { first: 3, second: 5, year: 2026 };
        assert_eq!(read(TimeForms::default(), "3/5/2026"), Err(NoTime::Undecided(open)));
        assert_eq!(open.meanings(), "3 May or 5 March");
        // One date of a column proves nothing about the others.
        assert!(matches!(read(TimeForms::default(), "3/13/2026"), Err(NoTime::Undecided(_))));
        let day_first = TimeForms { dates: Some(DateOrder::DayFirst), ..TimeForms::default() };
        assert_eq!(read(day_first, "3/5/2026 10:00"), Ok("2026-05-03T10:00:00Z".into()));
        assert_eq!(read(day_first, "5/13/2026"), Err(NoTime::Unreadable));
    }

    #[test]
    fn numbers_of_one_unit_bound_their_times() {
        let bounds = |first, last| TimeForms::default().read_bounds(first, last);
        let second = 1_772_692_813;
        for unit in [1, 1_000, 1_000_000, 1_000_000_000] {
            let wanted = Some((second * MICROS_PER_SECOND, (second + 1) * MICROS_PER_SECOND));
            assert_eq!(bounds(second * unit, (second + 1) * unit), wanted);
        }
        assert_eq!(bounds(second, second * 1_000), None);
        assert_eq!(bounds(0, second), None);
        assert_eq!(bounds(20_260_101_000_000, 20_260_102_000_000), None);
        assert_eq!(bounds(second + 1, second), None);
    }

    #[test]
    fn the_zone_applies_to_times_without_one() {
        let berlin = TimeForms { zone: Zone::parse("Europe/Berlin").unwrap(), ..TimeForms::default() };
        assert_eq!(read(berlin, "2026-01-05 08:00:00"), Ok("2026-01-05T07:00:00Z".into()));
        assert_eq!(read(berlin, "2026-01-05T08:00:00Z"), Ok("2026-01-05T08:00:00Z".into()));
        assert_eq!(read(berlin, "1767600000"), Ok("2026-01-05T08:00:00Z".into()));
        assert_eq!(read(berlin, "2026-03-29 02:30:00"), Err(NoTime::Unreadable));
        assert_eq!(
            berlin.read_integer(20_260_105_080_000).map(format_micros),
            Some("2026-01-05T07:00:00Z".into())
        );
        assert_eq!(TimeForms::default().read_integer(0), None);
    }
}
