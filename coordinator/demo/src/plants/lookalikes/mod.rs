//! Planted look-alikes: harmless activity that resembles attacks, or seems to relate unrelated attacks.

mod backups;
mod moved_address;
mod proxy;
mod regular_servers;
mod traveller;

use super::super::network::NetworkRow;
use super::super::truth::Lookalike;
use super::super::world::{Host, KEPT_HOSTS, World};
use super::{Planner, text};

/// Most hosts in a look-alike of many hosts.
const MANY_HOSTS: usize = 24;

pub(super) fn plant(planner: &mut Planner, world: &World) {
    proxy::plant(planner, world);
    regular_servers::plant(planner, world);
    traveller::plant(planner);
    moved_address::plant(planner);
    backups::plant(planner);
}

/// Lists a look-alike if at least one of its rows is within the days of the lake.
fn finish(planner: &mut Planner, lookalike: Lookalike) {
    if lookalike.planted.rows > 0 {
        planner.plan.lookalikes.push(lookalike);
    }
}

/// The ordinary hosts that take part.
fn many_hosts(world: &World) -> &[Host] {
    let hosts = &world.hosts[KEPT_HOSTS..];
    &hosts[..hosts.len().min(MANY_HOSTS)]
}

/// A small connection of a host that has this address at that time.
fn connection(planner: &mut Planner, time_us: i64, host: &Host) -> NetworkRow<String> {
    NetworkRow {
        time: time_us,
        device: text(&host.name),
        account: text(&host.account),
        process_id: Some(planner.process_id()),
        remote_url: text("portal.corp.example"),
        remote_address: text("172.16.0.12"),
        remote_port: Some(443),
        local_address: text(&host.address),
        bytes_sent: Some(planner.rng.between(400, 2_000)),
        action: text("ConnectionSuccess"),
    }
}
