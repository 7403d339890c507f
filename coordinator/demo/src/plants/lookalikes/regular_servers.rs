//! Public servers that many hosts query as regularly as a beacon: an update server and two time servers.

use super::super::super::firewall::FirewallRow;
use super::super::super::truth::Lookalike;
use super::super::super::world::{Host, World};
use super::super::sessions::session;
use super::super::{DAY_US, Planner, SECOND_US, text};
use super::{finish, many_hosts};

const UPDATE_SERVER: (&str, &str) = ("191.234.72.190", "updates.vendor.example");
const UPDATE_INTERVAL_S: i64 = 1_800;
const CLOCKS: [&str; 2] = ["216.239.35.8", "216.239.35.12"];
/// The longest default interval of NTP clients (RFC 5905): 2^10 s.
const CLOCK_INTERVAL_S: i64 = 1_024;

pub(super) fn plant(planner: &mut Planner, world: &World) {
    let day = planner.days / 2;
    let mut updates = Lookalike::new(
        "update-server",
        "regular as a beacon, but many hosts ask the same well-known server for updates",
    );
    for host in many_hosts(world) {
        ask(planner, &mut updates, (host, UPDATE_SERVER.0), (day, UPDATE_INTERVAL_S), |row| {
            row.destination_host = text(UPDATE_SERVER.1);
            row.application = text("ms-update");
            row.sent_bytes = Some(700);
            row.received_bytes = Some(5_200);
        });
    }
    updates.shows("beaconing", &[("destination_ip", UPDATE_SERVER.0)]);
    finish(planner, updates);

    let mut clocks = Lookalike::new(
        "clock-servers",
        "regular as a beacon, but many hosts ask public servers for the time, in packets of a fixed size",
    );
    for (number, host) in many_hosts(world).iter().enumerate() {
        let clock = CLOCKS[number % CLOCKS.len()];
        ask(planner, &mut clocks, (host, clock), (day, CLOCK_INTERVAL_S), |row| {
            row.application = text("ntp");
            row.protocol = text("udp");
            row.destination_port = Some(123);
            row.sent_bytes = Some(90);
            row.received_bytes = Some(90);
        });
    }
    CLOCKS.iter().for_each(|clock| clocks.shows("beaconing", &[("destination_ip", clock)]));
    finish(planner, clocks);
}

/// The sessions of a day at an interval (seconds) that varies by a hundredth; `complete` fills their other fields.
fn ask(
    planner: &mut Planner,
    lookalike: &mut Lookalike,
    (host, server): (&Host, &str),
    (day, interval_s): (i64, i64),
    complete: impl Fn(&mut FirewallRow<String>),
) {
    let midnight = planner.day_of_turn(day);
    let interval_us = interval_s * SECOND_US;
    let mut time = midnight + planner.rng.between(0, interval_us);
    while time < midnight + DAY_US {
        let mut row = session(time, host, server);
        complete(&mut row);
        planner.add_firewall(&mut lookalike.planted, row);
        time += interval_us + planner.rng.between(-interval_us / 100, interval_us / 100);
    }
}
