//! The serialisable report of a finished scan: the plan's outline, the summary, the incidents.

use std::collections::BTreeMap;

use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::format_micros;
use hindcast_base::{Error, Result};
use hindcast_detections::config::Config;
use serde::{Deserialize, Serialize};

use super::assessment::reasons_beyond_coverage;
use super::coverage::{Coverage, ReadSummary};
use super::gap::Gap;
use super::plan::ScanPlan;
use super::read_version::ReadVersion;
use super::root_summary::RootSummary;
use super::score::SuiteScore;
use crate::geoip::LocationSource;
use hindcast_risk::correlate::{Hub, Incident};
use hindcast_risk::{Assessed, DayRisk, EntityRisk, RunRisk};

/// What will be scanned, for people and scripts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanOutline {
    /// The window.
    pub window: WindowSummary,
    /// Tables and what is read from them.
    pub tables: Vec<TableOutline>,
    /// Tables that analyses need and the lake lacks.
    pub missing_tables: Vec<String>,
    /// What is present and can't be looked at, regardless of the date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Analyses that run, by suite, in the order of reports.
    pub analyses: Vec<AnalysisOutline>,
    /// Analyses that can't run, and why.
    pub disabled: BTreeMap<String, String>,
    /// The location database, if there is one.
    #[serde(default)]
    pub locations: Option<LocationSource>,
    /// The entity under investigation, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub investigated: Option<Entity>,
}

/// A window, RFC 3339.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WindowSummary {
    /// First instant.
    pub from: String,
    /// First instant after it.
    pub to: String,
}

/// A table of a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableOutline {
    /// Its name.
    pub table: String,
    /// The root of this part of the table, if the lake has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Dates in the window.
    pub dates: Vec<String>,
    /// Files in them.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// The version that is read, if the table has a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When that version was committed, RFC 3339, if the log says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<String>,
}

/// An analysis of a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnalysisOutline {
    /// Its name.
    pub id: String,
    /// Its suite.
    pub suite: String,
}

impl PlanOutline {
    /// The outline of `plan`.
    pub fn of(plan: &ScanPlan) -> Self {
        let tables = plan.tables.iter().map(|planned| {
            let (files, bytes) = planned.size();
            let dates = planned.folders.iter().map(|folder| folder.date.to_string()).collect();
            let (table, root) = (planned.table.spec.name.to_owned(), planned.table.root.as_deref());
            let version = ReadVersion::of(&planned.table);
            TableOutline {
                table,
                root: root.map(str::to_owned),
                dates,
                files,
                bytes,
                version: version.as_ref().map(|read| read.version),
                committed: version.and_then(|read| read.committed),
            }
        });
        let missing_in_roots = plan.missing_in_roots.iter().map(|(root, table)| TableOutline {
            table: (*table).to_owned(),
            root: Some(root.to_string()),
            dates: Vec::new(),
            files: 0,
            bytes: 0,
            version: None,
            committed: None,
        });
        let analyses = plan.analyses.iter().map(|analysis| AnalysisOutline {
            id: analysis.id.to_owned(),
            suite: analysis.suite.name().to_owned(),
        });
        Self {
            window: WindowSummary {
                from: format_micros(plan.window.from_us),
                to: format_micros(plan.window.to_us),
            },
            tables: tables.chain(missing_in_roots).collect(),
            missing_tables: plan.missing_tables.iter().map(|&name| name.to_owned()).collect(),
            gaps: plan.gaps.clone(),
            analyses: analyses.collect(),
            disabled: plan
                .disabled
                .iter()
                .map(|disabled| (disabled.analysis.id.to_owned(), disabled.reason.to_string()))
                .collect(),
            locations: plan.locations.clone(),
            investigated: plan.investigated.clone(),
        }
    }
}

impl Summary {
    /// Whether everything that should be looked at was, and there was something.
    pub fn is_whole(&self) -> bool {
        self.coverage.complete && self.risk.is_assessed()
    }

    /// If nothing was looked at: why, apart from what the coverage says.
    pub fn unassessed_reasons(&self) -> Vec<String> {
        if self.risk.is_assessed() {
            return Vec::new();
        }
        let lacks = self.disabled.values().cloned().collect();
        reasons_beyond_coverage(self.analyses.len(), lacks, &self.coverage)
    }

    /// What was not looked at; if nothing at all was, why.
    pub fn reasons(&self) -> Vec<String> {
        let unread: Vec<String> = self.coverage.unread().collect();
        if unread.is_empty() && !self.risk.is_assessed() { self.risk.reasons().to_vec() } else { unread }
    }
}

