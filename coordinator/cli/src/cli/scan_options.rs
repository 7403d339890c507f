//! Options of all commands that scan: the lake, the parameters, and whether this process or a coordinator scans.

use std::path::{Path, PathBuf};

use hindcast_base::time::parse_time;
use hindcast_base::{Error, Result};
use hindcast_engine::LocalOptions;
use hindcast_lake::Location;
use hindcast_proto::v1::{ScanRequest, TableVersion};

use super::arguments::{available_threads, default_state, parse_memory};
use super::own_files::read_own;
use crate::client::Credentials;
use hindcast_scan::check_request;
use hindcast_scan::geoip::LocationDatabase;
use hindcast_scan::own_detections::DetectionPolicy;

/// Merges that this process runs at once: while one sorts its result, the tasks of the other use the threads.
pub(super) const CONCURRENT_MERGES: usize = 2;

/// Which lake is scanned, and how.
#[derive(Debug, clap::Args)]
pub struct ScanOptions {
    /// The lake: a path, or a file://, s3://, az://, abfss:// or gs:// URL
    #[arg(long, value_name = "URL")]
    lake: String,
    /// Preset of parameters: default or notebook
    #[arg(long, default_value = "default")]
    preset: String,
    /// Configuration file with parameters and table mappings, which override the preset
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Version of the Delta table to read: N, or TABLE=N (repeated) if there are several
    #[arg(long = "version", value_name = "[TABLE=]N", value_parser = parse_version)]
    versions: Vec<TableVersion>,
    /// Read Delta tables as they were at this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    as_of: Option<i64>,
    /// Folder or URL of your own detections, in addition to the built-in ones; may be repeated
    #[arg(long, value_name = "DIR")]
    detections: Vec<String>,
    /// Location database: cities or countries in MaxMind's format
    #[arg(long, value_name = "FILE.mmdb")]
    geoip: Option<PathBuf>,
    /// Location of the rollups that later scans use [default: the user's cache folder]
    #[arg(long, value_name = "URL")]
    state: Option<String>,
    /// Don't use rollups of earlier scans, and don't store new ones
    #[arg(long, conflicts_with = "state")]
    pub(super) no_cache: bool,
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for grouping, sorting and joining; beyond it, data is spilled to disk
    #[arg(long, default_value = "4GiB", value_name = "SIZE", value_parser = parse_memory)]
    memory: usize,
    /// Let this coordinator scan: HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with_all = ["state", "threads", "memory"])]
    pub(super) coordinator: Option<String>,
    #[command(flatten)]
    pub(super) credentials: Credentials,
    /// Exit with 0 even if something could not be read or was skipped
    #[arg(long)]
    allow_partial: bool,
    /// Print only errors
    #[arg(long, conflicts_with = "json")]
    pub(super) quiet: bool,
    /// Print summary.json instead of text; with --dry-run, what would be computed
    #[arg(long)]
    pub(super) json: bool,
}

impl ScanOptions {
    /// Threads of the process.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(available_threads, usize::from)
    }

    /// Options of the engine in this process.
    pub(super) fn local_options(&self) -> LocalOptions {
        LocalOptions { threads: self.threads(), memory_bytes: self.memory }
    }

    /// Whether progress and results are printed as text.
    pub(super) fn prints_text(&self) -> bool {
        !self.quiet && !self.json
    }

    /// A request for all rows and all analyses, without a window.
    pub(super) async fn request(&self) -> Result<ScanRequest> {
        let (config, detections) = read_own(self.config.as_deref(), &self.detections).await?;
        let config_name = self.config.as_ref().map(|path| path.display().to_string());
        Ok(ScanRequest {
            lake: self.lake.clone(),
            preset: self.preset.clone(),
            config,
            config_name: config_name.unwrap_or_default(),
            detections: detections.to_request()?,
            no_cache: self.no_cache,
            versions: self.versions.clone(),
            as_of_us: self.as_of,
            ..ScanRequest::default()
        })
    }

    /// Checks and adapts a request for a coordinator.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the request is invalid, or needs something that only this process has.
    pub(super) fn for_coordinator(&self, mut request: ScanRequest) -> Result<ScanRequest> {
        if self.geoip.is_some() {
            return Err(Error::Invalid(
                "a coordinator uses its own location database: give --geoip to `hindcast coordinator`, not here"
                    .into(),
            ));
        }
        check_request(&request, &DetectionPolicy::of_own_process())?;
        // A relative path is relative to this process, not to the coordinator.
        request.lake = Location::parse(&request.lake)?.url().to_owned();
        Ok(request)
    }

    /// The location database, if one is given.
    pub(super) fn locations(&self) -> Result<Option<LocationDatabase>> {
        self.geoip.as_deref().map(LocationDatabase::open).transpose()
    }

    /// Whether the exit status must report incomplete coverage.
    pub(super) fn is_incomplete(&self, is_whole: bool) -> bool {
        !is_whole && !self.allow_partial
    }

    /// Location of the state; in `scratch` if nothing is to be stored.
    pub(super) fn state_location(&self, scratch: &Path) -> Result<Location> {
        match &self.state {
            Some(url) => Location::parse(url),
            None if self.no_cache => Location::parse(&scratch.display().to_string()),
            None => Location::parse(&default_state()?.display().to_string()),
        }
    }
}

