//! Planted `storage_audit`: keys of storage accounts listed or replaced, and service settings changed.

use super::super::audit::{AuditRow, actor, target};
use super::super::truth::Attack;
use super::{MINUTE_US, Planner, text};

const OPERATIONS: [&str; 3] = [
    "MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION",
    "Microsoft.Storage/storageAccounts/regenerateKey/action",
    "SetServiceProperties",
];
const CASES: [(&str, usize, &str); 3] =
    [("contractor.k", 1, "corpdata"), ("svc-deploy-old", 3, "corplogs"), ("intern.m", 10, "corpbackup01")];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, (account, rows, storage_account)) in CASES.into_iter().enumerate() {
        let start = planner.moment_of_turn(turn as i64 * 2 + 1, 50 * MINUTE_US);
        let initiated_by = actor(account);
        let id = format!("audit-{rows}-operation{}", if rows == 1 { "" } else { "s" });
        let technique = if rows > 1 { "T1098" } else { "T1552" };
        let mut attack =
            Attack::new(&id, "storage_audit", &format!("{rows} operations within 40 minutes"), technique)
                .entity("initiated_by", &initiated_by)
                .entity("storage_account", storage_account);
        for row in 0..rows {
            let row = AuditRow {
                time: start + planner.rng.between(0, 40 * MINUTE_US),
                operation: text(OPERATIONS[row % OPERATIONS.len()]),
                result: text("success"),
                initiated_by: text(&initiated_by),
                targets: Some(target("Microsoft.Storage/storageAccounts", storage_account)),
            };
            planner.add_audit(&mut attack.planted, row);
        }
        planner.finish(attack);
    }
}
