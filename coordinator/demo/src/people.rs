//! The company's people in its Office tenant: their account names and addresses.

use std::net::Ipv6Addr;

use super::places::{HOME_TOWNS, OFFICES, Place};
use super::rng::{SeededRng, mix};

/// The domain of all accounts.
pub const DOMAIN: &str = "corp.example";
/// Browsers, the most common first.
pub(crate) const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
];
/// One home in this many has only IPv6.
const HOMES_PER_V6_HOME: usize = 12;

/// A person with an account.
#[derive(Clone)]
pub(crate) struct Person {
    /// Account and domain, in lower case.
    pub user_id: String,
    /// The same in the form that some products use.
    pub(crate) user_id_as_written: String,
    /// The account's number, in the form of mail products.
    pub key: String,
    /// The same in the form of document products.
    pub(crate) membership_key: String,
    pub browser: &'static str,
    /// One of the office's few addresses, always the same for a person.
    pub office: ClientAddress,
    pub home: ClientAddress,
}

/// An address, and forms of it with a port.
#[derive(Clone)]
pub(crate) struct ClientAddress {
    pub plain: String,
    /// `1.2.3.4:50123`, `[2001:db8::1]:50123`.
    pub(crate) with_ports: [String; 4],
}

impl Person {
    /// The person with this account and number. Numbers below 10,000 have different homes.
    pub fn new(account: &str, number: usize) -> Self {
        let hash = mix(number as u64);
        let office = &OFFICES[usize::from(hash & 3 == 0)];
        let town = &HOME_TOWNS[number % HOME_TOWNS.len()];
        let key = format!("10032000{:08X}", hash as u32);
        Self {
            user_id: format!("{account}@{DOMAIN}"),
            user_id_as_written: format!("{}@{DOMAIN}", capitalised(account)),
            membership_key: format!("i:0h.f|membership|{}@live.com", key.to_lowercase()),
            key,
            browser: match hash >> 8 & 15 {
                0..8 => BROWSERS[0],
                8..12 => BROWSERS[1],
                _ => BROWSERS[2],
            },
            office: ClientAddress::new(&office.address(2 + (hash >> 16 & 1) as u32), number),
            home: ClientAddress::new(&home_address(town, number), number),
        }
    }
}

impl ClientAddress {
    fn new(address: &str, number: usize) -> Self {
        let port = |place: u64| 49_152 + (mix(number as u64 * 4 + place) & 0x3FFF) as i64;
        let with_ports = [0, 1, 2, 3].map(|place| with_port(address, port(place)));
        Self { plain: address.to_owned(), with_ports }
    }

    /// One of the forms with a port.
    pub(crate) fn with_port(&self, rng: &mut SeededRng) -> &str {
        rng.pick::<String>(&self.with_ports)
    }
}

/// An address with a port, as logs write it.
pub(crate) fn with_port(address: &str, port: i64) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn home_address(town: &Place, number: usize) -> String {
    let house = number / HOME_TOWNS.len();
    match town.v6 {
        Some(network) if number % HOMES_PER_V6_HOME == HOMES_PER_V6_HOME - 1 => {
            let mut groups = network.network().segments();
            groups[3] = house as u16;
            groups[7] = 0x20 + (mix(house as u64) & 0xFF) as u16;
            Ipv6Addr::from(groups).to_string()
        }
        // The last octet of a home address is never 0 or 255.
        _ => town.address((house / 250 * 256 + house % 250 + 2) as u32),
    }
}

/// `anna.weber12` as `Anna.Weber12`.
fn capitalised(account: &str) -> String {
    let mut starts_word = true;
    let capital = |letter: char| {
        let written = if starts_word { letter.to_ascii_uppercase() } else { letter };
        starts_word = letter == '.';
        written
    };
    account.chars().map(capital).collect()
}
