//! Who acted in an audit log of an identity directory: `InitiatedBy` of AuditLogs holds a user or an app as JSON.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::address_of;

/// The fields that name who acted, the most specific first.
const NAMES: [(&str, &str); 7] = [
    ("user", "userPrincipalName"),
    ("app", "displayName"),
    ("user", "displayName"),
    ("user", "id"),
    ("app", "servicePrincipalName"),
    ("app", "servicePrincipalId"),
    ("app", "appId"),
];
/// The fields with the source address.
const ADDRESSES: [(&str, &str); 2] = [("user", "ipAddress"), ("app", "ipAddress")];

/// The account or app that acted, as written; text that is not a JSON object stays as it is. `None` if the text is empty, or if
/// the object names nobody. Keys may have any case.
pub fn initiator_of(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    match object_of(text) {
        Some(object) => NAMES.iter().find_map(|place| text_at(&object, place)).map(Cow::Owned),
        None => (!text.is_empty()).then_some(Cow::Borrowed(text)),
    }
}

/// The canonical text of the source address, if a JSON object has one.
pub fn initiator_address_of(text: &str) -> Option<String> {
    let object = object_of(text.trim())?;
    let address = ADDRESSES.iter().find_map(|place| text_at(&object, place))?;
    address_of(&address).map(Cow::into_owned)
}

fn object_of(text: &str) -> Option<Map<String, Value>> {
    if text.starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

/// The text at two nested keys, if there is any.
fn text_at(object: &Map<String, Value>, (outer, inner): &(&str, &str)) -> Option<String> {
    let text = field(field(object, outer)?.as_object()?, inner)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn field<'o>(object: &'o Map<String, Value>, key: &str) -> Option<&'o Value> {
    object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entities::{Entity, EntityKind};

    #[test]
    fn the_initiator_is_a_principal_an_app_or_the_text() {
        for (text, name) in [
            (
                r#"{"user":{"id":"7","displayName":null,"userPrincipalName":"Ada@corp.example","ipAddress":""}}"#,
                Some("Ada@corp.example"),
            ),
            (
                r#"{"user":null,"app":{"displayName":"Cloud Sync","servicePrincipalId":"9"}}"#,
                Some("Cloud Sync"),
            ),
            (r#" {"USER":{"userprincipalname":" ada@corp.example "}} "#, Some("ada@corp.example")),
            (
                r#"{"app":{"displayName":"Portal"},"user":{"userPrincipalName":"ada@corp.example"}}"#,
                Some("ada@corp.example"),
            ),
            (r#"{"user":{"userPrincipalName":"","id":"7"}}"#, Some("7")),
            (r#"{"app":{"displayName":"","servicePrincipalId":"9"}}"#, Some("9")),
            (r#"{"user":{}}"#, None),
            ("{}", None),
            ("", None),
            ("eve@corp.example", Some("eve@corp.example")),
            ("7", Some("7")),
            (r#"{"user":{"userPrincipalName":"cut"#, Some(r#"{"user":{"userPrincipalName":"cut"#)),
        ] {
            assert_eq!(initiator_of(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn a_principal_is_the_account_that_other_logs_name() {
        let text = r#"{"user":{"userPrincipalName":"Contractor.K@corp.example"}}"#;
        let named = Entity::of(EntityKind::User, &initiator_of(text).unwrap());
        assert_eq!(named.as_ref().map(|entity| entity.name.as_str()), Some("contractor.k"));
        assert_eq!(named, Entity::of(EntityKind::User, "contractor.k@CORP.example"));
    }

    #[test]
    fn addresses_are_canonical() {
        for (text, address) in [
            (r#"{"user":{"ipAddress":"192.0.2.7:443"}}"#, Some("192.0.2.7")),
            (r#"{"User":{"IpAddress":"2001:DB8::1"}}"#, Some("2001:db8::1")),
            (r#"{"user":{"ipAddress":""}}"#, None),
            (r#"{"user":{"ipAddress":null},"app":{"ipAddress":"192.0.2.8"}}"#, Some("192.0.2.8")),
            (r#"{"user":{"ipAddress":"unknown"}}"#, None),
            ("192.0.2.7", None),
        ] {
            assert_eq!(initiator_address_of(text).as_deref(), address, "{text}");
        }
    }
}
