//! Chooses the time of a row: the best field of its record that can be read as a time.

use std::borrow::Cow;

use super::times::{Assumed, Evidence, ParsedTime, TimeError, Times, Value, minute_of};
use hindcast_records::format::Record;
use hindcast_records::source::{TableRule, field_value};
use hindcast_records::time_format::TimeFormat;

/// Fields that may hold the time if the rule names none and the record lacks the table's time column.
pub(super) const TIME_FIELDS: [&str; 14] = [
    "TimeGenerated",
    "Timestamp",
    "ReceiptTime",
    "Start_Time",
    "StartTime",
    "CreatedDateTime",
    "time",
    "timestamp",
    "@timestamp",
    "EventTime",
    "EndTime",
    "_time",
    "ts",
    "SyslogTime",
];

/// The suffix that portals append to the names of time columns.
pub(super) const UTC_SUFFIX: &str = " [UTC]";

/// The fields of a record that may hold its row's time: rank (lowest is best) and index in the record.
pub(super) type Candidates = Vec<(usize, usize)>;

/// The time of a row.
pub(super) struct Chosen {
    /// The time.
    pub(super) parsed: ParsedTime,
    /// Index of its field in the record.
    pub(super) place: usize,
    /// Index of the best field, if that one can't be read.
    pub(super) unread: Option<usize>,
}

/// Reads the times of a file's records with the fields and zones of a rule.
#[derive(Clone, Copy)]
pub(super) struct TimeReader<'r> {
    pub(super) times: &'r Times,
    pub(super) rule: &'r TableRule,
}

impl<'r> TimeReader<'r> {
    /// The time of a row: that of the best field that can be read, otherwise of the best whose minute can be read. If the
    /// field `own`, which has the name of the time column, can't be read, no other field replaces it, because its text
    /// would be lost.
    ///
    /// # Errors
    /// Why the row has no time.
    pub(super) fn choose(
        self,
        record: &Record<'_>,
        candidates: &Candidates,
        own: &str,
    ) -> Result<Chosen, String> {
        let exact = self.choose_exact(record, candidates, own);
        exact.or_else(|reason| self.choose_minute(record, candidates, own).ok_or(reason))
    }

    /// The time of the best field whose minute can be read.
    fn choose_minute(self, record: &Record<'_>, candidates: &Candidates, own: &str) -> Option<Chosen> {
        let mut unread = None;
        for (_, place) in candidates.iter().copied() {
            let (field, text) = &record[place];
            if let Some(minute) = minute_of(text).filter(|_| self.format_of(field).is_none())
                && let Ok(parsed) = self.read(record, place, &minute, candidates)
            {
                let assumed = parsed.assumed.or(Some(Assumed::Second));
                return Some(Chosen { parsed: ParsedTime { assumed, ..parsed }, place, unread });
            }
            if is_own(field, own) {
                return None;
            }
            unread.get_or_insert(place);
        }
        None
    }

    fn choose_exact(self, record: &Record<'_>, candidates: &Candidates, own: &str) -> Result<Chosen, String> {
        let mut unread = None;
        for (_, place) in candidates.iter().copied() {
            let (field, text) = &record[place];
            let reason = match self.read(record, place, text, candidates) {
                Ok(parsed) => return Ok(Chosen { parsed, place, unread: unread.map(|(place, _)| place) }),
                Err(reason) => match self.format_of(field) {
                    Some(format) => format!("{text:?} is not a time in the format {format}"),
                    None => reason.reason(text),
                },
            };
            let (_, first_reason) = unread.get_or_insert((place, reason));
            if is_own(field, own) {
                return Err(std::mem::take(first_reason));
            }
        }
        let missing = || {
            format!(
                "has no {own} and no other known time field: name the field in a mapping file (--mapping), \
                 such as time = [\"when\"]"
            )
        };
        Err(unread.map_or_else(missing, |(_, reason)| reason))
    }

