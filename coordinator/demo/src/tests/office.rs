//! Tests that the Office rows and the location database together show only the planted attacks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{Reader, geoip2};
use serde_json::Value;

use super::{make, rows, truth, values};

/// The fields of a row that analyses read. Address, country and city are empty if it has no address.
struct Seen {
    user: String,
    operation: String,
    address: String,
    agent: String,
    country: String,
    city: String,
}

fn locations(folder: &Path) -> Reader<Vec<u8>> {
    Reader::open_readfile(folder.join("lake/geoip.mmdb")).unwrap()
}

/// Country code and city of an address.
fn locate(locations: &Reader<Vec<u8>>, address: &str) -> Option<(String, String)> {
    let found = locations.lookup(address.parse::<IpAddr>().unwrap()).unwrap();
    let city: geoip2::City = found.decode().unwrap()?;
    assert!(city.location.latitude.unwrap().abs() <= 90.0 && city.location.longitude.unwrap().abs() <= 180.0);
    assert!(city.country.names.english.is_some());
    Some((city.country.iso_code.unwrap().to_owned(), city.city.names.english.unwrap().to_owned()))
}

/// An address without its port, as analyses take it from a row's two columns.
fn address_of(client: Option<&str>, mail_client: Option<&str>) -> Option<String> {
    let text = [mail_client, client].into_iter().flatten().find(|text| !["", "<null>"].contains(text))?;
    let text = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap(),
        None if text.matches(':').count() == 1 => text.split(':').next().unwrap(),
        None => text,
    };
    Some(text.to_owned())
}

/// All rows of regular users.
fn seen(folder: &Path) -> Vec<Seen> {
    let locations = locations(folder);
    let columns = ["UserType", "UserId", "Operation", "ClientIP", "Client_IPAddress", "UserAgent"];
    let mut seen = Vec::new();
    for [user_type, user, operation, client, mail_client, agent] in rows(folder, "OfficeActivity", columns) {
        if user_type.as_deref() != Some("Regular") {
            continue;
        }
        let address = address_of(client.as_deref(), mail_client.as_deref()).unwrap_or_default();
        let (country, city) = match &*address {
            "" => Default::default(),
            known => locate(&locations, known).unwrap_or_else(|| panic!("{known} is nowhere")),
        };
        let (user, operation) = (user.unwrap().to_lowercase(), operation.unwrap());
        seen.push(Seen { user, operation, address, agent: agent.unwrap_or_default(), country, city });
    }
    assert!(!seen.is_empty());
    seen
}

