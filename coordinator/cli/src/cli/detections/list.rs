//! `hindcast detections list` and `show`

use clap::Args;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::{Analysis, Locations, Query, Suite};
use hindcast_detections::config::Config;
use hindcast_detections::sql::SqlText;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Outcome;
use super::KnownArguments;
use crate::terminal;

/// Arguments of `hindcast detections list`.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    known: KnownArguments,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Arguments of `hindcast detections show`.
#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Id of the detection
    id: String,
    #[command(flatten)]
    known: KnownArguments,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// A detection in a list.
#[derive(Debug, Serialize)]
struct Entry {
    id: &'static str,
    suite: &'static str,
    title: &'static str,
    techniques: Vec<String>,
    raises_findings: bool,
    own: bool,
    version: u32,
}

impl Entry {
    fn of(analysis: &Analysis) -> Self {
        let techniques = analysis.finding.iter().flat_map(|rule| rule.techniques.iter());
        Self {
            id: analysis.id,
            suite: analysis.suite.name(),
            title: analysis.title,
            techniques: techniques.map(|technique| technique.id.to_string()).collect(),
            raises_findings: analysis.finding.is_some(),
            own: analysis.about.is_own,
            version: analysis.version,
        }
    }
}

fn shown(config: &Config) -> impl Iterator<Item = &'static Analysis> {
    config.detections.analyses().iter().chain(config.detections.investigation()).copied()
}

/// Runs `list`.
pub(super) async fn list(arguments: &ListArguments) -> Result<Outcome> {
    let config = arguments.known.config().await?;
    let entries: Vec<Entry> = shown(&config).map(Entry::of).collect();
    if arguments.json {
        terminal::print_json(&entries)?;
        return Ok(Outcome::Done);
    }
    let longest = entries.iter().map(|entry| entry.id.len()).max().unwrap_or_default();
    for entry in &entries {
        let origin = if entry.own { "own" } else { "built-in" };
        let techniques = entry.techniques.join(",");
        let line = format!(
            "{:<longest$}  {:<13}  {origin:<8}  {techniques:<18}  {}",
            entry.id, entry.suite, entry.title
        );
        println!("{}", line.trim_end());
    }
    Ok(Outcome::Done)
}

/// Runs `show`.
pub(super) async fn show(arguments: &ShowArguments) -> Result<Outcome> {
    let config = arguments.known.config().await?;
    // Scans and investigations use further detections, which are not listed.
    let analysis = match config.detections.by_id(&arguments.id) {
        Some(analysis) => analysis,
        None => named(&config, &arguments.id)?,
    };
    let description = description(analysis, &config);
    if arguments.json {
        terminal::print_json(&description)?;
    } else {
        print(analysis, &description);
    }
    Ok(Outcome::Done)
}

/// The detection with this id.
///
/// # Errors
/// [`Error::Invalid`] with the closest id if there is none.
pub(super) fn named(config: &Config, id: &str) -> Result<&'static Analysis> {
    let found = shown(config).find(|analysis| analysis.id == id);
    found.ok_or_else(|| {
        let hint = did_you_mean(id, shown(config).map(|analysis| analysis.id));
        Error::Invalid(format!("there is no detection {id:?}{hint}; `hindcast detections list` lists all"))
    })
}

