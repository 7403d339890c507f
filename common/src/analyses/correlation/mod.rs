//! What correlation asks of the rollups: about the entities of candidate rows, or of all addresses. No result tables of
//! their own; the coordinator asks, and puts the answers of all shards together.

mod entity_ties;
mod office_addresses;
mod prevalence;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, WANTED_ENTITIES};
use crate::entities::EntityKind;

/// Every question.
pub(super) static QUESTIONS: &[&Analysis] =
    &[&entity_ties::ANALYSIS, &office_addresses::ANALYSIS, &prevalence::ANALYSIS];

/// Which entities rows name together with the wanted ones, by day.
pub static ENTITY_TIES: &Analysis = &entity_ties::ANALYSIS;
/// The distinct addresses of OfficeActivity.
pub static OFFICE_ADDRESSES: &Analysis = &office_addresses::ANALYSIS;
/// How many sources talk to the wanted addresses.
pub static PREVALENCE: &Analysis = &prevalence::ANALYSIS;

/// Names of the wanted entities of a kind, as the column `wanted`.
fn wanted(inputs: &Inputs<'_>, kind: EntityKind) -> Result<DataFrame> {
    let entities = inputs
        .side(&WANTED_ENTITIES)?
        .ok_or_else(|| internal_datafusion_err!("the wanted entities are not among the inputs"))?;
    entities.filter(ident("kind").eq(lit(kind.name())))?.select(vec![ident("name").alias("wanted")])
}
