//! Queries of correlation over the rollups, about the entities of candidate rows or about all addresses, and queries with which an
//! investigation finds its rows. They have no result tables: the coordinator runs them and combines the answers of all shards.

pub(super) mod entity_ties;
pub(super) mod known_names;
pub(super) mod name_prevalence;
pub(super) mod prevalence;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::{Inputs, WANTED_ENTITIES};
use hindcast_base::entities::EntityKind;

/// Query: the entities that rows name together with the wanted ones, by day.
pub const ENTITY_TIES: &str = "entity_ties";
/// Query: the distinct addresses in OfficeActivity.
pub const OFFICE_ADDRESSES: &str = "office_addresses";
/// Query: the number of sources that talk to the wanted addresses.
pub const PREVALENCE: &str = "prevalence";
/// Query: the number of sources that talk to the wanted host names.
pub const NAME_PREVALENCE: &str = "name_prevalence";
/// Query: the names of the investigated kind in rows of the window.
pub const KNOWN_NAMES: &str = "known_names";
/// Query: the addresses in the entity's rows of OfficeActivity.
pub const USERS_ADDRESSES: &str = "users_addresses";

/// The names of the wanted entities of a kind, as the column `wanted`.
fn wanted(inputs: &Inputs<'_>, kind: EntityKind) -> Result<DataFrame> {
    let entities = inputs
        .side(&WANTED_ENTITIES)?
        .ok_or_else(|| internal_datafusion_err!("the wanted entities are not among the inputs"))?;
    entities.filter(ident("kind").eq(lit(kind.name())))?.select(vec![ident("name").alias("wanted")])
}

/// The union of frames with the same columns.
pub(super) fn union_all(frames: Vec<DataFrame>) -> Result<DataFrame> {
    let mut frames = frames.into_iter();
    let first =
        frames.next().ok_or_else(|| internal_datafusion_err!("the lake has no table that names entities"))?;
    frames.try_fold(first, |all, frame| all.union(frame))
}
