//! A finding for unit tests, of which each test sets the fields that it is about.

use std::collections::BTreeSet;

use hindcast_detections::analyses::Suite;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_detections::findings::{Finding, KillChainPhase, NamedEntity, Role, Severity};

/// An entity that others contact.
pub fn contacted(kind: EntityKind, name: &str) -> Option<NamedEntity> {
    Some(NamedEntity { entity: Entity::of(kind, name)?, role: Some(Role::Destination) })
}

/// An entity that acts.
pub fn acting(kind: EntityKind, name: &str) -> Option<NamedEntity> {
    Some(NamedEntity { entity: Entity::of(kind, name)?, role: Some(Role::Source) })
}

/// A finding of one row at `time` without entities and techniques.
pub fn finding(id: impl Into<String>, time: &str) -> Finding {
    Finding {
        id: id.into(),
        analysis: "beaconing".into(),
        suite: Suite::Firewall,
        title: String::new(),
        severity: Severity::Medium,
        confidence: 60,
        first_seen: Some(time.into()),
        last_seen: Some(time.into()),
        rows: 1,
        stage: KillChainPhase::Beacon,
        entities: BTreeSet::new(),
        techniques: Vec::new(),
        explanation: String::new(),
        evidence: serde_json::Value::Null,
        watchlists: Vec::new(),
        roots: BTreeSet::new(),
    }
}
