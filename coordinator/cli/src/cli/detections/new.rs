//! `hindcast detections new`

use std::path::PathBuf;

use clap::Args;
use hindcast_base::{Error, Result};
use hindcast_detections::config::Config;
use hindcast_lake::Location;

use super::super::Outcome;
use hindcast_scan::own_detections::{OwnFiles, read_folders};

/// The files of a new detection by name; `{{id}}` stands for its id.
const FILES: [(&str, &str); 3] = [
    ("detection.toml", include_str!("../../../skeleton/detection.toml")),
    ("query.sql", include_str!("../../../skeleton/query.sql")),
    ("cases.toml", include_str!("../../../skeleton/cases.toml")),
];
/// The placeholder for the id.
const ID: &str = "{{id}}";

/// Arguments of `hindcast detections new`.
#[derive(Debug, Args)]
pub(super) struct NewArguments {
    /// Name of the detection and of its table: lower-case letters, digits and _
    id: String,
    /// Folder of detections in which the folder of the new one is created
    #[arg(long, default_value = "detections", value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command.
pub(super) async fn run(arguments: &NewArguments) -> Result<Outcome> {
    let id = &arguments.id;
    // The loader checks the name.
    let mut files = OwnFiles::default();
    for (name, text) in texts(id) {
        let path = format!("{id}/{name}");
        files.add(&path, text, &path)?;
    }
    let detections = files.load()?;
    files.check(&Config::load_with("default", &[], detections)?)?;

    let folder = arguments.dir.join(id);
    if folder.exists() {
        return Err(Error::Invalid(format!("{} exists already", folder.display())));
    }
    std::fs::create_dir_all(&folder).map_err(Error::io(format!("creating {}", folder.display())))?;
    for (name, text) in texts(id) {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    let dir = arguments.dir.display();
    println!("created detection.toml, query.sql and cases.toml in {}", folder.display());
    // Another detection in the folder may have the same name.
    let others = read_folders(&[Location::parse(&dir.to_string())?]).await?;
    if let Err(error) = others.replacing().load() {
        println!("the other detections in this folder have an error: {error}");
    }
    println!("check:  hindcast detections lint {dir}");
    println!("test:   hindcast detections test {id} --detections {dir}");
    println!("use:    hindcast scan --lake LAKE --detections {dir}");
    Ok(Outcome::Done)
}

fn texts(id: &str) -> impl Iterator<Item = (&'static str, String)> {
    FILES.into_iter().map(move |(name, text)| (name, text.replace(ID, id)))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[tokio::test]
    async fn a_new_detection_passes_its_checks_and_cases() {
        let mut files = OwnFiles::default();
        for (name, text) in texts("mine") {
            let path = format!("mine/{name}");
            files.add(&path, text, &path).unwrap();
        }
        let detections = files.load().unwrap();
        files.check(&Config::load_with("default", &[], detections).unwrap()).unwrap();
        let reports = hindcast_cases::run(&detections, "mine").await.unwrap();
        assert_eq!(reports.len(), 2);
        for report in reports {
            assert!(report.passed(), "{report}");
        }
    }
}
