//! The format of a field's times as a mapping file states it, so that nothing about them has to be detected.

use std::fmt;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveTime};
use serde::Deserialize;

/// Named formats of numbers: microseconds per unit as a fraction, and the start in microseconds since 1970.
const NUMBERS: [(&str, i128, i128, i128); 6] = [
    ("unix-seconds", 1_000_000, 1, 0),
    ("unix-ms", 1_000, 1, 0),
    ("unix-us", 1, 1, 0),
    ("unix-ns", 1, 1_000, 0),
    ("dotnet-ticks", 1, 10, -62_135_596_800_000_000),
    ("filetime", 1, 10, -11_644_473_600_000_000),
];
/// Days of a spreadsheet, which has no zone; 25569 is 1 January 1970.
const DAYS: &str = "excel-days";
const DAYS_TO_1970: f64 = 25_569.0;
const MS_PER_DAY: f64 = 86_400_000.0;

/// How a field's times are written.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeFormat {
    /// As it is stated.
    stated: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// A number of [`NUMBERS`].
    Number(usize),
    Days,
    /// A pattern of `strftime`.
    Pattern,
}

impl TryFrom<String> for TimeFormat {
    type Error = String;

    fn try_from(stated: String) -> Result<Self, String> {
        let form = match NUMBERS.iter().position(|(name, ..)| *name == stated) {
            Some(number) => Form::Number(number),
            None if stated == DAYS => Form::Days,
            None if stated.contains("%Z") => {
                return Err(format!(
                    "{stated:?}: names of zones are ambiguous; name the field with the zone in zone"
                ));
            }
            None if stated.contains('%') && !StrftimeItems::new(&stated).any(|item| item == Item::Error) => {
                Form::Pattern
            }
            None => {
                let names: Vec<&str> = NUMBERS.iter().map(|(name, ..)| *name).chain([DAYS]).collect();
                return Err(format!(
                    "{stated:?} is not a format of times: write a pattern such as %d/%m/%Y %H:%M, or one of {}",
                    names.join(", ")
                ));
            }
        };
        Ok(Self { stated, form })
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.stated)
    }
}

impl TimeFormat {
    /// A time in this format as ISO 8601, with a zone if the format has one; `None` if it is not in this format. A time
    /// without a year is written as in a syslog header.
    pub fn read(&self, text: &str) -> Option<String> {
        let text = text.trim();
        match self.form {
            Form::Number(index) => {
                let (_, micros, per, start) = NUMBERS[index];
                Some(format!("{}Z", iso(start + number_us(text, micros, per)?)?))
            }
            Form::Days => {
                let days: f64 = text.replace(',', ".").parse().ok()?;
                iso(((days - DAYS_TO_1970) * MS_PER_DAY).round() as i128 * 1_000)
            }
            Form::Pattern => {
                let mut parsed = Parsed::new();
                parse(&mut parsed, text, StrftimeItems::new(&self.stated)).ok()?;
                written(parsed)
            }
        }
    }
}

/// A decimal number times `micros / per`, exact as far as microseconds go.
fn number_us(text: &str, micros: i128, per: i128) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let number: i128 = whole.parse().ok()?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let part = (fraction * micros as f64 / per as f64).round() as i128;
    Some((number * micros).div_euclid(per) + if text.starts_with('-') { -part } else { part })
}

fn iso(micros: i128) -> Option<String> {
    let time = DateTime::from_timestamp_micros(i64::try_from(micros).ok()?)?;
    Some(time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
}

/// The text of a parsed time.
fn written(mut parsed: Parsed) -> Option<String> {
    if parsed.timestamp().is_some() {
        let time = parsed.to_naive_datetime_with_offset(0).ok()?;
        return Some(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    }
    let has_year = parsed.year().is_some() || parsed.year_mod_100().is_some() || parsed.isoyear().is_some();
    if !has_year {
        // A leap year, so that 29 February is a date.
        parsed.set_year(2000).ok()?;
    }
    let date = parsed.to_naive_date().ok()?;
    let time = match parsed.hour_mod_12() {
        Some(_) => parsed.to_naive_time().ok()?,
        None => NaiveTime::MIN,
    };
    let text =
        date.and_time(time).format(if has_year { "%Y-%m-%dT%H:%M:%S%.6f" } else { "%b %e %H:%M:%S%.f" });
    let Some(offset) = parsed.offset() else { return Some(text.to_string()) };
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
    Some(format!("{text}{sign}{:02}:{:02}", minutes / 60, minutes % 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Option<String> {
        TimeFormat::try_from(format.to_owned()).unwrap().read(text)
    }

    #[test]
    fn times_are_read_in_the_format_that_is_stated() {
        for (format, text, wanted) in [
            ("unix-seconds", "1772692813", "2026-03-05T06:40:13.000000Z"),
            ("unix-seconds", " 1772692813.9881 ", "2026-03-05T06:40:13.988100Z"),
            ("unix-ms", "1772692813988", "2026-03-05T06:40:13.988000Z"),
            ("unix-ms", "86400000", "1970-01-02T00:00:00.000000Z"),
            ("unix-us", "1772692813988001", "2026-03-05T06:40:13.988001Z"),
            ("unix-ns", "1772692813988001999", "2026-03-05T06:40:13.988001Z"),
            ("dotnet-ticks", "639082896139880000", "2026-03-05T06:40:13.988000Z"),
            ("filetime", "134171664139880000", "2026-03-05T06:40:13.988000Z"),
            ("excel-days", "46086.27793967593", "2026-03-05T06:40:13.988000"),
            ("excel-days", "46086,5", "2026-03-05T12:00:00.000000"),
            ("%d/%m/%Y %H.%M", "05/03/2026 06.40", "2026-03-05T06:40:00.000000"),
            ("%d/%m/%y", "05/03/26", "2026-03-05T00:00:00.000000"),
            ("%m-%d-%Y %I:%M:%S %p", "03-05-2026 06:40:13 pm", "2026-03-05T18:40:13.000000"),
            ("%Y%m%d%H%M%S%3f", "20260305064013988", "2026-03-05T06:40:13.988000"),
            ("[%d/%b/%Y:%H:%M:%S %z]", "[05/Mar/2026:06:40:13 -0330]", "2026-03-05T06:40:13.000000-03:30"),
            ("%s", "1772692813", "2026-03-05T06:40:13.000000Z"),
            ("%b %d %H:%M:%S", "Mar 05 06:40:13", "Mar  5 06:40:13"),
        ] {
            assert_eq!(read(format, text).as_deref(), Some(wanted), "{format} {text}");
        }
        for (format, text) in [
            ("unix-seconds", "2026-03-05"),
            ("unix-ms", ""),
            ("filetime", "99999999999999999999999"),
            ("excel-days", "soon"),
            ("%d/%m/%Y", "13/13/2026"),
            ("%d/%m/%Y", "05/03/2026 06:40"),
            ("%H:%M", "06:40"),
        ] {
            assert_eq!(read(format, text), None, "{format} {text}");
        }
    }

    #[test]
    fn a_format_that_says_nothing_is_refused() {
        for (format, word) in
            [("epoch", "one of unix-seconds"), ("%d.%m.%Q", "a pattern"), ("%H:%M %Z", "zone")]
        {
            let error = TimeFormat::try_from(format.to_owned()).unwrap_err();
            assert!(error.contains(format) && error.contains(word), "{error}");
        }
    }
}
