//! Parses times as logs write them. If a text is ambiguous, the file must prove the meaning or the user must give it;
//! otherwise the text is not a time.

mod counted;
mod order;
mod year;

use std::sync::OnceLock;

use chrono::NaiveDate;
use hindcast_base::log_time::{
    DateOrder, DayMonth, LOGGED_US, ParsedText, Stated, Written, WrittenDate, Zone, in_a_leap_year,
    normalize_spaces,
};
use hindcast_base::time::{MICROS_PER_SECOND, date_start_us};
use hindcast_base::{Error, Result};

pub(super) use order::Evidence;

use order::Meanings;

/// How the user wants times to be read.
#[derive(Debug, Clone, Default)]
pub struct TimeOptions {
    /// The order of day and month in numeric dates. If absent, each file must prove it.
    pub dates: Option<DateOrder>,
    /// The zone of times without one.
    pub zone: Zone,
    /// Times without a year are before this instant, in UTC microseconds; before the file's last modification if absent.
    pub logged_before_us: Option<i64>,
    /// The start from which numbers count that are too small for seconds since 1970, in UTC microseconds.
    pub epoch_us: Option<i64>,
}

/// Reads a file for what its dates prove.
type Gather = Box<dyn Fn() -> Result<Evidence> + Send + Sync>;

/// Reads the times of one file.
pub(super) struct Times {
    options: TimeOptions,
    /// The latest time without a year, in UTC microseconds.
    latest_us: i64,
    /// Called once, for the first date whose order matters. Its result depends only on the file.
    gather: Gather,
    meanings: OnceLock<Result<Meanings, Error>>,
}

/// A text to parse as a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'v> {
    /// The field that holds it.
    pub(super) field: &'v str,
    /// The text.
    pub(super) text: &'v str,
    /// Whether the field's times are UTC if they have no zone.
    pub(super) is_utc: bool,
    /// The zone that the record gives for its times.
    pub(super) record_zone: Option<&'v str>,
}

/// A parsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ParsedTime {
    /// The instant, in UTC microseconds.
    pub(super) micros: i64,
    /// What its text does not say.
    pub(super) assumed: Option<Assumed>,
}

/// What is assumed about a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assumed {
    /// The year, which neither the text nor its record has.
    Year(i32),
    /// That a number counts days, as spreadsheets do.
    Days,
    /// The second, because the text has more digits there than seconds have.
    Second,
}

impl Assumed {
    /// The assumption about times of `field`, for people.
    pub(super) fn note(self, field: &str) -> String {
        match self {
            Assumed::Year(year) => format!("times without a year are read as of {year}"),
            Assumed::Days => format!("numbers of {field} are read as days of a spreadsheet"),
            Assumed::Second => {
                format!("seconds of {field} have more than two digits, and the start of the minute is taken")
            }
        }
    }
}

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeError {
    /// It is not a time, or an ambiguous one.
    NoTime,
    /// Its date does not exist in the order of the file's dates.
    NotInOrder(DateOrder),
    /// Clocks skip it in its zone.
    Skipped(Zone),
    /// Its zone, or that of its record, is unknown or ambiguous.
    UnknownZone(String),
    /// The order of day and month is not known, so the file can't be imported.
    Undecided,
    /// It counts from a start that is not known.
    Counted,
}

impl TimeError {
    /// The reason as a message about `text`.
    pub(super) fn reason(&self, text: &str) -> String {
        match self {
            TimeError::NoTime | TimeError::Undecided => format!("{text:?} is not a time"),
            TimeError::NotInOrder(order) => format!("{text:?} is not a date with {}", order.words()),
            TimeError::Counted => format!(
                "{text:?} is not a time since 1970; if it counts seconds, give their start with --epoch TIME"
            ),
            TimeError::Skipped(zone) => {
                format!("{text:?} does not exist in {zone}: clocks skip it there")
            }
            TimeError::UnknownZone(name) => {
                format!(
                    "the time zone {name:?} of {text:?} is unknown or ambiguous; give it with --time-zone"
                )
            }
        }
    }
}

impl Times {
    /// The times of a file that was last modified at `modified_us`, in UTC microseconds.
    pub(super) fn new(options: TimeOptions, modified_us: i64, gather: Gather) -> Self {
        let latest_us = options.logged_before_us.unwrap_or(modified_us);
        Self { options, latest_us, gather, meanings: OnceLock::new() }
    }

