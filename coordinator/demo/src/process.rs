//! The table DeviceProcessEvents: ordinary processes, sanctioned backups, and harmless uses of storage tools.

use super::columns::{Count, OrdinaryRows, Text, table};
use super::commands::{Command, Commands};
use super::rng::SeededRng;
use super::world::{BACKUP_ACCOUNT, BACKUP_DEVICE, Host, Role, World};

table! {
    /// A row of DeviceProcessEvents.
    ProcessRow, ProcessColumns {
        time: "Timestamp",
        device: Text = "DeviceName",
        account: Text = "InitiatingProcessAccountName",
        command_line: Text = "ProcessCommandLine",
        process_id: Count = "InitiatingProcessId",
        parent_file_name: Text = "InitiatingProcessParentFileName",
        file_name: Text = "FileName",
        action: Text = "ActionType",
    }
}

/// The table's name, which is its folder in the lake.
pub const TABLE: &str = "DeviceProcessEvents";

/// The ordinary rows of DeviceProcessEvents for one day.
pub(crate) struct ProcessDay<'a> {
    pub world: &'a World,
    /// Hosts of planted attacks, which also have ordinary rows.
    pub victims: &'a [Host],
    pub commands: &'a Commands,
    pub rng: SeededRng,
    /// Midnight of the day, in microseconds since 1970 UTC.
    pub(crate) midnight_us: i64,
}

impl OrdinaryRows for ProcessDay<'_> {
    type Columns = ProcessColumns;

    fn push(&mut self, _number: u64, columns: &mut ProcessColumns) {
        let bits = self.rng.bits();
        let host = self.world.host_or(self.victims, bits as u32);
        let moment_bits = self.rng.bits();
        let moment = match host.role {
            Role::Workstation => self.world.working_day.at(moment_bits as u32),
            _ => (moment_bits as u32) as f64 * (86_400e6 / 4_294_967_296.0),
        };
        let mut row = ProcessRow {
            time: self.midnight_us + moment as i64,
            device: Some(host.name.as_str()),
            account: account(host, moment_bits >> 32 & 0xFF),
            process_id: Some(4 * (500 + (bits >> 32 & 0x1FFF) as i64)),
            action: Some("ProcessCreated"),
            ..ProcessRow::default()
        };
        match moment_bits >> 40 & 0x3FF {
            0..5 => self.set_backup(&mut row, host, moment_bits >> 50),
            5..8 => {
                set_command(&mut row, self.rng.pick(&self.commands.storage_tools));
                // Never a multiple of 8, so that no storage connection of the host has this id (`network.rs`).
                row.process_id = Some(8 * (300 + (bits >> 32 & 0xFFF) as i64) + 4);
            }
            share => {
                let list = match host.role {
                    Role::LinuxServer => &self.commands.linux,
                    _ => &self.commands.windows,
                };
                // The product of two uniform shares, so that a few commands make up most rows.
                let skewed = self.rng.unit() * self.rng.unit();
                set_command(&mut row, &list[(skewed * list.len() as f64) as usize]);
                if share < 13 {
                    row.command_line = None;
                }
            }
        }
        columns.push(&row);
    }
}

impl<'a> ProcessDay<'a> {
    /// A process that creates an archive and is on an allow-list, by device, account or command.
    fn set_backup(&mut self, row: &mut ProcessRow<&'a str>, host: &'a Host, bits: u64) {
        let is_linux = host.role == Role::LinuxServer;
        let plain = if is_linux { &self.commands.linux_backups } else { &self.commands.windows_backups };
        match bits & 3 {
            0 => {
                row.device = Some(BACKUP_DEVICE);
                row.account = Some("root");
                set_command(row, self.rng.pick(&self.commands.linux_backups));
            }
            1 => {
                row.account = Some(BACKUP_ACCOUNT);
                set_command(row, self.rng.pick(plain));
            }
            2 => {
                row.account = Some("Backup-Svc");
                set_command(row, self.rng.pick(plain));
            }
            _ if is_linux => set_command(row, self.rng.pick(&self.commands.linux_allowed)),
            _ => set_command(row, self.rng.pick(&self.commands.windows_allowed)),
        }
    }
}

fn set_command<'a>(row: &mut ProcessRow<&'a str>, command: &'a Command) {
    row.command_line = Some(&command.line);
    row.parent_file_name = Some(command.parent);
    row.file_name = Some(command.file);
}

fn account(host: &Host, bits: u64) -> Option<&str> {
    match (bits, host.role) {
        (0, _) => None,
        (1..100, Role::LinuxServer) => Some("root"),
        (1..100, _) => Some("system"),
        (100..115, Role::LinuxServer) => Some("www-data"),
        (100..115, _) => Some("network service"),
        _ => Some(&host.account),
    }
}
