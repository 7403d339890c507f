//! The coordinator's own configuration: where it listens, who may do what, which lakes it reads, its bounds.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use hindcast_common::catalog::Location;
use hindcast_common::{Error, Result};
use serde::Deserialize;

use crate::jobs::{Schedule, ScheduleSettings};
use crate::own_detections::{DetectionPolicy, read_folders};
use crate::sinks::{Sink, SinkSettings};

/// A coordinator's configuration, TOML. Flags of the command line win over it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address of API, results and scheduler.
    pub listen: SocketAddr,
    /// Address of metrics and health.
    pub http: SocketAddr,
    /// Address of the pages for people's browsers; none where it is not given.
    pub web: Option<SocketAddr>,
    /// URL of the state: rollups and the job store.
    pub state: String,
    /// URLs of the lakes that jobs may name.
    pub lakes: Vec<String>,
    /// Folders of detections, paths or URLs, which all jobs have beside the built-in ones.
    pub detections: Vec<String>,
    /// Whether requests and the configurations of lakes may bring detections of their own.
    pub allow_detections: bool,
    /// Database of where addresses are, in MaxMind's format.
    pub geoip: Option<PathBuf>,
    /// Folder of `ca.crt`, `tls.crt` and `tls.key`.
    pub tls: Option<PathBuf>,
    /// Whether plain text and missing tokens are allowed beyond this machine.
    pub insecure: bool,
    /// Who may do what.
    pub tokens: Vec<Token>,
    /// Bounds of what is accepted.
    pub limits: Limits,
    /// Bounds of queries by SQL.
    pub sql: SqlLimits,
    /// Deadlines and attempts.
    pub faults: Faults,
    /// Where findings are pushed.
    pub sinks: Vec<SinkSettings>,
    /// Jobs it submits by itself.
    pub schedule: Vec<ScheduleSettings>,
}

/// A bearer token, by its hash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose it is, for the job store and logs.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// SHA-256 of the token, 64 hexadecimal digits.
    pub sha256: String,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To see jobs and results.
    Read,
    /// To submit and cancel jobs too.
    Submit,
}

/// Bounds of what is accepted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Jobs run at once.
    pub concurrent_jobs: usize,
    /// Jobs that may wait.
    pub queued_jobs: usize,
    /// Bytes of a request of people.
    pub request_bytes: usize,
    /// Bytes of an answer to them.
    pub message_bytes: usize,
    /// Bytes of a configuration, with the entries of its watchlists, which comes in parts.
    pub config_bytes: usize,
}

/// Bounds of queries by SQL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqlLimits {
    /// Queries run at once; more are refused.
    pub concurrent: usize,
    /// Seconds that one may take, with the time its rows take to be fetched.
    pub seconds: u64,
    /// Rows that one may have.
    pub rows: usize,
    /// Bytes that all queries' grouping, sorting and joining may hold together, beside the memory of jobs.
    pub memory_bytes: usize,
    /// Bytes that they may spill to disk beyond it.
    pub scratch_bytes: u64,
}

/// Deadlines and attempts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Seconds without a sign of life after which a worker's tasks are given to others.
    pub worker_timeout_seconds: u64,
    /// Seconds without a task done after which what is missing is submitted again.
    pub stall_seconds: u64,
    /// Failures in a row before tasks are tried one by one.
    pub attempts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7480)),
            http: SocketAddr::from(([127, 0, 0, 1], 7481)),
            web: None,
            state: String::new(),
            lakes: Vec::new(),
            detections: Vec::new(),
            allow_detections: false,
            geoip: None,
            tls: None,
            insecure: false,
            tokens: Vec::new(),
            limits: Limits::default(),
            sql: SqlLimits::default(),
            faults: Faults::default(),
            sinks: Vec::new(),
            schedule: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_jobs: 4,
            queued_jobs: 100,
            request_bytes: 1 << 20,
            message_bytes: 64 << 20,
            config_bytes: 32 << 20,
        }
    }
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self { concurrent: 4, seconds: 60, rows: 1_000_000, memory_bytes: 128 << 20, scratch_bytes: 1 << 30 }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self { worker_timeout_seconds: 30, stall_seconds: 600, attempts: 4 }
    }
}

