//! Whether an address lies outside private space.

use std::net::IpAddr;

use arrow::array::{BooleanArray, StringViewArray};
use datafusion::logical_expr::Expr;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::text_test::{TextTest, tested};

/// The networks that count as inside, with exceptions that still count as outside.
///
/// ```
/// use hindcast_functions::PrivateSpace;
///
/// let space = PrivateSpace { private: vec!["10.0.0.0/8".parse().unwrap()], ..PrivateSpace::default() };
/// assert!(space.is_external("8.8.8.8") && !space.is_external("::ffff:10.1.2.3"));
/// assert!(!space.is_external("not an address"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivateSpace {
    /// Networks whose addresses are not external.
    pub private: Vec<IpNet>,
    /// Networks inside private space that count as external (a laboratory's attacker, a partner's link).
    pub declared_external: Vec<IpNet>,
}

impl PrivateSpace {
    /// Whether `text` is a valid address outside private space. IPv4-mapped IPv6 counts as its IPv4.
    pub fn is_external(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else {
            return false;
        };
        let address = address.to_canonical();
        self.declared_external.iter().any(|net| net.contains(&address))
            || !self.private.iter().any(|net| net.contains(&address))
    }
}

/// True if the text is an address outside private space; false for all other texts and for null.
pub fn is_external(address: Expr, space: &PrivateSpace) -> Expr {
    tested(address, IsExternal(space.clone()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct IsExternal(PrivateSpace);

impl TextTest for IsExternal {
    const NAME: &'static str = "is_external";

    fn of(&self, addresses: &StringViewArray) -> BooleanArray {
        let is_external = |address: Option<&str>| address.is_some_and(|text| self.0.is_external(text));
        addresses.iter().map(|address| Some(is_external(address))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(private: &[&str], declared_external: &[&str]) -> PrivateSpace {
        let networks = |texts: &[&str]| -> Vec<IpNet> {
            texts.iter().map(|text| text.parse::<IpNet>().unwrap()).collect()
        };
        PrivateSpace { private: networks(private), declared_external: networks(declared_external) }
    }

    #[test]
    fn addresses_outside_private_networks_are_external() {
        let space = space(&["10.0.0.0/8", "fc00::/7", "127.0.0.1/32"], &[]);
        for text in ["9.255.255.255", "11.0.0.0", "2001:db8::1", "::ffff:11.0.0.1", "127.0.0.2"] {
            assert!(space.is_external(text), "{text}");
        }
        for text in ["10.0.0.0", "10.255.255.255", "fd00::1", "::ffff:10.1.2.3", "127.0.0.1"] {
            assert!(!space.is_external(text), "{text}");
        }
    }

    #[test]
    fn declared_networks_inside_private_space_are_external() {
        let space = space(&["10.0.0.0/8"], &["10.9.0.0/16"]);
        assert!(space.is_external("10.9.0.1") && space.is_external("::ffff:10.9.0.1"));
        assert!(!space.is_external("10.10.0.1"));
    }

    #[test]
    fn other_texts_are_not_external() {
        let none = PrivateSpace::default();
        assert!(none.is_external("10.0.0.1"), "no network is private");
        for text in ["", " 8.8.8.8", "8.8.8.8:53", "8.8.8", "[2001:db8::1]", "fe80::1%eth0", "host.example"] {
            assert!(!none.is_external(text), "{text}");
        }
        let texts = StringViewArray::from(vec![Some("8.8.8.8"), None]);
        assert_eq!(IsExternal(none).of(&texts), BooleanArray::from(vec![true, false]));
    }
}