    /// Times without a file, so that nothing proves the order of their dates.
    pub(super) fn without_proof(options: TimeOptions) -> Self {
        Self::new(options, 0, Box::new(|| Ok(Evidence::default())))
    }

    /// Parses `value`. `near` returns another time of the same record, which decides the year of a time without one.
    pub(super) fn read(
        &self,
        value: Value<'_>,
        near: impl FnOnce() -> Option<i64>,
    ) -> Result<ParsedTime, TimeError> {
        let text = normalize_spaces(value.text);
        let written = match ParsedText::parse(&text).ok_or(TimeError::NoTime)? {
            ParsedText::Instant(micros) if counted::is_counted(&text, micros) => {
                return self.counted(&text, micros, value);
            }
            ParsedText::Instant(micros) => return certain(micros),
            ParsedText::Local(local_us) => return self.instant(local_us, None, value).and_then(certain),
            ParsedText::Written(written) => written,
        };
        let instant_of = |date| self.instant_on(date, &written, value);
        match written.date {
            WrittenDate::Whole(date) => instant_of(date).and_then(certain),
            WrittenDate::DayMonth(date) => {
                let date = self.date_of(date, value.field)?;
                instant_of(date).and_then(certain)
            }
            WrittenDate::NoYear { month, day } => {
                let instant_of = |date| instant_of(date).ok();
                let (micros, assumed) = match near() {
                    Some(near_us) => (year::nearest((month, day), near_us, instant_of), None),
                    None => year::latest_not_after((month, day), self.latest_us, instant_of)
                        .map_or((None, None), |(micros, year)| (Some(micros), Some(Assumed::Year(year)))),
                };
                let read = micros
                    .ok_or_else(|| self.why_no_year((month, day), &written, value))
                    .and_then(certain)?;
                Ok(ParsedTime { assumed, ..read })
            }
        }
    }

    /// The instant of `value`, if it has a full date.
    pub(super) fn dated_us(&self, value: Value<'_>) -> Option<i64> {
        let text = normalize_spaces(value.text);
        let micros = match ParsedText::parse(&text)? {
            ParsedText::Instant(micros) => match self.options.epoch_us {
                Some(epoch_us) if counted::is_counted(&text, micros) => epoch_us.checked_add(micros),
                _ => Some(micros),
            },
            ParsedText::Local(local_us) => self.instant(local_us, None, value).ok(),
            ParsedText::Written(written) => match written.date {
                WrittenDate::Whole(date) => self.instant_on(date, &written, value).ok(),
                WrittenDate::DayMonth(_) | WrittenDate::NoYear { .. } => None,
            },
        };
        micros.filter(|micros| LOGGED_US.contains(micros))
    }

    /// Adds to `evidence` what the date of `value` proves about the order of day and month. `dated_us` is another time
    /// of its record: if only one order gives the same second, that is a proof. Returns whether the value may be a
    /// time.
    pub(super) fn gather(
        &self,
        value: Value<'_>,
        line: u64,
        dated_us: Option<i64>,
        is_used: bool,
        evidence: &mut Evidence,
    ) -> bool {
        let text = normalize_spaces(value.text);
        let Some(parsed) = ParsedText::parse(&text) else { return false };
        let written = match parsed {
            ParsedText::Written(written) => written,
            ParsedText::Instant(micros) => {
                evidence.add_number(value.field, micros);
                return true;
            }
            ParsedText::Local(_) => return true,
        };
        let WrittenDate::DayMonth(date) = written.date else { return true };
        let is_dated = |order| {
            let micros = date.date(order).and_then(|date| self.instant_on(date, &written, value).ok());
            let second = |micros: i64| micros.div_euclid(MICROS_PER_SECOND);
            micros.is_some() && micros.map(second) == dated_us.map(second)
        };
        let proof =
            date.proof().or_else(|| match (is_dated(DateOrder::DayFirst), is_dated(DateOrder::MonthFirst)) {
                (true, false) => Some(DateOrder::DayFirst),
                (false, true) => Some(DateOrder::MonthFirst),
                _ => None,
            });
        evidence.add(value.field, (line, value.text), date, proof, is_used);
        proof.is_some() || date.date(DateOrder::DayFirst).is_some()
    }