impl Settings {
    /// The settings in `text`, called `name` in errors.
    ///
    /// # Errors
    /// [`Error::Config`] naming what is wrong and its line.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let settings: Self = toml::from_str(text)
            .map_err(|error| Error::Config(format!("{name}: {}", error.to_string().trim_end())))?;
        for token in &settings.tokens {
            if token.sha256.len() != 64 || !token.sha256.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(Error::Config(format!(
                    "{name}: sha256 of the token {:?} is not 64 hexadecimal digits",
                    token.name
                )));
            }
        }
        let bounds = [
            ("limits.concurrent_jobs", settings.limits.concurrent_jobs),
            ("limits.request_bytes", settings.limits.request_bytes),
            ("limits.message_bytes", settings.limits.message_bytes),
            ("limits.config_bytes", settings.limits.config_bytes),
            ("sql.concurrent", settings.sql.concurrent),
            ("sql.seconds", settings.sql.seconds as usize),
            ("sql.rows", settings.sql.rows),
            ("sql.memory_bytes", settings.sql.memory_bytes),
            ("faults.worker_timeout_seconds", settings.faults.worker_timeout_seconds as usize),
            ("faults.stall_seconds", settings.faults.stall_seconds as usize),
            ("faults.attempts", settings.faults.attempts as usize),
        ];
        match bounds.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(Error::Config(format!("{name}: {key} must be above 0"))),
            None => Ok(settings),
        }
    }

    /// The lakes jobs may name.
    ///
    /// # Errors
    /// [`Error::Config`] for a URL that can't be read.
    pub(super) fn lakes(&self) -> Result<Vec<Location>> {
        self.lakes.iter().map(|url| Location::parse(url)).collect()
    }

    /// Which detections jobs may have.
    ///
    /// # Errors
    /// [`Error::Config`] naming file and line where a detection of its own is wrong, [`Error::Storage`] where a store fails.
    pub(super) async fn detections(&self) -> Result<DetectionPolicy> {
        let folders = self.detections.iter().map(|folder| Location::parse(folder));
        let own = read_folders(&folders.collect::<Result<Vec<_>>>()?).await?;
        own.load()?;
        Ok(DetectionPolicy::of_coordinator(own, self.allow_detections))
    }

    /// The sinks, ready to be sent to.
    ///
    /// # Errors
    /// [`Error::Config`] for one that can't be used.
    pub(super) fn sinks(&self) -> Result<Vec<Sink>> {
        self.sinks.iter().map(Sink::open).collect()
    }

    /// The jobs it submits by itself.
    ///
    /// # Errors
    /// [`Error::Config`] for one that can't be run, or two of one name.
    pub(super) fn schedules(&self) -> Result<Vec<Schedule>> {
        let names: BTreeSet<&str> = self.schedule.iter().map(|one| one.name.as_str()).collect();
        if names.len() < self.schedule.len() {
            return Err(Error::Config("two schedules have the same name: a job's id is made of it".into()));
        }
        self.schedule.iter().map(Schedule::of).collect()
    }

    /// Where the state is.
    ///
    /// # Errors
    /// [`Error::Config`] where it is not said, or can't be read.
    pub(super) fn state(&self) -> Result<Location> {
        if self.state.is_empty() {
            return Err(Error::Config(
                "say where state is kept: --state URL, which workers reach too".into(),
            ));
        }
        Location::parse(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_is_wrong_with_them() {
        let settings =
            Settings::parse("c.toml", "state = \"s3://b/s\"\n[limits]\nconcurrent_jobs = 2").unwrap();
        assert_eq!((settings.limits.concurrent_jobs, settings.limits.queued_jobs), (2, 100));
        for (text, hint) in [
            ("stat = 1", "unknown field"),
            ("[[tokens]]\nname = \"a\"\nrole = \"admin\"\nsha256 = \"00\"", "unknown variant"),
            ("[[tokens]]\nname = \"a\"\nrole = \"read\"\nsha256 = \"00\"", "64 hexadecimal"),
            ("[faults]\nattempts = 0", "faults.attempts"),
            ("[sql]\nseconds = 0", "sql.seconds"),
        ] {
            let error = Settings::parse("c.toml", text).unwrap_err().to_string();
            assert!(error.contains(hint) && error.contains("c.toml"), "{error}");
        }
    }
}
