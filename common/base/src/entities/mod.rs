//! Entities of findings: devices, users, addresses, URLs and storage accounts, each with one canonical name.
//!
//! Logs write the same entity in several ways. The canonical name of a device is its short name, that of a user the part before `@`
//! or after a domain's backslash, both lower-cased; that of an address is its canonical text without a port.

mod address;
mod initiator;
mod user;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use address::{address_of, address_or_text_of};
pub use initiator::{initiator_address_of, initiator_of};
pub use user::UserName;

/// The kind of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// A host.
    Device,
    /// An account.
    User,
    /// An address.
    Ip,
    /// A URL or host name.
    Url,
    /// A cloud storage account.
    StorageAccount,
}

impl EntityKind {
    /// Every kind.
    pub const ALL: [EntityKind; 5] =
        [EntityKind::Device, EntityKind::User, EntityKind::Ip, EntityKind::Url, EntityKind::StorageAccount];

    /// The name in output and arguments.
    pub fn name(self) -> &'static str {
        match self {
            EntityKind::Device => "device",
            EntityKind::User => "user",
            EntityKind::Ip => "ip",
            EntityKind::Url => "url",
            EntityKind::StorageAccount => "storage_account",
        }
    }

    /// The kind of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A device, user, address, URL or storage account.
///
/// ```
/// use hindcast_base::entities::{Entity, EntityKind};
///
/// let user = Entity::of(EntityKind::User, r"CORP\Ada").unwrap();
/// assert_eq!((user.name.as_str(), user.domain()), ("ada", Some("corp")));
/// assert_eq!(Entity::of(EntityKind::Device, "DC-1.corp.example").unwrap().name, "dc-1");
/// assert_eq!(Entity::of(EntityKind::Ip, "[2001:DB8::1]:443").unwrap().name, "2001:db8::1");
/// assert_eq!(Entity::of(EntityKind::Url, " "), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// Its kind.
    pub kind: EntityKind,
    /// Its canonical name.
    pub name: String,
    /// Its lower-cased name in the row, if that has more information: a host's full name, a user's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
}

impl Entity {
    /// The entity that `text` names; `None` if it names nothing.
    pub fn of(kind: EntityKind, text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text == "<null>" {
            return None;
        }
        let lowered = text.to_lowercase();
        let name: Cow<'_, str> = match kind {
            EntityKind::Device => host_name(&lowered).into(),
            EntityKind::User => UserName::parse(&lowered).account.to_owned().into(),
            EntityKind::Ip => address_or_text_of(&lowered)?,
            EntityKind::Url | EntityKind::StorageAccount => lowered.as_str().into(),
        };
        let name = name.into_owned();
        let says_more = matches!(kind, EntityKind::Device | EntityKind::User) && lowered != name;
        Some(Self { kind, name, full_name: says_more.then_some(lowered) })
    }

    /// The first label of a user's domain, if the row has one.
    pub fn domain(&self) -> Option<&str> {
        let full_name = self.full_name.as_deref().filter(|_| self.kind == EntityKind::User)?;
        UserName::parse(full_name).domain
    }
}

/// The first label of a lower-cased host name; an address stays complete.
pub fn host_name(lowered: &str) -> &str {
    if lowered.parse::<std::net::IpAddr>().is_ok() {
        return lowered;
    }
    match lowered.split_once('.') {
        Some((label, _)) if !label.is_empty() => label,
        _ => lowered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: EntityKind, text: &str) -> (String, Option<String>) {
        let entity = Entity::of(kind, text).unwrap();
        (entity.name, entity.full_name)
    }

    #[test]
    fn an_entity_has_one_canonical_name() {
        assert_eq!(
            named(EntityKind::Device, "WS-1.Corp.Example"),
            ("ws-1".into(), Some("ws-1.corp.example".into()))
        );
        assert_eq!(named(EntityKind::Device, "ws-1"), ("ws-1".into(), None));
        assert_eq!(named(EntityKind::Device, "10.0.0.1"), ("10.0.0.1".into(), None));
        assert_eq!(named(EntityKind::User, "CORP\\Ada"), ("ada".into(), Some("corp\\ada".into())));
        assert_eq!(
            named(EntityKind::User, "Ada@corp.example"),
            ("ada".into(), Some("ada@corp.example".into()))
        );
        assert_eq!(named(EntityKind::Ip, "[2A01::1]:443"), ("2a01::1".into(), None));
        assert_eq!(named(EntityKind::Ip, "::ffff:10.0.0.1"), ("10.0.0.1".into(), None));
        assert_eq!(Entity::of(EntityKind::Ip, "<null>"), None);
        assert_eq!(Entity::of(EntityKind::User, "  "), None);
    }

    #[test]
    fn a_users_domain_is_its_first_label() {
        let domain = |text| Entity::of(EntityKind::User, text).unwrap().domain().map(str::to_owned);
        assert_eq!(domain("CORP\\ada").as_deref(), Some("corp"));
        assert_eq!(domain("ada@corp.example").as_deref(), Some("corp"));
        assert_eq!(domain("ada"), None);
    }

    #[test]
    fn kinds_are_serialised_by_their_names() {
        for kind in EntityKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(EntityKind::by_name(kind.name()), Some(kind));
        }
    }
}
