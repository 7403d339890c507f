//! The range of every numeric parameter, checked where a file is read: a value outside it would find nothing, or all.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Layer;
use crate::time::{MICROS_PER_SECOND, parse_duration};
use crate::{Error, Result};

const SECONDS_PER_DAY: f64 = 86_400.0;
/// Longest length of time: a hundred years.
const LONGEST_SPAN: f64 = 36_500.0 * SECONDS_PER_DAY;
/// Largest number of rows, keys or events that a parameter may ask for.
const MOST: f64 = 1e9;
/// Largest number of bytes: 1 EiB.
const MOST_BYTES: f64 = 1_152_921_504_606_846_976.0;

/// A parameter with the values it may have.
struct Range {
    /// Where it stands in a file; `*` is any name, or any element of a list.
    path: &'static str,
    bounds: Bounds,
    /// What it counts.
    unit: &'static str,
}

enum Bounds {
    /// From the first to the second.
    Closed(f64, f64),
    /// Above the first, up to the second.
    Above(f64, f64),
    /// From the first, below the second.
    Below(f64, f64),
    /// A length of time from so many seconds to so many, or `unlimited`.
    Span(f64, f64),
}

use Bounds::{Above, Below, Closed, Span};

const fn range(path: &'static str, bounds: Bounds, unit: &'static str) -> Range {
    Range { path, bounds, unit }
}

static RANGES: &[Range] = &[
    range("tables.*.folder_slack_days", Closed(0.0, 366.0), "days"),
    range("score.cap", Closed(1.0, MOST), "points"),
    range("score.medium", Closed(1.0, MOST), "points"),
    range("score.high", Closed(1.0, MOST), "points"),
    range("risk.low", Below(0.0, 1.0), "(a probability)"),
    range("risk.medium", Below(0.0, 1.0), "(a probability)"),
    range("risk.high", Below(0.0, 1.0), "(a probability)"),
    range("risk.critical", Below(0.0, 1.0), "(a probability)"),
    range("risk.repeat", Below(0.0, 1.0), "(a part of one)"),
    range("risk.tactic", Closed(0.0, 100.0), "(evidence)"),
    range("risk.rest", Below(0.0, 1.0), "(a part of one)"),
    range("risk.min_sources", Closed(0.0, MOST), "sources"),
    range("risk.medium_level", Closed(1.0, 100.0), "(a risk)"),
    range("risk.high_level", Closed(1.0, 100.0), "(a risk)"),
    range("incidents.within", Span(1.0, LONGEST_SPAN), ""),
    range("incidents.max_shared", Closed(0.0, MOST), "entities"),
    range("watchlists.*.weight", Closed(1.0, 1_000.0), "times"),
    range("compression_staging.join_window", Span(0.0, LONGEST_SPAN), ""),
    range("cli_storage_uploads.join_window", Span(0.0, LONGEST_SPAN), ""),
    range("cli_storage_uploads.corroboration_window", Span(0.0, LONGEST_SPAN), ""),
    range("egress_spikes.hours", Closed(1.0, 8_784.0), "hours"),
    range("egress_spikes.factor", Above(0.0, 1e6), "times"),
    range("egress_spikes.min_history", Closed(0.0, 8_784.0), "hours"),
    range("egress_spikes.min_bytes", Closed(0.0, MOST_BYTES), "bytes"),
    range("event_timeline.bin_minutes", Closed(1.0, 1_440.0), "minutes"),
    range("top_talkers.limit", Closed(1.0, MOST), "rows"),
    range("port_usage.limit", Closed(1.0, MOST), "rows"),
    range("beaconing.max_jitter", Above(0.0, 100.0), "(deviation over mean)"),
    range("beaconing.min_intervals", Closed(1.0, MOST), "gaps"),
    range("beacon_scores.min_beats", Closed(1.0, MOST), "beats"),
    range("beacon_scores.min_timing", Closed(0.0, 1.0), "(a score)"),
    range("beacon_scores.min_score", Closed(0.0, 1.0), "(a score)"),
    range("beacon_scores.known_services.*.port", Closed(0.0, 65_535.0), "(a port)"),
    range("beacon_scores.known_services.*.factor", Closed(0.0, 1.0), "times"),
    range("dns_tunneling.min_queries", Closed(1.0, MOST), "queries"),
    range("dns_tunneling.max_average_bytes", Closed(0.0, MOST), "bytes"),
    range("data_exfiltration.min_sent_mb", Closed(0.0, MOST), "megabytes"),
    range("data_exfiltration.limit", Closed(1.0, MOST), "rows"),
    range("attack_timeline.min_sent_bytes", Closed(0.0, MOST_BYTES), "bytes"),
    range("attack_timeline.min_dns_sent_bytes", Closed(0.0, MOST_BYTES), "bytes"),
    range("multi_location_users.min_ips", Closed(1.0, MOST), "addresses"),
    range("multi_location_users.travel_window", Span(0.0, LONGEST_SPAN), ""),
    range("top_accounts.limit", Closed(1.0, MOST), "rows"),
    range("rare_combinations.max_events", Closed(1.0, MOST), "events"),
    range("rare_combinations.rare_country_share", Closed(0.0, 1.0), "(a part of one)"),
];

