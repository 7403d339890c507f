//! Entities as STIX Cyber-observable Objects.

use hindcast_base::entities::{Entity, EntityKind};
use serde_json::{Value, json};

use super::super::json::fullest;
use super::ids::observable_id;

/// The observable of an entity, and its id.
pub(super) fn observable(entity: &Entity) -> (String, Value) {
    let (kind, mut object) = match entity.kind {
        EntityKind::Ip => match entity.name.parse() {
            Ok(std::net::IpAddr::V4(_)) => ("ipv4-addr", json!({ "value": entity.name })),
            Ok(std::net::IpAddr::V6(_)) => ("ipv6-addr", json!({ "value": entity.name })),
            Err(_) => ("domain-name", json!({ "value": entity.name })),
        },
        EntityKind::User => ("user-account", json!({ "account_login": fullest(entity) })),
        EntityKind::StorageAccount => {
            ("user-account", json!({ "account_type": "cloud-storage", "user_id": entity.name }))
        }
        EntityKind::Url if entity.name.contains("://") => ("url", json!({ "value": entity.name })),
        // STIX has no object for a host, so its network name stands for it.
        EntityKind::Url | EntityKind::Device => ("domain-name", json!({ "value": fullest(entity) })),
    };
    // Only the properties that identify the object, ordered by name: this is canonical JSON.
    let id = observable_id(kind, &object.to_string());
    object["type"] = kind.into();
    object["spec_version"] = "2.1".into();
    object["id"] = id.clone().into();
    (id, object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_an_observable() {
        for (kind, name, expected) in [
            (EntityKind::Ip, "198.51.100.3", "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"),
            (EntityKind::Ip, "2001:db8::1", "ipv6-addr--"),
            (EntityKind::User, "CORP\\ada", "user-account--d92d6e82-85c5-56fc-8b3b-82ff9ee14430"),
            (EntityKind::StorageAccount, "dropzone", "user-account--"),
            (EntityKind::Device, "ws-1.corp.example", "domain-name--a042887b-b163-5e94-b8eb-ce65f48d510c"),
            (EntityKind::Url, "https://files.example/x", "url--"),
            (EntityKind::Url, "files.example", "domain-name--"),
        ] {
            let entity = Entity::of(kind, name).unwrap();
            let (id, object) = observable(&entity);
            assert!(id.starts_with(expected), "{id}");
            assert_eq!(object["id"], id.as_str());
            assert_eq!(observable(&entity).0, id);
        }
    }
}
