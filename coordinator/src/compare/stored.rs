//! A finished scan, read back from its folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use hindcast_common::findings::Finding;
use hindcast_common::{Error, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::output::findings_of_batches;
use crate::scan::Summary;

/// What a result folder says of its scan.
pub(super) struct StoredScan {
    pub(super) summary: Summary,
    /// Every parameter, by section.
    pub(super) parameters: Value,
    /// Findings by id.
    pub(super) findings: BTreeMap<String, Finding>,
    /// Findings that an allow-list set aside, by id.
    pub(super) suppressed: BTreeMap<String, Finding>,
}

impl StoredScan {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        Ok(Self {
            summary: read_json(&folder.join("summary.json"))?,
            parameters: read_json(&folder.join("parameters.json"))?,
            findings: read_findings(&folder.join("findings.parquet"))?,
            suppressed: read_lines(&folder.join("suppressed.jsonl"))?,
        })
    }
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Config(format!("{} is no result of a scan by this version: {reason}", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    serde_json::from_str(&text).map_err(|error| unreadable(path, &error))
}

fn read_lines(path: &Path) -> Result<BTreeMap<String, Finding>> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let findings = text.lines().map(serde_json::from_str::<Finding>);
    let by_id = findings.map(|finding| finding.map(|finding| (finding.id.clone(), finding)));
    by_id.collect::<Result<_, _>>().map_err(|error| unreadable(path, &error))
}

/// From Parquet: the lines beside it may be of another schema.
fn read_findings(path: &Path) -> Result<BTreeMap<String, Finding>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| unreadable(path, &error))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(path, &error))?;
    let findings = findings_of_batches(&batches).map_err(|error| unreadable(path, &error))?;
    Ok(findings.into_iter().map(|finding| (finding.id.clone(), finding)).collect())
}