/// Checks every number and length of time that `layer` gives.
///
/// # Errors
/// [`Error::Config`] naming the file, the line, the parameter, its value and its range; and where the text is no TOML.
pub(super) fn check_ranges(layer: &Layer<'_>) -> Result<()> {
    let table = DeTable::parse(layer.text).map_err(|error| super::layer_error(layer, &error))?;
    RANGES.iter().try_for_each(|range| {
        let segments: Vec<&str> = range.path.split('.').collect();
        check_table(layer, range, &segments, "", table.get_ref())
    })
}

/// Checks what of `table`, which stands at `path`, is at the rest of the range's path.
fn check_table(
    layer: &Layer<'_>,
    range: &Range,
    rest: &[&str],
    path: &str,
    table: &DeTable<'_>,
) -> Result<()> {
    let Some((segment, rest)) = rest.split_first() else { return Ok(()) };
    let mut meant = table.iter().filter(|(name, _)| *segment == "*" || name.get_ref() == segment);
    meant.try_for_each(|(name, inner)| {
        let path =
            if path.is_empty() { name.get_ref().to_string() } else { format!("{path}.{}", name.get_ref()) };
        check_inner(layer, range, rest, &path, inner)
    })
}

fn check_inner(
    layer: &Layer<'_>,
    range: &Range,
    rest: &[&str],
    path: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<()> {
    match (value.get_ref(), rest) {
        (_, []) => check_value(layer, range, path, value),
        (DeValue::Table(table), _) => check_table(layer, range, rest, path, table),
        (DeValue::Array(list), ["*", rest @ ..]) => {
            let mut elements = list.iter().enumerate();
            elements.try_for_each(|(index, inner)| {
                check_inner(layer, range, rest, &format!("{path}[{index}]"), inner)
            })
        }
        // Of another type than the section has: that is told where the file is read whole.
        _ => Ok(()),
    }
}

fn check_value(layer: &Layer<'_>, range: &Range, path: &str, value: &Spanned<DeValue<'_>>) -> Result<()> {
    let written = layer.text.get(value.span()).unwrap_or_default();
    let number = match (value.get_ref(), &range.bounds) {
        (DeValue::Integer(number), _) => {
            i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
        }
        (DeValue::Float(number), _) => number.as_str().parse().ok(),
        (DeValue::String(text), Span(..)) if text != "unlimited" => {
            parse_duration(text).ok().map(|micros| micros as f64 / MICROS_PER_SECOND as f64)
        }
        _ => None,
    };
    match number {
        Some(number) if !range.holds(number) => {
            let line = line_of(layer.text, value.span().start);
            Err(Error::Config(format!(
                "{}, line {line}: {path} is {written}: it must be {range}",
                layer.name
            )))
        }
        _ => Ok(()),
    }
}

/// The line of a place in a text, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

impl Range {
    /// What is not a number is in no range.
    fn holds(&self, number: f64) -> bool {
        match self.bounds {
            Closed(least, most) | Span(least, most) => (least..=most).contains(&number),
            Above(least, most) => number > least && number <= most,
            Below(least, most) => (least..most).contains(&number),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bounds {
            Closed(least, most) => write!(formatter, "from {least} to {most} {}", self.unit),
            Above(least, most) => write!(formatter, "above {least} and at most {most} {}", self.unit),
            Below(least, most) => write!(formatter, "at least {least} and below {most} {}", self.unit),
            Span(least, most) => {
                write!(formatter, "from {least}s to {}d, or unlimited", most / SECONDS_PER_DAY)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Config;

    fn numbers(path: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, inner)| numbers(&format!("{path}.{name}"), inner, found));
            }
            Value::Array(list) => list.iter().for_each(|inner| numbers(&format!("{path}.*"), inner, found)),
            Value::Number(_) => found.push(path.trim_start_matches('.').to_owned()),
            Value::String(text) if text == "unlimited" || parse_duration(text).is_ok() => {
                found.push(path.trim_start_matches('.').to_owned());
            }
            _ => {}
        }
    }

    fn check(text: &str) -> Result<()> {
        check_ranges(&Layer { name: "mine.toml", text })
    }

    #[test]
    fn every_number_of_the_presets_has_a_range() {
        let own = "[tables.AuditLogs]\nfolder_slack_days = 1\n[[watchlists]]\nname = 'a'\nkind = 'ip'\neffect = 'weigh'\nweight = 2.0";
        for preset in crate::config::PRESETS {
            let config = Config::load(preset, &[Layer { name: "mine.toml", text: own }]).unwrap();
            let mut found = Vec::new();
            numbers("", &serde_json::to_value(&config).unwrap(), &mut found);
            found.iter_mut().for_each(|path| *path = path.replace("tables.AuditLogs", "tables.*"));
            assert!(found.len() >= RANGES.len());
            for path in found {
                assert!(RANGES.iter().any(|range| range.path == path), "{path} has no range");
            }
        }
    }

    #[test]
    fn a_value_outside_is_told_with_its_range() {
        for (text, told) in [
            (
                "[beaconing]\nmax_jitter = -1",
                "mine.toml, line 2: beaconing.max_jitter is -1: it must be above 0 and at most 100 (deviation over mean)",
            ),
            ("[beaconing]\nmax_jitter = 0.0", "beaconing.max_jitter is 0.0"),
            ("[beaconing]\nmax_jitter = nan", "beaconing.max_jitter is nan"),
            (
                "[top_talkers]\n# none\nlimit = 0",
                "line 3: top_talkers.limit is 0: it must be from 1 to 1000000000 rows",
            ),
            ("[top_talkers]\nlimit = -5", "top_talkers.limit is -5"),
            ("[risk]\nhigh = 1.0", "risk.high is 1.0: it must be at least 0 and below 1"),
            (
                "[incidents]\nwithin = '0s'",
                "incidents.within is '0s': it must be from 1s to 36500d, or unlimited",
            ),
            ("tables.AuditLogs.folder_slack_days = 4_000", "tables.AuditLogs.folder_slack_days is 4_000"),
            (
                "[beacon_scores]\nknown_services = [{ name = 'a', port = 1, factor = 1 }, { name = 'b', port = 70000, factor = 1 }]",
                "beacon_scores.known_services[1].port is 70000",
            ),
            ("[[watchlists]]\nweight = 0.5", "watchlists[0].weight is 0.5: it must be from 1 to 1000 times"),
            ("[beaconing\n", "mine.toml"),
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        check("[incidents]\nwithin = 'unlimited'\n[egress_spikes]\nhours = 0x18\nfactor = 2").unwrap();
    }
}
