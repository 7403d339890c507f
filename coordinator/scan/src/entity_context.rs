//! The context of the entities in candidate rows: which entities rows name together with them, and how common they are.

use std::collections::BTreeSet;

use hindcast_base::Result;
use hindcast_base::entities::EntityKind;
use hindcast_detections::analyses::correlation::{ENTITY_TIES, NAME_PREVALENCE, PREVALENCE};
use hindcast_detections::analyses::{Analysis, WANTED_ENTITIES};
use hindcast_detections::config::Config;
use hindcast_detections::findings::{Prevalence, wanted_rows};

use super::entity_relations::relations;
use super::merge::Merger;
use super::spilled::AnalysisRows;
use hindcast_risk::correlate::EntityRelation;

/// What the rollups know about the entities of candidate rows.
#[derive(Debug, Default)]
pub(super) struct EntityContext {
    /// Pairs of entities that rows name together, by day.
    pub(super) relations: Vec<EntityRelation>,
    /// How common addresses and host names are.
    pub(super) prevalence: Prevalence,
}

impl EntityContext {
    /// Queries the rollups for the `wanted` entities, by kind and canonical name.
    pub(super) async fn load(
        merger: &mut Merger<'_>,
        wanted: &BTreeSet<(EntityKind, String)>,
        config: &Config,
    ) -> Result<Self> {
        let queries = [ENTITY_TIES, PREVALENCE, NAME_PREVALENCE]
            .into_iter()
            .filter_map(|id| config.detections.by_id(id));
        let queries: Vec<&'static Analysis> = queries.filter(|query| merger.has_state_for(query)).collect();
        if wanted.is_empty() || queries.is_empty() {
            return Ok(Self::default());
        }
        merger.add_side_table(&WANTED_ENTITIES, &wanted_rows(wanted)?).await?;
        let answers = merger.run(&queries).await?;
        let prevalence = |id: &str| {
            answers.get(id).and_then(AnalysisRows::held).map(Prevalence::of_rows).unwrap_or_default()
        };
        Ok(Self {
            relations: answers
                .get(ENTITY_TIES)
                .and_then(AnalysisRows::held)
                .map(relations)
                .unwrap_or_default(),
            prevalence: prevalence(PREVALENCE).with_names(prevalence(NAME_PREVALENCE)),
        })
    }
}
