//! The page of one detection.

use std::fmt::Write;

use hindcast_base::format::counted;
use serde_json::Value;

use super::HEAD;
use super::markdown::{Table, cell, code, codes, one_line};
use crate::analyses::{Analysis, HIDDEN_PREFIX, Locations, Query};
use crate::config::{Config, PRESETS};
use crate::findings::Period;
use crate::parameters::{ParameterDefinition, ParameterType};
use crate::sql::SqlText;

/// Longest list that a cell shows; for a longer one it shows the length.
const SHOWN_ITEMS: usize = 4;
/// Maximum length of the text of such a list.
const SHOWN_LENGTH: usize = 80;

/// The page of `analysis`.
pub(super) fn of(analysis: &Analysis, config: &Config) -> String {
    let parts = [
        head(analysis),
        reads(analysis, config),
        parameters(analysis),
        result(analysis),
        findings(analysis),
        guide(analysis),
        sql(analysis),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn head(analysis: &Analysis) -> Option<String> {
    let mut text = format!(
        "{HEAD}\n\n# {}\n\n{} in the suite {}, version {}.\n\n{}\n",
        analysis.title,
        code(analysis.id),
        analysis.suite.name(),
        analysis.version,
        analysis.about.shows
    );
    let techniques = analysis.finding.iter().flat_map(|rule| rule.techniques.iter());
    let techniques: Vec<String> = techniques
        .map(|technique| format!("[{}]({}) {}", technique.id, technique.url(), technique.name))
        .collect();
    if !techniques.is_empty() {
        let _ = writeln!(text, "\nATT&CK: {}.", techniques.join(", "));
    }
    Some(text)
}

fn reads(analysis: &Analysis, config: &Config) -> Option<String> {
    let mut text = "## What it reads\n\n".to_owned();
    let mut tables = Table::new(&["table", "columns it needs"]);
    for required in analysis.requires {
        tables.row(&[
            codes(required.tables.iter().copied()).replace(", ", " or "),
            codes(required.columns.iter().copied()),
        ]);
    }
    if !tables.is_empty() {
        let _ = writeln!(text, "{tables}");
    }
    let linked = |ids: &[&str]| {
        let links = ids.iter().map(|id| format!("[{}](rollups.md#{id})", code(id)));
        links.collect::<Vec<_>>().join(", ")
    };
    if !analysis.rollups.is_empty() {
        let _ = writeln!(text, "Rollups: {}.", linked(analysis.rollups));
    }
    if !analysis.optional_rollups.is_empty() {
        let _ = writeln!(text, "Optional rollups: {}.", linked(analysis.optional_rollups));
    }
    let other_tables = analysis.rollups.iter().chain(analysis.optional_rollups);
    let other_tables =
        other_tables.filter_map(|id| config.detections.rollup(id)).flat_map(|rollup| rollup.tables);
    if analysis.requires.is_empty() {
        let mut names: Vec<&str> = other_tables.copied().collect();
        names.sort_unstable();
        names.dedup();
        let _ = writeln!(text, "They are computed from {}.", codes(names));
    }
    match analysis.locations {
        Locations::Unused => {}
        Locations::Optional => {
            let _ = writeln!(text, "Locations of addresses, if `--geoip` names a database.");
        }
        Locations::Required => {
            let _ = writeln!(text, "Locations of addresses: it runs only if `--geoip` names a database.");
        }
    }
    if let Some(look_back) = &analysis.look_back {
        let _ = writeln!(text, "It also reads {} for the time before the window.", linked(look_back.rollups));
    }
    if analysis.is_of_all_rows {
        let _ = writeln!(text, "It compares an entity with all others, so investigations do not run it.");
    }
    Some(text)
}

fn parameters(analysis: &Analysis) -> Option<String> {
    let about = &analysis.about;
    if about.parameters.is_empty() && about.uses.is_empty() {
        return None;
    }
    let mut text = "## Parameters\n\n".to_owned();
    if !about.parameters.is_empty() {
        let _ = writeln!(text, "In the section `[{}]` of a configuration file.\n", analysis.id);
        let mut table =
            Table::new(&["parameter", "type", "default", "presets", "range", "unit", "description"]);
        for (name, parameter) in &about.parameters {
            table.row(&row_of(name, parameter));
        }
        let _ = write!(text, "{table}");
    }
    if !about.uses.is_empty() {
        let used = about
            .uses
            .iter()
            .map(|(alias, path)| format!("{} as {}", code(path), code(&format!("${alias}"))));
        let _ = writeln!(text, "\nIt also uses {}.", used.collect::<Vec<_>>().join(", "));
    }
    Some(text)
}

fn row_of(name: &str, parameter: &ParameterDefinition) -> [String; 7] {
    let kind = match parameter.kind {
        ParameterType::Choice => format!("one of {}", codes(parameter.choices.iter().map(String::as_str))),
        ParameterType::Records => {
            let fields = parameter.fields.iter();
            let listed =
                fields.map(|(field, is)| format!("{} ({}: {})", code(field), is.kind.name(), cell(&is.doc)));
            format!("records of {}", listed.collect::<Vec<_>>().join(", "))
        }
        kind => kind.name().to_owned(),
    };
    let of_presets = PRESETS.iter().filter_map(|preset| {
        let value = parameter.presets.get(*preset)?;
        Some(format!("{preset}: {}", value_text(parameter, value)))
    });
    [
        code(name),
        kind,
        parameter.default.as_ref().map(|value| value_text(parameter, value)).unwrap_or_default(),
        of_presets.collect::<Vec<_>>().join("; "),
        parameter.range_text().map(|range| cell(range.trim_end_matches(&parameter.unit))).unwrap_or_default(),
        cell(&parameter.unit),
        cell(&parameter.doc),
    ]
}

/// A value for a cell: a short list in full, a long one as its length.
fn value_text(parameter: &ParameterDefinition, value: &Value) -> String {
    let Value::Array(items) = value else { return code(&plain(value)) };
    let shown: Vec<String> = items.iter().map(plain).collect();
    let length: usize = shown.iter().map(String::len).sum();
    if items.is_empty() {
        return "none".to_owned();
    }
    let is_short = items.len() <= SHOWN_ITEMS && length <= SHOWN_LENGTH;
    if is_short && parameter.kind != ParameterType::Records {
        return codes(shown.iter().map(String::as_str));
    }
    format!("{}, see detection.toml", counted(items.len() as u64, "value"))
}

/// A value without JSON syntax; a pattern with cases as the pattern.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields.get("pattern").map(plain).unwrap_or_else(|| value.to_string()),
        other => other.to_string(),
    }
}

