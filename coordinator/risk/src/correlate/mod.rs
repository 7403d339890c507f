//! Incidents: findings of several suites or tactics that are related. Findings are related if they share an entity, or if rows
//! of the same day name two of their entities together.

mod groups;
mod incident;
mod links;

use hindcast_base::entities::Entity;
use serde::{Deserialize, Serialize};

pub use hindcast_detections::findings::Prevalence;
pub use incident::{Hub, Incident, Relation, incidents_of};
pub use links::span_us;

/// Two entities that rows of a day name together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRelation {
    /// The table of the rows.
    pub table: String,
    /// The day, UTC.
    pub date: String,
    /// The day, in whole days since 1970.
    #[serde(skip)]
    pub day: i64,
    /// The address or account.
    pub hub: Entity,
    /// The device, user or other name.
    pub other: Entity,
    /// Rows that name both.
    pub rows: u64,
    /// The number of names related to the address or account on that day in that table.
    pub degree: u64,
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod worked_examples;