/// `summary.json`, which scripts read. The same input gives the same summary: it holds no clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// The window.
    pub window: WindowSummary,
    /// Score and level by suite.
    pub suites: BTreeMap<String, SuiteScore>,
    /// Score and level of the run.
    pub risk: RunRisk,
    /// Score and level of each day of the window; a run of days without folders is one entry.
    pub risk_by_day: Vec<DayRisk>,
    /// Number of findings.
    pub findings: usize,
    /// Number of findings that allow-lists suppressed, by list.
    pub suppressed: BTreeMap<String, u64>,
    /// Number of incidents.
    pub incidents: usize,
    /// Entities that several findings name and that are too common to relate them.
    pub hubs: Vec<Hub>,
    /// Analyses that ran, with the version of their rules.
    pub analyses: BTreeMap<String, u32>,
    /// Analyses that did not run, and why.
    pub disabled: BTreeMap<String, String>,
    /// The location database that was used: another one may place addresses elsewhere.
    #[serde(default)]
    pub locations: Option<LocationSource>,
    /// The entity under investigation, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntitySummary>,
    /// What was read of each root, if the lake has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<RootSummary>,
    /// What was looked at.
    pub coverage: Coverage,
    /// Version of Hindcast.
    pub version: String,
    /// Hash of all parameters.
    pub config_hash: String,
}

/// The entity under investigation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntitySummary {
    /// Its kind.
    pub kind: EntityKind,
    /// Its canonical name.
    pub name: String,
    /// The requested name, lower-cased.
    #[serde(rename = "asked")]
    pub requested: String,
    /// Names by which rows name it, as written there, with the number of rows.
    pub names: BTreeMap<String, u64>,
    /// Its rows in the window.
    pub rows: u64,
    /// Time of its first row, RFC 3339.
    pub first_seen: Option<String>,
    /// Time of its last row, RFC 3339.
    pub last_seen: Option<String>,
    /// Its risk, 0 to 100, from all findings in its rows, also those that name it by an address of the day.
    pub risk: Assessed,
    /// What was read to find them.
    pub read: ReadSummary,
    /// Dates of tables that were skipped because they can't hold its rows.
    pub dates_passed_over: u64,
    /// If it has no row: similar names of its kind.
    pub similar_names: Vec<String>,
}

/// What a scan found, apart from its tables and findings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// What was planned.
    pub outline: PlanOutline,
    /// Names of the result tables, in the order of reports.
    pub tables: Vec<String>,
    /// Scores and coverage.
    pub summary: Summary,
    /// Every parameter of the run, as a configuration file has them.
    pub parameters: serde_json::Value,
    /// Incidents, worst first.
    pub incidents: Vec<Incident>,
    /// Every entity that findings name, with its risk, highest first.
    pub entities: Vec<EntityRisk>,
    /// Units whose state was computed, and all units.
    pub computed_units: (usize, usize),
}

/// The results of a scan, apart from the plan.
pub(super) struct Outcome {
    pub(super) suites: BTreeMap<String, SuiteScore>,
    pub(super) risk: RunRisk,
    pub(super) risk_by_day: Vec<DayRisk>,
    pub(super) findings: usize,
    pub(super) suppressed: BTreeMap<String, u64>,
    pub(super) incidents: Vec<Incident>,
    pub(super) hubs: Vec<Hub>,
    pub(super) entities: Vec<EntityRisk>,
    pub(super) coverage: Coverage,
    pub(super) entity: Option<EntitySummary>,
    pub(super) computed_units: (usize, usize),
}

impl Report {
    /// # Errors
    /// If the parameters can't be hashed.
    pub(super) fn new(
        plan: &ScanPlan,
        config: &Config,
        outcome: Outcome,
        tables: Vec<String>,
    ) -> Result<Self> {
        let outline = PlanOutline::of(plan);
        let summary = Summary {
            window: outline.window.clone(),
            suites: outcome.suites,
            risk: outcome.risk,
            risk_by_day: outcome.risk_by_day,
            findings: outcome.findings,
            suppressed: outcome.suppressed,
            incidents: outcome.incidents.len(),
            hubs: outcome.hubs,
            analyses: plan
                .analyses
                .iter()
                .map(|analysis| (analysis.id.to_owned(), analysis.version))
                .collect(),
            disabled: outline.disabled.clone(),
            locations: outline.locations.clone(),
            entity: outcome.entity,
            roots: RootSummary::all(&plan.roots, &outcome.coverage),
            coverage: outcome.coverage,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_hash: config.hash()?,
        };
        Ok(Self {
            outline,
            tables,
            summary,
            parameters: serde_json::to_value(config).map_err(|error| Error::Internal(error.to_string()))?,
            incidents: outcome.incidents,
            entities: outcome.entities,
            computed_units: outcome.computed_units,
        })
    }
}
