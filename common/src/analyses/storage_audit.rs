//! Audited operations on storage keys and settings.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};
use crate::findings::{EntityKind, FindingRule, Period, Severity, Stage, technique};
use crate::functions::{initiator, initiator_address};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "storage_audit",
    version: 2,
    suite: Suite::Exfiltration,
    title: "Operations on storage keys and settings",
    rollups: &["storage_audit_rows"],
    optional_rollups: &[],
    requires: &[Requirement { tables: &["AuditLogs"], columns: &["OperationName"] }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("time_generated", false)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "Storage keys or settings touched",
        techniques: &[
            technique("T1552", "Unsecured Credentials"),
            technique("T1098", "Account Manipulation"),
        ],
        stage: Stage::Audit,
        entities: &[(EntityKind::User, "_initiator"), (EntityKind::Ip, "_initiator_address")],
        first_seen: "time_generated",
        last_seen: "time_generated",
        period: Period::Day,
        is_finding: |_, _| true,
        severity: |_| Severity::Medium,
        confidence: |_| 50,
        explain: |row| {
            let operation = row.text("operation_name").unwrap_or_default();
            let target = row.text("target_resources").unwrap_or("an unnamed resource");
            format!("{operation} on {target}")
        },
    }),
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs
        .merged("storage_audit_rows")?
        .with_column("_initiator", initiator(ident("initiated_by")))?
        .with_column("_initiator_address", initiator_address(ident("initiated_by")))
}