/// The entities of all planted rows of an analysis, of attacks and look-alikes.
fn planted(truth: &Value, analysis: &str, columns: &[&str]) -> BTreeSet<Vec<String>> {
    let lookalikes = truth["lookalikes"].as_array().unwrap().iter();
    let shown = lookalikes.flat_map(|lookalike| lookalike["may_show"].as_array().unwrap());
    let all = truth["attacks"].as_array().unwrap().iter().chain(shown);
    let values = |thing: &Value| {
        columns
            .iter()
            .map(|column| thing["entities"][column].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    all.filter(|thing| thing["analysis"] == analysis).map(values).collect()
}

#[test]
fn only_planted_users_have_several_addresses_in_a_place() {
    let (folder, ..) = make(6, 20_000, 5);
    let seen = seen(folder.path());
    let mut by_operation: BTreeMap<(&str, &str), HashSet<&str>> = BTreeMap::new();
    let seen: Vec<&Seen> = seen.iter().filter(|row| !row.address.is_empty()).collect();
    for row in &seen {
        by_operation.entry((&row.user, &row.operation)).or_default().insert(&row.address);
    }
    let mut by_place: BTreeMap<Vec<String>, HashSet<&str>> = BTreeMap::new();
    for row in seen.iter().filter(|row| by_operation[&(&*row.user, &*row.operation)].len() > 1) {
        let place = vec![row.user.clone(), row.country.clone(), row.city.clone()];
        by_place.entry(place).or_default().insert(&row.address);
    }
    let found: BTreeSet<Vec<String>> =
        by_place.into_iter().filter(|(_, addresses)| addresses.len() > 1).map(|(place, _)| place).collect();
    let truth = truth(folder.path());
    assert_eq!(found, planted(&truth, "multi_location_users", &["user", "country_code", "city"]));
    assert_eq!(found.len(), 4, "two attacks, the story and the traveller");
}

#[test]
fn only_planted_combinations_are_rare() {
    let (folder, ..) = make(6, 20_000, 5);
    let seen = seen(folder.path());
    let mut counts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for row in &seen {
        let key = vec![row.country.clone(), row.operation.clone(), row.agent.clone()];
        *counts.entry(key).or_default() += 1;
    }
    let found: BTreeSet<Vec<String>> =
        counts.into_iter().filter(|(_, count)| *count <= 2).map(|(combination, _)| combination).collect();
    let truth = truth(folder.path());
    assert_eq!(found, planted(&truth, "rare_combinations", &["country_code", "operation", "user_agent"]));
    assert_eq!(found.len(), 4, "three attacks and the story's rule");
}

#[test]
fn rows_have_the_forms_of_real_ones() {
    let (folder, ..) = make(2, 20_000, 3);
    let clients = values(folder.path(), "OfficeActivity", "ClientIP");
    let mail_clients = values(folder.path(), "OfficeActivity", "Client_IPAddress");
    assert!(mail_clients.iter().any(|text| text.starts_with('[') && text.contains("]:")));
    assert!(mail_clients.iter().any(|text| text.starts_with("198.18.") && text.contains(':')));
    assert!(mail_clients.contains("<null>") && mail_clients.contains(""));
    assert!(clients.contains("<null>") && clients.contains(""));
    let users = values(folder.path(), "OfficeActivity", "UserId");
    let lower: HashSet<String> = users.iter().map(|user| user.to_lowercase()).collect();
    assert!(users.len() > lower.len(), "some are written with capitals");
    for user_type in ["Regular", "Admin", "System", "ServicePrincipal"] {
        assert!(values(folder.path(), "OfficeActivity", "UserType").contains(user_type), "{user_type}");
    }
    let accounts = values(folder.path(), "DeviceProcessEvents", "InitiatingProcessAccountName");
    let shared = lower.iter().filter(|user| accounts.contains(user.split('@').next().unwrap())).count();
    assert!(shared > 20, "the people of Office are those of the devices: {shared}");
}

#[test]
fn flows_lead_to_the_addresses_of_people() {
    let (folder, ..) = make(2, 20_000, 3);
    let columns = ["FlowDirection", "AllExtIPs", "PublicIPs", "SrcIP", "DestIP", "AllowedInFlows"];
    let flows = rows(folder.path(), "AzureNetworkAnalytics_CL", columns);
    let of_people: HashSet<String> = seen(folder.path()).into_iter().map(|row| row.address).collect();
    let mut inbound_of_people = 0;
    for [direction, external, public, source, destination, allowed_in] in flows {
        match external {
            Some(external) => {
                let public: Vec<String> = serde_json::from_str(&public.unwrap()).unwrap();
                assert!(public.contains(&external) && source.is_none() && destination.is_none());
                let is_inbound = direction.as_deref() == Some("I");
                assert_eq!(is_inbound, allowed_in.as_deref() != Some("0"));
                inbound_of_people += usize::from(is_inbound && of_people.contains(&external));
            }
            None => assert!(public.is_none() && source.is_some() && destination.is_some()),
        }
    }
    assert!(inbound_of_people > 10);
}

#[test]
fn the_location_database_covers_only_the_demo() {
    let (folder, ..) = make(1, 100, 1);
    let locations = locations(folder.path());
    let place = |address| locate(&locations, address);
    let at = |country: &str, city: &str| Some((country.to_owned(), city.to_owned()));
    assert_eq!(place("192.0.2.3"), at("NL", "Amsterdam"));
    assert_eq!(place("2001:db8:f003:12::21"), at("NL", "'s-Hertogenbosch"));
    assert_eq!(place("198.19.48.20"), at("BR", "São Paulo"));
    for nowhere in ["8.8.8.8", "192.0.2.32", "10.20.0.10", "198.19.80.0", "2001:db8:10::1", "203.0.113.70"] {
        assert_eq!(place(nowhere), None, "{nowhere}");
    }
}
