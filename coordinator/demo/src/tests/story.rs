//! Tests of the story and the look-alikes: rows relate the parts of the story, and no rows relate look-alikes to it.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::{make, rows, truth};

fn attack<'a>(truth: &'a Value, id: &Value) -> &'a Value {
    let attacks = truth["attacks"].as_array().unwrap();
    attacks.iter().find(|attack| attack["id"] == *id).unwrap_or_else(|| panic!("no attack {id}"))
}

fn lookalike<'a>(truth: &'a Value, id: &str) -> &'a Value {
    truth["lookalikes"].as_array().unwrap().iter().find(|lookalike| lookalike["id"] == id).unwrap()
}

/// Date and values of all rows.
fn by_date<const N: usize>(folder: &Path, table: &str, columns: [&str; N]) -> HashSet<[String; N]> {
    let text = |value: Option<String>| value.unwrap_or_default();
    let all = rows(folder, table, columns).into_iter().map(|row| row.map(text));
    all.map(|mut row| {
        row[0].truncate(10);
        row
    })
    .collect()
}

/// Device and its address by date, as the connections show them.
fn addresses(folder: &Path) -> HashSet<[String; 3]> {
    by_date(folder, "DeviceNetworkEvents", ["Timestamp", "DeviceName", "LocalIP"])
}

fn owned<const N: usize>(texts: [&str; N]) -> [String; N] {
    texts.map(str::to_owned)
}

#[test]
fn the_story_follows_the_kill_chain_within_a_day() {
    for (days, rows_per_day) in [(1, 20_000), (2, 3_000), (7, 5_000)] {
        let (folder, ..) = make(days, rows_per_day, 4);
        let truth = truth(folder.path());
        let incidents = truth["incidents"].as_array().unwrap();
        assert_eq!(incidents.len(), 1);
        let parts: Vec<&Value> =
            incidents[0]["attacks"].as_array().unwrap().iter().map(|id| attack(&truth, id)).collect();
        let analyses: Vec<&str> = parts.iter().map(|part| part["analysis"].as_str().unwrap()).collect();
        let expected = [
            "compression_staging",
            "cli_storage_uploads",
            "beaconing",
            "egress_spikes",
            "data_exfiltration",
            "multi_location_users",
            "rare_combinations",
        ];
        assert_eq!(analyses, expected);
        let starts: Vec<&str> = parts.iter().map(|part| part["first_seen"].as_str().unwrap()).collect();
        assert!(starts.is_sorted(), "{starts:?}");
        let ends = parts.iter().map(|part| part["last_seen"].as_str().unwrap());
        let (first, last) = (starts[0], ends.max().unwrap());
        assert_eq!(first[..10], last[..10], "one day");
        assert_eq!(
            (first, last),
            (incidents[0]["first_seen"].as_str().unwrap(), incidents[0]["last_seen"].as_str().unwrap())
        );
    }
}

#[test]
fn rows_of_its_day_relate_the_parts_of_the_story() {
    let (folder, ..) = make(3, 5_000, 2);
    let truth = truth(folder.path());
    let story = &truth["incidents"][0];
    let name = |key: &str| story[key].as_str().unwrap();
    let (device, address, user) = (name("device"), name("address"), name("user"));
    let date = &name("first_seen")[..10];
    let account = user.strip_suffix("@corp.example").unwrap();
    assert!(addresses(folder.path()).contains(&owned([date, device, address])));
    let columns = ["TimeGenerated", "SourceIP", "SourceUserName", "SourceHostName"];
    let sessions = by_date(folder.path(), "CommonSecurityLog", columns);
    let (host, domain_user) = (format!("{device}.corp.example"), format!("CORP\\{account}"));
    assert!(sessions.contains(&owned([date, address, &domain_user, &host])));
    let columns = ["Timestamp", "DeviceName", "InitiatingProcessAccountName"];
    assert!(by_date(folder.path(), "DeviceProcessEvents", columns).contains(&owned([date, device, account])));
    let columns = ["TimeGenerated", "UserId", "Operation"];
    let operations = by_date(folder.path(), "OfficeActivity", columns);
    assert!(operations.contains(&owned([date, user, "FileDownloaded"])));
    // On each day only this device has the address.
    let others = addresses(folder.path()).into_iter().filter(|[_, of, at]| at == address && of != device);
    assert_eq!(others.count(), 0);
}