/// A complete description of a detection, with the values of its parameters.
fn description(analysis: &Analysis, config: &Config) -> Value {
    let about = &analysis.about;
    let parameters = about.parameters.iter().map(|(name, parameter)| {
        let value = config.parameters.get(analysis.id).and_then(|section| section.get(name));
        json!({
            "name": name, "type": parameter.kind.name(), "value": value, "range": parameter.range_text(),
            "unit": parameter.unit, "doc": parameter.doc,
        })
    });
    let columns = about.columns.iter().map(|column| {
        json!({ "name": column.name, "type": column.kind.name(), "unit": column.unit, "doc": column.doc })
    });
    let requires = analysis.requires.iter();
    let requires = requires.map(|required| json!({ "tables": required.tables, "columns": required.columns }));
    let finding = analysis.finding.as_ref().map(|rule| {
        let entities = rule.entities.iter().map(|entity| {
            json!({ "kind": entity.kind.name(), "column": entity.column, "role": entity.role.name() })
        });
        json!({
            "title": rule.title, "stage": rule.stage.name(),
            "techniques": rule.techniques,
            "entities": entities.collect::<Vec<_>>(),
            "is_finding": rule.is_finding.text, "severity": rule.severity.text, "confidence": rule.confidence.text,
        })
    });
    json!({
        "id": analysis.id, "suite": analysis.suite.name(), "title": analysis.title, "version": analysis.version,
        "own": about.is_own, "file": about.file, "shows": about.shows,
        "requires": requires.collect::<Vec<_>>(),
        "rollups": analysis.rollups, "optional_rollups": analysis.optional_rollups,
        "locations": match analysis.locations {
            Locations::Unused => "unused",
            Locations::Optional => "optional",
            Locations::Required => "required",
        },
        "uses": about.uses.iter().map(|(alias, path)| ((*alias).to_owned(), json!(path))).collect::<serde_json::Map<_, _>>(),
        "parameters": parameters.collect::<Vec<_>>(),
        "columns": columns.collect::<Vec<_>>(),
        "order": analysis.order.iter().map(|(column, descending)| format!("{}{column}", if *descending { "-" } else { "" })).collect::<Vec<_>>(),
        "limit": analysis.limit,
        "finding": finding,
        "guide": { "benign": about.guide.benign, "confirm": about.guide.confirm, "next": about.guide.next },
        "sql": parts(analysis).into_iter().map(|sql| (sql.file.to_owned(), json!(sql.text))).collect::<serde_json::Map<_, _>>(),
    })
}

/// The SQL files of a detection.
fn parts(analysis: &Analysis) -> Vec<&SqlText> {
    let query = match &analysis.query {
        Query::Sql(sql) => Some(sql),
        Query::Native(_) => None,
    };
    let companion = analysis.companion.as_ref().map(|companion| &companion.query);
    query.into_iter().chain(analysis.finish.as_ref()).chain(companion).collect()
}

fn print(analysis: &Analysis, description: &Value) {
    let about = &analysis.about;
    let origin = if about.is_own { "own" } else { "built-in" };
    println!("{}: {}", analysis.id, analysis.title);
    println!("suite {}, version {}, {origin}, {}", analysis.suite.name(), analysis.version, about.file);
    if analysis.suite == Suite::Correlation {
        println!("scans use this query internally: it has no result table and is not listed");
    }
    println!("\n{}", about.shows);
    for required in analysis.requires {
        println!("\nrequires {}: {}", required.tables.join(" or "), required.columns.join(", "));
    }
    let rollups: Vec<&str> = analysis.rollups.iter().chain(analysis.optional_rollups).copied().collect();
    println!("reads the rollups {}", rollups.join(", "));
    if !about.parameters.is_empty() {
        println!("\nparameters, in [{}]", analysis.id);
    }
    for parameter in description["parameters"].as_array().into_iter().flatten() {
        let text = |key: &str| parameter[key].as_str().unwrap_or_default().to_owned();
        let range = parameter["range"].as_str().map(|range| format!(" ({range})")).unwrap_or_default();
        println!("  {} = {}{range}\n      {}", text("name"), parameter["value"], text("doc"));
    }
    println!("\ncolumns");
    for column in &about.columns {
        println!("  {:<24} {:<8} {}", column.name, column.kind.name(), column.doc);
    }
    if let Some(rule) = &analysis.finding {
        let techniques =
            rule.techniques.iter().map(|technique| format!("{} {}", technique.id, technique.name));
        println!("\nfindings: {} ({})", rule.title, techniques.collect::<Vec<_>>().join(", "));
        for (name, sql) in
            [("if", rule.is_finding), ("severity", rule.severity), ("confidence", rule.confidence)]
        {
            println!("  {name:<11} {}", sql.text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    let guide = &about.guide;
    for (title, items) in
        [("harmless causes", &guide.benign), ("to confirm", &guide.confirm), ("next", &guide.next)]
    {
        if !items.is_empty() {
            println!("\n{title}");
            items.iter().for_each(|item| println!("  - {item}"));
        }
    }
    for sql in parts(analysis) {
        println!("\n-- {}\n{}", sql.file, sql.text.trim_end());
    }
}