    /// Reads `text` as the value of the record's field at index `place`.
    pub(super) fn read(
        self,
        record: &Record<'_>,
        place: usize,
        text: &str,
        candidates: &Candidates,
    ) -> Result<ParsedTime, TimeError> {
        let text = self.formatted(&record[place].0, text).ok_or(TimeError::NoTime)?;
        let value = Value { text: &text, ..self.value(record, place) };
        self.times.read(value, || self.dated_us(record, candidates))
    }

    /// The format that the rule states for a field's times.
    fn format_of(self, field: &str) -> Option<&'r TimeFormat> {
        self.rule.formats.get(field.strip_suffix(UTC_SUFFIX).unwrap_or(field))
    }

    /// The text of a time, in a known form if the rule states its format; `None` if it does not have this format.
    fn formatted<'v>(self, field: &str, text: &'v str) -> Option<Cow<'v, str>> {
        match self.format_of(field) {
            Some(format) => format.read(text).map(Cow::Owned),
            None => Some(Cow::Borrowed(text)),
        }
    }

    /// The first time of the record that has a full date.
    fn dated_us(self, record: &Record<'_>, candidates: &Candidates) -> Option<i64> {
        candidates.iter().find_map(|(_, place)| {
            let (field, text) = &record[*place];
            let text = self.formatted(field, text)?;
            self.times.dated_us(Value { text: &text, ..self.value(record, *place) })
        })
    }

    /// Adds to `evidence` what the dates of a record prove. The record begins in line `line` (from 1). `columns` are
    /// the indexes of fields for other time columns.
    pub(super) fn gather(
        self,
        record: &Record<'_>,
        line: u64,
        (candidates, columns): (&Candidates, &[usize]),
        evidence: &mut Evidence,
    ) {
        let dated_us = self.dated_us(record, candidates);
        let mut is_used = true;
        for (_, place) in candidates {
            let value = self.value(record, *place);
            // The order of day and month is known if the format is.
            let may_be_time = match self.format_of(value.field) {
                Some(format) => format.read(value.text).is_some(),
                None => self.times.gather(value, line, dated_us, is_used, evidence),
            };
            is_used &= !may_be_time;
        }
        for place in columns.iter().filter(|place| self.format_of(&record[**place].0).is_none()) {
            self.times.gather(self.value(record, *place), line, dated_us, true, evidence);
        }
    }

    fn value<'v>(self, record: &'v Record<'_>, place: usize) -> Value<'v> {
        let (field, text) = (record[place].0.as_ref(), record[place].1.as_ref());
        let is_utc = field.ends_with(UTC_SUFFIX) || self.rule.utc.iter().any(|name| name == field);
        let record_zone = self.rule.zone.iter().find_map(|name| field_value(record, name)).map(zone_in);
        Value { field, text, is_utc, record_zone }
    }
}

/// Whether a field has the name of the time column.
fn is_own(field: &str, own: &str) -> bool {
    field.strip_suffix(UTC_SUFFIX).unwrap_or(field) == own
}

