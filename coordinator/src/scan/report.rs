//! `summary.json`: scores, coverage and what the run was, for scripts.

use std::collections::BTreeMap;

use hindcast_common::Result;
use hindcast_common::config::Config;
use hindcast_common::time::format_micros;
use serde::Serialize;

use crate::scan::{Coverage, Risk, ScanPlan, ScanResult, SuiteScore};

/// What scripts read of a run. The same input gives the same summary: it holds no clock.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The window, RFC 3339.
    pub window: BTreeMap<&'static str, String>,
    /// Score and level by suite.
    pub suites: BTreeMap<&'static str, SuiteScore>,
    /// Score and level of the run.
    pub risk: Risk,
    /// Number of findings.
    pub findings: usize,
    /// Number of incidents.
    pub incidents: usize,
    /// Analyses that did not run, and why.
    pub disabled: BTreeMap<&'static str, String>,
    /// What was looked at.
    pub coverage: Coverage,
    /// Version of Hindcast.
    pub version: String,
    /// Hash of all parameters.
    pub config_hash: String,
}

/// The summary of a finished scan.
///
/// # Errors
/// Where the parameters can't be hashed.
pub fn summary_of(plan: &ScanPlan, result: &ScanResult, config: &Config) -> Result<Summary> {
    Ok(Summary {
        window: BTreeMap::from([
            ("from", format_micros(plan.window.from_us)),
            ("to", format_micros(plan.window.to_us)),
        ]),
        suites: result.suites.iter().map(|(suite, score)| (suite.name(), score.clone())).collect(),
        risk: result.risk.clone(),
        findings: result.findings.len(),
        incidents: result.incidents.len(),
        disabled: plan
            .disabled
            .iter()
            .map(|disabled| (disabled.analysis.id, disabled.reason.clone()))
            .collect(),
        coverage: result.coverage.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_hash: config.hash()?,
    })
}
