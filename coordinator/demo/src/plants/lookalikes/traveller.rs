//! A traveller: the address changes country once, and the work continues as before.

use super::super::super::office::{FILE_CHANGED, FILE_READ, LOGGED_IN, MAIL_READ, MAIL_SENT};
use super::super::super::places::LISBON;
use super::super::super::truth::Lookalike;
use super::super::operations::{Access, forenoon_at_home, repeat};
use super::super::{HOUR_US, Planner};
use super::finish;

pub(super) fn plant(planner: &mut Planner) {
    let person = planner.person();
    let midnight = planner.day_of_turn(planner.days / 2 + 2);
    let mut lookalike = Lookalike::new(
        "traveller",
        "home in the morning, abroad from the afternoon on, with only ordinary operations at an ordinary rate",
    );
    let context = forenoon_at_home(planner, &person, midnight);
    lookalike.planted.count_context(&context);
    let hotel_and_phone = [LISBON.address(80), LISBON.address(1_900)];
    for (start_hour, end_hour) in [(15, 22), (24 + 7, 24 + 19)] {
        let period = (midnight + start_hour * HOUR_US, midnight + end_hour * HOUR_US);
        for address in &hotel_and_phone {
            let access = Access { person: &person, address, user_agent: person.browser };
            let day =
                [(&LOGGED_IN, 2), (&MAIL_READ, 5), (&MAIL_SENT, 2), (&FILE_READ, 4), (&FILE_CHANGED, 2)];
            for (operation, times) in day {
                repeat(planner, &mut lookalike.planted, &access, (operation, times), period);
            }
        }
    }
    lookalike.shows(
        "multi_location_users",
        &[("user", &person.user_id), ("country_code", LISBON.country), ("city", LISBON.city)],
    );
    finish(planner, lookalike);
}
