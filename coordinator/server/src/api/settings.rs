//! The configuration of the coordinator: addresses, access, lakes and limits.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use serde::Deserialize;

use crate::jobs::{Schedule, ScheduleSettings};
use hindcast_report::sinks::{Sink, SinkSettings};
use hindcast_scan::own_detections::{DetectionPolicy, read_folders};

/// The configuration of a coordinator, in TOML. Flags of the command line override it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address of the API, of results and of the scheduler.
    pub listen: SocketAddr,
    /// Address of metrics and health.
    pub http: SocketAddr,
    /// Address of the web pages; without it, no pages are served.
    pub web: Option<SocketAddr>,
    /// URL of the state: rollups and jobs.
    pub state: String,
    /// URLs of the lakes that jobs may read.
    pub lakes: Vec<String>,
    /// Paths or URLs of folders with detections, which all jobs use together with the built-in ones.
    pub detections: Vec<String>,
    /// Whether requests and configurations of lakes may contain detections.
    pub allow_detections: bool,
    /// Location database in MaxMind's format.
    pub geoip: Option<PathBuf>,
    /// Folder with `ca.crt`, `tls.crt` and `tls.key`.
    pub tls: Option<PathBuf>,
    /// Whether the coordinator may serve without TLS and without tokens beyond this machine.
    pub insecure: bool,
    /// The accepted tokens.
    pub tokens: Vec<Token>,
    /// Limits of requests and of the job queue.
    pub limits: Limits,
    /// Limits of SQL queries.
    pub sql: SqlLimits,
    /// Deadlines and attempts.
    pub faults: Faults,
    /// Where findings are pushed.
    pub sinks: Vec<SinkSettings>,
    /// Jobs that the coordinator submits by itself.
    pub schedule: Vec<ScheduleSettings>,
}

/// A bearer token, given by its hash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Name of the owner, for jobs and logs.
    pub name: String,
    /// The role of the token.
    pub role: Role,
    /// SHA-256 of the token, 64 hexadecimal digits.
    pub sha256: String,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See jobs and results.
    Read,
    /// Also submit and cancel jobs.
    Submit,
}

/// Limits of requests and of the job queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Jobs that run at once.
    pub concurrent_jobs: usize,
    /// Jobs that may wait.
    pub queued_jobs: usize,
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Bytes of an answer.
    pub message_bytes: usize,
    /// Bytes of an uploaded configuration, with the entries of its watchlists.
    pub config_bytes: usize,
}

/// Limits of SQL queries.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqlLimits {
    /// Queries that run at once; more are refused.
    pub concurrent: usize,
    /// Seconds that a query may take, including the time in which its rows are fetched.
    pub seconds: u64,
    /// Rows of a result.
    pub rows: usize,
    /// Bytes for grouping, sorting and joining of all queries together, in addition to the memory of jobs.
    pub memory_bytes: usize,
    /// Bytes that all queries together may spill to disk.
    pub scratch_bytes: u64,
}

