//! Planted `dns_tunneling`: DNS queries that carry much more than a name.

use super::super::truth::Attack;
use super::sessions::session;
use super::{HOUR_US, Planner, text};

/// Queries, their mean size in bytes, and their duration in hours.
const CASES: [(i64, i64, i64); 3] = [(20, 700, 1), (200, 1_500, 4), (1_000, 4_000, 10)];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, (queries, mean_bytes, hours)) in CASES.into_iter().enumerate() {
        let source = planner.source();
        let resolver = format!("198.51.100.{}", 53 + turn);
        let start = planner.moment_of_turn(turn as i64 * 3, hours * HOUR_US);
        let mut attack = Attack::new(
            &format!("dns-{mean_bytes}-bytes-{queries}-queries"),
            "dns_tunneling",
            &format!("{queries} queries of {mean_bytes} bytes on average"),
            "T1071.004",
        )
        .entity("source_ip", &source.address);
        for _ in 0..queries {
            let mut row = session(start + planner.rng.between(0, hours * HOUR_US), &source, &resolver);
            row.application = text("dns");
            row.protocol = text("udp");
            row.destination_port = Some(53);
            row.sent_bytes = Some(mean_bytes * planner.rng.between(80, 121) / 100);
            row.received_bytes = Some(planner.rng.between(100, 400));
            planner.add_firewall(&mut attack.planted, row);
        }
        planner.finish(attack);
    }
}
