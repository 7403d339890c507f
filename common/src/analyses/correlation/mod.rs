//! What correlation asks of the rollups: about the entities of candidate rows, or of all addresses; and what an investigation
//! asks to find its rows. No result tables of their own; the coordinator asks, and puts the answers of all shards together.

pub(super) mod entity_ties;
pub(super) mod known_names;
pub(super) mod prevalence;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::{Inputs, WANTED_ENTITIES};
use crate::entities::EntityKind;

/// The question which entities rows name together with the wanted ones, by day.
pub const ENTITY_TIES: &str = "entity_ties";
/// The question which distinct addresses OfficeActivity has.
pub const OFFICE_ADDRESSES: &str = "office_addresses";
/// The question how many sources talk to the wanted addresses.
pub const PREVALENCE: &str = "prevalence";
/// The question which names of the investigated kind rows of the window have.
pub const KNOWN_NAMES: &str = "known_names";
/// The question which addresses the entity's rows of OfficeActivity have.
pub const USERS_ADDRESSES: &str = "users_addresses";

/// Names of the wanted entities of a kind, as the column `wanted`.
fn wanted(inputs: &Inputs<'_>, kind: EntityKind) -> Result<DataFrame> {
    let entities = inputs
        .side(&WANTED_ENTITIES)?
        .ok_or_else(|| internal_datafusion_err!("the wanted entities are not among the inputs"))?;
    entities.filter(ident("kind").eq(lit(kind.name())))?.select(vec![ident("name").alias("wanted")])
}

/// Rows of the same table in one frame.
pub(super) fn together(frames: Vec<DataFrame>) -> Result<DataFrame> {
    let mut frames = frames.into_iter();
    let first =
        frames.next().ok_or_else(|| internal_datafusion_err!("the lake has no table that names entities"))?;
    frames.try_fold(first, |all, frame| all.union(frame))
}
