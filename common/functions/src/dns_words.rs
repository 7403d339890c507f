//! Record types and response codes of DNS, which logs write as numbers or as names.

use std::borrow::Cow;

/// Record types with their numbers: <https://www.iana.org/assignments/dns-parameters>.
const TYPES: &[(&str, &str)] = &[
    ("1", "A"),
    ("2", "NS"),
    ("5", "CNAME"),
    ("6", "SOA"),
    ("10", "NULL"),
    ("12", "PTR"),
    ("13", "HINFO"),
    ("15", "MX"),
    ("16", "TXT"),
    ("25", "KEY"),
    ("28", "AAAA"),
    ("33", "SRV"),
    ("35", "NAPTR"),
    ("37", "CERT"),
    ("39", "DNAME"),
    ("43", "DS"),
    ("44", "SSHFP"),
    ("46", "RRSIG"),
    ("47", "NSEC"),
    ("48", "DNSKEY"),
    ("50", "NSEC3"),
    ("52", "TLSA"),
    ("64", "SVCB"),
    ("65", "HTTPS"),
    ("99", "SPF"),
    ("255", "ANY"),
    ("257", "CAA"),
];

/// Response codes with their numbers, of the same registry.
const CODES: &[(&str, &str)] = &[
    ("0", "NOERROR"),
    ("1", "FORMERR"),
    ("2", "SERVFAIL"),
    ("3", "NXDOMAIN"),
    ("4", "NOTIMP"),
    ("5", "REFUSED"),
    ("6", "YXDOMAIN"),
    ("7", "YXRRSET"),
    ("8", "NXRRSET"),
    ("9", "NOTAUTH"),
    ("10", "NOTZONE"),
];

/// The name of a record type; `None` for an empty text. A type that is not in the table is `TYPE` and its number, as in RFC 3597. Zeek
/// writes such types as `query-65399`.
pub(crate) fn record_type(text: &str) -> Option<Cow<'static, str>> {
    let text = text.trim();
    let text = text.strip_prefix("query-").unwrap_or(text);
    if text == "*" {
        return Some(Cow::Borrowed("ANY"));
    }
    word(text, TYPES, "TYPE")
}

/// The name of a response code; `None` for an empty text. A code that is not in the table is `RCODE` and its number.
pub(crate) fn response_code(text: &str) -> Option<Cow<'static, str>> {
    word(text.trim(), CODES, "RCODE")
}

fn word(text: &str, table: &[(&str, &'static str)], prefix: &str) -> Option<Cow<'static, str>> {
    if let Some((_, name)) =
        table.iter().find(|(number, name)| text == *number || text.eq_ignore_ascii_case(name))
    {
        return Some(Cow::Borrowed(name));
    }
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        _ if text.is_empty() => None,
        true => Some(Cow::Owned(format!("{prefix}{text}"))),
        false => Some(Cow::Owned(text.to_ascii_uppercase())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_the_same_type_or_code() {
        for (text, name) in [
            ("16", "TXT"),
            ("txt", "TXT"),
            ("query-65399", "TYPE65399"),
            ("65399", "TYPE65399"),
            ("*", "ANY"),
            ("query-15", "MX"),
            ("Wks", "WKS"),
        ] {
            assert_eq!(record_type(text).as_deref(), Some(name), "{text}");
        }
        for (text, name) in
            [("3", "NXDOMAIN"), ("nxdomain", "NXDOMAIN"), ("16", "RCODE16"), ("BADSIG", "BADSIG")]
        {
            assert_eq!(response_code(text).as_deref(), Some(name), "{text}");
        }
        assert_eq!((record_type(" "), response_code("")), (None, None));
    }
}
