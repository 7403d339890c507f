//! `hindcast detections lint`

use std::collections::BTreeSet;

use clap::Args;
use hindcast_common::analyses::Analysis;
use hindcast_common::catalog::Location;
use hindcast_common::config::Config;
use hindcast_common::detections::{Detections, cases};
use hindcast_common::{Error, Result};

use super::super::Outcome;
use super::messages::message;
use crate::own_detections::{OwnFiles, read_folders};
use crate::terminal;

/// Arguments of `hindcast detections lint`.
#[derive(Debug, Args)]
pub(super) struct LintArguments {
    /// Folders or URLs of detections; the built-in ones if none is given. What has the id of a built-in one takes its place
    dirs: Vec<String>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: &LintArguments) -> Result<Outcome> {
    let folders = arguments.dirs.iter().map(|dir| Location::parse(dir)).collect::<Result<Vec<_>>>()?;
    let (checked, wrong) = if folders.is_empty() {
        (Detections::built_in().analyses().len(), check_built_in()?)
    } else {
        match read_folders(&folders).await {
            Ok(files) => (files.detections().len(), check(&files.replacing())?),
            Err(error) => (0, BTreeSet::from([message(error)?])),
        }
    };
    if arguments.json {
        terminal::print_json(&wrong)?;
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
    let mut sound = Vec::new();
    for id in files.detections() {
        match files.of_detections(&[id]).load() {
            Ok(_) => sound.push(id),
            Err(error) => {
                wrong.insert(message(error)?);
            }
        }
    }
    // One may use the parameters of another, so those that can be loaded are checked together.
    let files = files.of_detections(&sound);
    let loaded = files.load().and_then(|detections| Config::load_with("default", &[], detections));
    let config = match loaded {
        Ok(config) => config,
        Err(error) => {
            wrong.insert(message(files.at_place(error))?);
            return Ok(wrong);
        }
    };
    let own = config.detections.all().iter().filter(|analysis| analysis.about.is_own);
    let of_cases = own.flat_map(|analysis| problems_of_cases(config.detections, analysis));
    for error in config.detections.problems(&config).into_iter().chain(of_cases) {
        wrong.insert(message(files.at_place(error))?);
    }
    Ok(wrong)
}

fn problems_of_cases(detections: Detections, analysis: &Analysis) -> Vec<Error> {
    cases::problems(detections, analysis).into_iter().map(Error::Config).collect()
}

/// The same of all built-in detections of the suites. Those of investigations need what a scan looks up first.
fn check_built_in() -> Result<BTreeSet<String>> {
    let detections = Detections::built_in();
    let config = Config::load_with("default", &[], detections)?;
    let mut wrong = BTreeSet::new();
    for &analysis in detections.analyses() {
        let of_cases = problems_of_cases(detections, analysis);
        for error in Detections::check(analysis, &config).err().into_iter().chain(of_cases) {
            wrong.insert(message(error)?);
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_ones_are_in_order() {
        assert_eq!(check_built_in().unwrap(), BTreeSet::new());
    }

    #[tokio::test]
    async fn those_of_the_repository_take_the_place_of_the_built_in_ones() {
        let folder = |name: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../common").join(name);
            Location::parse(&path.canonicalize().unwrap().display().to_string()).unwrap()
        };
        let files = read_folders(&[folder("detections"), folder("rollups")]).await.unwrap();
        let refused = files.load().unwrap_err().to_string();
        assert!(refused.contains("already; choose another name"), "{refused}");
        assert_eq!(check(&files.replacing()).unwrap(), BTreeSet::new());
    }
}
