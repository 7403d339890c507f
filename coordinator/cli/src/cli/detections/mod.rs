//! `hindcast detections`

mod lint;
mod list;
mod messages;
mod new;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hindcast_base::{Error, Result};
use hindcast_detections::config::{Config, Layer};
use hindcast_detections::docs::pages;

use super::Outcome;
use super::arguments::available_threads;
use super::own_files::{read_for_trial, read_own};
use hindcast_scan::lake_access::{Access, LakeLayers, open_lake};
use hindcast_scan::own_detections::{DetectionPolicy, OwnFiles};

/// Arguments of `hindcast detections`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast detections list
  hindcast detections show dns_tunneling
  hindcast detections new many_destinations --dir detections
  hindcast detections lint detections
  hindcast detections test --detections detections
  hindcast detections test many_destinations --detections detections \\
      --lake s3://telemetry/lake --last 7d
  hindcast scan --lake s3://telemetry/lake --detections detections --last 24h

docs/writing-detections.md explains how to write a detection. lint, test and docs also accept folders of built-in detections, \
which then replace those in this binary: `hindcast detections lint common/detections/detections` checks what a build would contain. \
Scans refuse such folders.

Exit status: 0 done; 1 a case failed; 2 invalid arguments or an invalid detection; 3 incomplete coverage of --lake")]
pub struct DetectionsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the built-in detections and your own
    List(list::ListArguments),
    /// Show everything about one detection
    Show(list::ShowArguments),
    /// Create the files of a new detection
    New(new::NewArguments),
    /// Run the cases of detections, or show what they find in a lake
    Test(Box<test::TestArguments>),
    /// Check folders of detections and report errors with file and line
    Lint(lint::LintArguments),
    /// Write the documentation of detections as Markdown
    Docs(DocsArguments),
}

/// Which detections to use in addition to the built-in ones, and with which parameters.
#[derive(Debug, Args)]
struct KnownArguments {
    /// Folder or URL of your own detections; may be repeated
    #[arg(long, value_name = "DIR")]
    detections: Vec<String>,
    /// A lake, whose configuration may add detections and set parameters
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// Preset of parameters: default or notebook
    #[arg(long, default_value = "default")]
    preset: String,
    /// Configuration file with parameters that override the preset
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl KnownArguments {
    /// The parameters, with the detections.
    async fn config(&self) -> Result<Config> {
        self.loaded(read_own(self.config.as_deref(), &self.detections).await?).await
    }

    /// As [`KnownArguments::config`], but the files replace built-in detections of the same id. Also returns the files.
    async fn for_trial(&self) -> Result<(Config, OwnFiles)> {
        let (text, files) = read_for_trial(self.config.as_deref(), &self.detections).await?;
        Ok((self.loaded((text, files.clone())).await?, files))
    }

    async fn loaded(&self, (text, files): (String, OwnFiles)) -> Result<Config> {
        let name = self.config.as_ref().map(|path| path.display().to_string());
        let own = name.as_ref().map(|name| Layer { name, text: &text });
        if let Some(lake) = &self.lake {
            let layers = LakeLayers { preset: &self.preset, own, detections: &files };
            let policy = DetectionPolicy::of_own_process();
            return Ok(open_lake(lake, &layers, &Access::Any, &policy).await?.1);
        }
        let layers: Vec<Layer<'_>> = own.into_iter().collect();
        let config = Config::load_with(&self.preset, &layers, files.load()?)?;
        files.check(&config)?;
        Ok(config)
    }
}

/// Arguments of `hindcast detections docs`.
#[derive(Debug, Args)]
struct DocsArguments {
    /// Folder for the pages
    dir: PathBuf,
    #[command(flatten)]
    known: KnownArguments,
}

impl DetectionsArguments {
    /// Threads of the process.
    pub(super) fn threads(&self) -> usize {
        match &self.action {
            Action::Test(arguments) => arguments.threads(),
            _ => available_threads(),
        }
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &DetectionsArguments) -> Result<Outcome> {
    match &arguments.action {
        Action::List(arguments) => list::list(arguments).await,
        Action::Show(arguments) => list::show(arguments).await,
        Action::New(arguments) => new::run(arguments).await,
        Action::Test(arguments) => test::run(arguments).await,
        Action::Lint(arguments) => lint::run(arguments).await,
        Action::Docs(arguments) => write_docs(arguments).await,
    }
}

/// Writes the pages, and deletes earlier pages of detections that no longer exist.
async fn write_docs(arguments: &DocsArguments) -> Result<Outcome> {
    let pages = pages(arguments.known.for_trial().await?.0.detections)?;
    let dir = &arguments.dir;
    let failed = |what: &str| Error::io(format!("{what} {}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed("creating"))?;
    for entry in std::fs::read_dir(dir).map_err(failed("listing"))? {
        let path = entry.map_err(failed("listing"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_written =
            std::fs::read_to_string(&path).is_ok_and(|text| hindcast_detections::docs::is_page(&text));
        if is_written && !pages.iter().any(|page| page.name == name) {
            std::fs::remove_file(&path).map_err(Error::io(format!("deleting {}", path.display())))?;
        }
    }
    for page in &pages {
        let path = dir.join(&page.name);
        std::fs::write(&path, &page.text).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    println!("wrote {} pages to {}", pages.len(), dir.display());
    Ok(Outcome::Done)
}
