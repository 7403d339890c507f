//! Jobs that a coordinator submits by itself, one per period. The id of a job is derived from its schedule and the period, and
//! the job store accepts an id only once.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveTime, Timelike};
use hindcast_base::time::{MICROS_PER_SECOND, format_micros, parse_duration};
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use hindcast_proto::v1::ScanRequest;
use serde::Deserialize;

use super::{JobManager, now_us};
use hindcast_scan::check_request;
use hindcast_scan::lake_access::Access;
use hindcast_scan::own_detections::DetectionPolicy;

/// Interval at which schedules are checked, and so the largest delay of a job.
const LOOK: Duration = Duration::from_secs(10);
/// Shortest period.
const SHORTEST_US: i64 = 60 * MICROS_PER_SECOND;

/// `[[schedule]]` of a coordinator's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Name of the schedule, part of the ids of its jobs.
    pub name: String,
    /// The lake, one of the allowed lakes.
    lake: String,
    /// Length of a period, such as 24h.
    #[serde(default = "a_day")]
    every: String,
    /// Time of day, UTC, at which periods begin.
    #[serde(default = "midnight")]
    at: String,
    /// Length of the window of each scan, ending at the newest row; by default the length of a period.
    #[serde(default)]
    last: Option<String>,
    /// Suites to run; all if empty.
    #[serde(default)]
    suites: Vec<String>,
    /// Preset of parameters, which the configuration of the lake overrides.
    #[serde(default = "default_preset")]
    preset: String,
}

fn a_day() -> String {
    "24h".into()
}

fn midnight() -> String {
    "00:00".into()
}

fn default_preset() -> String {
    "default".into()
}

/// A job that is submitted once per period.
#[derive(Debug, Clone)]
pub struct Schedule {
    name: String,
    every_us: i64,
    at_us: i64,
    request: ScanRequest,
}

impl Schedule {
    /// The schedule of these settings.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the setting that is invalid.
    pub fn of(settings: &ScheduleSettings) -> Result<Self> {
        let wrong =
            |what: &dyn std::fmt::Display| Error::Invalid(format!("schedule {:?}: {what}", settings.name));
        if settings.name.is_empty() {
            return Err(wrong(&"the name is empty"));
        }
        let length = |text: &str| parse_duration(text).map_err(|error| wrong(&error));
        let every_us = length(&settings.every)?;
        if every_us < SHORTEST_US {
            return Err(wrong(&"the shortest period is one minute"));
        }
        let at = NaiveTime::parse_from_str(&settings.at, "%H:%M")
            .map_err(|_| wrong(&format!("{:?} is not a time of day such as 02:00", settings.at)))?;
        let request = ScanRequest {
            lake: settings.lake.clone(),
            last_us: Some(settings.last.as_deref().map(length).transpose()?.unwrap_or(every_us)),
            suites: settings.suites.clone(),
            preset: settings.preset.clone(),
            ..ScanRequest::default()
        };
        let at_us = i64::from(at.num_seconds_from_midnight()) * MICROS_PER_SECOND;
        Ok(Self { name: settings.name.clone(), every_us, at_us, request })
    }

    /// Checks that the coordinator may read the lake and that the scan can run.
    ///
    /// # Errors
    /// [`Error::Invalid`] if not.
    pub fn check(&self, access: &Access, detections: &DetectionPolicy) -> Result<()> {
        access.check(&Location::parse(&self.request.lake)?)?;
        check_request(&self.request, detections)
            .map_err(|error| Error::Invalid(format!("schedule {:?}: {error}", self.name)))
    }

    /// Start of the period that contains `now_us`. Periods are counted from 1970-01-01.
    fn begin_us(&self, now_us: i64) -> i64 {
        (now_us - self.at_us).div_euclid(self.every_us) * self.every_us + self.at_us
    }

