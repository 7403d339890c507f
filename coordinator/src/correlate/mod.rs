//! Incidents: findings of several suites or tactics that belong together by an entity they share, or by two entities that
//! rows of the same day name together.

mod groups;
mod incident;
mod links;

use hindcast_common::entities::Entity;
use serde::{Deserialize, Serialize};

pub use hindcast_common::findings::Prevalence;
pub use incident::{Hub, Incident, Relation, incidents_of};
pub(crate) use links::span_us;

/// Rows of a day that name two entities together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRelation {
    /// The table of the rows.
    pub table: String,
    /// The day, UTC.
    pub date: String,
    /// The same in whole days since 1970.
    #[serde(skip)]
    pub day: i64,
    /// The address or account.
    pub hub: Entity,
    /// What it is tied to.
    pub other: Entity,
    /// Rows that name both.
    pub rows: u64,
    /// How many the address or account is tied to that day in that table.
    pub degree: u64,
}

#[cfg(test)]
mod tests;
