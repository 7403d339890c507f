//! The times of a file's rows, from what a Delta log says about it: statistics of the time column, or the values of partition columns
//! that name a day.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use chrono::{Days, Months, NaiveDate};
use delta_kernel::schema::{DataType, PrimitiveType, StructType};
use hindcast_base::time::{MICROS_PER_DAY, date_of_us, date_start_us, parse_time_us};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Writers cut the largest time of a file down to milliseconds.
const ROUNDING_US: i64 = 999;

/// How the times of a table's files are found.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The names of the time column and of its parents in the files, if it is of a type whose statistics are times.
    pub(super) time_column: Option<Vec<String>>,
    /// The partition columns that name a day.
    pub(super) days: Option<DayColumns>,
    /// Days by which a row's time may differ from the day of its partition.
    pub(super) slack_days: u32,
}

/// Partition columns that together name a day, a month or a year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DayColumns {
    /// One column with a date, or with a time of that date.
    Date(String),
    /// A column with the year, and those with the month and the day, if they exist.
    Parts { year: String, month: Option<String>, day: Option<String> },
}

/// The part of a file's statistics that is read.
#[derive(Deserialize)]
struct Statistics<'a> {
    #[serde(borrow, rename = "minValues")]
    least: Option<&'a RawValue>,
    #[serde(borrow, rename = "maxValues")]
    greatest: Option<&'a RawValue>,
}

impl Times {
    /// First and last time of the rows of a file, in microseconds; `None` if nothing shows them.
    pub(super) fn of(
        &self,
        statistics: Option<&str>,
        partition: &BTreeMap<String, Option<String>>,
    ) -> Option<(i64, i64)> {
        let path = self.time_column.as_ref();
        let exact = path.zip(statistics).and_then(|(path, statistics)| bounds(statistics, path));
        exact.or_else(|| {
            let (first, last) = self.days.as_ref()?.of(partition)?;
            let slack_us = i64::from(self.slack_days) * MICROS_PER_DAY;
            Some((date_start_us(first) - slack_us, date_start_us(last) + MICROS_PER_DAY - 1 + slack_us))
        })
    }
}

/// Bounds of a column in a file's statistics.
fn bounds(statistics: &str, path: &[String]) -> Option<(i64, i64)> {
    let statistics: Statistics<'_> = serde_json::from_str(statistics).ok()?;
    let (first, _) = time_at(statistics.least?, path)?;
    let (last, is_date) = time_at(statistics.greatest?, path)?;
    let last = last + if is_date { MICROS_PER_DAY - 1 } else { ROUNDING_US };
    (first <= last).then_some((first, last))
}

/// The time at `path`, and whether it is a date.
fn time_at(values: &RawValue, path: &[String]) -> Option<(i64, bool)> {
    match path.split_first() {
        None => {
            let text: Cow<'_, str> = serde_json::from_str(values.get()).ok()?;
            Some((parse_time_us(&text)?, text.trim().len() == "2026-01-31".len()))
        }
        Some((name, rest)) => {
            let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(values.get()).ok()?;
            time_at(fields.get(name.as_str())?, rest)
        }
    }
}

impl DayColumns {
    /// The partition columns among `names` that name a day, if there are any.
    pub(super) fn among(names: &[String], schema: &StructType) -> Option<Self> {
        let type_of = |name: &str| schema.field(name).map(|field| &field.data_type);
        let is = |name: &str, wanted: &[PrimitiveType]| match type_of(name) {
            Some(DataType::Primitive(kind)) => wanted.contains(kind),
            _ => false,
        };
        let times = [PrimitiveType::Date, PrimitiveType::Timestamp, PrimitiveType::TimestampNtz];
        let mut dates = names.iter().filter(|name| is(name, &times) && is_whole_day(name, schema));
        if let Some(name) = dates.next() {
            return Some(Self::Date(name.clone()));
        }
        let named = |wanted: &[&str]| {
            let is_named = |name: &&String| wanted.iter().any(|other| name.eq_ignore_ascii_case(other));
            names.iter().find(is_named).cloned()
        };
        if let Some(year) = named(&["year", "y", "yyyy"]) {
            let month = named(&["month", "m", "mm"]);
            let day = month.as_ref().and_then(|_| named(&["day", "d", "dd"]));
            return Some(Self::Parts { year, month, day });
        }
        let texts = [PrimitiveType::String, PrimitiveType::Integer, PrimitiveType::Long];
        let is_dated = |name: &&String| {
            let lower = name.to_ascii_lowercase();
            is(name, &texts) && (lower.contains("date") || lower.contains("day") || lower == "dt")
        };
        names.iter().find(is_dated).cloned().map(Self::Date)
    }

    /// First and last date of a file with these partition values.
    fn of(&self, partition: &BTreeMap<String, Option<String>>) -> Option<(NaiveDate, NaiveDate)> {
        let value = |name: &str| partition.get(name)?.as_deref();
        match self {
            Self::Date(name) => date_of(value(name)?).map(|date| (date, date)),
            Self::Parts { year, month, day } => {
                let year = value(year)?.parse().ok()?;
                let part = |name: &Option<String>| match name {
                    Some(name) => value(name)?.parse::<u32>().ok().map(Some),
                    None => Some(None),
                };
                let (month, day) = (part(month)?, part(day)?);
                let first = NaiveDate::from_ymd_opt(year, month.unwrap_or(1), day.unwrap_or(1))?;
                let end = match (month, day) {
                    (_, Some(_)) => first.checked_add_days(Days::new(1)),
                    (Some(_), None) => first.checked_add_months(Months::new(1)),
                    (None, None) => first.checked_add_months(Months::new(12)),
                };
                Some((first, end?.pred_opt()?))
            }
        }
    }
}

