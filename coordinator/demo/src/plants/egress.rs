//! Planted `egress_spikes`: one hour in which a steady server sends far more than in any other.

use chrono::SecondsFormat;

use super::super::network::NetworkRow;
use super::super::tables::Shares;
use super::super::truth::{Attack, rfc3339};
use super::super::world::{Host, SPIKE_HOSTS, SPIKE_HOURLY_BYTES, World};
use super::{HOUR_US, Planner, text};

/// The hour's bytes as a multiple of the host's ordinary hour.
const FACTORS: [i64; SPIKE_HOSTS] = [4, 10, 50];
const ROWS: i64 = 30;
/// Ordinary rows per host and day that make a baseline.
const BASELINE_ROWS: u64 = 12;

pub(super) fn plant(planner: &mut Planner, shares: &Shares, world: &World) {
    if !has_baseline(shares, world) {
        return;
    }
    for (place, factor) in FACTORS.into_iter().enumerate() {
        let host = &world.hosts[place];
        let hour = spike_hour(planner, place as i64);
        // The host's ordinary rows of that hour are added.
        let bytes = (factor as f64 - 0.5) * SPIKE_HOURLY_BYTES;
        let destination = format!("198.51.100.{}", 200 + place);
        let attack =
            spike(planner, (&format!("egress-{factor}x"), factor), (host, &destination), hour, bytes);
        planner.finish(attack);
    }
}

/// Whether hosts have enough connections in their ordinary hours.
pub(super) fn has_baseline(shares: &Shares, world: &World) -> bool {
    shares.network / (world.hosts.len() as u64) >= BASELINE_ROWS
}

/// An hour in which a host sends `bytes` to an address, about `factor` times as much as in other hours.
pub(super) fn spike(
    planner: &mut Planner,
    (id, factor): (&str, i64),
    (host, destination): (&Host, &str),
    hour: i64,
    bytes: f64,
) -> Attack {
    let intensity = format!("about {factor} times the hourly baseline");
    let mut attack = Attack::new(id, "egress_spikes", &intensity, "T1048")
        .entity("device_name", &host.name)
        .entity("hour", &rfc3339(hour, SecondsFormat::Secs));
    for _ in 0..ROWS {
        let row = NetworkRow {
            time: hour + planner.rng.between(0, HOUR_US),
            device: text(&host.name),
            account: text("system"),
            process_id: Some(planner.process_id()),
            remote_url: None,
            remote_address: text(destination),
            remote_port: Some(443),
            local_address: text(&host.address),
            bytes_sent: Some((bytes / ROWS as f64 * (0.9 + 0.2 * planner.rng.unit())) as i64),
            action: text("ConnectionSuccess"),
        };
        planner.add_network(&mut attack.planted, row);
    }
    attack
}

/// The start of the spike's hour: after a full day of baseline, or at 20:00 if there is only one day.
fn spike_hour(planner: &mut Planner, place: i64) -> i64 {
    let first_hour = if planner.days > 1 {
        26
    } else {
        return planner.start_us + 20 * HOUR_US;
    };
    let hours = planner.days * 24 - first_hour - 1;
    // Each has a third of the time, so that the three are spread over the days.
    let third = hours / FACTORS.len() as i64;
    let hour = first_hour + place * third + planner.rng.between(0, third.max(1));
    planner.start_us + hour * HOUR_US
}
