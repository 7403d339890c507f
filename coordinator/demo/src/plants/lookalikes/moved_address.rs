//! An address that moved overnight between two devices, each with a separate finding on its day.

use super::super::super::truth::Lookalike;
use super::super::super::world::{Host, Role};
use super::super::staging::{Packing, pack};
use super::super::{DAY_US, HOUR_US, Planner, exfiltration};
use super::{connection, finish};

const ADDRESS: &str = "10.97.0.50";
const DESTINATION: &str = "198.51.100.72";
const TRANSFER: (i64, i64) = (200, 9);
const PACKING: Packing = Packing {
    id: "lone-staging-before-move",
    parent: "explorer.exe",
    file: "rar.exe",
    command: r"rar.exe a C:\staging\tender.rar C:\Tender",
    folder: r"C:\staging\",
    archive: "tender.rar",
    archives: 1,
};

pub(super) fn plant(planner: &mut Planner) {
    if planner.days < 2 {
        return;
    }
    let first_midnight = planner.day_of_turn(planner.days - 2);
    let second_midnight = first_midnight + DAY_US;
    let with_address = |host: Host| Host { address: ADDRESS.to_owned(), ..host };
    let first = with_address(planner.endpoint(Role::Workstation));
    let second = with_address(planner.endpoint(Role::Workstation));
    let mut lookalike = Lookalike::new(
        "moved-address",
        "the address was one device's on the first day and another's on the next: their findings, half a day apart, are not one story",
    );
    for (host, midnight, hours) in
        [(&first, first_midnight, [17, 19, 22]), (&second, second_midnight, [6, 8, 11])]
    {
        for hour in hours {
            let row = connection(planner, midnight + hour * HOUR_US, host);
            planner.add_network(&mut lookalike.planted, row);
        }
    }
    let staging = pack(planner, &first, first_midnight + 20 * HOUR_US, &PACKING);
    let id = "lone-transfer-after-move";
    let mut transfer = exfiltration::attack(id, ADDRESS, DESTINATION, TRANSFER.0, TRANSFER.1);
    let period = (second_midnight + 7 * HOUR_US, second_midnight + 10 * HOUR_US);
    let from_second = (std::slice::from_ref(&second), DESTINATION);
    exfiltration::transfer(planner, &mut transfer.planted, from_second, TRANSFER, period);
    lookalike.attacks = vec![staging.id.clone(), transfer.id.clone()];
    planner.finish(staging);
    planner.finish(transfer);
    finish(planner, lookalike);
}
