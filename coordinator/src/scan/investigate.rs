//! An investigation's first steps: who is who in the window, which names stand for the entity on which day, and which
//! units can hold its rows. The rest is a scan of those rows.

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

use super::context::ties;
use super::coverage::ReadSummary;
use super::merge::Merger;
use super::plan::{PlannedTable, ScanPlan};
use super::report::EntitySummary;
use super::run::{Progress, RunOptions, rollup_run};
use super::spilled::Whole;
use super::table::ResultTable;
use super::unit_tracker::{RollupRun, UnitRecord};
use super::units::{cut, is_past, unit_bytes};
use crate::correlate::EntityRelation;
use crate::risk::Assessed;

/// Name of the table of ties.
pub(super) const TIES_TABLE: &str = "entity_ties";
/// What the table of ties says of a name that stands for the entity.
const FOLLOWED: &str = "yes";
/// What it says of one that too many share.
pub const TOO_MANY: &str = "too_many";
/// Names told to who asked for one that nothing has.
const SIMILAR_NAMES: usize = 3;
/// Likeness (Jaro-Winkler, 0 to 1) from which a name may be a mistyped one.
const SIMILAR: f64 = 0.8;

/// What is known of an entity before its rows are read.
pub(super) struct EntityLookup<'a> {
    pub(super) selection: Selection,
    config: &'a Config,
    /// Rows that name it together with others, by day.
    pub(super) ties: Vec<EntityRelation>,
    /// State of all rows that say who is who.
    pub(super) identities: Merger<'a>,
    /// Its tables.
    planned: &'a [PlannedTable],
    /// Units whose selected rows are there already.
    pub(super) selected: Vec<UnitRecord>,
    /// Tables and dates that can't hold its rows.
    pub(super) passed_over: BTreeSet<(usize, NaiveDate)>,
}

/// The plan of what is looked up of all rows before an entity's are selected: the rollups that tie entities.
pub(super) fn identity_plan(plan: &ScanPlan) -> ScanPlan {
    let question = plan.detections.by_id(ENTITY_TIES);
    let of_table = |planned: &PlannedTable| {
        let read = question.iter().flat_map(|question| question.optional_rollups);
        let rollups = read.filter_map(|id| plan.detections.rollup(id));
        let rollups = rollups.filter(|rollup| rollup.tables.contains(&planned.table.spec.name)).collect();
        PlannedTable { rollups, past: None, ..planned.clone() }
    };
    let tables: Vec<PlannedTable> = plan.tables.iter().map(of_table).collect();
    let tables = tables.into_iter().filter(|planned| !planned.rollups.is_empty()).collect();
    ScanPlan { analyses: Vec::new(), tables, ..plan.clone() }
}

impl<'a> EntityLookup<'a> {
    /// Looks up who the entity of the plan `identities` is tied to.
    pub(super) async fn of(
        identities: &'a ScanPlan,
        options: &'a RunOptions<'a>,
        rollups: &'a RollupRun<'a>,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let entity = identities.investigated.as_ref();
        let entity = entity.ok_or_else(|| Error::Internal("nobody is to be looked up".into()))?;
        let (_, units) = cut(identities);
        // What its rows will take to read is known only then.
        progress.planned(units.len() as u64, units.iter().map(unit_bytes).sum());
        let records = rollups.complete(units, progress).await?;
        let mut merger = Merger::new(identities, options, rollups, progress, records);
        let mut selection = Selection::of(entity.clone());
        let mut known = Vec::new();
        let question = options.config.detections.by_id(ENTITY_TIES);
        if let Some(question) = question.filter(|question| merger.has_state_for(question)) {
            let wanted = BTreeSet::from([(entity.kind, entity.name.clone())]);
            merger.put_beside(&WANTED_ENTITIES, &wanted_rows(&wanted)?).await?;
            let answers = merger.run(&[question]).await?;
            known = answers.get(ENTITY_TIES).and_then(Whole::held).map(ties).unwrap_or_default();
            known.retain(|tie| own_and_other(&selection, tie).is_some());
        }
        let followed = known.iter().filter(|tie| follow(&selection, tie, options.config) == FOLLOWED);
        let names = followed.filter_map(|tie| {
            let (_, other) = own_and_other(&selection, tie)?;
            Some(RelatedName { day: tie.day, kind: other.kind, name: other.name.clone() })
        });
        selection.related = names.collect();
        Ok(Self {
            selection,
            config: options.config,
            ties: known,
            identities: merger,
            planned: &identities.tables,
            selected: Vec::new(),
            passed_over: BTreeSet::new(),
        })
    }

