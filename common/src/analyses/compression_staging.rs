//! Processes that create archives, with the archive files staged on the same device around that time.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};
use crate::config::{Config, Patterns};
use crate::findings::{EntityKind, FindingRule, Period, Severity, Stage, technique};
use crate::functions::matches;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "compression_staging",
    version: 1,
    suite: Suite::Exfiltration,
    title: "Archives created and staged",
    rollups: &["staging_processes", "staged_files"],
    optional_rollups: &[],
    requires: &[
        Requirement { tables: &["DeviceProcessEvents"], columns: &["DeviceName", "ProcessCommandLine"] },
        Requirement { tables: &["DeviceFileEvents"], columns: &["DeviceName", "FileName", "FolderPath"] },
    ],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("timestamp", false)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "Data archived and staged",
        techniques: &[
            technique("T1560.001", "Archive Collected Data: Archive via Utility"),
            technique("T1074", "Data Staged"),
        ],
        stage: Stage::Staging,
        entities: &[(EntityKind::Device, "device_name"), (EntityKind::User, "account_name")],
        first_seen: "timestamp",
        last_seen: "timestamp",
        period: Period::Day,
        is_finding: |_, _| true,
        severity: |row| if row.text("staged_file_name").is_some() { Severity::Medium } else { Severity::Low },
        confidence: |row| if row.text("staged_file_name").is_some() { 70 } else { 40 },
        explain: |row| {
            let command = row.text("command_line").unwrap_or_default();
            match (row.text("staged_file_name"), row.text("staged_folder_path")) {
                (Some(file), Some(folder)) => format!("`{command}` ran, and {file} was staged in {folder}"),
                _ => format!("`{command}` ran; no archive was seen in a staging folder around that time"),
            }
        },
    }),
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let staging = &inputs.config.compression_staging;
    let processes = allowed_removed(inputs.merged("staging_processes")?, inputs.config)?;
    let files = inputs
        .merged("staged_files")?
        .filter(matches(ident("staged_folder_path"), &staging.allowed_paths).is_not_true())?;
    let mut join = vec![ident("device_name").eq(ident("staged_device_name"))];
    if let Some(window_us) = staging.join_window.0 {
        let between =
            cast(ident("staged_file_timestamp"), DataType::Int64) - cast(ident("timestamp"), DataType::Int64);
        join.push(between.between(lit(-window_us), lit(window_us)));
    }
    processes.join_on(files, JoinType::Left, join)?.select(vec![
        ident("device_name"),
        ident("account_name"),
        ident("command_line"),
        ident("timestamp"),
        ident("parent_file_name"),
        ident("staged_file_name"),
        ident("staged_folder_path"),
        ident("staged_file_timestamp"),
    ])
}

fn allowed_removed(processes: DataFrame, config: &Config) -> Result<DataFrame> {
    let staging = &config.compression_staging;
    let mut kept =
        processes.filter(matches(ident("command_line"), &staging.allowed_commands).is_not_true())?;
    let lists = [("account_name", &staging.allowed_accounts), ("device_name", &staging.allowed_devices)];
    for (column, allowed) in lists.into_iter().filter(|(_, allowed)| !allowed.is_empty()) {
        let is_allowed = matches(ident(column), &Patterns::equal_to(allowed));
        kept = kept.filter(if staging.keep_rows_without_identity {
            is_allowed.is_not_true()
        } else {
            is_allowed.is_false()
        })?;
    }
    Ok(kept)
}
