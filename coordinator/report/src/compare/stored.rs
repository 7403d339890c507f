//! A finished scan, read back from its folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use hindcast_base::{Error, Result};
use hindcast_detections::Detections;
use hindcast_detections::findings::Finding;
use hindcast_scan::Summary;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::output::findings_of_batches;

/// The summary, parameters and findings of a scan.
pub struct StoredScan {
    /// Scores and coverage.
    pub summary: Summary,
    /// Every parameter, by section.
    pub parameters: Value,
    /// The detections that it ran with, as far as this version can read them.
    pub detections: Detections,
    /// Findings by id.
    pub findings: BTreeMap<String, Arc<Finding>>,
    /// Findings that an allow-list suppressed, by id.
    pub suppressed: BTreeMap<String, Arc<Finding>>,
}

impl StoredScan {
    /// A scan of these results.
    pub fn new(
        summary: Summary,
        parameters: Value,
        findings: Vec<Finding>,
        suppressed: Vec<Finding>,
    ) -> Self {
        let by_id = |findings: Vec<Finding>| {
            findings.into_iter().map(|finding| (finding.id.clone(), Arc::new(finding))).collect()
        };
        let detections = serde_json::from_value(parameters["detections"].clone()).unwrap_or_default();
        Self { summary, parameters, detections, findings: by_id(findings), suppressed: by_id(suppressed) }
    }

    /// Reads a result folder.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it holds no result of a scan.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self::new(
            read_json(&folder.join("summary.json"))?,
            read_json(&folder.join("parameters.json"))?,
            read_findings(&folder.join("findings.parquet"))?,
            read_lines(&folder.join("suppressed.jsonl"))?,
        ))
    }
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("{} is not a scan result of this version: {reason}", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    serde_json::from_str(&text).map_err(|error| unreadable(path, &error))
}

/// The values of a file with one JSON value per line.
///
/// # Errors
/// [`Error::Invalid`] if they have another type.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    text.lines().map(serde_json::from_str).collect::<Result<_, _>>().map_err(|error| unreadable(path, &error))
}

/// Read from Parquet, because the JSON lines may be written in another schema.
fn read_findings(path: &Path) -> Result<Vec<Finding>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| unreadable(path, &error))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(path, &error))?;
    findings_of_batches(&batches).map_err(|error| unreadable(path, &error))
}
