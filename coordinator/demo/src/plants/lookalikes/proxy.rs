//! An address shared by many devices on a day on which two of them, and the address itself, have a separate finding each.

use super::super::super::truth::Lookalike;
use super::super::super::world::{Host, Role, World};
use super::super::exfiltration;
use super::super::sessions::session;
use super::super::staging::{Packing, pack};
use super::super::uploads::{Sizes, Upload, send};
use super::super::{HOUR_US, MINUTE_US, Planner, text};
use super::{connection, finish, many_hosts};

const PROXY_ADDRESS: &str = "10.98.0.10";
/// A service to which everybody uploads files.
const SERVICE_ADDRESS: &str = "198.51.100.71";
const SERVICE_MIB: i64 = 150;
const SERVICE_SESSIONS: i64 = 30;
const SESSIONS_PER_HOST: usize = 3;
const PACKING: Packing = Packing {
    id: "lone-staging-behind-proxy",
    parent: "explorer.exe",
    file: "7z.exe",
    command: r"7z.exe a C:\Users\{u}\AppData\Local\Temp\holiday.7z C:\Users\{u}\Pictures",
    folder: r"C:\Users\{u}\AppData\Local\Temp\",
    archive: "holiday.7z",
    archives: 1,
};
const UPLOAD: Upload = Upload {
    id: "lone-upload-behind-proxy",
    file: "aws.exe",
    command: r"aws s3 cp D:\Renders s3://studio-renders/in --recursive",
    remote_url: "studio-renders.s3.amazonaws.com",
    remote_address: "203.0.113.118",
    port: 443,
    connections: 2,
    blob_writes: None,
    sizes: Sizes { of_connection: (5_000_000, 20_000_000), of_block: (0, 0) },
};

pub(super) fn plant(planner: &mut Planner, world: &World) {
    let midnight = planner.day_of_turn(planner.days / 2 + 1);
    let working_day = (midnight + 8 * HOUR_US, midnight + 18 * HOUR_US);
    let behind = |host: &Host| Host { address: PROXY_ADDRESS.to_owned(), ..host.clone() };
    let packer = behind(&planner.endpoint(Role::Workstation));
    let sender = behind(&planner.endpoint(Role::Workstation));
    let staging = pack(planner, &packer, midnight + 9 * HOUR_US, &PACKING);
    let upload = send(planner, &sender, midnight + 11 * HOUR_US + 10 * MINUTE_US, &UPLOAD);

    let mut lookalike = Lookalike::new(
        "shared-proxy",
        "many devices share one address: findings of two of them and of the address itself on one day are unrelated",
    );
    lookalike.attacks = vec![staging.id.clone(), upload.id.clone()];
    let mut hosts: Vec<Host> = many_hosts(world).iter().map(behind).collect();
    hosts.extend([packer, sender]);
    let mut next_peer = world.external.len() / 3;
    for host in &hosts {
        for _ in 0..SESSIONS_PER_HOST {
            let time = planner.rng.between(working_day.0, working_day.1);
            let row = connection(planner, time, host);
            planner.add_network(&mut lookalike.planted, row);
            // Each session goes to a different address, so that none is a beacon.
            let mut row = session(time, host, &world.external[next_peer].address);
            row.destination_host = text(&world.external[next_peer].name);
            row.sent_bytes = Some(planner.rng.between(400, 9_000));
            row.received_bytes = Some(planner.rng.between(2_000, 90_000));
            planner.add_firewall(&mut lookalike.planted, row);
            next_peer += 1;
        }
    }
    let size = (SERVICE_MIB, SERVICE_SESSIONS);
    let planted = &mut lookalike.planted;
    exfiltration::transfer(planner, planted, (&hosts, SERVICE_ADDRESS), size, working_day);
    lookalike
        .shows("data_exfiltration", &[("source_ip", PROXY_ADDRESS), ("destination_ip", SERVICE_ADDRESS)]);
    planner.finish(staging);
    planner.finish(upload);
    finish(planner, lookalike);
}
