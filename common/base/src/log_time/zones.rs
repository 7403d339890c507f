//! Time zones: IANA names, fixed offsets, and the abbreviations that logs use.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetName, Tz};
use serde::{Deserialize, Serialize};

use crate::time::MICROS_PER_SECOND;
use crate::{Error, Result};

/// Largest offset from UTC, in minutes.
const MAX_OFFSET_MINUTES: i32 = 14 * 60;

/// Abbreviations with only one offset, in minutes east of UTC. Those with several, such as CST (America, China), IST (India,
/// Israel, Ireland) or PST (America, Philippines), are not in this list.
const ABBREVIATIONS: [(&str, i32); 36] = [
    ("Z", 0),
    ("UTC", 0),
    ("UT", 0),
    ("GMT", 0),
    ("WET", 0),
    ("WEST", 60),
    ("CET", 60),
    ("MET", 60),
    ("CEST", 120),
    ("MEST", 120),
    ("EET", 120),
    ("SAST", 120),
    ("CAT", 120),
    ("EEST", 180),
    ("EAT", 180),
    ("WAT", 60),
    ("PKT", 300),
    ("WIB", 420),
    ("WITA", 480),
    ("HKT", 480),
    ("AWST", 480),
    ("JST", 540),
    ("ACST", 570),
    ("AEST", 600),
    ("ACDT", 630),
    ("AEDT", 660),
    ("NZST", 720),
    ("NZDT", 780),
    ("EDT", -240),
    ("EST", -300),
    ("MDT", -360),
    ("MST", -420),
    ("PDT", -420),
    ("AKDT", -480),
    ("AKST", -540),
    ("HST", -600),
];

/// Abbreviations with several offsets, which are accepted only if the user's zone has them.
const SHARED_ABBREVIATIONS: [&str; 12] =
    ["CST", "CDT", "PST", "IST", "IDT", "BST", "AST", "ADT", "SST", "GST", "MSK", "KST"];

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Zone {
    /// A fixed number of seconds east of UTC.
    Fixed(i32),
    /// A zone of the IANA database.
    Named(Tz),
}

impl TryFrom<String> for Zone {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let wrong = || {
            format!(
                "{text:?} is not a time zone: give a name such as Europe/Berlin, or an offset such as +01:00"
            )
        };
        Zone::parse(&text).ok_or_else(|| Error::Invalid(wrong()))
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.to_string()
    }
}

impl Default for Zone {
    fn default() -> Self {
        Zone::Fixed(0)
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Zone::Fixed(seconds) => {
                let minutes = seconds.abs() / 60;
                let sign = if *seconds < 0 { '-' } else { '+' };
                write!(formatter, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            Zone::Named(zone) => formatter.write_str(zone.name()),
        }
    }
}

impl Zone {
    /// Parses an IANA name (`Europe/Berlin`) or an offset (`+01:00`, `-0500`, `UTC+1`); `None` for other text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let "UTC" | "GMT" | "UT" | "Z" | "z" | "Etc/UTC" = text {
            return Some(Zone::Fixed(0));
        }
        let offset_text = ["UTC", "GMT"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
        match offset_seconds(offset_text) {
            Some(seconds) => Some(Zone::Fixed(seconds)),
            None => text.parse().ok().map(Zone::Named),
        }
    }

    /// The instant of a local time, both in microseconds. If clocks show a time twice, the earlier instant; if clocks
    /// skip it, `None`.
    pub fn instant_us(self, local_us: i64) -> Option<i64> {
        let seconds = match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Named(zone) => {
                let local = local_time(local_us)?;
                zone.offset_from_local_datetime(&local).earliest()?.fix().local_minus_utc()
            }
        };
        Some(local_us - i64::from(seconds) * MICROS_PER_SECOND)
    }

    /// The offset of `abbreviation` in this zone around a local time.
    fn offset_of(self, abbreviation: &str, local_us: i64) -> Option<Zone> {
        let Zone::Named(zone) = self else { return None };
        let offsets = zone.offset_from_local_datetime(&local_time(local_us)?);
        [offsets.earliest(), offsets.latest()]
            .into_iter()
            .flatten()
            .find(|offset| offset.abbreviation() == Some(abbreviation))
            .map(|offset| Zone::Fixed(offset.fix().local_minus_utc()))
    }
}

fn local_time(local_us: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(local_us).map(|instant| instant.naive_utc())
}

/// A zone as the text of a time or a record gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated<'t> {
    /// A zone.
    Zone(Zone),
    /// An abbreviation, which may have several offsets.
    Abbreviation(&'t str),
}

impl<'t> Stated<'t> {
    /// Parses `text`; `None` if it is not a zone.
    pub fn parse(text: &'t str) -> Option<Self> {
        if let Some((_, minutes)) = ABBREVIATIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(text)) {
            return match *minutes {
                0 => Some(Stated::Zone(Zone::Fixed(0))),
                _ => Some(Stated::Abbreviation(text)),
            };
        }
        let is_abbreviation =
            |text: &str| (2..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        match Zone::parse(text) {
            Some(zone) => Some(Stated::Zone(zone)),
            None => is_abbreviation(text).then_some(Stated::Abbreviation(text)),
        }
    }