#[test]
fn many_devices_share_the_proxy_on_its_day() {
    let (folder, ..) = make(3, 5_000, 2);
    let truth = truth(folder.path());
    let proxy = lookalike(&truth, "shared-proxy");
    let address = proxy["may_show"][0]["entities"]["source_ip"].as_str().unwrap();
    let behind: HashSet<[String; 3]> =
        addresses(folder.path()).into_iter().filter(|[.., at]| at == address).collect();
    let date = &proxy["first_seen"].as_str().unwrap()[..10];
    assert!(behind.iter().all(|[on, ..]| on == date));
    assert!(behind.len() >= 10, "{behind:?}");
    for id in proxy["attacks"].as_array().unwrap() {
        let attack = attack(&truth, id);
        let device = attack["entities"]["device_name"].as_str().unwrap();
        assert_eq!(attack["first_seen"].as_str().unwrap()[..10], *date);
        assert!(behind.contains(&owned([date, device, address])), "{id}");
    }
}

#[test]
fn the_moved_address_has_one_device_on_each_day() {
    let (folder, ..) = make(4, 2_000, 2);
    let truth = truth(folder.path());
    let moved = lookalike(&truth, "moved-address");
    let [before, after] = [0, 1].map(|place| attack(&truth, &moved["attacks"][place]));
    let address = after["entities"]["source_ip"].as_str().unwrap();
    let mut days: Vec<[String; 3]> =
        addresses(folder.path()).into_iter().filter(|[.., at]| at == address).collect();
    days.sort();
    assert_eq!(days.len(), 2, "{days:?}");
    assert_eq!(days[0][1], before["entities"]["device_name"].as_str().unwrap());
    assert_ne!(days[0][1], days[1][1]);
    let (end, start) = (before["last_seen"].as_str().unwrap(), after["first_seen"].as_str().unwrap());
    assert_eq!((&end[..10], &start[..10]), (&*days[0][0], &*days[1][0]));
    // Close enough to be joined by a correlation that ignores the day.
    assert!(end > format!("{}T18", days[0][0]).as_str() && start < format!("{}T12", days[1][0]).as_str());
    let (one_day, ..) = make(1, 2_000, 2);
    let truth = super::truth(one_day.path());
    assert!(truth["lookalikes"].as_array().unwrap().iter().all(|other| other["id"] != "moved-address"));
}

#[test]
fn lookalikes_have_reasons_and_share_nothing_with_the_story() {
    let (folder, ..) = make(7, 5_000, 3);
    let truth = truth(folder.path());
    let story = &truth["incidents"][0];
    let mut ids: Vec<&str> = Vec::new();
    for lookalike in truth["lookalikes"].as_array().unwrap() {
        ids.push(lookalike["id"].as_str().unwrap());
        assert!(lookalike["why"].as_str().unwrap().len() > 20);
        let shown = lookalike["may_show"].as_array().unwrap().iter().map(|shown| &shown["entities"]);
        let of_attacks = lookalike["attacks"].as_array().unwrap().iter();
        for entities in shown.chain(of_attacks.map(|id| &attack(&truth, id)["entities"])) {
            for name in ["device", "address", "user"] {
                let is_shared = entities.as_object().unwrap().values().any(|value| *value == story[name]);
                assert!(!is_shared, "{}: {name}", lookalike["id"]);
            }
        }
    }
    let expected =
        ["shared-proxy", "update-server", "clock-servers", "traveller", "moved-address", "backup-account"];
    assert_eq!(ids, expected);
}
