//! `hindcast detections lint`

use std::collections::BTreeSet;

use clap::Args;
use hindcast_common::catalog::Location;
use hindcast_common::config::Config;
use hindcast_common::detections::{Detections, cases};
use hindcast_common::{Error, Result};

use super::super::Outcome;
use crate::own_detections::{OwnFiles, read_folders};
use crate::screen;

/// Arguments of `hindcast detections lint`.
#[derive(Debug, Args)]
pub(super) struct LintArguments {
    /// Folders or URLs of detections; the built-in ones if none is given
    dirs: Vec<String>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: &LintArguments) -> Result<Outcome> {
    let folders = arguments.dirs.iter().map(|dir| Location::parse(dir)).collect::<Result<Vec<_>>>()?;
    let files = read_folders(&folders).await?;
    let (checked, wrong) = if folders.is_empty() {
        (Detections::built_in().analyses().len(), check_all(Detections::built_in())?)
    } else {
        (files.detections().len(), check(&files)?)
    };
    if arguments.json {
        screen::print_json(&wrong)?;
    } else {
        wrong.iter().for_each(|message| println!("{message}"));
        if wrong.is_empty() {
            println!("{checked} checked, nothing wrong");
        }
    }
    Ok(if wrong.is_empty() { Outcome::Done } else { Outcome::BadArguments })
}

/// What is wrong with detections: of each the first, since what comes after it may follow from it.
fn check(files: &OwnFiles) -> Result<BTreeSet<String>> {
    let mut wrong = BTreeSet::new();
    for id in files.detections() {
        let alone = files.of_detection(id);
        let checked = alone.load().and_then(|detections| {
            let config = Config::load_with("default", &[], detections)?;
            alone.check(&config)?;
            check_cases(detections, id).map_err(|error| alone.at_place(error))
        });
        if let Err(error) = checked {
            wrong.insert(message(error)?);
        }
    }
    // Together they may contradict each other.
    if wrong.is_empty()
        && let Err(error) = files.load()
    {
        wrong.insert(message(error)?);
    }
    Ok(wrong)
}

fn check_cases(detections: Detections, id: &str) -> Result<()> {
    match detections.by_id(id).and_then(|analysis| analysis.about.cases) {
        Some((file, text)) => cases::parse(file, text).map(drop),
        None => Ok(()),
    }
}

/// The same of all detections of the suites. Those of investigations need what a scan looks up first.
fn check_all(detections: Detections) -> Result<BTreeSet<String>> {
    let config = Config::load_with("default", &[], detections)?;
    let mut wrong = BTreeSet::new();
    for &analysis in detections.analyses() {
        let checked =
            Detections::check(analysis, &config).and_then(|()| check_cases(detections, analysis.id));
        if let Err(error) = checked {
            wrong.insert(message(error)?);
        }
    }
    Ok(wrong)
}

/// What is wrong, as compilers write it: `file:line: message`.
fn message(error: Error) -> Result<String> {
    let Error::Config(text) = error else { return Err(error) };
    let Some((file, rest)) = text.split_once(", line ") else { return Ok(text) };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Ok(match rest.split_at(digits) {
        (line, rest) if !line.is_empty() && rest.starts_with(':') && !file.contains(": ") => {
            format!("{file}:{line}{rest}")
        }
        _ => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_file_and_line_as_compilers_do() {
        let of = |text: &str| message(Error::Config(text.into())).unwrap();
        assert_eq!(of("/d/a/query.sql, line 12: no column x"), "/d/a/query.sql:12: no column x");
        assert_eq!(of("/d/a/query.sql: no such, line 3"), "/d/a/query.sql: no such, line 3");
        assert_eq!(of("a: b, line 3: c"), "a: b, line 3: c");
    }

    #[test]
    fn the_built_in_ones_are_in_order() {
        assert_eq!(check_all(Detections::built_in()).unwrap(), BTreeSet::new());
    }
}