fn result(analysis: &Analysis) -> Option<String> {
    let mut table = Table::new(&["column", "type", "unit", "description"]);
    for column in &analysis.about.columns {
        let kind = column.kind.name().to_owned();
        let hidden =
            if column.name.starts_with(HIDDEN_PREFIX) { " Hidden: not written to the table." } else { "" };
        table.row(&[code(column.name), kind, cell(column.unit), format!("{}{hidden}", cell(column.doc))]);
    }
    let mut text = format!("## Result\n\n`tables/{}`:\n\n{table}", analysis.id);
    let order = analysis.order.iter().map(|(column, is_descending)| {
        format!("{}{}", code(column), if *is_descending { ", the largest first" } else { "" })
    });
    let order: Vec<String> = order.collect();
    if !order.is_empty() {
        let _ = write!(text, "\nOrdered by {}.", order.join(", then "));
    }
    if let Some(limit) = analysis.limit {
        let _ = write!(text, " The result has at most {} rows.", code(limit));
    }
    if !order.is_empty() || analysis.limit.is_some() {
        text.push('\n');
    }
    if let Some(companion) = &analysis.companion {
        let _ = writeln!(text, "\nThe companion table is `tables/{}`.", companion.name);
    }
    Some(text)
}

fn findings(analysis: &Analysis) -> Option<String> {
    let Some(rule) = &analysis.finding else {
        return Some("## Findings\n\nNone: its rows are shown only in tables.\n".to_owned());
    };
    let mut table = Table::new(&["", ""]);
    let mut row = |name: &str, text: String| table.row(&[name.to_owned(), text]);
    row("a row is a finding if", code(&one_line(rule.is_finding.text)));
    row("severity", code(&one_line(rule.severity.text)));
    row("confidence", code(&one_line(rule.confidence.text)));
    let entities = rule.entities.iter();
    let entities = entities
        .map(|entity| format!("{} in {} ({})", entity.kind.name(), code(&entity.column), entity.role.name()));
    row("entities", entities.collect::<Vec<_>>().join(", "));
    row("rows of the same entities are one finding", period(rule.period).to_owned());
    row("kill-chain phase", rule.stage.name().to_owned());
    Some(format!("## Findings\n\n{}.\n\n{table}", rule.title))
}

