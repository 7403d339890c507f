//! The parameters of the run: allow-lists, watchlists, and all others.

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_detections::config::{Config, Effect};
use hindcast_detections::parameters::ParameterType;
use serde_json::Value;

use super::table::Table;
use super::{Source, format};

/// The section.
#[derive(Template)]
#[template(path = "report/parameters.html")]
pub(super) struct Parameters {
    allow_lists: Vec<(String, Vec<String>)>,
    watchlists: Table,
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl HtmlSafe for Parameters {}

impl Parameters {
    pub(super) fn of(source: &Source<'_>) -> Self {
        let config = &source.config;
        let rows = config.watchlists.iter().map(|list| {
            let effect = match list.effect {
                Effect::Raise => "raises the severity".to_owned(),
                Effect::Weigh => format!("weighs {} times", format::decimal(list.weight)),
                Effect::Allow => "sets findings aside".to_owned(),
            };
            let analyses = if list.analyses.is_empty() { "all".to_owned() } else { list.analyses.join(", ") };
            let entries = format::count(list.entries.len() as u64);
            vec![
                format::text(&list.name),
                list.kind.name().to_owned(),
                effect,
                format::text(&analyses),
                entries,
            ]
        });
        let columns = [
            ("watchlist", "text"),
            ("kind", "keep"),
            ("effect", "keep"),
            ("analyses", "text"),
            ("entries", "number"),
        ];
        Self {
            allow_lists: allow_lists(config),
            watchlists: Table::new(&columns, rows.collect(), config.watchlists.len(), "watchlists"),
            sections: sections(&source.result.report.parameters),
        }
    }
}

/// The allow-lists: parameters whose names say so, those with patterns first, and the own addresses of the network.
fn allow_lists(config: &Config) -> Vec<(String, Vec<String>)> {
    let entries = |path: &str| config.texts(path).iter().map(|text| format::text(text)).collect();
    let mut lists = Vec::new();
    for analysis in config.detections.analyses() {
        for kind in [ParameterType::Patterns, ParameterType::Texts] {
            let parameters = analysis.about.parameters.iter().filter(|(_, parameter)| parameter.kind == kind);
            for (name, _) in parameters {
                let Some(allowed) = name.strip_prefix("allowed_") else { continue };
                // Paths are those of folders: detections do not compare file names with them.
                let allowed =
                    if allowed == "paths" { "folders".to_owned() } else { allowed.replace('_', " ") };
                lists.push((
                    format!("{allowed} of {}", analysis.id),
                    entries(&format!("{}.{name}", analysis.id)),
                ));
            }
        }
    }
    lists.push(("addresses that count as inside".to_owned(), entries("network.private")));
    lists
}

/// Every section with its parameters, except watchlists, which have a table.
fn sections(parameters: &Value) -> Vec<(String, Vec<(String, String)>)> {
    let sections = parameters.as_object().into_iter().flatten().filter(|(name, _)| *name != "watchlists");
    let shown = sections.map(|(name, values)| {
        let values = values.as_object().into_iter().flatten();
        (name.clone(), values.map(|(key, value)| (key.clone(), parameter(value))).collect())
    });
    shown.filter(|(_, values): &(_, Vec<_>)| !values.is_empty()).collect()
}

/// A value on one line. A pattern is shown without its test cases.
fn parameter(value: &Value) -> String {
    match value {
        Value::String(text) => format::text(text),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => {
            let texts = items.iter().map(|item| match item.get("pattern").and_then(Value::as_str) {
                Some(pattern) => format::text(pattern),
                None => parameter(item),
            });
            texts.collect::<Vec<_>>().join("  |  ")
        }
        Value::Object(fields) => {
            let texts =
                fields.iter().map(|(key, value)| format!("{} {}", format::text(key), parameter(value)));
            texts.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}
