//! What is asked about the entities of candidate rows: what rows tie them to, and how common they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use hindcast_common::analyses::correlation::{ENTITY_TIES, PREVALENCE};
use hindcast_common::analyses::{Analysis, WANTED_ENTITIES};
use hindcast_common::config::Config;
use hindcast_common::entities::{Entity, EntityKind};
use hindcast_common::findings::{Row, entities_of};
use hindcast_common::time::{MICROS_PER_DAY, format_micros};
use hindcast_common::{Error, Result};

use super::merge::{Merger, Results};
use super::spilled::Whole;
use crate::correlate::{EntityTie, Prevalence};

/// What is known of the entities that rows name.
#[derive(Debug, Default)]
pub(super) struct EntityContext {
    /// Rows that name two of them together, by day.
    pub(super) ties: Vec<EntityTie>,
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
        let wanted = wanted(analyses, results, config);
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
            prevalence: answers.get(PREVALENCE).and_then(Whole::held).map(prevalence).unwrap_or_default(),
        })
    }

    /// How common entities are, as [`hindcast_common::analyses::Context`] has it.
    pub(super) fn prevalence_rows(&self) -> Result<RecordBatch> {
        let of = &self.prevalence;
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "kind",
                Arc::new(StringViewArray::from_iter_values(of.sources.keys().map(|_| EntityKind::Ip.name()))),
            ),
            ("name", Arc::new(StringViewArray::from_iter_values(of.sources.keys()))),
            (
                "distinct_sources",
                Arc::new(of.sources.values().map(|count| Some(*count as i64)).collect::<Int64Array>()),
            ),
            ("total_sources", Arc::new(Int64Array::from(vec![of.total as i64; of.sources.len()]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .map_err(|error| Error::Engine(error.into()))
    }
}

fn wanted(
    analyses: &[&'static Analysis],
    results: &Results,
    config: &Config,
) -> BTreeSet<(EntityKind, String)> {
    let mut wanted = BTreeSet::new();
    for analysis in analyses {
        let rows = results.get(analysis.id).and_then(Whole::held);
        let (Some(rule), Some(rows)) = (&analysis.finding, rows) else { continue };
        let candidates = (0..rows.num_rows()).map(|index| Row::new(rows, index));
        // What is not finished can't be judged yet.
        let candidates = candidates.filter(|row| analysis.finish.is_some() || (rule.is_finding)(row, config));
        wanted.extend(
            candidates.flat_map(|row| entities_of(rule, &row)).map(|entity| (entity.kind, entity.name)),
        );
    }
    wanted
}

pub(super) fn wanted_rows(wanted: &BTreeSet<(EntityKind, String)>) -> Result<RecordBatch> {
    let kinds = StringViewArray::from_iter_values(wanted.iter().map(|(kind, _)| kind.name()));
    let names = StringViewArray::from_iter_values(wanted.iter().map(|(_, name)| name));
    RecordBatch::try_new(WANTED_ENTITIES.schema(), vec![Arc::new(kinds), Arc::new(names)])
        .map_err(|error| Error::Engine(error.into()))
}

pub(super) fn ties(rows: &RecordBatch) -> Vec<EntityTie> {
    let tie = |row: Row<'_>| {
        let entity =
            |kind: &str, name: &str| Entity::of(EntityKind::by_name(row.text(kind)?)?, row.text(name)?);
        let day = row.micros("date")?.div_euclid(MICROS_PER_DAY);
        Some(EntityTie {
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

/// Each shard has counted its own sources: the sums are those of all.
fn prevalence(rows: &RecordBatch) -> Prevalence {
    let mut known = Prevalence::default();
    for row in (0..rows.num_rows()).map(|index| Row::new(rows, index)) {
        let sources = row.integer("sources").unwrap_or_default().unsigned_abs();
        match row.text("name") {
            Some(name) => *known.sources.entry(name.to_owned()).or_default() += sources,
            None => known.total += sources,
        }
    }
    known
}
