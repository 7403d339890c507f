//! The analyses that Rust computes, by the ids of their folders below `detections/`: docs/decisions/detections-as-data.md says of
//! each why SQL does not.

use datafusion::common::Result;
use datafusion::prelude::DataFrame;

use super::Inputs;
use super::cli_storage_uploads;
use super::correlation::{entity_ties, known_names, prevalence};
use super::investigation::{entity_activity, entity_peers};

/// One shard's result.
type Run = fn(&Inputs<'_>) -> Result<DataFrame>;

/// Each with its id.
pub(crate) static NATIVE: &[(&str, Run)] = &[
    ("cli_storage_uploads", cli_storage_uploads::run),
    ("entity_activity", entity_activity::run),
    ("entity_peers", entity_peers::run),
    ("entity_ties", entity_ties::run),
    ("known_names", known_names::run),
    ("prevalence", prevalence::run),
];
