//! Entities with a role, for unit tests.

use hindcast_base::entities::{Entity, EntityKind};
use hindcast_detections::findings::{NamedEntity, Role};

/// An entity that others contact.
pub fn contacted(kind: EntityKind, name: &str) -> Option<NamedEntity> {
    Some(NamedEntity { entity: Entity::of(kind, name)?, role: Some(Role::Destination) })
}

/// An entity that acts.
pub fn acting(kind: EntityKind, name: &str) -> Option<NamedEntity> {
    Some(NamedEntity { entity: Entity::of(kind, name)?, role: Some(Role::Source) })
}
