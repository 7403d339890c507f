//! The first steps of an investigation: which names stand for the entity on which day, and which units can hold its rows. The rest
//! is a scan of those rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use chrono::NaiveDate;
use hindcast_common::analyses::correlation::{ENTITY_TIES, KNOWN_NAMES, USERS_ADDRESSES};
use hindcast_common::analyses::{OWN_ADDRESSES, Suite, WANTED_ENTITIES};
use hindcast_common::config::Config;
use hindcast_common::engine::RollupUnit;
use hindcast_common::entities::{Entity, EntityKind};
use hindcast_common::findings::{Finding, Row, wanted_rows};
use hindcast_common::selection::{RelatedName, Selection};
use hindcast_common::time::{MICROS_PER_DAY, date_start_us, format_micros};
use hindcast_common::{Error, Result};

use super::coverage::ReadSummary;
use super::entity_context::relations;
use super::merge::Merger;
use super::plan::{PlannedTable, ScanPlan};
use super::report::EntitySummary;
use super::run::{Progress, RunOptions, rollup_run};
use super::spilled::AnalysisRows;
use super::table::ResultTable;
use super::unit_tracker::{RollupRun, UnitRecord};
use super::units::{cut, is_past, unit_bytes};
use crate::correlate::EntityRelation;
use crate::risk::Assessed;

/// Name of the table of relations.
pub(super) const RELATIONS_TABLE: &str = "entity_ties";
/// The value of `followed` for a name that stands for the entity.
const FOLLOWED: &str = "yes";
/// Its value for a name that too many entities share.
pub const TOO_MANY: &str = "too_many";
/// Names suggested for an entity without rows.
const SIMILAR_NAMES: usize = 3;
/// Similarity (Jaro-Winkler, 0 to 1) from which a name may be a mistyped one.
const SIMILAR: f64 = 0.8;

/// What is known about an entity before its rows are read.
pub(super) struct EntityLookup<'a> {
    pub(super) selection: Selection,
    config: &'a Config,
    /// Entities that rows name together with it, by day.
    pub(super) relations: Vec<EntityRelation>,
    /// State of all rows that name several entities.
    pub(super) identities: Merger<'a>,
    /// The tables of that state.
    planned: &'a [PlannedTable],
    /// Units whose selected rows have been read already.
    pub(super) selected: Vec<UnitRecord>,
    /// Tables and dates that can't hold its rows.
    pub(super) skipped: BTreeSet<(usize, NaiveDate)>,
}

/// The plan of the lookup over all rows, before an entity's are selected: only the rollups that relate entities.
pub(super) fn identity_plan(plan: &ScanPlan) -> ScanPlan {
    let query = plan.detections.by_id(ENTITY_TIES);
    let of_table = |planned: &PlannedTable| {
        let read = query.iter().flat_map(|query| query.optional_rollups);
        let rollups = read.filter_map(|id| plan.detections.rollup(id));
        let rollups = rollups.filter(|rollup| rollup.tables.contains(&planned.table.spec.name)).collect();
        PlannedTable { rollups, past: None, ..planned.clone() }
    };
    let tables: Vec<PlannedTable> = plan.tables.iter().map(of_table).collect();
    let tables = tables.into_iter().filter(|planned| !planned.rollups.is_empty()).collect();
    ScanPlan { analyses: Vec::new(), tables, ..plan.clone() }
}

impl<'a> EntityLookup<'a> {
    /// Looks up which entities the one of the plan `identities` is related to.
    pub(super) async fn of(
        identities: &'a ScanPlan,
        options: &'a RunOptions<'a>,
        rollups: &'a RollupRun<'a>,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let entity = identities.investigated.as_ref();
        let entity = entity.ok_or_else(|| Error::Internal("nobody is to be looked up".into()))?;
        let (_, units) = cut(identities);
        // The bytes of its own rows are known only later.
        progress.planned(units.len() as u64, units.iter().map(unit_bytes).sum());
        let records = rollups.complete(units, progress).await?;
        let mut merger = Merger::new(identities, options, rollups, progress, records);
        let mut selection = Selection::of(entity.clone());
        let mut known = Vec::new();
        let query = options.config.detections.by_id(ENTITY_TIES);
        if let Some(query) = query.filter(|query| merger.has_state_for(query)) {
            let wanted = BTreeSet::from([(entity.kind, entity.name.clone())]);
            merger.add_side_table(&WANTED_ENTITIES, &wanted_rows(&wanted)?).await?;
            let answers = merger.run(&[query]).await?;
            known = answers.get(ENTITY_TIES).and_then(AnalysisRows::held).map(relations).unwrap_or_default();
            known.retain(|relation| entity_and_other(&selection, relation).is_some());
        }
        let followed =
            known.iter().filter(|relation| follow(&selection, relation, options.config) == FOLLOWED);
        let names = followed.filter_map(|relation| {
            let (_, other) = entity_and_other(&selection, relation)?;
            Some(RelatedName { day: relation.day, kind: other.kind, name: other.name.clone() })
        });
        selection.related = names.collect();
        Ok(Self {
            selection,
            config: options.config,
            relations: known,
            identities: merger,
            planned: &identities.tables,
            selected: Vec::new(),
            skipped: BTreeSet::new(),
        })
    }

