//! What an investigation looks up before it reads an entity's rows: which names stand for the entity on which day, and which units
//! can hold its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use chrono::NaiveDate;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::nearest::most_similar;
use hindcast_base::time::{MICROS_PER_DAY, date_of_us, date_start_us, format_micros};
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::correlation::{ENTITY_TIES, KNOWN_NAMES, USERS_ADDRESSES};
use hindcast_detections::analyses::{OWN_ADDRESSES, Suite, WANTED_ENTITIES};
use hindcast_detections::config::Config;
use hindcast_detections::findings::{Finding, Row, wanted_rows};
use hindcast_engine::RollupUnit;
use hindcast_lake::selection::{RelatedName, Selection};
use hindcast_lake::{LakeFile, LakeTable};

use super::coverage::ReadSummary;
use super::entity_relations::{Followed, RelatedEntity, relations, relations_table};
use super::merge::Merger;
use super::plan::{PlannedTable, ScanPlan};
use super::report::EntitySummary;
use super::run::{Progress, RunOptions};
use super::spilled::AnalysisRows;
use super::table::ResultTable;
use super::unit_record::UnitRecord;
use super::unit_tracker::RollupRun;
use super::units::{cut, is_past, unit_bytes};
use hindcast_risk::Assessed;
use hindcast_risk::correlate::EntityRelation;

/// Names suggested for an entity without rows.
const SIMILAR_NAMES: usize = 3;

/// What is known about an entity before its rows are read.
pub(super) struct EntityLookup<'a> {
    selection: Selection,
    config: &'a Config,
    /// Entities that rows name together with it, by day.
    relations: Vec<EntityRelation>,
    /// State of all rows that name several entities.
    pub(super) merger: Merger<'a>,
    /// The tables of that state.
    tables: &'a [PlannedTable],
    /// Units whose selected rows have been read already.
    already_read: Vec<UnitRecord>,
    /// Folders that can't hold its rows.
    pub(super) skipped: SkippedFolders,
}

/// Folders that are not read because no row in them can name the entity: by index of the table, and date.
#[derive(Debug, Default)]
pub(super) struct SkippedFolders {
    /// For rows of the window.
    pub(super) of_window: BTreeSet<(usize, NaiveDate)>,
    /// For rows of the time before the window.
    pub(super) past: BTreeSet<(usize, NaiveDate)>,
}