/// The zone that a field states: all of its text, or the offset behind a time of day such as `T08:00:00.5-08:00`.
fn zone_in(text: &str) -> &str {
    let Some((_, clock)) = text.split_once('T').filter(|(date, _)| date.len() == 10) else { return text };
    clock.find(['+', '-', 'Z']).map_or(text, |at| &clock[at..])
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use hindcast_base::time::format_micros;

    use super::super::times::TimeOptions;
    use super::*;

    /// The time that a rule chooses of a record whose fields are candidates in this order: the instant, the index of its
    /// field, and that of a better field that can't be read.
    fn chosen(
        rule: &str,
        fields: &[(&'static str, &'static str)],
        own: &str,
    ) -> Result<(String, usize, Option<usize>), String> {
        let rule: TableRule = toml::from_str(rule).unwrap();
        let times = Times::without_proof(TimeOptions::default());
        let record: Record<'_> =
            fields.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))).collect();
        let is_candidate = |index: &usize| !rule.zone.iter().any(|zone| *zone == fields[*index].0);
        let candidates: Candidates =
            (0..fields.len()).filter(is_candidate).map(|index| (index, index)).collect();
        let chosen = TimeReader { times: &times, rule: &rule }.choose(&record, &candidates, own)?;
        Ok((format_micros(chosen.parsed.micros), chosen.place, chosen.unread))
    }

    #[test]
    fn the_best_field_that_can_be_read_is_the_time() {
        let fields = [("rt", "Jan 05 2026 08:00:00"), ("end", "1767600001000")];
        assert_eq!(chosen("", &fields, "TimeGenerated").unwrap(), ("2026-01-05T08:00:00Z".into(), 0, None));
        let fields = [("rt", "soon"), ("start", "later"), ("end", "1767600001000")];
        let wanted = ("2026-01-05T08:00:01Z".to_owned(), 2, Some(0));
        assert_eq!(chosen("", &fields, "TimeGenerated").unwrap(), wanted);
        assert_eq!(chosen("", &fields[..2], "TimeGenerated").unwrap_err(), "\"soon\" is not a time");
    }

    #[test]
    fn seconds_of_more_than_two_digits_give_the_minute_if_no_other_field_has_a_time() {
        let padded = ("rt", "Jan 05 2026 08:00:0282");
        let minute = |place, unread| ("2026-01-05T08:00:00Z".to_owned(), place, unread);
        assert_eq!(chosen("", &[padded], "TimeGenerated").unwrap(), minute(0, None));
        assert_eq!(chosen("", &[("start", "soon"), padded], "TimeGenerated").unwrap(), minute(1, Some(0)));
        let exact = [padded, ("end", "1767600001000")];
        let wanted = ("2026-01-05T08:00:01Z".to_owned(), 1, Some(0));
        assert_eq!(chosen("", &exact, "TimeGenerated").unwrap(), wanted);
        let own = [("TimeGenerated", "soon"), padded];
        assert_eq!(chosen("", &own, "TimeGenerated").unwrap_err(), "\"soon\" is not a time");
        for (text, wanted) in [
            ("05/Mar/2026:06:40:0130 +0100", Some("05/Mar/2026:06:40:00 +0100")),
            ("2026-01-05T08:00:010.5Z", Some("2026-01-05T08:00:00Z")),
            ("2026-01-05 08:00:01", None),
            ("08:00:01", None),
            (":08:", None),
            ("", None),
        ] {
            assert_eq!(minute_of(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn no_other_field_replaces_the_time_column() {
        for own in ["TimeGenerated", "TimeGenerated [UTC]"] {
            let fields = [(own, "soon"), ("end", "1767600001000")];
            assert_eq!(chosen("", &fields, "TimeGenerated").unwrap_err(), "\"soon\" is not a time");
        }
        let none = chosen("", &[], "TimeGenerated").unwrap_err();
        assert!(none.starts_with("has no TimeGenerated and no other known time field"), "{none}");
    }

    #[test]
    fn the_rule_names_the_zone_of_times_without_one() {
        let zone = "zone = [\"dtz\"]";
        let fields = [("rt", "Jan 05 2026 08:00:00"), ("dtz", "Europe/Berlin")];
        assert_eq!(chosen(zone, &fields, "TimeGenerated").unwrap().0, "2026-01-05T07:00:00Z");
        let utc = format!("{zone}\nutc = [\"rt\"]");
        assert_eq!(chosen(&utc, &fields, "TimeGenerated").unwrap().0, "2026-01-05T08:00:00Z");
        let fields = [("rt", "2026/01/05 08:00:00"), ("dtz", "2026-01-05T08:00:00.123-08:00")];
        assert_eq!(chosen(zone, &fields, "TimeGenerated").unwrap().0, "2026-01-05T16:00:00Z");
        let exported = [("when [UTC]", "2026-01-05 08:00:00"), ("dtz", "Europe/Berlin")];
        assert_eq!(chosen(zone, &exported, "TimeGenerated").unwrap().0, "2026-01-05T08:00:00Z");
    }

    #[test]
    fn another_time_of_the_record_gives_a_missing_year() {
        let fields = [("rt", "Dec 31 23:59:58"), ("end", "2021-01-01T00:00:05Z")];
        assert_eq!(chosen("", &fields, "TimeGenerated").unwrap().0, "2020-12-31T23:59:58Z");
    }
}
