//! Nightly archives of a server by the account that is allowed to create them.

use super::super::super::truth::Lookalike;
use super::super::super::world::{BACKUP_ACCOUNT, Host, Role};
use super::super::staging::{Packing, pack};
use super::super::{HOUR_US, Planner};
use super::finish;

/// Most nights on which it happens.
const NIGHTS: i64 = 3;
const PACKING: Packing = Packing {
    id: "backup",
    parent: "taskeng.exe",
    file: "7z.exe",
    command: r"7z.exe a -v100m C:\CompanyBackup\backup\payroll.7z D:\Payroll",
    folder: r"C:\CompanyBackup\backup\",
    archive: "payroll-{n}.7z",
    archives: 8,
};

pub(super) fn plant(planner: &mut Planner) {
    let server = planner.endpoint(Role::WindowsServer);
    let server = Host { account: BACKUP_ACCOUNT.to_owned(), ..server };
    let mut lookalike = Lookalike::new(
        "backup-account",
        "archives in a backup folder, but by the account that is allowed to make them: no finding at all",
    );
    for night in 0..planner.days.min(NIGHTS) {
        let time = planner.day_of_turn(planner.days / 2 + night) + HOUR_US * 3 / 2;
        let archives = pack(planner, &server, time, &PACKING);
        lookalike.planted.join(&archives.planted);
    }
    finish(planner, lookalike);
}
