//! The table DeviceNetworkEvents: connections of managed hosts. Each host sends a steady number of bytes per hour, day
//! and night.

use super::columns::{Count, OrdinaryRows, Port, Text, table};
use super::rng::{Quantiles, SeededRng, scale};
use super::world::{Host, Role, World};

table! {
    /// A row of DeviceNetworkEvents.
    NetworkRow, NetworkColumns {
        time: "Timestamp",
        device: Text = "DeviceName",
        account: Text = "InitiatingProcessAccountName",
        process_id: Count = "InitiatingProcessId",
        remote_url: Text = "RemoteUrl",
        remote_address: Text = "RemoteIP",
        remote_port: Port = "RemotePort",
        local_address: Text = "LocalIP",
        bytes_sent: Count = "BytesSent",
        action: Text = "ActionType",
    }
}

/// The table's name, which is its folder in the lake.
pub const TABLE: &str = "DeviceNetworkEvents";
/// Storage hosts that backup and synchronisation agents connect to day and night.
const STORAGE_HOSTS: [&str; 5] = [
    "corpbackup01.blob.core.windows.net",
    "corpsync.blob.core.windows.net",
    "onedrivecorp.blob.core.windows.net",
    "corp-logs.s3.eu-west-1.amazonaws.com",
    "storage.googleapis.com",
];
/// Workstations are rarely idle: the hours differ by less than a factor of two.
const MILD_DAY: [f64; 24] = [
    0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.3, 1.2, 1.2, 1.3, 1.3, 1.2, 1.1, 1.0, 0.9, 0.9,
    0.8, 0.8, 0.8,
];
const ACTIONS: [&str; 4] =
    ["ConnectionSuccess", "ConnectionSuccess", "ConnectionSuccess", "HttpConnectionInspected"];

/// The ordinary rows of DeviceNetworkEvents for one day.
///
/// Rows belong to the hosts in turn, and each row of a host has its own slice of the day, so that by chance no hour of
/// a host is much above its mean.
pub(crate) struct NetworkDay<'a> {
    world: &'a World,
    rng: SeededRng,
    midnight_us: i64,
    rows: u64,
    mild_day: Quantiles,
    /// Steps that visit a host's slices out of order, for hosts with the lower and the higher number of rows.
    strides: [u64; 2],
}

impl<'a> NetworkDay<'a> {
    /// A day with `rows` ordinary rows that starts at `midnight_us` (microseconds since 1970 UTC).
    pub fn new(world: &'a World, rng: SeededRng, midnight_us: i64, rows: u64) -> Self {
        let fewer = rows / world.hosts.len() as u64;
        let strides = [stride(fewer), stride(fewer + 1)];
        Self { world, rng, midnight_us, rows, mild_day: Quantiles::day_curve(&MILD_DAY), strides }
    }

    fn moment_us(&mut self, host: &Host, turn: u64, turns: u64) -> i64 {
        let fewer = self.rows / self.world.hosts.len() as u64;
        let slice = turn * self.strides[usize::from(turns > fewer)] % turns;
        // In the middle half of its slice, so that two rows of a host are never close, even if it has few.
        let share = (slice as f64 + 0.25 + 0.5 * self.rng.unit()) / turns as f64;
        let of_day = match host.role {
            Role::Workstation => self.mild_day.at((share * 4_294_967_296.0) as u32),
            _ => share * 86_400e6,
        };
        self.midnight_us + of_day as i64
    }
}

impl OrdinaryRows for NetworkDay<'_> {
    type Columns = NetworkColumns;

    fn push(&mut self, number: u64, columns: &mut NetworkColumns) {
        let hosts = self.world.hosts.len() as u64;
        let (turn, place) = (number / hosts, number % hosts);
        let host = &self.world.hosts[place as usize];
        let turns = (self.rows - place).div_ceil(hosts);
        let time = self.moment_us(host, turn, turns);
        let bits = self.rng.bits();
        // With fewer than 24 rows per day, an hour has at most one row, which has the bytes of one hour.
        let mean_bytes = host.hourly_bytes * 24.0 / turns.max(24) as f64;
        let bytes_sent = (mean_bytes * (0.85 + 0.3 * self.rng.unit())) as i64;
        let mut row = NetworkRow {
            time,
            device: Some(host.name.as_str()),
            account: account(host, bits),
            process_id: Some(4 * (500 + (bits >> 10 & 0x1FFF) as i64)),
            local_address: Some(&host.address),
            bytes_sent: (bits >> 24 & 0x3FF != 0).then_some(bytes_sent),
            action: Some(ACTIONS[(bits >> 34 & 3) as usize]),
            ..NetworkRow::default()
        };
        match bits >> 36 & 0xFF {
            0..5 => {
                row.remote_url = Some(*self.rng.pick(&STORAGE_HOSTS));
                row.remote_address = Some("20.60.40.4");
                row.remote_port = Some(443);
                // Process ids of storage connections are multiples of 8; those of command line tools never are
                // (`process.rs`).
                row.process_id = Some(8 * (300 + (bits >> 10 & 0xFFF) as i64));
            }
            5..70 => {
                let server =
                    &self.world.internal_servers[scale(bits as u32, self.world.internal_servers.len())];
                row.remote_address = Some(&server.address);
                row.remote_port = Some([445, 389, 1433, 8080][(bits >> 44 & 3) as usize]);
            }
            _ => {
                let peer = &self.world.external[self.world.popular_external(self.rng.bits() as u32)];
                row.remote_url = (bits >> 44 & 7 < 5).then_some(peer.name.as_str());
                row.remote_address = Some(&peer.address);
                row.remote_port = Some(if bits >> 47 & 7 == 0 { 80 } else { 443 });
            }
        }
        columns.push(&row);
    }
}

fn account(host: &Host, bits: u64) -> Option<&str> {
    match bits & 0xFF {
        0 => None,
        1..90 => Some(if host.role == Role::LinuxServer { "root" } else { "system" }),
        _ => Some(&host.account),
    }
}

/// A step that visits each of `count` slices once, far from the previous one.
fn stride(count: u64) -> u64 {
    let mut step = (count as f64 * 0.618) as u64 + 1;
    while common_divisor(step, count) > 1 {
        step += 1;
    }
    step
}

fn common_divisor(first: u64, second: u64) -> u64 {
    if second == 0 { first } else { common_divisor(second, first % second) }
}
