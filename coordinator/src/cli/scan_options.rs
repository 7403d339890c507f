//! What all commands that scan have in common: the lake, the parameters, and whether it is done here or by a coordinator.

use std::path::{Path, PathBuf};

use hindcast_common::catalog::Location;
use hindcast_common::engine::LocalOptions;
use hindcast_common::{Error, Result};
use hindcast_proto::v1::ScanRequest;

use super::arguments::{available_threads, default_state, parse_bytes};
use super::own_files::read_own;
use crate::client::Credentials;
use crate::geoip::LocationDatabase;
use crate::own_detections::DetectionPolicy;
use crate::scan::check_request;

/// Merges at once in this process: while one orders its result, the other's tasks use the threads.
pub(super) const CONCURRENT_MERGES: usize = 2;

/// Which lake is looked at, and how.
#[derive(Debug, clap::Args)]
pub struct ScanOptions {
    /// The lake: a path, file://, s3://, az://, abfss:// or gs:// URL
    #[arg(long, value_name = "URL")]
    lake: String,
    /// Parameters to start from: default or notebook
    #[arg(long, default_value = "default")]
    preset: String,
    /// Parameters and table mappings laid over the preset
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder or URL of detections of your own, beside the built-in ones; may be given several times
    #[arg(long, value_name = "DIR")]
    detections: Vec<String>,
    /// Where addresses are: a database of cities or countries in MaxMind's format
    #[arg(long, value_name = "FILE.mmdb")]
    geoip: Option<PathBuf>,
    /// Where rollups are kept for the next scan [default: the user's cache folder]
    #[arg(long, value_name = "URL")]
    state: Option<String>,
    /// Keep no rollups and use none from earlier
    #[arg(long, conflicts_with = "state")]
    pub(super) no_cache: bool,
    /// Threads [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for grouping, sorting and joining, beyond which they spill to disk
    #[arg(long, default_value = "4GiB", value_name = "SIZE", value_parser = parse_bytes)]
    memory: usize,
    /// Have this coordinator scan: HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with_all = ["state", "threads", "memory"])]
    pub(super) coordinator: Option<String>,
    #[command(flatten)]
    pub(super) credentials: Credentials,
    /// End with 0 even where something could not be read or was not looked at
    #[arg(long)]
    allow_partial: bool,
    /// Say nothing but errors
    #[arg(long, conflicts_with = "json")]
    pub(super) quiet: bool,
    /// Print summary.json (with --dry-run: the plan) instead of text
    #[arg(long)]
    pub(super) json: bool,
}

impl ScanOptions {
    /// Threads of the whole process.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(available_threads, usize::from)
    }

    /// How the engine of this process is set up.
    pub(super) fn local_options(&self) -> LocalOptions {
        LocalOptions { threads: self.threads(), memory_bytes: self.memory }
    }

    /// Where a person is told how it goes.
    pub(super) fn prints_text(&self) -> bool {
        !self.quiet && !self.json
    }

    /// What is asked for, of all rows and analyses, whatever the window.
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
            ..ScanRequest::default()
        })
    }

    /// A request as a coordinator takes it.
    ///
    /// # Errors
    /// [`Error::Config`] where it is wrong, or asks for what only this process could do.
    pub(super) fn for_coordinator(&self, mut request: ScanRequest) -> Result<ScanRequest> {
        if self.geoip.is_some() {
            return Err(Error::Config(
                "a coordinator locates addresses by its own database: give --geoip to `hindcast coordinator`, not here"
                    .into(),
            ));
        }
        check_request(&request, &DetectionPolicy::of_own_process())?;
        // The coordinator has another working folder.
        request.lake = Location::parse(&request.lake)?.url().to_owned();
        Ok(request)
    }

    /// Where addresses are, as far as this process is told.
    pub(super) fn locations(&self) -> Result<Option<LocationDatabase>> {
        self.geoip.as_deref().map(LocationDatabase::open).transpose()
    }

    /// Whether the exit code is to tell that a run has not looked at the whole.
    pub(super) fn is_incomplete(&self, is_whole: bool) -> bool {
        !is_whole && !self.allow_partial
    }

    /// Where this process keeps state: in `scratch` where it is to keep none.
    pub(super) fn state_location(&self, scratch: &Path) -> Result<Location> {
        match &self.state {
            Some(url) => Location::parse(url),
            None if self.no_cache => Location::parse(&scratch.display().to_string()),
            None => Location::parse(&default_state()?.display().to_string()),
        }
    }
}
