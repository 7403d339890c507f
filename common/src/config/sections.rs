//! The sections of a configuration file, one an analysis.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Config, Patterns};
use crate::Result;
use crate::time::parse_duration;

/// A length of time in microseconds, written as `90s`, `60m`, `24h`, `7d`, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Option<i64>);

impl TryFrom<String> for Span {
    type Error = crate::Error;

    fn try_from(text: String) -> Result<Self> {
        Ok(Self(if text == "unlimited" { None } else { Some(parse_duration(&text)?) }))
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.0.map_or_else(|| "unlimited".into(), |micros| format!("{}s", micros / 1_000_000))
    }
}

/// Where one table lives and what its columns are called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableMapping {
    /// Folder of the table, elsewhere than `LAKE/<Table>`.
    pub url: Option<String>,
    /// Folder between the lake and the table: `LAKE/<workspace>/<Table>`.
    pub workspace: Option<String>,
    /// The lake's own column names, by the names Hindcast knows.
    pub columns: BTreeMap<String, String>,
    /// Days by which a row's time may differ from its folder's date; 0 where folders are by the row's own time.
    pub folder_slack_days: u32,
}

/// `[firewall]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Firewall {
    /// `DeviceVendor` of the rows the suite reads.
    pub vendor: String,
}

/// `[office365]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Office365 {
    /// `UserType` of the rows the suite reads; all rows where empty.
    pub user_types: Vec<String>,
}

/// `[score]`: a suite's score is the sum of `min(rows, cap)` over its signals.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Score {
    /// Most one signal can add.
    pub cap: u64,
    /// Score from which the level is MEDIUM.
    pub medium: u64,
    /// Score from which the level is HIGH.
    pub high: u64,
}

/// `[risk]`: how findings add up to a risk of 0 to 100; docs/risk.md has the formula.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Risk {
    /// Probability that a finding of low severity and full confidence is an attack.
    pub low: f64,
    /// The same of medium severity.
    pub medium: f64,
    /// The same of high severity.
    pub high: f64,
    /// The same of critical severity.
    pub critical: f64,
    /// What each further finding of the same analysis counts, of the one before.
    pub repeat: f64,
    /// Evidence that each further tactic of an incident adds.
    pub tactic: f64,
    /// Part of the evidence beside the worst case that counts in the run's risk.
    pub rest: f64,
    /// Sources that an address's share of sources is at least counted against.
    pub min_sources: u64,
    /// Risk from which the level is MEDIUM.
    pub medium_level: u64,
    /// Risk from which the level is HIGH.
    pub high_level: u64,
}

/// `[incidents]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Incidents {
    /// Longest time between two findings of an entity that belong together.
    pub within: Span,
    /// Most that an address or account may be tied to on a day, or sources an address may have, to tie findings: a proxy,
    /// a service account or an update server has more.
    pub max_shared: u64,
}

/// `[save]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Save {
    /// What the name of a saved table must end in.
    pub suffix: String,
}

/// `[compression_staging]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionStaging {
    /// Command lines that create archives.
    pub command_patterns: Patterns,
    /// Names of archive files.
    pub file_name_patterns: Patterns,
    /// Folders in which files are staged.
    pub folder_patterns: Patterns,
    /// Command lines that are allowed.
    pub allowed_commands: Patterns,
    /// Folders that are allowed.
    pub allowed_paths: Patterns,
    /// Accounts that are allowed, any case.
    pub allowed_accounts: Vec<String>,
    /// Devices that are allowed, any case.
    pub allowed_devices: Vec<String>,
    /// Whether a row without account or device passes the allow-lists of accounts and devices.
    pub keep_rows_without_identity: bool,
    /// Time between process and file, either side.
    pub join_window: Span,
}

/// `[cli_storage_uploads]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CliStorageUploads {
    /// Command lines of transfer tools.
    pub command_patterns: Patterns,
    /// Hosts of object storage.
    pub url_patterns: Patterns,
    /// Longest time from the start of a process to a connection of it: process ids are used again.
    pub join_window: Span,
    /// Operations of the blob log that write, any case.
    pub write_operations: Vec<String>,
    /// Time between connection and write, either side, within which a write corroborates.
    pub corroboration_window: Span,
}