/// A version of a Delta table: `N` or `TABLE=N`.
fn parse_version(text: &str) -> Result<TableVersion, String> {
    let (table, number) = text.split_once('=').unwrap_or(("", text));
    let number = number.trim().parse().map_err(|_| format!("{number:?} is not the number of a version"))?;
    Ok(TableVersion { table: table.trim().to_owned(), number })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind as ArgumentError;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        options: ScanOptions,
    }

    fn parse(arguments: &str) -> Result<ScanOptions, ArgumentError> {
        let arguments = ["command", "--lake", "lake"].into_iter().chain(arguments.split_whitespace());
        Command::try_parse_from(arguments).map(|command| command.options).map_err(|error| error.kind())
    }

    #[test]
    fn defaults_are_those_of_the_help() {
        let options = parse("").unwrap();
        assert_eq!((options.preset.as_str(), options.memory), ("default", 4 << 30));
        assert!(options.prints_text() && options.threads() > 0);
        assert!(options.is_incomplete(false) && !options.is_incomplete(true));
        assert!(!parse("--allow-partial").unwrap().is_incomplete(false));
        assert!(!parse("--quiet").unwrap().prints_text() && !parse("--json").unwrap().prints_text());
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for arguments in [
            "--no-cache --state s",
            "--quiet --json",
            "--coordinator h:1 --threads 2",
            "--coordinator h:1 --memory 1GiB",
            "--coordinator h:1 --state s",
        ] {
            assert_eq!(parse(arguments).unwrap_err(), ArgumentError::ArgumentConflict, "{arguments}");
        }
        for arguments in ["--threads 0", "--memory none", "--version T=x", "--as-of soon"] {
            assert_eq!(parse(arguments).unwrap_err(), ArgumentError::ValueValidation, "{arguments}");
        }
    }

    #[tokio::test]
    async fn versions_and_times_of_delta_tables_are_part_of_the_request() {
        let request =
            parse("--version A=3 --version B=0 --as-of 1970-01-02").unwrap().request().await.unwrap();
        let versions = request.versions.iter().map(|version| (version.table.as_str(), version.number));
        assert_eq!(versions.collect::<Vec<_>>(), [("A", 3), ("B", 0)]);
        assert_eq!(request.as_of_us, Some(86_400_000_000));
        let only = parse("--version 7").unwrap().request().await.unwrap().versions;
        assert_eq!((only[0].table.as_str(), only[0].number), ("", 7));
    }

    #[tokio::test]
    async fn a_coordinator_gets_absolute_places_and_no_location_database() {
        let options = parse("--coordinator h:1").unwrap();
        let request = options.request().await.unwrap();
        assert_eq!(request.lake, "lake");
        let sent = options.for_coordinator(request.clone()).unwrap();
        assert!(sent.lake.starts_with("file:///") && sent.lake.ends_with("/lake/"), "{}", sent.lake);
        let error = parse("--geoip a.mmdb").unwrap().for_coordinator(request).unwrap_err().to_string();
        assert!(error.contains("`hindcast coordinator`"), "{error}");
    }

    #[test]
    fn state_is_kept_only_with_a_cache() {
        let scratch = Path::new("/scratch");
        let url =
            |arguments: &str| parse(arguments).unwrap().state_location(scratch).unwrap().url().to_owned();
        assert!(url("--no-cache").ends_with("/scratch/"));
        assert!(url("--state /srv/state").ends_with("/srv/state/"));
    }
}
