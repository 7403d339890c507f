//! `hindcast diff`

use std::path::PathBuf;

use clap::Args;
use hindcast_base::Result;

use super::Outcome;
use crate::terminal;
use hindcast_report::compare::{Comparison, Difference, compare};

/// Differences shown per kind; `--json` prints all.
const SHOWN: usize = 20;

/// Arguments of `hindcast diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast diff monday-out tuesday-out
  hindcast diff before after --json | jq '.gone[].why'")]
pub struct DiffArguments {
    /// Result folder of the earlier scan
    #[arg(value_name = "OUT_A")]
    before: PathBuf,
    /// Result folder of the later scan
    #[arg(value_name = "OUT_B")]
    after: PathBuf,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &DiffArguments) -> Result<Outcome> {
    let comparison = compare(&arguments.before, &arguments.after)?;
    if arguments.json {
        terminal::print_json(&comparison)?;
    } else {
        print(&comparison);
    }
    Ok(Outcome::Done)
}

fn print(comparison: &Comparison) {
    println!("risk      {} of 100, then {}", comparison.risk_text.0, comparison.risk_text.1);
    comparison.versions.iter().for_each(|change| println!("version   {change}"));
    println!("same      {}", comparison.same);
    for (name, differences) in
        [("added", &comparison.added), ("gone", &comparison.gone), ("changed", &comparison.changed)]
    {
        println!("{name:<9} {}", differences.len());
        differences.iter().take(SHOWN).for_each(print_difference);
        if differences.len() > SHOWN {
            println!("  and {} more; --json prints all", differences.len() - SHOWN);
        }
    }
}

fn print_difference(difference: &Difference) {
    let finding = &difference.finding;
    let names: Vec<&str> = finding.entities.iter().map(|entity| entity.name.as_str()).collect();
    let when = finding.first_seen.as_deref().unwrap_or_default();
    println!("  {:<8} {when}  {}: {}", finding.severity.name(), finding.title, names.join(", "));
    for (field, (one, other)) in difference.fields.iter().filter(|(field, _)| **field != "evidence") {
        println!("           {field}: {one}, then {other}");
    }
    for reason in &difference.why {
        println!("           {reason}");
    }
}
