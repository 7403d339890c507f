//! Planted `beaconing`: small sessions to one external address at nearly equal intervals.

use super::super::truth::Attack;
use super::super::world::Host;
use super::sessions::session;
use super::{HOUR_US, MINUTE_US, Planner, SECOND_US};

struct Case {
    interval_s: i64,
    /// Standard deviation of the interval, in percent of it.
    jitter_percent: i64,
    /// Duration in hours, if the lake is that long.
    hours: i64,
    days_needed: i64,
}

const CASES: [Case; 6] = [
    Case { interval_s: 60, jitter_percent: 2, hours: 8, days_needed: 1 },
    Case { interval_s: 300, jitter_percent: 10, hours: 20, days_needed: 1 },
    Case { interval_s: 900, jitter_percent: 20, hours: 40, days_needed: 1 },
    Case { interval_s: 3_600, jitter_percent: 5, hours: 72, days_needed: 1 },
    Case { interval_s: 600, jitter_percent: 30, hours: 20, days_needed: 1 },
    Case { interval_s: 86_400, jitter_percent: 1, hours: 24 * 14, days_needed: 6 },
];

pub(super) fn plant(planner: &mut Planner) {
    for (place, case) in CASES.iter().enumerate() {
        if planner.days < case.days_needed {
            continue;
        }
        let source = planner.source();
        let destination = format!("203.0.113.{}", 10 + place);
        let id = format!("beacon-{}s-{}pct", case.interval_s, case.jitter_percent);
        let period = period(planner, case);
        let attack =
            call(planner, &id, (&source, &destination), (case.interval_s, case.jitter_percent), period);
        planner.finish(attack);
    }
}

/// A beacon from a host to an address: seconds between sessions, jitter in percent, and the times (microseconds since
/// 1970 UTC) of the first session and of the end, which no session reaches.
pub(super) fn call(
    planner: &mut Planner,
    id: &str,
    (source, destination): (&Host, &str),
    (interval_s, jitter_percent): (i64, i64),
    (start, end): (i64, i64),
) -> Attack {
    let intensity = format!("every {interval_s} s, jitter {jitter_percent} %");
    let mut attack = Attack::new(id, "beaconing", &intensity, "T1071")
        .entity("source_ip", &source.address)
        .entity("destination_ip", destination);
    let mut time = start;
    while time < end {
        let mut row = session(time, source, destination);
        row.sent_bytes = Some(planner.rng.between(180, 640));
        row.received_bytes = Some(planner.rng.between(150, 900));
        planner.add_firewall(&mut attack.planted, row);
        // An interval is at least a fifth of its mean, so that time advances.
        let stretch = (1.0 + jitter_percent as f64 / 100.0 * planner.rng.normal()).max(0.2);
        time += ((interval_s * SECOND_US) as f64 * stretch) as i64;
    }
    attack
}

/// The beacon's first time, and the end that it does not reach.
fn period(planner: &mut Planner, case: &Case) -> (i64, i64) {
    let lake_hours = planner.days * 24;
    let hours = case.hours.min(lake_hours - 2);
    let is_daily = case.interval_s == 86_400;
    // Once a day: it starts on the first morning, far from midnight, otherwise the last session would be lost.
    let first_hour = if is_daily { 10 } else { planner.rng.between(1, lake_hours - hours) };
    let start = planner.start_us + first_hour * HOUR_US + planner.rng.between(0, 30 * MINUTE_US);
    let end = if is_daily { planner.start_us + lake_hours * HOUR_US } else { start + hours * HOUR_US };
    (start, end)
}