    /// The id of the job of the period that began at `begin_us`: a UUID with the time of the period, which is the same for
    /// every coordinator.
    fn job_id(&self, begin_us: i64) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.name.as_bytes()).update(&begin_us.to_le_bytes());
        let mut tail = [0; 10];
        tail.copy_from_slice(&hasher.finalize().as_bytes()[..10]);
        let millis = u64::try_from(begin_us / 1_000).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid().hyphenated().to_string()
    }
}

/// Submits the job of each schedule's current period unless it exists, for as long as the process runs. Periods that passed
/// while no coordinator ran are skipped.
pub(crate) async fn run_schedules(manager: Arc<JobManager>, schedules: Vec<Schedule>) {
    if schedules.is_empty() {
        return;
    }
    let mut submitted: Vec<Option<i64>> = vec![None; schedules.len()];
    loop {
        for (schedule, submitted) in schedules.iter().zip(&mut submitted) {
            let begin_us = schedule.begin_us(now_us());
            if *submitted == Some(begin_us) {
                continue;
            }
            let by = format!("schedule {}", schedule.name);
            match manager.submit(&schedule.job_id(begin_us), schedule.request.clone(), &by).await {
                Ok(job) => {
                    let period = format_micros(begin_us);
                    tracing::info!(schedule = schedule.name, period, job = job.id, "scheduled job submitted");
                    *submitted = Some(begin_us);
                }
                // Try again: the store or the queue may be available later.
                Err(error) => {
                    tracing::warn!(schedule = schedule.name, %error, "a scheduled job could not be submitted")
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use hindcast_base::time::parse_time;

    use super::*;
    use hindcast_scan::own_detections::OwnFiles;

    fn schedule(text: &str) -> Result<Schedule> {
        let settings = toml::from_str(&format!("name = 'nightly'\nlake = '/lake'\n{text}"));
        let schedule =
            Schedule::of(&settings.map_err(|error: toml::de::Error| Error::Invalid(error.to_string()))?)?;
        let detections = DetectionPolicy::of_coordinator(OwnFiles::default(), false);
        schedule.check(&Access::Any, &detections).map(|()| schedule)
    }

    fn begin(schedule: &Schedule, now: &str) -> String {
        format_micros(schedule.begin_us(parse_time(now).unwrap()))
    }

    #[test]
    fn a_period_begins_at_its_time_of_day() {
        let nightly = schedule("at = '02:00'").unwrap();
        assert_eq!(begin(&nightly, "2026-03-04T02:00:00Z"), "2026-03-04T02:00:00Z");
        assert_eq!(begin(&nightly, "2026-03-05T01:59:59Z"), "2026-03-04T02:00:00Z");
        let often = schedule("at = '02:30'\nevery = '6h'").unwrap();
        assert_eq!(begin(&often, "2026-03-04T01:00:00Z"), "2026-03-03T20:30:00Z");
        assert_eq!(often.request.last_us, Some(6 * 3_600 * MICROS_PER_SECOND));
        assert_eq!(schedule("last = '7d'").unwrap().request.last_us, Some(7 * 86_400 * MICROS_PER_SECOND));
    }

    #[test]
    fn each_period_has_its_own_job_id() {
        let nightly = schedule("").unwrap();
        let of = |schedule: &Schedule, day: &str| schedule.job_id(parse_time(day).unwrap());
        let id = of(&nightly, "2026-03-04");
        assert_eq!(id, of(&schedule("last = '7d'").unwrap(), "2026-03-04"));
        assert_ne!(id, of(&nightly, "2026-03-05"));
        assert!(id < of(&nightly, "2026-03-05"), "ids are ordered by their times");
        assert_ne!(id, of(&Schedule { name: "other".into(), ..nightly }, "2026-03-04"));
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    }

    #[test]
    fn errors_name_the_invalid_setting() {
        for (text, hint) in [
            ("every = '30s'", "one minute"),
            ("every = 'daily'", "nightly"),
            ("at = '2 am'", "not a time of day"),
            ("suites = ['firewal']", "did you mean firewall"),
            ("preset = 'x'", "unknown preset"),
            ("cron = '0 2 * * *'", "unknown field"),
        ] {
            let error = schedule(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
