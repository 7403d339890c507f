//! Registered domains: the part of a name that somebody registered, by the Public Suffix List (<https://publicsuffix.org>).
//!
//! The private section of the list counts too. A host of a dynamic-DNS service (`x.duckdns.org`) or of a delivery network
//! (`d1.cloudfront.net`) is a domain of its own: its owner is not the owner of its neighbours.

/// A name, lower-cased, split at the start of its registered domain: what is below it, and the domain.
///
/// `None` for names that lead to nobody's server on the Internet: those without a dot, addresses, names below a top-level domain
/// that the list does not have (`.local`, `.lan`, an internal domain), `.onion`, `.arpa` (reverse lookups, `home.arpa`), and public
/// suffixes themselves.
fn split(name: &str) -> Option<(String, usize)> {
    let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
    if name.ends_with(".arpa") || name.ends_with(".onion") {
        return None;
    }
    let start = {
        let domain = psl::domain(name.as_bytes()).filter(|domain| domain.suffix().is_known())?;
        name.len() - domain.as_bytes().len()
    };
    Some((name, start))
}

/// The registered domain of a name; see [`split`] for names that have none.
pub(crate) fn registered_domain(name: &str) -> Option<String> {
    split(name).map(|(name, start)| name[start..].to_owned())
}

/// What a name has below its registered domain, without the dot between them; `None` if there is nothing.
pub(crate) fn subdomain(name: &str) -> Option<String> {
    let (mut name, start) = split(name)?;
    name.truncate(start.saturating_sub(1));
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_domain_is_one_label_below_a_public_suffix() {
        for (name, domain, below) in [
            ("example.com", "example.com", None),
            ("WWW.Example.COM.", "example.com", Some("www")),
            ("a.b.example.co.uk", "example.co.uk", Some("a.b")),
            ("_dmarc.example.de", "example.de", Some("_dmarc")),
            ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de", None),
        ] {
            assert_eq!(registered_domain(name).as_deref(), Some(domain), "{name}");
            assert_eq!(subdomain(name).as_deref(), below, "{name}");
        }
    }

    #[test]
    fn a_host_of_a_dynamic_dns_service_or_delivery_network_is_a_domain_of_its_own() {
        assert_eq!(registered_domain("payload.tunnel.duckdns.org").as_deref(), Some("tunnel.duckdns.org"));
        assert_eq!(subdomain("payload.tunnel.duckdns.org").as_deref(), Some("payload"));
        assert_eq!(
            registered_domain("d111111abcdef8.cloudfront.net").as_deref(),
            Some("d111111abcdef8.cloudfront.net")
        );
        assert_eq!(subdomain("d111111abcdef8.cloudfront.net"), None);
    }

    #[test]
    fn names_that_lead_to_no_server_on_the_internet_have_none() {
        for name in [
            "",
            ".",
            "com",
            "co.uk",
            "wpad",
            "printer.local",
            "host.corp.lan",
            "domain.lan",
            "1.0.0.127.in-addr.arpa",
            "router.home.arpa",
            "192.0.2.1",
            "2001:db8::1",
            "expyuzz4wqqyqhjn.onion",
            "www..example",
            "*",
        ] {
            assert_eq!(registered_domain(name), None, "{name}");
            assert_eq!(subdomain(name), None, "{name}");
        }
    }
}
