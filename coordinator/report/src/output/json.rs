//! Functions that the JSON exports share.

use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::{Error, Result};
use hindcast_detections::findings::Finding;
use serde_json::Value;

/// The value without null fields, at any depth: schemas accept an absent field but no null.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = fields.into_iter().filter(|(_, field)| !field.is_null());
            Value::Object(set.map(|(name, field)| (name, without_nulls(field))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        plain => plain,
    }
}

/// One JSON value per line.
pub(super) fn lines<T: serde::Serialize>(values: impl IntoIterator<Item = T>) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for value in values {
        serde_json::to_writer(&mut lines, &value).map_err(|error| Error::Internal(error.to_string()))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A value as indented JSON.
pub(super) fn pretty(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|error| Error::Internal(error.to_string()))?;
    json.push(b'\n');
    Ok(json)
}

/// The entities of one kind that a finding names.
pub(super) fn of_kind(finding: &Finding, kind: EntityKind) -> impl Iterator<Item = &Entity> {
    finding.entities.iter().map(|named| &named.entity).filter(move |entity| entity.kind == kind)
}

/// The full name, or the canonical name of an entity without one.
pub(super) fn fullest(entity: &Entity) -> &str {
    entity.full_name.as_ref().unwrap_or(&entity.name)
}
