//! What is asked about the entities of candidate rows: what rows tie them to, and how common they are.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use hindcast_common::Result;
use hindcast_common::analyses::correlation::{ENTITY_TIES, PREVALENCE};
use hindcast_common::analyses::{Analysis, WANTED_ENTITIES};
use hindcast_common::config::Config;
use hindcast_common::entities::{Entity, EntityKind};
use hindcast_common::findings::{Prevalence, Row, wanted_entities, wanted_rows};
use hindcast_common::time::{MICROS_PER_DAY, format_micros};

use super::merge::{Merger, Results};
use super::spilled::Whole;
use crate::correlate::EntityRelation;

/// What is known of the entities that rows name.
#[derive(Debug, Default)]
pub(super) struct EntityContext {
    /// Rows that name two of them together, by day.
    pub(super) ties: Vec<EntityRelation>,
    /// How common addresses are.
    pub(super) prevalence: Prevalence,
}

impl EntityContext {
    /// Asks the rollups about the entities of the rows that are, or may become, findings.
    pub(super) async fn learn(
        merger: &mut Merger<'_>,
        analyses: &[&'static Analysis],
        results: &Results,
        config: &Config,
    ) -> Result<Self> {
        let mut wanted = BTreeSet::new();
        for analysis in analyses {
            if let Some(rows) = results.get(analysis.id).and_then(Whole::held) {
                wanted.extend(wanted_entities(analysis, rows, config)?);
            }
        }
        let questions = [ENTITY_TIES, PREVALENCE].into_iter().filter_map(|id| config.detections.by_id(id));
        let questions: Vec<&'static Analysis> =
            questions.filter(|question| merger.has_state_for(question)).collect();
        if wanted.is_empty() || questions.is_empty() {
            return Ok(Self::default());
        }
        merger.put_beside(&WANTED_ENTITIES, &wanted_rows(&wanted)?).await?;
        let answers = merger.run(&questions).await?;
        Ok(Self {
            ties: answers.get(ENTITY_TIES).and_then(Whole::held).map(ties).unwrap_or_default(),
            prevalence: answers
                .get(PREVALENCE)
                .and_then(Whole::held)
                .map(Prevalence::of_rows)
                .unwrap_or_default(),
        })
    }
}

pub(super) fn ties(rows: &RecordBatch) -> Vec<EntityRelation> {
    let tie = |row: Row<'_>| {
        let entity =
            |kind: &str, name: &str| Entity::of(EntityKind::by_name(row.text(kind)?)?, row.text(name)?);
        let day = row.micros("date")?.div_euclid(MICROS_PER_DAY);
        Some(EntityRelation {
            table: row.text("table")?.to_owned(),
            date: format_micros(day * MICROS_PER_DAY)[..10].to_owned(),
            day,
            hub: entity("kind", "name")?,
            other: entity("other_kind", "other_name")?,
            rows: row.integer("events")?.unsigned_abs(),
            degree: row.integer("degree")?.unsigned_abs(),
        })
    };
    (0..rows.num_rows()).filter_map(|index| tie(Row::new(rows, index))).collect()
}