    /// Reads a user's rows of OfficeActivity first, where flows are to be looked through for the addresses in them.
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
        let question = options.config.detections.by_id(USERS_ADDRESSES);
        let answers = merger.run(question.as_slice()).await?;
        self.selected = merger.into_records();
        let addresses = answers.get(USERS_ADDRESSES).and_then(Whole::held);
        self.selection.users_addresses = addresses.map(|rows| texts(rows, "address")).unwrap_or_default();
        Ok(())
    }

    /// The tables of its records.
    pub(super) fn tables(&self) -> &'a [PlannedTable] {
        self.planned
    }

    /// The units that can hold the entity's rows, with what tells them; without those that were read already.
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
                    self.passed_over.insert((unit.table, unit.date));
                }
            }
        }
        selected
    }

    /// Puts the entity's addresses by day where analyses find them; those that are its own whatever the day, on all `days` of
    /// its rows (first and last of each run).
    pub(super) async fn put_own_addresses(
        &self,
        merger: &mut Merger<'_>,
        days: &[(NaiveDate, NaiveDate)],
    ) -> Result<()> {
        let mut own: BTreeSet<(&str, i64)> = BTreeSet::new();
        let tied = self.selection.related.iter().filter(|tied| tied.kind == EntityKind::Ip);
        own.extend(tied.map(|tied| (tied.name.as_str(), tied.day)));
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
        merger.put_beside(&OWN_ADDRESSES, &rows.map_err(|error| Error::Engine(error.into()))?).await
    }

    /// Whether a finding in the entity's rows is about it. Cloud ids that contain the term may be another user's.
    pub(super) fn is_about(&self, finding: &Finding) -> bool {
        let kind = self.selection.entity.kind;
        let mut of_kind = finding.entities.iter().filter(|entity| entity.kind == kind).peekable();
        finding.suite != Suite::Office365
            || of_kind.peek().is_none()
            || of_kind.any(|entity| self.selection.is_entity(entity))
    }

    /// Names of the window that are like the one that was asked for, the most alike first.
    async fn similar_names(&mut self) -> Result<Vec<String>> {
        let question = self.config.detections.by_id(KNOWN_NAMES);
        let Some(question) = question.filter(|question| self.identities.has_state_for(question)) else {
            return Ok(Vec::new());
        };
        let answers = self.identities.run(&[question]).await?;
        let known = answers.get(KNOWN_NAMES).and_then(Whole::held);
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

    /// The entity as its rows, `selected`, tell of it.
    pub(super) async fn told(&mut self, selected: &[UnitRecord]) -> Result<EntitySummary> {
        let mut told = EntitySummary {
            kind: self.selection.entity.kind,
            name: self.selection.entity.name.clone(),
            asked: self.selection.requested_name().to_owned(),
            names: BTreeMap::new(),
            rows: 0,
            first_seen: None,
            last_seen: None,
            risk: Assessed::default(),
            read: ReadSummary::default(),
            dates_passed_over: self.passed_over.len() as u64,
            similar_names: Vec::new(),
        };
        let (mut first_us, mut last_us) = (None, None);
        // All state of a unit is of the same rows: one manifest tells of them.
        for stats in selected.iter().filter_map(|record| Some(&record.manifests.first()?.stats)) {
            told.rows += stats.rows;
            first_us = [first_us, stats.min_us].into_iter().flatten().min();
            last_us = last_us.max(stats.max_us);
            let Some(read) = &stats.selection else { continue };
            told.read.add(&ReadSummary::of(read));
            for (name, rows) in &read.names {
                *told.names.entry(name.clone()).or_default() += rows;
            }
        }
        told.first_seen = first_us.map(format_micros);
        told.last_seen = last_us.map(format_micros);
        if told.rows == 0 {
            told.similar_names = self.similar_names().await?;
        }
        Ok(told)
    }

    /// The ties as a result table, by day.
    pub(super) fn ties_table(&self) -> Result<ResultTable> {
        let mut ties: Vec<(&EntityRelation, &Entity)> =
            self.ties.iter().filter_map(|tie| Some((tie, own_and_other(&self.selection, tie)?.1))).collect();
        ties.sort_by_key(|(tie, other)| (tie.day, *other, &tie.table));
        let texts = |text: &dyn Fn(&(&EntityRelation, &Entity)) -> String| -> ArrayRef {
            Arc::new(StringViewArray::from_iter_values(ties.iter().map(text)))
        };
        let numbers = |number: &dyn Fn(&EntityRelation) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(ties.iter().map(|(tie, _)| number(tie) as i64)))
        };
        let dates = ties.iter().map(|(tie, _)| tie.day * MICROS_PER_DAY);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("date", Arc::new(TimestampMicrosecondArray::from_iter_values(dates).with_timezone("UTC"))),
            ("table", texts(&|(tie, _)| tie.table.clone())),
            ("kind", texts(&|(_, other)| other.kind.name().to_owned())),
            ("name", texts(&|(_, other)| other.full_name.as_ref().unwrap_or(&other.name).clone())),
            ("rows", numbers(&|tie| tie.rows)),
            ("degree", numbers(&|tie| tie.degree)),
            ("followed", texts(&|(tie, _)| follow(&self.selection, tie, self.config).to_owned())),
        ];
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns);
        let batch = batch.map_err(|error| Error::Engine(error.into()))?;
        ResultTable::held(TIES_TABLE, &[batch])
    }
}

/// The end of a tie that is the entity, and the other.
fn own_and_other<'t>(selection: &Selection, tie: &'t EntityRelation) -> Option<(&'t Entity, &'t Entity)> {
    match (selection.is_entity(&tie.hub), selection.is_entity(&tie.other)) {
        (true, _) => Some((&tie.hub, &tie.other)),
        (_, true) => Some((&tie.other, &tie.hub)),
        _ => None,
    }
}

/// Whether what the entity is tied to stands for it on that day, as the table of ties says it.
fn follow(selection: &Selection, tie: &EntityRelation, config: &Config) -> &'static str {
    match own_and_other(selection, tie) {
        Some((_, other)) if !selection.reads_related_names(other.kind) => "no",
        Some(_) if tie.degree > config.incidents.max_shared => TOO_MANY,
        Some(_) => FOLLOWED,
        None => "no",
    }
}

fn texts(rows: &RecordBatch, column: &str) -> BTreeSet<String> {
    (0..rows.num_rows()).filter_map(|index| Row::new(rows, index).text(column)).map(str::to_owned).collect()
}