fn period(period: Period) -> &'static str {
    match period {
        Period::Hour => "within an hour",
        Period::Day => "within a day",
        Period::LastDay => "within the day of the last event",
        Period::Window => "within the window",
    }
}

fn guide(analysis: &Analysis) -> Option<String> {
    let guide = &analysis.about.guide;
    let parts = [
        ("Harmless causes", &guide.benign),
        ("How to confirm it", &guide.confirm),
        ("What to do next", &guide.next),
    ];
    let mut text = String::new();
    for (title, items) in parts.into_iter().filter(|(_, items)| !items.is_empty()) {
        let lead = if text.is_empty() { "" } else { "\n" };
        let list: Vec<String> = items.iter().map(|item| format!("- {item}\n")).collect();
        let _ = write!(text, "{lead}### {title}\n\n{}", list.concat());
    }
    (!text.is_empty()).then(|| format!("## For the analyst\n\n{text}"))
}

fn sql(analysis: &Analysis) -> Option<String> {
    let fenced = |sql: &SqlText| {
        let name = sql.file.rsplit('/').next().unwrap_or(sql.file);
        format!("`{name}`:\n\n```sql\n{}\n```\n", sql.text.trim_end())
    };
    let query = match &analysis.query {
        Query::Sql(sql) => fenced(sql),
        Query::Native(_) => "Its query is written in Rust: `common/detections/src/analyses/`.\n".to_owned(),
    };
    let companion = analysis.companion.as_ref().map(|companion| &companion.query);
    let others = analysis.finish.iter().chain(companion).map(fenced);
    let all: Vec<String> = [query].into_iter().chain(others).collect();
    Some(format!("## SQL\n\n{}", all.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detections;

    fn page_of(id: &str) -> String {
        let config = Config::load("default", &[]).unwrap();
        of(Detections::built_in().by_id(id).unwrap(), &config)
    }

    /// The value of a parameter as its cell shows it.
    fn shown(id: &str, parameter: &str) -> String {
        let parameter = &Detections::built_in().by_id(id).unwrap().about.parameters[parameter];
        value_text(parameter, parameter.default.as_ref().unwrap())
    }

    #[test]
    fn short_values_are_shown_and_long_lists_counted() {
        assert_eq!(shown("beaconing", "min_intervals"), "`4`");
        assert_eq!(shown("compression_staging", "join_window"), "`60m`");
        assert_eq!(shown("compression_staging", "allowed_accounts"), "`backup-svc`");
        assert_eq!(
            shown("compression_staging", "file_name_patterns"),
            r"`\.(?:zip\|7z\|rar\|tar\|gz\|bz2)$`"
        );
        assert_eq!(shown("compression_staging", "command_patterns"), "5 values, see detection.toml");
        assert_eq!(shown("beacon_scores", "known_services"), "9 values, see detection.toml");
    }

    #[test]
    fn a_page_has_the_sections_that_its_detection_fills() {
        let scores = page_of("beacon_scores");
        for part in [
            "## What it reads",
            "[`external_pairs`](rollups.md#external_pairs)",
            "In the section `[beacon_scores]` of a configuration file.",
            "It also uses `beaconing.max_jitter` as `$max_jitter`, `beaconing.min_intervals` as `$min_intervals`.",
            "Ordered by `score`, the largest first.",
            "| kill-chain phase | beacon |",
            "### Harmless causes",
            "`finish.sql`:",
        ] {
            assert!(scores.contains(part), "no {part:?} in {scores}");
        }
        let overview = page_of("traffic_overview");
        assert!(
            overview.contains("None: its rows are shown only in tables.")
                && !overview.contains("## Parameters")
        );
        assert!(page_of("entity_activity").contains("Its query is written in Rust"));
        assert!(page_of("multi_location_users").contains("it runs only if `--geoip` names a database"));
        assert!(page_of("egress_spikes").contains("It also reads"), "it looks back");
    }
}