    /// The zone at a local time. `given` is the user's zone; `None` for an abbreviation that is ambiguous there.
    pub fn zone_at(self, local_us: i64, given: Zone) -> Option<Zone> {
        let abbreviation = match self {
            Stated::Zone(zone) => return Some(zone),
            Stated::Abbreviation(text) => text.to_ascii_uppercase(),
        };
        given.offset_of(&abbreviation, local_us).or_else(|| {
            let (_, minutes) = ABBREVIATIONS.iter().find(|(known, _)| *known == abbreviation)?;
            Some(Zone::Fixed(minutes * 60))
        })
    }
}

/// Whether a word after the time of a syslog header is a time zone and not a host.
pub(super) fn is_abbreviation(word: &str) -> bool {
    ABBREVIATIONS.iter().any(|(known, _)| *known == word) || SHARED_ABBREVIATIONS.contains(&word)
}

/// Seconds east of UTC for `+01:00`, `+0100`, `+01` or `+1`.
fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "00"),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(is_number(hours) && is_number(minutes) && minutes.len() == 2 && hours.len() <= 2) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let all_minutes = hours * 60 + minutes;
    (minutes < 60 && all_minutes <= MAX_OFFSET_MINUTES).then_some(sign * all_minutes * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    use crate::time::parse_time;

    #[test]
    fn zones_are_names_and_offsets() {
        for (text, wanted) in [
            ("UTC", Some(Zone::Fixed(0))),
            ("+01:00", Some(Zone::Fixed(3_600))),
            ("-0530", Some(Zone::Fixed(-19_800))),
            ("UTC+1", Some(Zone::Fixed(3_600))),
            ("GMT-08", Some(Zone::Fixed(-28_800))),
            ("Europe/Berlin", Some(Zone::Named(Tz::Europe__Berlin))),
            ("Berlin", None),
            ("+15:00", None),
            ("+1:5", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(Zone::parse(text), wanted, "{text}");
        }
        assert_eq!(Zone::Fixed(-19_800).to_string(), "UTC-05:30");
        for zone in [Zone::Fixed(0), Zone::Fixed(-19_800), Zone::Named(Tz::Europe__Berlin)] {
            assert_eq!(Zone::try_from(String::from(zone)).unwrap(), zone);
        }
    }

    #[test]
    fn times_at_clock_changes_follow_one_rule() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let instant = |local: &str| berlin.instant_us(parse_time(local).unwrap());
        let wanted = |utc: &str| Some(parse_time(utc).unwrap());
        assert_eq!(instant("2026-01-05T08:00:00"), wanted("2026-01-05T07:00:00Z"));
        assert_eq!(instant("2026-07-05T08:00:00"), wanted("2026-07-05T06:00:00Z"));
        // Shown twice: the earlier instant. Skipped: no instant.
        assert_eq!(instant("2026-10-25T02:30:00"), wanted("2026-10-25T00:30:00Z"));
        assert_eq!(instant("2026-10-25T03:00:00"), wanted("2026-10-25T02:00:00Z"));
        assert_eq!(instant("2026-03-29T02:30:00"), None);
        assert_eq!(instant("2026-03-29T03:00:00"), wanted("2026-03-29T01:00:00Z"));
    }

    #[test]
    fn shared_abbreviations_need_a_zone_that_uses_them() {
        let local = parse_time("2026-01-05T08:00:00").unwrap();
        let zone_of = |text, given: &str| Stated::parse(text)?.zone_at(local, Zone::parse(given)?);
        assert_eq!(zone_of("CET", "UTC"), Some(Zone::Fixed(3_600)));
        assert_eq!(zone_of("cet", "UTC"), Some(Zone::Fixed(3_600)));
        assert_eq!(zone_of("CST", "UTC"), None);
        assert_eq!(zone_of("CST", "Asia/Shanghai"), Some(Zone::Fixed(8 * 3_600)));
        assert_eq!(zone_of("CST", "America/Chicago"), Some(Zone::Fixed(-6 * 3_600)));
        assert_eq!(zone_of("PST", "America/New_York"), None);
        assert_eq!(zone_of("Asia/Tokyo", "UTC"), Some(Zone::Named(Tz::Asia__Tokyo)));
        assert_eq!(Stated::parse("fw-1"), None);
    }

    /// No zone of the IANA database has used a listed abbreviation with another offset since 2000.
    #[test]
    fn listed_abbreviations_have_one_offset() {
        let mut used: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        let first = parse_time("2000-01-01").unwrap();
        for zone in chrono_tz::TZ_VARIANTS {
            for step in 0..31 * 12 {
                let instant = local_time(first + step * 30 * 86_400 * MICROS_PER_SECOND).unwrap();
                let offset = zone.offset_from_utc_datetime(&instant);
                if let Some(name) = offset.abbreviation() {
                    used.entry(name.to_owned()).or_default().insert(offset.fix().local_minus_utc() / 60);
                }
            }
        }
        for (name, minutes) in ABBREVIATIONS {
            let offsets = used.get(name).cloned().unwrap_or_default();
            assert!(offsets.is_empty() || offsets == BTreeSet::from([minutes]), "{name}: {offsets:?}");
            assert!(!SHARED_ABBREVIATIONS.contains(&name), "{name}");
        }
    }
}
