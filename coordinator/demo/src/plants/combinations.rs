//! Planted `rare_combinations`: an operation, a program and a country that rarely occur together.

use super::super::office::{FILE_DOWNLOADED, LOGGED_IN, Operation};
use super::super::places::{HOME_TOWNS, SEOUL};
use super::super::truth::Attack;
use super::operations::{Access, forenoon_at_home, repeat};
use super::{HOUR_US, Planner};

const ANONYMOUS_LINK: Operation = Operation {
    record_type: "SharePointSharingOperation",
    name: "AnonymousLinkCreated",
    workload: "SharePoint",
    result: None,
};

struct Case {
    id: &'static str,
    operation: Operation,
    times: usize,
    is_abroad: bool,
    /// The person's own browser if absent.
    user_agent: Option<&'static str>,
}

const CASES: [Case; 3] = [
    Case {
        id: "combination-login-from-abroad",
        operation: LOGGED_IN,
        times: 1,
        is_abroad: true,
        user_agent: Some("python-requests/2.32.3"),
    },
    Case {
        id: "combination-download-tool",
        operation: FILE_DOWNLOADED,
        times: 2,
        is_abroad: false,
        user_agent: Some("rclone/v1.66.0"),
    },
    Case {
        id: "combination-anonymous-link",
        operation: ANONYMOUS_LINK,
        times: 1,
        is_abroad: false,
        user_agent: None,
    },
];

pub(super) fn plant(planner: &mut Planner) {
    for (turn, case) in CASES.iter().enumerate() {
        let person = planner.person();
        let start = planner.day_of_turn(turn as i64 * 2 + 2) + 13 * HOUR_US;
        let user_agent = case.user_agent.unwrap_or(person.browser);
        let abroad = SEOUL.address(44);
        let (address, country) = match case.is_abroad {
            true => (&abroad, SEOUL.country),
            false => (&person.home.plain, HOME_TOWNS[0].country),
        };
        let intensity = format!("seen {} in the lake", if case.times == 1 { "once" } else { "twice" });
        let mut attack = Attack::new(case.id, "rare_combinations", &intensity, "T1078.004")
            .entity("user", &person.user_id)
            .entity("operation", case.operation.name)
            .entity("country_code", country)
            .entity("user_agent", user_agent);
        let access = Access { person: &person, address, user_agent };
        let period = (start, start + 6 * HOUR_US);
        repeat(planner, &mut attack.planted, &access, (&case.operation, case.times), period);
        let context = forenoon_at_home(planner, &person, start);
        attack.planted.count_context(&context);
        planner.finish(attack);
    }
}
