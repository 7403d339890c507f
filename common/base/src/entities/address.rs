//! Addresses in the forms of logs: with ports, brackets, zones, or as IPv4 mapped into IPv6.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

/// The canonical text of an address (RFC 5952; IPv4 if it is mapped into IPv6), without a port; `None` for other text.
pub fn address_of(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if text.parse::<Ipv4Addr>().is_ok() {
        // IPv4 has a single form.
        return Some(Cow::Borrowed(text));
    }
    let parsed = text.parse::<IpAddr>().or_else(|_| without_port(text).parse::<IpAddr>());
    Some(Cow::Owned(parsed.ok()?.to_canonical().to_string()))
}

/// As [`address_of`], but other text stays as it is; `None` if it is empty or `<null>`.
pub fn address_or_text_of(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if text.is_empty() || text == "<null>" {
        return None;
    }
    Some(address_of(text).unwrap_or(Cow::Borrowed(text)))
}

/// The address of `1.2.3.4:443`, `[v6]:443`, `[v6]` or `v6%zone`.
fn without_port(text: &str) -> &str {
    let bare = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        // One colon precedes a port; more belong to an IPv6 address.
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => text,
        },
    };
    bare.split_once('%').map_or(bare, |(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_brackets_zones_and_mappings_are_removed() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1:443 ", "192.0.2.1"),
            ("[2001:DB8::1]:36185", "2001:db8::1"),
            ("[2001:db8:0:0::1]", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(address_of(text).as_deref(), Some(address), "{text}");
        }
        for text in ["", "xxx.xx.x.xx", "host:443", "<null>", "1.2.3"] {
            assert_eq!(address_of(text), None, "{text}");
        }
        assert_eq!(address_or_text_of("host:443").as_deref(), Some("host:443"));
        assert_eq!(address_or_text_of(" <null>"), None);
    }
}