/// How `egress_spikes` forms the baseline of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Mean of the preceding `hours`, this hour not included, missing hours as 0.
    #[default]
    PrecedingHours,
    /// Sum over the last `hours` rows of the device, this one included, divided by `hours`.
    LastRows,
}

/// `[egress_spikes]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressSpikes {
    /// How the baseline is formed.
    pub baseline: Baseline,
    /// Hours in the baseline.
    pub hours: i64,
    /// A spike is above this many times the baseline.
    pub factor: f64,
    /// Hours that must have been seen among the preceding ones.
    pub min_history: i64,
    /// Bytes an hour must have to be a spike.
    pub min_bytes: i64,
}

/// `[storage_audit]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageAudit {
    /// Operations on storage keys and settings.
    pub operation_patterns: Patterns,
}

/// `[event_timeline]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventTimeline {
    /// Width of a bin, in minutes, counted from midnight.
    pub bin_minutes: i64,
}

/// A table cut to its first rows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limit {
    /// Rows kept.
    pub limit: usize,
}

/// `[beaconing]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Beaconing {
    /// Jitter (sample deviation over mean of the gaps) below which a pair is a beacon.
    pub max_jitter: f64,
    /// Gaps a pair must have.
    pub min_intervals: i64,
}

/// `[beacon_scores]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BeaconScores {
    /// Beats a pair must have to be listed.
    pub min_beats: i64,
    /// Timing score from which a pair is listed.
    pub min_timing: f64,
    /// Score from which a listed pair is a finding.
    pub min_score: f64,
    /// Periodic services known by their port.
    pub known_services: Vec<KnownService>,
}

/// A service that is periodic by nature, with what its pairs' scores are multiplied by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownService {
    /// What it is, for people.
    pub name: String,
    /// The destination port that all sessions of the pair must have.
    pub port: i64,
    /// 0 to 1.
    pub factor: f64,
}

/// `[dns_tunneling]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DnsTunneling {
    /// Queries a source must have to be listed.
    pub min_queries: i64,
    /// Average bytes sent above which a source is a finding.
    pub max_average_bytes: f64,
}

/// `[data_exfiltration]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataExfiltration {
    /// Megabytes (1,048,576 bytes) sent above which a pair is listed.
    pub min_sent_mb: f64,
    /// Pairs kept, largest first.
    pub limit: usize,
}

/// `[attack_timeline]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttackTimeline {
    /// Actions that put a row on the timeline.
    pub actions: Vec<String>,
    /// Bytes sent above which a row is on the timeline.
    pub min_sent_bytes: i64,
    /// Bytes sent above which a DNS row is on the timeline.
    pub min_dns_sent_bytes: i64,
}

/// `[multi_location_users]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultiLocationUsers {
    /// Distinct addresses an account must have in a place to be listed.
    pub min_ips: i64,
    /// Time within which nobody gets from one country to another.
    pub travel_window: Span,
}

/// `[rare_combinations]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RareCombinations {
    /// Events up to which a combination is listed.
    pub max_events: i64,
    /// Part of all pairs of a user and an operation up to which the country they come from is a rare one.
    pub rare_country_share: f64,
    /// Operations that read mail in bulk, hand out access or hide traces, any case.
    pub sensitive_operations: Vec<String>,
}

impl Config {
    /// Every pattern list, with the name a file gives it.
    pub fn pattern_lists(&self) -> Vec<(&'static str, &Patterns)> {
        let staging = &self.compression_staging;
        let uploads = &self.cli_storage_uploads;
        vec![
            ("compression_staging.command_patterns", &staging.command_patterns),
            ("compression_staging.file_name_patterns", &staging.file_name_patterns),
            ("compression_staging.folder_patterns", &staging.folder_patterns),
            ("compression_staging.allowed_commands", &staging.allowed_commands),
            ("compression_staging.allowed_paths", &staging.allowed_paths),
            ("cli_storage_uploads.command_patterns", &uploads.command_patterns),
            ("cli_storage_uploads.url_patterns", &uploads.url_patterns),
            ("storage_audit.operation_patterns", &self.storage_audit.operation_patterns),
        ]
    }
}
