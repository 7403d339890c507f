//! Planted `repeated_threats`: a source whose sessions the threat engine stops repeatedly.

use super::super::truth::Attack;
use super::sessions::session;
use super::{HOUR_US, Planner, text};

/// Activity, message, destination port and application of stopped sessions.
const STOPPED: [(&str, &str, i32, &str); 3] = [
    ("spyware", "Command and Control Traffic Detection(85005)", 443, "ssl"),
    ("vulnerability", "Apache Log4j Remote Code Execution Vulnerability(91991)", 8443, "web-browsing"),
    ("virus", "Trojan/Win32.generic(3421001)", 80, "web-browsing"),
];
const ROWS: [i64; 3] = [10, 60, 300];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, rows) in ROWS.into_iter().enumerate() {
        let source = planner.source();
        let (activity, message, port, application) = STOPPED[turn];
        let start = planner.moment_of_turn(turn as i64 * 2 + 3, 2 * HOUR_US);
        let mut attack = Attack::new(
            &format!("threats-{rows}-{activity}"),
            "repeated_threats",
            &format!("{rows} stopped sessions within 2 hours"),
            "T1071",
        )
        .entity("host", &source.address);
        for row in 0..rows {
            let destination = format!("203.0.113.{}", 40 + turn * 10 + row as usize % 3);
            let mut threat = session(start + planner.rng.between(0, 2 * HOUR_US), &source, &destination);
            let (action, simplified) =
                if planner.rng.chance(0.5) { ("reset-both", "Reset") } else { ("drop", "Blocked") };
            threat.class = text("THREAT");
            threat.activity = text(activity);
            threat.message = text(message);
            threat.severity = text("5");
            threat.action = text(action);
            threat.simplified_action = text(simplified);
            threat.application = text(application);
            threat.destination_port = Some(port);
            threat.sent_bytes = Some(planner.rng.between(300, 4_000));
            threat.received_bytes = Some(planner.rng.between(0, 600));
            planner.add_firewall(&mut attack.planted, threat);
        }
        planner.finish(attack);
    }
}
