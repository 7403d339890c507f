//! Planted rows of OfficeActivity: one or more operations of a person from an address.

use super::super::office::{
    FILE_READ, LOGGED_IN, MAIL_READ, ORGANIZATION, OfficeRow, Operation, document_url, office_id,
};
use super::super::people::{Person, with_port};
use super::super::truth::PlantedRows;
use super::{DAY_US, HOUR_US, Planner, text};

/// Person, address and program of operations.
pub(super) struct Access<'a> {
    pub(super) person: &'a Person,
    /// Without a port.
    pub(super) address: &'a str,
    pub(super) user_agent: &'a str,
}

/// An operation at `time_us` (microseconds since 1970 UTC).
pub(super) fn operation(
    planner: &mut Planner,
    time_us: i64,
    access: &Access,
    operation: &Operation,
) -> OfficeRow<String> {
    let person = access.person;
    let port = planner.rng.between(49_152, 65_536);
    let mut row = OfficeRow {
        time: time_us,
        office_id: Some(office_id(&mut planner.rng)),
        record_type: text(operation.record_type),
        operation: text(operation.name),
        organization: text(ORGANIZATION),
        user_type: text("Regular"),
        user_key: text(&person.membership_key),
        user_id: text(&person.user_id),
        workload: text(operation.workload),
        result: operation.result.map(str::to_owned),
        client: text(access.address),
        ..OfficeRow::default()
    };
    match operation.workload {
        "Exchange" => {
            row.user_key = text(&person.key);
            row.user_id = text(&person.user_id_as_written);
            let and_port = Some(with_port(access.address, port));
            match (operation.record_type, port % 4) {
                ("ExchangeAdmin", _) => row.client = and_port,
                (_, 0) => (row.client, row.mail_client) = (None, and_port),
                _ => (row.client, row.mail_client) = (None, text(access.address)),
            }
        }
        "SharePoint" => {
            row.object = Some(document_url(&mut planner.rng));
            row.user_agent = text(access.user_agent);
        }
        _ => {
            row.actor_address = text(access.address);
            row.user_agent = text(access.user_agent);
        }
    }
    row
}

/// Plants an operation this many times at random times of a period (microseconds since 1970 UTC).
pub(super) fn repeat(
    planner: &mut Planner,
    planted: &mut PlantedRows,
    access: &Access,
    (repeated, times): (&Operation, usize),
    (start, end): (i64, i64),
) {
    for _ in 0..times {
        let time = planner.rng.between(start, end);
        let row = operation(planner, time, access, repeated);
        planner.add_office(planted, row);
    }
}

/// Operations of the person at home on the morning of the day of `time_us`: context for what happens elsewhere later.
pub(super) fn forenoon_at_home(planner: &mut Planner, person: &Person, time_us: i64) -> PlantedRows {
    let midnight = time_us - (time_us - planner.start_us).rem_euclid(DAY_US);
    let period = (midnight + 7 * HOUR_US, midnight + 11 * HOUR_US);
    let access = Access { person, address: &person.home.plain, user_agent: person.browser };
    let mut context = PlantedRows::new();
    for (operation, times) in [(&LOGGED_IN, 1), (&MAIL_READ, 5), (&FILE_READ, 4)] {
        repeat(planner, &mut context, &access, (operation, times), period);
    }
    context
}