/// The plan of the lookup over all rows, before an entity's are selected: only the rollups that relate entities.
pub(super) fn lookup_plan(plan: &ScanPlan) -> ScanPlan {
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
    /// Looks up which entities `entity` is related to, with the plan of [`lookup_plan`].
    pub(super) async fn load(
        entity: &Entity,
        plan: &'a ScanPlan,
        options: &'a RunOptions<'a>,
        rollups: &'a RollupRun<'a>,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let units = cut(plan);
        // The bytes of its own rows are known only later.
        progress.planned(units.len() as u64, units.iter().map(unit_bytes).sum());
        let records = rollups.complete(units, progress).await?;
        let mut merger = Merger::new(plan, options, rollups, progress, records);
        let mut selection = Selection::of(entity.clone());
        let mut known = Vec::new();
        let query = options.config.detections.by_id(ENTITY_TIES);
        if let Some(query) = query.filter(|query| merger.has_state_for(query)) {
            let wanted = BTreeSet::from([(entity.kind, entity.name.clone())]);
            merger.add_side_table(&WANTED_ENTITIES, &wanted_rows(&wanted)?).await?;
            let answers = merger.run(&[query]).await?;
            known = answers.get(ENTITY_TIES).and_then(AnalysisRows::held).map(relations).unwrap_or_default();
            known.retain(|relation| RelatedEntity::of(relation, &selection).is_some());
        }
        let max_shared = options.config.incidents.max_shared;
        let related = known.iter().filter_map(|relation| RelatedEntity::of(relation, &selection));
        let followed = related.filter(|one| Followed::of(one, &selection, max_shared) == Followed::Yes);
        let names = followed.map(|RelatedEntity { relation, other }| RelatedName {
            day: relation.day,
            kind: other.kind,
            name: other.name.clone(),
        });
        selection.related = names.collect();
        Ok(Self {
            selection,
            config: options.config,
            relations: known,
            merger,
            tables: &plan.tables,
            already_read: Vec::new(),
            skipped: SkippedFolders::default(),
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
        let rollups = RollupRun::new(plan, options);
        let is_office = |unit: &RollupUnit| rollups.tables[unit.table].name == "OfficeActivity";
        let units = self.select(plan, cut(plan).into_iter().filter(is_office).collect());
        let records = rollups.complete(units, progress).await?;
        let mut merger = Merger::new(plan, options, &rollups, progress, records);
        let query = options.config.detections.by_id(USERS_ADDRESSES);
        let answers = merger.run(query.as_slice()).await?;
        self.already_read = merger.into_records();
        let addresses = answers.get(USERS_ADDRESSES).and_then(AnalysisRows::held);
        self.selection.users_addresses = addresses.map(|rows| texts(rows, "address")).unwrap_or_default();
        Ok(())
    }

    /// Reads the units that can hold the entity's rows.
    pub(super) async fn read_rows(
        &mut self,
        plan: &ScanPlan,
        rollups: &RollupRun<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<UnitRecord>> {
        let units = self.select(plan, cut(plan));
        let already_read = std::mem::take(&mut self.already_read);
        let done = self.merger.records().iter().chain(&already_read);
        let done: Vec<u64> = done.map(|record| unit_bytes(&record.unit)).collect();
        let bytes = units.iter().map(unit_bytes).chain(done.iter().copied()).sum();
        progress.planned((units.len() + done.len()) as u64, bytes);
        let mut records = rollups.complete(units, progress).await?;
        records.extend(already_read);
        Ok(records)
    }

    /// The records of the lookup over all rows, with the tables to which they belong.
    pub(super) fn records(&self) -> (&[UnitRecord], &'a [PlannedTable]) {
        (self.merger.records(), self.tables)
    }

    /// The units that can hold the entity's rows, each with the selection, without those that were read already.
    fn select(&mut self, plan: &ScanPlan, units: Vec<RollupUnit>) -> Vec<RollupUnit> {
        let mut selected = Vec::new();
        for unit in units {
            let PlannedTable { table, .. } = &plan.tables[unit.table];
            if self.already_read.iter().any(|record| record.unit.table == unit.table) {
                continue;
            }
            match self.selection.for_folder(table.spec, unit.date, slack_days(table, &unit)) {
                Some(own) => selected.push(RollupUnit { selection: Some(Box::new(own)), ..unit }),
                None => {
                    let is_past = is_past(&unit, plan);
                    let skipped = if is_past { &mut self.skipped.past } else { &mut self.skipped.of_window };
                    skipped.insert((unit.table, unit.date));
                }
            }
        }
        selected
    }

    /// Adds the side table of the entity's addresses by day. Addresses that are its own on any day are listed for all `days` of its
    /// rows (first and last of each run).
    pub(super) async fn add_own_addresses(
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
        let Some(query) = query.filter(|query| self.merger.has_state_for(query)) else {
            return Ok(Vec::new());
        };
        let answers = self.merger.run(&[query]).await?;
        let known = answers.get(KNOWN_NAMES).and_then(AnalysisRows::held);
        let known = known.map(|rows| texts(rows, "name")).unwrap_or_default();
        let requested = self.selection.requested_name();
        Ok(most_similar(requested, known.into_iter(), SIMILAR_NAMES))
    }

    /// The summary of the entity in its `selected` rows.
    pub(super) async fn summarise(&mut self, selected: &[UnitRecord]) -> Result<EntitySummary> {
        let mut summary = EntitySummary {
            kind: self.selection.entity.kind,
            name: self.selection.entity.name.clone(),
            requested: self.selection.requested_name().to_owned(),
            names: BTreeMap::new(),
            rows: 0,
            first_seen: None,
            last_seen: None,
            risk: Assessed::default(),
            read: ReadSummary::default(),
            dates_passed_over: self.skipped.of_window.len() as u64,
            similar_names: Vec::new(),
        };
        let (mut first_us, mut last_us) = (None, None);
        // All state of a unit comes from the same rows: that of one rollup describes them.
        for stats in selected.iter().filter_map(|record| Some(&record.states.first()?.stats)) {
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
        relations_table(&self.relations, &self.selection, self.config.incidents.max_shared)
    }
}

/// Days by which the times of a unit's rows may differ from its date.
fn slack_days(table: &LakeTable, unit: &RollupUnit) -> u32 {
    if !table.is_listed() {
        return table.mapping.folder_slack_days;
    }
    let days = |file: &LakeFile| match file.times_us {
        Some((_, last_us)) => u32::try_from((date_of_us(last_us) - unit.date).num_days()).unwrap_or(0),
        None => u32::MAX,
    };
    unit.files.iter().map(days).max().unwrap_or(0)
}

fn texts(rows: &RecordBatch, column: &str) -> BTreeSet<String> {
    (0..rows.num_rows()).filter_map(|index| Row::new(rows, index).text(column)).map(str::to_owned).collect()
}