    /// Checks that the file's dates could be read.
    ///
    /// # Errors
    /// [`Error::Invalid`] if their order is not known, [`Error::Io`] if the file's store failed.
    pub(super) fn check(&self) -> Result<()> {
        match self.meanings.get() {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(Error::Invalid(reason))) => Err(Error::Invalid(reason.clone())),
            Some(Err(Error::Io { action, source })) => {
                Err(Error::io(action.clone())(std::io::Error::new(source.kind(), source.to_string())))
            }
            Some(Err(other)) => Err(Error::Internal(other.to_string())),
        }
    }

    fn date_of(&self, date: DayMonth, field: &str) -> Result<NaiveDate, TimeError> {
        if let Some(date) = date.only_date() {
            return Ok(date);
        }
        let order = match self.options.dates {
            Some(order) => order,
            None => *self.meanings()?.orders.get(field).ok_or(TimeError::NoTime)?,
        };
        date.date(order).ok_or(TimeError::NotInOrder(order))
    }

    /// What the whole file proves.
    fn meanings(&self) -> Result<&Meanings, TimeError> {
        let decide = || (self.gather)()?.decide().map_err(Error::Invalid);
        self.meanings.get_or_init(decide).as_ref().map_err(|_| TimeError::Undecided)
    }

    fn instant_on(&self, date: NaiveDate, written: &Written<'_>, value: Value<'_>) -> Result<i64, TimeError> {
        if !written.fits(date) {
            return Err(TimeError::NoTime);
        }
        self.instant(date_start_us(date) + written.time_us, written.zone, value)
    }

    /// Why a date without a year is not a time: its zone is not known, or no year has the date.
    fn why_no_year(&self, (month, day): (u32, u32), written: &Written<'_>, value: Value<'_>) -> TimeError {
        let date = in_a_leap_year(month, day);
        let local_us = date.map(|date| date_start_us(date) + written.time_us);
        let read = local_us.map(|local_us| self.instant(local_us, written.zone, value));
        read.and_then(Result::err).unwrap_or(TimeError::NoTime)
    }

    /// The instant of a local time, in the zone of its text, otherwise that of its field, its record, or the user.
    fn instant(&self, local_us: i64, stated: Option<Stated<'_>>, value: Value<'_>) -> Result<i64, TimeError> {
        let unknown = |name: &str| TimeError::UnknownZone(name.to_owned());
        let stated = match (stated, value.record_zone) {
            (Some(stated), _) => Some(stated),
            (None, Some(text)) if !value.is_utc => Some(Stated::parse(text).ok_or_else(|| unknown(text))?),
            (None, _) => None,
        };
        let zone = match stated {
            Some(stated) => stated.zone_at(local_us, self.options.zone).ok_or_else(|| match stated {
                Stated::Abbreviation(name) => unknown(name),
                Stated::Zone(zone) => unknown(&zone.to_string()),
            })?,
            None if value.is_utc => Zone::default(),
            None => self.options.zone,
        };
        zone.instant_us(local_us).ok_or(TimeError::Skipped(zone))
    }
}

/// The start of the minute of a time whose seconds have more than two digits, such as `08:00:0282`: templates that pad numbers
/// wrongly write them.
pub(super) fn minute_of(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digits_of = |seconds: usize| bytes[seconds..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_minute = |four: &[u8]| matches!(four, [b':', b'0'..=b'9', b'0'..=b'9', b':']);
    let minutes = bytes.windows(4).enumerate().filter(|(_, four)| is_minute(four));
    let seconds = minutes.map(|(at, _)| at + 4).find(|seconds| digits_of(*seconds) > 2)?;
    let is_of_second = |character: char| character.is_ascii_digit() || matches!(character, '.' | ',');
    let rest = text[seconds..].trim_start_matches(is_of_second);
    Some(format!("{}00{rest}", &text[..seconds]))
}

/// The time for an instant whose year is known, if it is in the accepted range.
fn certain(micros: i64) -> Result<ParsedTime, TimeError> {
    LOGGED_US.contains(&micros).then_some(ParsedTime { micros, assumed: None }).ok_or(TimeError::NoTime)
}

#[cfg(test)]
mod tests;