    /// Reads a user's rows of OfficeActivity first, if flows are to be searched for the addresses in them.
    pub(super) async fn find_users_addresses(
        &mut self,
        plan: &ScanPlan,
        options: &RunOptions<'_>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let has = |name: &str| plan.tables.iter().any(|planned| planned.table.spec.name == name);
        if self.selection.entity.kind != EntityKind::User
            || !has("OfficeActivity")
            || !has("AzureNetworkAnalytics_CL")
        {
            return Ok(());
        }
        let rollups = rollup_run(plan, options);
        let is_office = |unit: &RollupUnit| rollups.tables[unit.table].name == "OfficeActivity";
        let units = self.select(plan, cut(plan).1.into_iter().filter(is_office).collect());
        let records = rollups.complete(units, progress).await?;
        let mut merger = Merger::new(plan, options, &rollups, progress, records);
        let query = options.config.detections.by_id(USERS_ADDRESSES);
        let answers = merger.run(query.as_slice()).await?;
        self.selected = merger.into_records();
        let addresses = answers.get(USERS_ADDRESSES).and_then(AnalysisRows::held);
        self.selection.users_addresses = addresses.map(|rows| texts(rows, "address")).unwrap_or_default();
        Ok(())
    }

    /// The tables of the lookup's records.
    pub(super) fn tables(&self) -> &'a [PlannedTable] {
        self.planned
    }

    /// The units that can hold the entity's rows, each with the selection, without those that were read already.
    pub(super) fn select(&mut self, plan: &ScanPlan, units: Vec<RollupUnit>) -> Vec<RollupUnit> {
        let mut selected = Vec::new();
        for unit in units {
            let PlannedTable { table, .. } = &plan.tables[unit.table];
            if self.selected.iter().any(|record| record.unit.table == unit.table) {
                continue;
            }
            match self.selection.for_folder(table.spec, unit.date, table.mapping.folder_slack_days) {
                Some(own) => selected.push(RollupUnit { selection: Some(own), ..unit }),
                None if is_past(&unit, plan) => {}
                None => {
                    self.skipped.insert((unit.table, unit.date));
                }
            }
        }
        selected
    }

    /// Adds the side table of the entity's addresses by day. Addresses that are its own on any day are listed for all `days` of its
    /// rows (first and last of each run).
    pub(super) async fn put_own_addresses(
        &self,
        merger: &mut Merger<'_>,
        days: &[(NaiveDate, NaiveDate)],
    ) -> Result<()> {
        let mut own: BTreeSet<(&str, i64)> = BTreeSet::new();
        let related = self.selection.related.iter().filter(|related| related.kind == EntityKind::Ip);
        own.extend(related.map(|related| (related.name.as_str(), related.day)));
        let entity = &self.selection.entity;
        let itself = (entity.kind == EntityKind::Ip).then_some(&entity.name);
        for name in itself.into_iter().chain(&self.selection.users_addresses) {
            let day = |date| date_start_us(date).div_euclid(MICROS_PER_DAY);
            let days = days.iter().flat_map(|(first, last)| day(*first)..=day(*last));
            own.extend(days.map(|day| (name.as_str(), day)));
        }
        let addresses = StringViewArray::from_iter_values(own.iter().map(|(name, _)| name));
        let days = Int64Array::from_iter_values(own.iter().map(|(_, day)| *day));
        let rows = RecordBatch::try_new(OWN_ADDRESSES.schema(), vec![Arc::new(addresses), Arc::new(days)]);
        merger.add_side_table(&OWN_ADDRESSES, &rows.map_err(|error| Error::Engine(error.into()))?).await
    }

    /// Whether a finding in the entity's rows is about it. Cloud ids that contain the term may be another user's.
    pub(super) fn is_about(&self, finding: &Finding) -> bool {
        let kind = self.selection.entity.kind;
        let mut of_kind = finding.entities.iter().filter(|entity| entity.kind == kind).peekable();
        finding.suite != Suite::Office365
            || of_kind.peek().is_none()
            || of_kind.any(|entity| self.selection.is_entity(entity))
    }

    /// Names in the window that resemble the requested one, the most similar first.
    async fn similar_names(&mut self) -> Result<Vec<String>> {
        let query = self.config.detections.by_id(KNOWN_NAMES);
        let Some(query) = query.filter(|query| self.identities.has_state_for(query)) else {
            return Ok(Vec::new());
        };
        let answers = self.identities.run(&[query]).await?;
        let known = answers.get(KNOWN_NAMES).and_then(AnalysisRows::held);
        let known = known.map(|rows| texts(rows, "name")).unwrap_or_default();
        let asked = self.selection.requested_name();
        let mut alike: Vec<(f64, String)> = known
            .into_iter()
            .map(|name| (strsim::jaro_winkler(&name, asked), name))
            .filter(|(likeness, _)| *likeness >= SIMILAR)
            .collect();
        alike.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
        Ok(alike.into_iter().take(SIMILAR_NAMES).map(|(_, name)| name).collect())
    }

    /// The summary of the entity in its `selected` rows.
    pub(super) async fn summarise(&mut self, selected: &[UnitRecord]) -> Result<EntitySummary> {
        let mut summary = EntitySummary {
            kind: self.selection.entity.kind,
            name: self.selection.entity.name.clone(),
            asked: self.selection.requested_name().to_owned(),
            names: BTreeMap::new(),
            rows: 0,
            first_seen: None,
            last_seen: None,
            risk: Assessed::default(),
            read: ReadSummary::default(),
            dates_passed_over: self.skipped.len() as u64,
            similar_names: Vec::new(),
        };
        let (mut first_us, mut last_us) = (None, None);
        // All state of a unit comes from the same rows: one manifest describes them.
        for stats in selected.iter().filter_map(|record| Some(&record.manifests.first()?.stats)) {
            summary.rows += stats.rows;
            first_us = [first_us, stats.min_us].into_iter().flatten().min();
            last_us = last_us.max(stats.max_us);
            let Some(read) = &stats.selection else { continue };
            summary.read.add(&ReadSummary::of(read));
            for (name, rows) in &read.names {
                *summary.names.entry(name.clone()).or_default() += rows;
            }
        }
        summary.first_seen = first_us.map(format_micros);
        summary.last_seen = last_us.map(format_micros);
        if summary.rows == 0 {
            summary.similar_names = self.similar_names().await?;
        }
        Ok(summary)
    }

    /// The relations as a result table, by day.
    pub(super) fn relations_table(&self) -> Result<ResultTable> {
        let mut relations: Vec<(&EntityRelation, &Entity)> = self
            .relations
            .iter()
            .filter_map(|relation| Some((relation, entity_and_other(&self.selection, relation)?.1)))
            .collect();
        relations.sort_by_key(|(relation, other)| (relation.day, *other, &relation.table));
        let texts = |text: &dyn Fn(&(&EntityRelation, &Entity)) -> String| -> ArrayRef {
            Arc::new(StringViewArray::from_iter_values(relations.iter().map(text)))
        };
        let numbers = |number: &dyn Fn(&EntityRelation) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                relations.iter().map(|(relation, _)| number(relation) as i64),
            ))
        };
        let dates = relations.iter().map(|(relation, _)| relation.day * MICROS_PER_DAY);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("date", Arc::new(TimestampMicrosecondArray::from_iter_values(dates).with_timezone("UTC"))),
            ("table", texts(&|(relation, _)| relation.table.clone())),
            ("kind", texts(&|(_, other)| other.kind.name().to_owned())),
            ("name", texts(&|(_, other)| other.full_name.as_ref().unwrap_or(&other.name).clone())),
            ("rows", numbers(&|relation| relation.rows)),
            ("degree", numbers(&|relation| relation.degree)),
            ("followed", texts(&|(relation, _)| follow(&self.selection, relation, self.config).to_owned())),
        ];
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns);
        let batch = batch.map_err(|error| Error::Engine(error.into()))?;
        ResultTable::held(RELATIONS_TABLE, &[batch])
    }
}

/// The side of a relation that is the entity, and the other side.
fn entity_and_other<'t>(
    selection: &Selection,
    relation: &'t EntityRelation,
) -> Option<(&'t Entity, &'t Entity)> {
    match (selection.is_entity(&relation.hub), selection.is_entity(&relation.other)) {
        (true, _) => Some((&relation.hub, &relation.other)),
        (_, true) => Some((&relation.other, &relation.hub)),
        _ => None,
    }
}

/// Whether the related entity stands for this one on that day: the value of the column `followed`.
fn follow(selection: &Selection, relation: &EntityRelation, config: &Config) -> &'static str {
    match entity_and_other(selection, relation) {
        Some((_, other)) if !selection.reads_related_names(other.kind) => "no",
        Some(_) if relation.degree > config.incidents.max_shared => TOO_MANY,
        Some(_) => FOLLOWED,
        None => "no",
    }
}

fn texts(rows: &RecordBatch, column: &str) -> BTreeSet<String> {
    (0..rows.num_rows()).filter_map(|index| Row::new(rows, index).text(column)).map(str::to_owned).collect()
}
