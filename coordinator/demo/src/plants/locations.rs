//! Planted `multi_location_users`: an account used from several addresses at a place far from its owner.

use super::super::office::{FILE_DOWNLOADED, LOGGED_IN, MAIL_READ};
use super::super::people::{BROWSERS, Person};
use super::super::places::{Place, SAO_PAULO, TORONTO};
use super::super::truth::Attack;
use super::operations::{Access, forenoon_at_home, repeat};
use super::{HOUR_US, Planner};

struct Case {
    place: Place,
    addresses: u32,
    /// Operations from each address.
    times: usize,
}

const CASES: [Case; 2] =
    [Case { place: TORONTO, addresses: 2, times: 2 }, Case { place: SAO_PAULO, addresses: 6, times: 8 }];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, case) in CASES.iter().enumerate() {
        let person = planner.person();
        let start = planner.day_of_turn(turn as i64 * 3 + 1) + 14 * HOUR_US;
        let addresses: Vec<String> = (0..case.addresses).map(|n| case.place.address(20 + 7 * n)).collect();
        let id = format!("locations-{}-addresses", case.addresses);
        let mut attack = attack(&id, &person, &case.place, case.addresses);
        for address in &addresses {
            let access = Access { person: &person, address, user_agent: BROWSERS[0] };
            // At least three of each in total, so that none is a rare combination.
            for operation in [&LOGGED_IN, &MAIL_READ, &FILE_DOWNLOADED] {
                repeat(
                    planner,
                    &mut attack.planted,
                    &access,
                    (operation, case.times),
                    (start, start + 5 * HOUR_US),
                );
            }
        }
        let context = forenoon_at_home(planner, &person, start);
        attack.planted.count_context(&context);
        planner.finish(attack);
    }
}

/// A person's account used from a place, without rows yet.
pub(super) fn attack(id: &str, person: &Person, place: &Place, addresses: u32) -> Attack {
    let intensity = format!("{addresses} addresses in {}, {}", place.city, place.country_name);
    Attack::new(id, "multi_location_users", &intensity, "T1078.004")
        .entity("user", &person.user_id)
        .entity("country_code", place.country)
        .entity("city", place.city)
}