/// Deadlines and attempts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Seconds without a heartbeat after which a worker's tasks are given to others.
    pub worker_timeout_seconds: u64,
    /// Seconds without a finished task after which the missing tasks are submitted again.
    pub stall_seconds: u64,
    /// Consecutive failures after which tasks are tried one by one.
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
    /// Parses `text`; errors call it `name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the setting and its line.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let settings: Self = toml::from_str(text)
            .map_err(|error| Error::Invalid(format!("{name}: {}", error.to_string().trim_end())))?;
        for token in &settings.tokens {
            if token.sha256.len() != 64 || !token.sha256.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(Error::Invalid(format!(
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
            Some((key, _)) => Err(Error::Invalid(format!("{name}: {key} must be above 0"))),
            None => Ok(settings),
        }
    }

    /// The lakes that jobs may read.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid URL.
    pub(super) fn lakes(&self) -> Result<Vec<Location>> {
        self.lakes.iter().map(|url| Location::parse(url)).collect()
    }

    /// Which detections jobs may use.
    ///
    /// # Errors
    /// [`Error::Invalid`] with file and line of an invalid detection, [`Error::Storage`] if a store fails.
    pub(super) async fn detections(&self) -> Result<DetectionPolicy> {
        let folders = self.detections.iter().map(|folder| Location::parse(folder));
        let own = read_folders(&folders.collect::<Result<Vec<_>>>()?).await?;
        own.load()?;
        Ok(DetectionPolicy::of_coordinator(own, self.allow_detections))
    }

    /// The sinks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a sink that can't be used.
    pub(super) fn sinks(&self) -> Result<Vec<Sink>> {
        self.sinks.iter().map(Sink::open).collect()
    }

    /// The schedules.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid schedule, or for two with the same name.
    pub(super) fn schedules(&self) -> Result<Vec<Schedule>> {
        let names: BTreeSet<&str> = self.schedule.iter().map(|one| one.name.as_str()).collect();
        if names.len() < self.schedule.len() {
            return Err(Error::Invalid(
                "two schedules have the same name: the ids of their jobs would collide".into(),
            ));
        }
        self.schedule.iter().map(Schedule::of).collect()
    }

    /// The location of the state.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is missing or invalid.
    pub(super) fn state(&self) -> Result<Location> {
        if self.state.is_empty() {
            return Err(Error::Invalid(
                "no state location: give --state URL, which workers must reach too".into(),
            ));
        }
        Location::parse(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use hindcast_base::ErrorKind;

    use super::*;

    #[test]
    fn errors_name_the_file_and_the_invalid_setting() {
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

    #[test]
    fn everything_has_a_default() {
        let settings = Settings::parse("c.toml", "").unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:7480");
        assert_eq!(settings.http.to_string(), "127.0.0.1:7481");
        assert!(settings.web.is_none() && settings.tokens.is_empty() && !settings.insecure);
        assert_eq!((settings.limits.concurrent_jobs, settings.limits.queued_jobs), (4, 100));
        assert_eq!((settings.faults.stall_seconds, settings.faults.attempts), (600, 4));
        assert_eq!((settings.sql.concurrent, settings.sql.rows), (4, 1_000_000));
        // Only the location of the state has none.
        let error = settings.state().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("--state"), "{error}");
    }

    #[test]
    fn limits_of_zero_are_refused_except_for_waiting_jobs() {
        let keys = [
            "limits.concurrent_jobs",
            "limits.request_bytes",
            "limits.message_bytes",
            "limits.config_bytes",
            "sql.concurrent",
            "sql.rows",
            "sql.memory_bytes",
            "faults.worker_timeout_seconds",
            "faults.stall_seconds",
        ];
        for key in keys {
            let error = Settings::parse("c.toml", &format!("{key} = 0")).unwrap_err().to_string();
            assert!(error.contains(&format!("{key} must be above 0")), "{error}");
        }
        assert_eq!(Settings::parse("c.toml", "limits.queued_jobs = 0").unwrap().limits.queued_jobs, 0);
    }

    #[test]
    fn a_role_allows_the_roles_below_it() {
        assert!(Role::Submit > Role::Read);
        let text = format!("[[tokens]]\nname = 'a'\nrole = 'submit'\nsha256 = '{}'", "Ab".repeat(32));
        assert_eq!(Settings::parse("c.toml", &text).unwrap().tokens[0].role, Role::Submit);
    }

    #[test]
    fn schedules_have_different_names() {
        let schedule = |name: &str| format!("[[schedule]]\nname = '{name}'\nlake = '/lake'\n");
        let settings = |text: &str| Settings::parse("c.toml", text).unwrap().schedules();
        assert_eq!(settings(&(schedule("a") + &schedule("b"))).unwrap().len(), 2);
        let error = settings(&(schedule("a") + &schedule("a"))).unwrap_err().to_string();
        assert!(error.contains("same name"), "{error}");
        assert!(settings(&(schedule("a") + "at = 'noon'\n")).unwrap_err().to_string().contains("noon"));
    }

    #[test]
    fn locations_of_lakes_and_state_are_parsed() {
        let settings =
            Settings::parse("c.toml", "lakes = ['/srv/lake', 's3://bucket/lake']\nstate = '/srv/state'");
        let settings = settings.unwrap();
        assert_eq!(settings.lakes().unwrap().len(), 2);
        assert!(settings.state().unwrap().url().contains("/srv/state"));
        let wrong = Settings { lakes: vec!["ftp://host/lake".into()], ..settings };
        assert_eq!(wrong.lakes().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
