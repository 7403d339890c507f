//! Benign periodic traffic of the firewall table: clock queries, update checks and monitoring keep-alives.

use super::firewall::{FirewallDay, FirewallRow, set_application, set_peer, set_traffic};
use super::world::KEPT_HOSTS;

const DAY_US: i64 = 86_400_000_000;
/// In each group of this many rows, the first [`CLOCK_ROWS`] + [`UPDATE_ROWS`] + [`KEEP_ALIVE_ROWS`] are periodic.
const CYCLE: u64 = 200;
const CLOCK_ROWS: u64 = 3;
const UPDATE_ROWS: u64 = 2;
const KEEP_ALIVE_ROWS: u64 = 6;
/// Approximate checks per day and client.
const CLOCK_QUERIES: u64 = 84;
const UPDATE_CHECKS: u64 = 60;
const KEEP_ALIVES: u64 = 288;
/// The public pool answers from a different address each time.
const CLOCK_POOL: [&str; 6] =
    ["162.159.200.1", "162.159.200.123", "193.79.237.14", "194.58.200.20", "216.239.35.0", "216.239.35.4"];
const UPDATE_SERVERS: [&str; 3] = ["191.232.139.2", "191.232.139.182", "191.234.72.183"];

/// Fills `row` if the row with this number is periodic, and returns whether it is. The source is already set.
pub fn fill<'a>(day: &mut FirewallDay<'a>, number: u64, row: &mut FirewallRow<&'a str>) -> bool {
    let cycles = day.rows / CYCLE + 1;
    let (cycle, place) = (number / CYCLE, number % CYCLE);
    let first_update = CLOCK_ROWS;
    let first_keep_alive = first_update + UPDATE_ROWS;
    if place < first_update {
        clock_query(day, cycle * CLOCK_ROWS + place, cycles * CLOCK_ROWS, row);
    } else if place < first_keep_alive {
        update_check(day, cycle * UPDATE_ROWS + place - first_update, cycles * UPDATE_ROWS, row);
    } else if place < first_keep_alive + KEEP_ALIVE_ROWS {
        keep_alive(day, cycle * KEEP_ALIVE_ROWS + place - first_keep_alive, cycles * KEEP_ALIVE_ROWS, row);
    } else {
        return false;
    }
    set_traffic(row, u32::MAX);
    true
}

/// The client and the time (as a share of the day, exactly periodic) of a periodic row.
fn tick(number: u64, total: u64, ticks_a_day: u64, clients_at_most: usize) -> (usize, f64) {
    let clients = (total / ticks_a_day).clamp(1, clients_at_most as u64);
    let ticks = total.div_ceil(clients);
    let client = number % clients;
    // Each client has its own phase.
    let phase = (client as f64 * 0.618).fract();
    (client as usize, ((number / clients) as f64 + phase) / ticks as f64)
}

fn clock_query<'a>(day: &mut FirewallDay<'a>, number: u64, total: u64, row: &mut FirewallRow<&'a str>) {
    let clients_at_most = day.world.unmanaged.len();
    let (client, moment) = tick(number, total, CLOCK_QUERIES, clients_at_most);
    row.source_address = Some(&day.world.unmanaged[client]);
    row.source_host = None;
    row.source_user = None;
    row.time = day.midnight_us + ((moment * DAY_US as f64) as i64 + day.rng.between(0, 2_000_000)) % DAY_US;
    row.destination_address = Some(*day.rng.pick(&CLOCK_POOL));
    row.destination_host = Some("pool.ntp.org");
    set_application(row, ("ntp", "udp", 123), "Outbound");
    row.sent_bytes = Some(90);
    row.received_bytes = Some(90);
}

fn update_check<'a>(day: &mut FirewallDay<'a>, number: u64, total: u64, row: &mut FirewallRow<&'a str>) {
    let clients_at_most = day.world.hosts.len() - KEPT_HOSTS;
    let (client, _) = tick(number, total, UPDATE_CHECKS, clients_at_most);
    day.set_host(row, &day.world.hosts[KEPT_HOSTS + client]);
    // Clients spread their checks at random, so that the jitter is high.
    row.time = day.midnight_us + day.rng.between(0, DAY_US);
    row.destination_address = Some(*day.rng.pick(&UPDATE_SERVERS));
    set_application(row, ("ms-update", "tcp", 443), "Outbound");
    day.set_sizes(row);
}

fn keep_alive<'a>(day: &mut FirewallDay<'a>, number: u64, total: u64, row: &mut FirewallRow<&'a str>) {
    let clients_at_most = day.world.hosts.len();
    let (client, moment) = tick(number, total, KEEP_ALIVES, clients_at_most);
    day.set_host(row, &day.world.hosts[client]);
    row.time = day.midnight_us + ((moment * DAY_US as f64) as i64 + day.rng.between(0, 500_000)) % DAY_US;
    // One monitoring server per client: as regular as a beacon, but internal.
    set_peer(row, &day.world.internal_servers[client % day.world.internal_servers.len()]);
    set_application(row, ("snmp-base", "udp", 161), "Internal");
    row.sent_bytes = Some(120);
    row.received_bytes = Some(180);
}
