//! Ids that are derived from the objects they name, and times in the form of STIX.

use chrono::SecondsFormat;
use hindcast_base::time::{format_micros, rfc3339};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use uuid::{Builder, Uuid};

/// The namespace of STIX 2.1 for observables (section 2.9): every producer gives the same observable the same id.
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// The namespace of all other objects: a random UUID, fixed for ever.
const HINDCAST: Uuid = Uuid::from_u128(0x5f6d_0d0a_91d5_4c1e_8a53_2c7b_6c0e_47d9);

/// The id of an object that is no observable.
pub(super) fn id_of(kind: &str, name: &str) -> String {
    format!("{kind}--{}", version_5(HINDCAST, &format!("{kind} {name}")))
}

/// The id of an observable, from the JSON of the properties that identify it.
pub(super) fn observable_id(kind: &str, canonical_json: &str) -> String {
    format!("{kind}--{}", version_5(OBSERVABLES, canonical_json))
}

/// RFC 9562, section 5.5.
fn version_5(namespace: Uuid, name: &str) -> Uuid {
    let named = [namespace.as_bytes().as_slice(), name.as_bytes()].concat();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &named);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    Builder::from_sha1_bytes(bytes).into_uuid()
}

/// RFC 3339 in UTC, for times that may have any number of decimals.
pub(super) fn timestamp(micros: i64) -> String {
    format_micros(micros)
}

/// The time of creation or change of an object. STIX requires three decimals.
pub(super) fn version_time(micros: i64) -> String {
    rfc3339(micros, SecondsFormat::Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_milliseconds() {
        assert_eq!(version_time(1_767_571_200_000_000), "2026-01-05T00:00:00.000Z");
        assert_eq!(version_time(1_767_571_200_123_999), "2026-01-05T00:00:00.123Z");
        assert_eq!(timestamp(1_767_571_200_123_999), "2026-01-05T00:00:00.123999Z");
    }

    #[test]
    fn ids_match_the_examples_of_the_standards() {
        // RFC 9562, appendix A.4.
        let dns = Uuid::from_u128(0x6ba7_b810_9dad_11d1_80b4_00c0_4fd4_30c8);
        assert_eq!(version_5(dns, "www.example.com").to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
        // From the Python library stix2.
        assert_eq!(
            observable_id("ipv4-addr", r#"{"value":"198.51.100.3"}"#),
            "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"
        );
    }
}
