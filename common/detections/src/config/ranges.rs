//! The range of every number in the sections that detections share; a detection's own parameters have theirs in its file.
//! A value outside its range would find nothing or everything.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Layer;
use super::bounds::Range;
use hindcast_base::Result;

/// Longest duration: a hundred years.
const MAX_SPAN: f64 = 36_500.0 * 86_400.0;
/// Largest number of rows, keys or events of a parameter.
const MAX_COUNT: f64 = 1e9;

/// Ranges by parameter path, in which `*` stands for any name or any element of a list.
static RANGES: &[(&str, Range)] = &[
    ("tables.*.folder_slack_days", Range::closed(0.0, 366.0, "days")),
    ("roots.*.tables.*.folder_slack_days", Range::closed(0.0, 366.0, "days")),
    ("score.cap", Range::closed(1.0, MAX_COUNT, "points")),
    ("score.medium", Range::closed(1.0, MAX_COUNT, "points")),
    ("score.high", Range::closed(1.0, MAX_COUNT, "points")),
    ("risk.low", Range::below(0.0, 1.0, "(a probability)")),
    ("risk.medium", Range::below(0.0, 1.0, "(a probability)")),
    ("risk.high", Range::below(0.0, 1.0, "(a probability)")),
    ("risk.critical", Range::below(0.0, 1.0, "(a probability)")),
    ("risk.repeat", Range::below(0.0, 1.0, "(a part of one)")),
    ("risk.tactic", Range::closed(0.0, 100.0, "(evidence)")),
    ("risk.rest", Range::below(0.0, 1.0, "(a part of one)")),
    ("risk.min_sources", Range::closed(0.0, MAX_COUNT, "sources")),
    ("risk.medium_level", Range::closed(1.0, 100.0, "(a risk)")),
    ("risk.high_level", Range::closed(1.0, 100.0, "(a risk)")),
    ("incidents.within", Range::span(1.0, MAX_SPAN)),
    ("incidents.max_shared", Range::closed(0.0, MAX_COUNT, "entities")),
    ("own_detections.max_seconds", Range::closed(1.0, 86_400.0, "seconds")),
    ("watchlists.*.weight", Range::closed(1.0, 1_000.0, "times")),
];

/// Checks every number and duration in the shared sections of `layer`.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] naming the file, the line, the parameter, its value and its range.
pub(super) fn check_ranges(layer: &Layer<'_>, table: &DeTable<'_>) -> Result<()> {
    RANGES.iter().try_for_each(|(path, range)| {
        let segments: Vec<&str> = path.split('.').collect();
        check_table(layer, range, &segments, "", table)
    })
}

/// Checks the values of `table`, which is at `path`, that match the rest of the range's path.
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
        (_, []) => range.check(layer, path, value),
        (DeValue::Table(table), _) => check_table(layer, range, rest, path, table),
        (DeValue::Array(list), ["*", rest @ ..]) => {
            let mut elements = list.iter().enumerate();
            elements.try_for_each(|(index, inner)| {
                check_inner(layer, range, rest, &format!("{path}[{index}]"), inner)
            })
        }
        // Another type than the section's: reading the whole file reports it.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::{Config, PRESETS, SHARED_SECTIONS};
    use hindcast_base::time::parse_duration;

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
        check_ranges(&Layer { name: "mine.toml", text }, DeTable::parse(text).unwrap().get_ref())
    }

    #[test]
    fn every_number_of_the_shared_sections_has_a_range() {
        let own = "[tables.AuditLogs]\nfolder_slack_days = 1\n[[watchlists]]\nname = 'a'\nkind = 'ip'\neffect = 'weigh'\nweight = 2.0\n[[roots]]\nname = 'emea'\nurl = '/emea'\n[roots.tables.AuditLogs]\nfolder_slack_days = 1";
        for preset in PRESETS {
            let config = Config::load(preset, &[Layer { name: "mine.toml", text: own }]).unwrap();
            let mut sections = serde_json::to_value(&config).unwrap();
            sections.as_object_mut().unwrap().retain(|name, _| SHARED_SECTIONS.contains(&name.as_str()));
            let mut found = Vec::new();
            numbers("", &sections, &mut found);
            found.iter_mut().for_each(|path| *path = path.replace("tables.AuditLogs", "tables.*"));
            assert_eq!(found.len(), RANGES.len());
            for path in found {
                assert!(RANGES.iter().any(|(known, _)| *known == path), "{path} has no range");
            }
        }
    }

    #[test]
    fn a_value_outside_is_reported_with_its_range() {
        for (text, expected) in [
            ("[risk]\nhigh = 1.0", "mine.toml, line 2: risk.high is 1.0: it must be at least 0 and below 1"),
            ("[risk]\nlow = nan", "risk.low is nan"),
            ("[score]\n# none\ncap = 0", "line 3: score.cap is 0: it must be from 1 to 1000000000 points"),
            (
                "[incidents]\nwithin = '0s'",
                "incidents.within is '0s': it must be from 1s to 36500d, or unlimited",
            ),
            ("tables.AuditLogs.folder_slack_days = 4_000", "tables.AuditLogs.folder_slack_days is 4_000"),
            ("[[watchlists]]\nweight = 0.5", "watchlists[0].weight is 0.5: it must be from 1 to 1000 times"),
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        check("[incidents]\nwithin = 'unlimited'\n[score]\ncap = 0x18").unwrap();
    }
}
