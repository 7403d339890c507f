//! Planted `data_exfiltration`: a few sessions that send hundreds of megabytes and receive little.

use super::super::truth::{Attack, PlantedRows};
use super::super::world::Host;
use super::sessions::session;
use super::{HOUR_US, MINUTE_US, Planner};

/// Name, total in MiB, and number of sessions.
const CASES: [(&str, i64, i64); 3] = [("300mb", 300, 40), ("1500mb", 1_536, 12), ("8gb", 8_192, 4)];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, (name, total_mib, sessions)) in CASES.into_iter().enumerate() {
        let source = planner.source();
        let destination = format!("198.51.100.{}", 10 + turn);
        let start = planner.moment_of_turn(turn as i64 * 2 + 4, 5 * HOUR_US);
        let mut attack =
            attack(&format!("exfiltration-{name}"), &source.address, &destination, total_mib, sessions);
        let period = (start, start + 5 * HOUR_US);
        transfer(planner, &mut attack.planted, (&[source], &destination), (total_mib, sessions), period);
        planner.finish(attack);
    }
}

/// A large transfer between two addresses, without rows yet.
pub(super) fn attack(id: &str, source: &str, destination: &str, total_mib: i64, sessions: i64) -> Attack {
    let intensity = format!("{total_mib} MiB in {sessions} sessions");
    Attack::new(id, "data_exfiltration", &intensity, "T1048")
        .entity("source_ip", source)
        .entity("destination_ip", destination)
}

/// Sessions from the hosts in turn to an address, between two times (microseconds since 1970 UTC).
pub(super) fn transfer(
    planner: &mut Planner,
    planted: &mut PlantedRows,
    (sources, destination): (&[Host], &str),
    (total_mib, sessions): (i64, i64),
    (start, end): (i64, i64),
) {
    let mut time = start;
    let mean_bytes = total_mib * 1_048_576 / sessions;
    let mut remaining = total_mib * 1_048_576;
    for (number, source) in (0..sessions).zip(sources.iter().cycle()) {
        let is_last = number + 1 == sessions;
        let sent = if is_last { remaining } else { mean_bytes * planner.rng.between(60, 130) / 100 };
        remaining -= sent;
        let mut row = session(time, source, destination);
        row.sent_bytes = Some(sent);
        row.received_bytes = Some(sent / planner.rng.between(200, 2_000));
        planner.add_firewall(planted, row);
        time += pause(planner, (end - time) / (sessions - number));
    }
}

/// A pause of very uneven length, at most `mean_us` on average, so that this is not a beacon.
fn pause(planner: &mut Planner, mean_us: i64) -> i64 {
    let unit = planner.rng.unit();
    (mean_us as f64 * 4.0 * unit.powi(4)) as i64 + MINUTE_US / 10
}
