//! `hindcast detections lint`

use std::collections::BTreeSet;

use clap::Args;
use hindcast_base::Result;
use hindcast_detections::Detections;
use hindcast_detections::config::Config;
use hindcast_lake::Location;

use super::super::Outcome;
use super::messages::message;
use crate::terminal;
use hindcast_scan::own_detections::{OwnFiles, read_folders};

/// Arguments of `hindcast detections lint`.
#[derive(Debug, Args)]
pub(super) struct LintArguments {
    /// Folders or URLs of detections [default: the built-in ones]. A detection with the id of a built-in one replaces it
    dirs: Vec<String>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: &LintArguments) -> Result<Outcome> {
    let folders = arguments.dirs.iter().map(|dir| Location::parse(dir)).collect::<Result<Vec<_>>>()?;
    let (checked, errors) = if folders.is_empty() {
        (Detections::built_in().analyses().len(), check_built_in()?)
    } else {
        match read_folders(&folders).await {
            Ok(files) => (files.detections().len(), check(&files.replacing())?),
            Err(error) => (0, BTreeSet::from([message(error)?])),
        }
    };
    if arguments.json {
        terminal::print_json(&errors)?;
    } else {
        errors.iter().for_each(|message| println!("{message}"));
        if errors.is_empty() {
            println!("{checked} checked, no errors");
        }
    }
    Ok(if errors.is_empty() { Outcome::Done } else { Outcome::BadArguments })
}

/// The first error of each detection. Later errors may follow from the first one.
fn check(files: &OwnFiles) -> Result<BTreeSet<String>> {
    let mut errors = BTreeSet::new();
    let mut valid = Vec::new();
    for id in files.detections() {
        match files.of_detections(&[id]).load() {
            Ok(_) => valid.push(id),
            Err(error) => {
                errors.insert(message(error)?);
            }
        }
    }
    // A detection may use the parameters of another, so check the valid ones together.
    let files = files.of_detections(&valid);
    let loaded = files.load().and_then(|detections| Config::load_with("default", &[], detections));
    let config = match loaded {
        Ok(config) => config,
        Err(error) => {
            errors.insert(message(files.at_place(error))?);
            return Ok(errors);
        }
    };
    let own = config.detections.all().iter().filter(|analysis| analysis.about.is_own);
    let of_cases = own.flat_map(|analysis| hindcast_cases::problems(config.detections, analysis));
    for error in config.detections.problems(&config).into_iter().chain(of_cases) {
        errors.insert(message(files.at_place(error))?);
    }
    Ok(errors)
}

/// The errors of all built-in detections of the suites. Those of investigations need results of earlier steps of a scan.
fn check_built_in() -> Result<BTreeSet<String>> {
    let detections = Detections::built_in();
    let config = Config::load_with("default", &[], detections)?;
    let mut errors = BTreeSet::new();
    for &analysis in detections.analyses() {
        let of_cases = hindcast_cases::problems(detections, analysis);
        for error in Detections::check(analysis, &config).err().into_iter().chain(of_cases) {
            errors.insert(message(error)?);
        }
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_detections_have_no_errors() {
        assert_eq!(check_built_in().unwrap(), BTreeSet::new());
    }

    #[tokio::test]
    async fn the_files_of_the_repository_replace_the_built_in_detections() {
        let folder = |name: &str| {
            let path =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../common/detections").join(name);
            Location::parse(&path.canonicalize().unwrap().display().to_string()).unwrap()
        };
        let files = read_folders(&[folder("detections"), folder("rollups")]).await.unwrap();
        let refused = files.load().unwrap_err().to_string();
        assert!(refused.contains("already; choose another name"), "{refused}");
        assert_eq!(check(&files.replacing()).unwrap(), BTreeSet::new());
    }
}
