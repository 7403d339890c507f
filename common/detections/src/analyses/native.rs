//! The analyses that are written in Rust, by the ids of their folders below `detections/`. docs/decisions/detections-as-data.md gives
//! the reason for each.

use datafusion::common::Result;
use datafusion::prelude::DataFrame;

use super::Inputs;
use super::cli_storage_uploads;
use super::correlation::{entity_ties, known_names, name_prevalence, prevalence};
use super::investigation::{entity_activity, entity_peers};

/// Computes the result of one shard.
type Run = fn(&Inputs<'_>) -> Result<DataFrame>;

/// All of them, with their ids.
pub(crate) static NATIVE: &[(&str, Run)] = &[
    ("cli_storage_uploads", cli_storage_uploads::run),
    ("entity_activity", entity_activity::run),
    ("entity_peers", entity_peers::run),
    ("entity_ties", entity_ties::run),
    ("known_names", known_names::run),
    ("name_prevalence", name_prevalence::run),
    ("prevalence", prevalence::run),
];
