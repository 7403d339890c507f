//! The table AuditLogs: everyday operations of the identity directory.

use serde_json::json;

use super::columns::{OrdinaryRows, Text, table};
use super::rng::{SeededRng, scale};
use super::world::World;

table! {
    /// A row of AuditLogs.
    AuditRow, AuditColumns {
        time: "TimeGenerated",
        operation: Text = "OperationName",
        result: Text = "ResultDescription",
        initiated_by: Text = "InitiatedBy",
        targets: Text = "TargetResources",
    }
}

/// The table's name, which is its folder in the lake.
pub const TABLE: &str = "AuditLogs";
const OPERATIONS: [&str; 12] = [
    "Update user",
    "Update user",
    "Add member to group",
    "Remove member from group",
    "Update device",
    "Add app role assignment grant to user",
    "Reset user password",
    "Update application",
    "Consent to application",
    "Add owner to group",
    "Register security info",
    "Update conditional access policy",
];

/// Actors and targets of ordinary rows, as JSON texts.
pub(crate) struct Directory {
    actors: Vec<String>,
    targets: Vec<String>,
}

impl Directory {
    /// The actors and targets for a seed.
    pub fn new(seed: u64, world: &World) -> Self {
        let mut rng = SeededRng::new(seed, 0, "directory");
        let mut actors: Vec<String> = (0..60).map(|_| actor(&rng.pick(&world.hosts).account)).collect();
        actors.push(json!({"app": {"displayName": "Azure AD Cloud Sync"}}).to_string());
        let targets = (0..400).map(|_| target("User", &rng.pick(&world.hosts).account)).collect();
        Self { actors, targets }
    }
}

/// `InitiatedBy` for an account, as the directory writes it.
pub fn actor(account: &str) -> String {
    json!({"user": {"userPrincipalName": format!("{account}@corp.example"), "ipAddress": ""}}).to_string()
}

/// `TargetResources` for one resource, as the directory writes it.
pub fn target(kind: &str, name: &str) -> String {
    json!([{"type": kind, "displayName": name}]).to_string()
}

/// The ordinary rows of AuditLogs for one day.
pub(crate) struct AuditDay<'a> {
    pub world: &'a World,
    pub directory: &'a Directory,
    pub rng: SeededRng,
    /// Midnight of the day, in microseconds since 1970 UTC.
    pub(crate) midnight_us: i64,
}

impl OrdinaryRows for AuditDay<'_> {
    type Columns = AuditColumns;

    fn push(&mut self, _number: u64, columns: &mut AuditColumns) {
        let bits = self.rng.bits();
        let result = match bits & 0x3F {
            0 => None,
            1..4 => Some("insufficient privileges"),
            _ => Some("success"),
        };
        columns.push(&AuditRow {
            time: self.midnight_us + self.world.working_day.at((bits >> 32) as u32) as i64,
            operation: Some(*self.rng.pick(&OPERATIONS)),
            result,
            initiated_by: Some(self.rng.pick(&self.directory.actors).as_str()),
            targets: Some(&self.directory.targets[scale((bits >> 8) as u32, self.directory.targets.len())]),
        });
    }
}
