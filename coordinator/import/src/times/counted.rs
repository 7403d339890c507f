//! Numbers that count from another start than 1970: seconds of a capture, if the user gives its start, and days of a
//! spreadsheet, if the whole file proves them.

use hindcast_base::log_time::LOGGED_US;
use hindcast_base::time::{MICROS_PER_DAY, MICROS_PER_SECOND};

use super::{Assumed, ParsedTime, TimeError, Times, Value, certain};

/// The day number of 1970-01-01 in spreadsheets, which count from 1899-12-30.
const SPREADSHEET_1970: i64 = 25_569;
/// The day number of 2000-01-01. Smaller numbers are more often something else.
const SPREADSHEET_2000: i64 = 36_526;
/// Digits of a fraction of a day that give seconds, but not milliseconds.
const SECONDS_DIGITS: usize = 7;
/// Most digits of a number of seconds. Longer numbers are in smaller units.
const MOST_DIGITS: usize = 10;

/// Whether `text` is a number that counts seconds, those of `micros`, and is too small for seconds since 1970.
pub(super) fn is_counted(text: &str, micros: i64) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    micros < LOGGED_US.start && (1..=MOST_DIGITS).contains(&digits)
}

impl Times {
    /// The time of a number that [`is_counted`].
    pub(super) fn counted(&self, text: &str, micros: i64, value: Value<'_>) -> Result<ParsedTime, TimeError> {
        if let Some(epoch_us) = self.options.epoch_us {
            return epoch_us.checked_add(micros).ok_or(TimeError::NoTime).and_then(certain);
        }
        // The last day of a log is before the limit.
        let last_day = (self.latest_us + MICROS_PER_DAY) / MICROS_PER_DAY + SPREADSHEET_1970;
        let days = SPREADSHEET_2000 * MICROS_PER_SECOND..last_day.saturating_mul(MICROS_PER_SECOND);
        let is_day = |number: &i64| days.contains(number);
        if !is_day(&micros) {
            return Err(TimeError::Counted);
        }
        let range = self.meanings()?.counted.get(value.field);
        if !range.is_some_and(|(least, most)| is_day(least) && is_day(most)) {
            return Err(TimeError::Counted);
        }
        let local_us = spreadsheet_us(text).ok_or(TimeError::NoTime)?;
        let micros = self.instant(local_us, None, value)?;
        Ok(ParsedTime { assumed: Some(Assumed::Days), ..certain(micros)? })
    }
}

/// The local time of a number of days, in microseconds. Its fraction is a binary one that was rounded.
fn spreadsheet_us(text: &str) -> Option<i64> {
    let text = text.replace(',', ".");
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let seconds = (text.parse::<f64>().ok()? - SPREADSHEET_1970 as f64) * 86_400.0;
    let parts = if digits > SECONDS_DIGITS { 1_000.0 } else { 1.0 };
    Some((seconds * parts).round() as i64 * (MICROS_PER_SECOND / parts as i64))
}
