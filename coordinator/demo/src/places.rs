//! Locations of the demo's people: the networks of offices, homes and places abroad.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// A city and its networks.
///
/// All networks are reserved for documentation (RFC 5737, RFC 3849) or benchmarks (RFC 2544).
pub struct Place {
    pub(crate) v4: Ipv4Net,
    pub v6: Option<Ipv6Net>,
    /// ISO 3166 code.
    pub country: &'static str,
    pub(crate) country_name: &'static str,
    pub city: &'static str,
    /// Degrees north and east.
    pub position: (f64, f64),
}

/// No home is in the city of an office: at work and at home a person is in two cities, with one address in each, which
/// is how
/// `multi_location_users` counts them.
pub(crate) static OFFICES: [Place; 2] = [
    at_home(v4([192, 0, 2, 0], 28), None, "Amsterdam", (52.3676, 4.9041)),
    at_home(v4([192, 0, 2, 16], 28), None, "Eindhoven", (51.4416, 5.4697)),
];
pub(crate) static HOME_TOWNS: [Place; 5] = [
    at_home(v4([198, 18, 0, 0], 19), Some(v6(0xf000)), "Utrecht", (52.0907, 5.1214)),
    at_home(v4([198, 18, 32, 0], 19), Some(v6(0xf001)), "Haarlem", (52.3874, 4.6462)),
    at_home(v4([198, 18, 64, 0], 19), Some(v6(0xf002)), "Leiden", (52.1601, 4.4970)),
    at_home(v4([198, 18, 96, 0], 19), Some(v6(0xf003)), "'s-Hertogenbosch", (51.6978, 5.3037)),
    at_home(v4([198, 18, 128, 0], 19), Some(v6(0xf004)), "Zwolle", (52.5168, 6.0830)),
];
/// The destination of a traveller. Only intruders use the other places abroad.
pub(crate) const LISBON: Place =
    abroad(v4([198, 19, 0, 0], 20), ("PT", "Portugal"), "Lisbon", (38.7223, -9.1393));
pub(crate) const SINGAPORE: Place =
    abroad(v4([198, 19, 16, 0], 20), ("SG", "Singapore"), "Singapore", (1.3521, 103.8198));
pub(crate) const TORONTO: Place =
    abroad(v4([198, 19, 32, 0], 20), ("CA", "Canada"), "Toronto", (43.6532, -79.3832));
pub(crate) const SAO_PAULO: Place =
    abroad(v4([198, 19, 48, 0], 20), ("BR", "Brazil"), "São Paulo", (-23.5505, -46.6333));
pub(crate) const SEOUL: Place =
    abroad(v4([198, 19, 64, 0], 20), ("KR", "South Korea"), "Seoul", (37.5665, 126.9780));

/// All places of the demo.
pub fn all() -> impl Iterator<Item = &'static Place> {
    static ABROAD: [Place; 5] = [LISBON, SINGAPORE, TORONTO, SAO_PAULO, SEOUL];
    OFFICES.iter().chain(&HOME_TOWNS).chain(&ABROAD)
}

impl Place {
    /// The IPv4 address at this offset in the network.
    pub fn address(&self, offset: u32) -> String {
        Ipv4Addr::from_bits(self.v4.network().to_bits() + offset).to_string()
    }
}

const fn v4([a, b, c, d]: [u8; 4], prefix_length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_length)
}

const fn v6(third_group: u16) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, third_group, 0, 0, 0, 0, 0), 48)
}

const fn at_home(v4: Ipv4Net, v6: Option<Ipv6Net>, city: &'static str, position: (f64, f64)) -> Place {
    Place { v4, v6, country: "NL", country_name: "Netherlands", city, position }
}

const fn abroad(
    v4: Ipv4Net,
    (country, country_name): (&'static str, &'static str),
    city: &'static str,
    position: (f64, f64),
) -> Place {
    Place { v4, v6: None, country, country_name, city, position }
}
