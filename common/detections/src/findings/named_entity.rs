//! An entity of a finding, with its role.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::rule::Role;
use hindcast_base::entities::Entity;

/// An entity that a finding names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamedEntity {
    /// The entity.
    #[serde(flatten)]
    pub entity: Entity,
    /// Its role in the finding. Results that were stored before findings had roles have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl NamedEntity {
    /// Whether others choose to talk to it: a destination or a target.
    pub fn is_contacted(&self) -> bool {
        self.role.is_some_and(Role::is_contacted)
    }
}

impl Deref for NamedEntity {
    type Target = Entity;

    fn deref(&self) -> &Entity {
        &self.entity
    }
}

impl From<Entity> for NamedEntity {
    fn from(entity: Entity) -> Self {
        Self { entity, role: None }
    }
}

#[cfg(test)]
mod tests {
    use hindcast_base::entities::EntityKind;

    use super::*;

    #[test]
    fn an_entity_is_written_with_its_role_and_read_without_one() {
        let entity = Entity::of(EntityKind::Ip, "192.0.2.1").unwrap();
        let named = NamedEntity { entity: entity.clone(), role: Some(Role::Destination) };
        let text = serde_json::to_string(&named).unwrap();
        assert_eq!(text, r#"{"kind":"ip","name":"192.0.2.1","role":"destination"}"#);
        assert_eq!(serde_json::from_str::<NamedEntity>(&text).unwrap(), named);
        let old: NamedEntity = serde_json::from_str(r#"{"kind":"ip","name":"192.0.2.1"}"#).unwrap();
        assert_eq!(old, NamedEntity::from(entity));
        assert!(named.is_contacted() && !old.is_contacted());
    }
}
