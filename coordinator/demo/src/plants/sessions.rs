//! A planted firewall session with all ordinary fields, of which other files change a few.

use super::super::firewall::{FirewallRow, PALO_ALTO};
use super::super::world::Host;
use super::text;

/// A TRAFFIC session over TLS from `source` to the external `destination`.
pub(super) fn session(time_us: i64, source: &Host, destination: &str) -> FirewallRow<String> {
    FirewallRow {
        time: time_us,
        vendor: text(PALO_ALTO.0),
        product: text(PALO_ALTO.1),
        class: text("TRAFFIC"),
        activity: text("end"),
        severity: text("1"),
        action: text("allow"),
        simplified_action: text("Allowed"),
        application: text("ssl"),
        protocol: text("tcp"),
        source_address: text(&source.address),
        source_port: Some(49_152 + (time_us / 1_000 % 16_384) as i32),
        source_user: text(&source.domain_account),
        source_host: text(&source.full_name),
        destination_address: text(destination),
        destination_port: Some(443),
        direction: text("Outbound"),
        device: text("pa-edge-01"),
        ..FirewallRow::default()
    }
}