/// Whether a partition column has each day's own value: a generated one may have that of its month.
fn is_whole_day(name: &str, schema: &StructType) -> bool {
    let generated = schema.field(name).and_then(|field| field.metadata.get("delta.generationExpression"));
    generated.is_none_or(|expression| {
        let expression = expression.to_string().to_ascii_lowercase();
        !["month", "'mm'", "'mon'", "year", "'yy", "quarter", "week"]
            .iter()
            .any(|unit| expression.contains(unit))
    })
}

/// A date such as `2026-01-31`, `20260131` or `2026-01-31 08:00:00`.
fn date_of(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return NaiveDate::parse_from_str(text, "%Y%m%d").ok();
    }
    parse_time_us(text).map(date_of_us)
}

#[cfg(test)]
mod tests {
    use delta_kernel::schema::StructField;

    use super::*;

    fn us(text: &str) -> i64 {
        parse_time_us(text).unwrap()
    }

    fn values(values: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
        values.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
    }

    fn days(columns: &[(&str, DataType)]) -> Option<DayColumns> {
        let names: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let fields = columns.iter().map(|(name, kind)| StructField::nullable(*name, kind.clone()));
        DayColumns::among(&names, &StructType::try_new(fields).unwrap())
    }

    #[test]
    fn statistics_of_the_time_column_come_first_and_their_end_is_rounded_up() {
        let path = vec!["time".to_owned(), "at".to_owned()];
        let days = Some(DayColumns::Date("date".into()));
        let times = Times { time_column: Some(path), days, slack_days: 1 };
        let date = values(&[("date", "2026-01-31")]);
        let known = r#"{"numRecords":2,"minValues":{"a":1,"time":{"at":"2026-01-05T08:00:00.123Z"}},
            "maxValues":{"time":{"at":"2026-01-05T09:00:00.000+01:00"}},"nullCount":{"a":0}}"#;
        let last = us("2026-01-05T08:00:00Z") + ROUNDING_US;
        // The end is before the start: such statistics show nothing.
        assert!(us("2026-01-05T08:00:00.123Z") > last);
        let slack = (us("2026-01-30"), us("2026-02-02") - 1);
        assert_eq!(times.of(Some(known), &date), Some(slack));
        let known = known.replace("+01:00", "Z");
        let bounds = (us("2026-01-05T08:00:00.123Z"), us("2026-01-05T09:00:00Z") + ROUNDING_US);
        assert_eq!(times.of(Some(&known), &date), Some(bounds));
        for unknown in [None, Some("{}"), Some(r#"{"numRecords":2}"#), Some("not JSON")] {
            assert_eq!(times.of(unknown, &date), Some(slack), "{unknown:?}");
            assert_eq!(times.of(unknown, &values(&[("date", "soon")])), None, "{unknown:?}");
        }
        let dates = r#"{"minValues":{"time":{"at":"2026-01-05"}},"maxValues":{"time":{"at":"2026-01-06"}}}"#;
        assert_eq!(times.of(Some(dates), &date), Some((us("2026-01-05"), us("2026-01-07") - 1)));
    }

    #[test]
    fn partition_columns_of_days_are_found_by_type_and_name() {
        let date = |name: &str| Some(DayColumns::Date(name.to_owned()));
        assert_eq!(days(&[("region", DataType::STRING), ("p", DataType::DATE)]), date("p"));
        assert_eq!(days(&[("hour", DataType::TIMESTAMP)]), date("hour"));
        assert_eq!(days(&[("eventDay", DataType::INTEGER)]), date("eventDay"));
        assert_eq!(days(&[("dt", DataType::STRING)]), date("dt"));
        assert_eq!(days(&[("tenant", DataType::STRING)]), None);
        let parts = days(&[("Year", DataType::INTEGER), ("Month", DataType::INTEGER)]).unwrap();
        let of = |columns: &DayColumns, found: &[(&str, &str)]| {
            columns.of(&values(found)).map(|(first, last)| (first.to_string(), last.to_string()))
        };
        let month = of(&parts, &[("Year", "2026"), ("Month", "02")]);
        assert_eq!(month, Some(("2026-02-01".into(), "2026-02-28".into())));
        assert_eq!(of(&parts, &[("Year", "2026"), ("Month", "13")]), None);
        let year = days(&[("year", DataType::STRING)]).unwrap();
        assert_eq!(of(&year, &[("year", "2025")]), Some(("2025-01-01".into(), "2025-12-31".into())));
        for text in ["2026-01-05", "20260105", "2026-01-05 23:59:59.5", "2026-01-05T10:00:00Z"] {
            let day = of(&DayColumns::Date("d".into()), &[("d", text)]);
            assert_eq!(day, Some(("2026-01-05".into(), "2026-01-05".into())), "{text}");
        }
    }
}
