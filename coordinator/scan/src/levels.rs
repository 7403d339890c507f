//! The levels of a scan: combined state that replaces the state files of units. What is missing is made before the first merge.
//!
//! A level is only used if every state file that it combines is one of the scan's, so it never changes a result. If one can't be made
//! or read, the files of its units are merged instead.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::{StreamExt, stream};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_engine::{
    Combiner, DateState, FAN_IN, Fingerprint, KnownState, Level, LevelFile, LevelPlan, SPANS, Span,
    StateFault, Weights, build_levels, level_key, remove_levels, spans_of,
};
use hindcast_functions::BUCKETS;

use super::plan::ScanPlan;
use super::run::RunOptions;
use super::unit_record::UnitRecord;
use super::units::is_past;

/// Levels that are looked up at once.
const CONCURRENT_LOOKUPS: usize = 64;
/// State files of units whose levels are made together: each is named in the plans and tasks of its levels.
const FILES_AT_ONCE: usize = 50_000;

/// State of a rollup by date, by table and rollup.
type States<'s> = BTreeMap<(&'s str, &'s str), BTreeMap<NaiveDate, DateState<'s>>>;

/// Combined state that a scan uses.
#[derive(Debug, Default)]
pub(super) struct Levels {
    used: Vec<UsedLevel>,
    /// Levels that were damaged, each with a state file that it combined.
    damaged: Vec<(String, StateFault)>,
}

/// A level, and what it replaces.
#[derive(Debug)]
pub(super) struct UsedLevel {
    table: String,
    pub(super) rollup: String,
    span: Span,
    pub(super) level: Level,
    /// The state that it combines.
    sources: Fingerprint,
    /// The first of its files by path.
    first_source: Option<String>,
}

/// A level that is needed.
struct Wanted<'s> {
    table: &'s str,
    rollup: &'s str,
    span: Span,
    dates: &'s BTreeMap<NaiveDate, DateState<'s>>,
    key: String,
    /// The first of the state files that it combines, by path.
    first_source: Option<String>,
}

impl<'s> Wanted<'s> {
    fn of(
        options: &RunOptions<'_>,
        (table, rollup): (&'s str, &'s str),
        span: Span,
        dates: &'s BTreeMap<NaiveDate, DateState<'s>>,
    ) -> Result<Self> {
        let known = options.config.detections.rollup(rollup);
        let known = known.ok_or_else(|| Error::Internal(format!("there is no rollup {rollup}")))?;
        let files = span.files(dates);
        let sources: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let first_source = sources.iter().min().map(|source| (*source).to_owned());
        let key = level_key(known, table, span.first, span.days, sources)?;
        Ok(Self { table, rollup, span, dates, key, first_source })
    }

    /// The number of state files of its units.
    fn files(&self) -> usize {
        self.span.file_count(self.dates)
    }

    /// The levels of the parts of its span.
    fn parts(&self, options: &RunOptions<'_>) -> Result<Vec<Self>> {
        let parts = self.span.parts().into_iter().filter(|part| part.is_worthwhile(self.dates));
        parts.map(|part| Self::of(options, (self.table, self.rollup), part, self.dates)).collect()
    }

    /// The level with what it replaces.
    fn used(&self, level: Level) -> UsedLevel {
        let mut sources = Fingerprint::default();
        let states = self.span.of(self.dates).flat_map(|state| &state.states);
        states.for_each(|state| sources.add(state));
        UsedLevel {
            table: self.table.to_owned(),
            rollup: self.rollup.to_owned(),
            span: self.span,
            level,
            sources,
            first_source: self.first_source.clone(),
        }
    }
}

impl Levels {
    /// The levels of the state in `records`; those that are missing are made.
    pub(super) async fn of(
        plan: &ScanPlan,
        options: &RunOptions<'_>,
        records: &[UnitRecord],
    ) -> Result<Self> {
        let mut levels = Self::default();
        let states = states_of(plan, records);
        let mut wanted = Vec::new();
        for ((table, rollup), dates) in &states {
            for span in spans_of(dates, &plan.window) {
                wanted.push(Wanted::of(options, (*table, *rollup), span, dates)?);
            }
        }
        let mut missing = Vec::new();
        for (wanted, found) in levels.look_up(wanted, options).await {
            match found {
                Some(level) => levels.used.push(wanted.used(level)),
                None => missing.push(wanted),
            }
        }
        levels.make(missing, options).await?;
        tracing::debug!(levels = levels.used.len(), "state is combined");
        Ok(levels)
    }

    /// The levels in use.
    pub(super) fn used(&self) -> &[UsedLevel] {
        &self.used
    }

    /// Whether `file` belongs to a level in use. That level is not used any more, and is made again by the next scan.
    pub(super) async fn drop_damaged(
        &mut self,
        fault: &StateFault,
        options: &RunOptions<'_>,
    ) -> Result<bool> {
        let Some(place) = self.used.iter().position(|used| used.level.has_file(&fault.file)) else {
            return Ok(false);
        };
        let StateFault { file, reason } = fault;
        tracing::warn!(file, reason, "a level can't be read: the state of its units is merged");
        let UsedLevel { level, first_source, .. } = self.used.swap_remove(place);
        with_retries(|| options.state.forget(&level.key)).await?;
        self.damaged.extend(first_source.map(|source| (source, fault.clone())));
        Ok(true)
    }

    /// Names levels that were damaged in the record of a unit whose state they combined.
    pub(super) fn name_damaged(&mut self, records: &mut [UnitRecord]) {
        for (source, fault) in std::mem::take(&mut self.damaged) {
            let is_source = |state: &KnownState| state.is_at(&source);
            let record = records.iter_mut().find(|record| record.states.iter().any(is_source));
            if let Some(record) = record {
                record.replaced.push(fault);
            }
        }
    }

    /// Each of `wanted` with its level, if there is one that can be used.
    async fn look_up<'s>(
        &mut self,
        wanted: Vec<Wanted<'s>>,
        options: &RunOptions<'_>,
    ) -> Vec<(Wanted<'s>, Option<Level>)> {
        let look_up = |wanted: Wanted<'s>| async move {
            let found = options.state.find_level(&wanted.key).await;
            // A look-up that fails costs time, but no result.
            let found = found
                .inspect_err(|error| tracing::warn!(%error, key = wanted.key, "a level can't be looked up"));
            (wanted, found.ok().flatten())
        };
        let look_ups: Vec<_> = wanted.into_iter().map(look_up).collect();
        let mut looked_up = stream::iter(look_ups).buffered(CONCURRENT_LOOKUPS);
        let mut found = Vec::new();
        while let Some((wanted, level)) = looked_up.next().await {
            let level = match level {
                Some(Ok(level)) => Some(level),
                Some(Err(fault)) => {
                    self.damaged.extend(wanted.first_source.clone().map(|source| (source, fault)));
                    None
                }
                None => None,
            };
            found.push((wanted, level));
        }
        found
    }

    /// Makes levels, those of shorter spans first, from which those of longer ones are made. One that can't be made is not used.
    async fn make(&mut self, missing: Vec<Wanted<'_>>, options: &RunOptions<'_>) -> Result<()> {
        let wanted: BTreeSet<String> = missing.iter().map(|wanted| wanted.key.clone()).collect();
        let mut all = missing;
        let mut place = 0;
        while place < all.len() {
            let parts = if all[place].files() > FAN_IN { all[place].parts(options)? } else { Vec::new() };
            let found = self.look_up(parts, options).await;
            all.extend(found.into_iter().filter(|(_, level)| level.is_none()).map(|(part, _)| part));
            place += 1;
        }
        for days in SPANS.into_iter().rev() {
            let (of_length, longer): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|one| one.span.days == days);
            all = longer;
            let mut of_length = of_length.into_iter().peekable();
            while of_length.peek().is_some() {
                let (mut some, mut files) = (Vec::new(), 0);
                while let Some(one) =
                    of_length.next_if(|one| files == 0 || files + one.files() <= FILES_AT_ONCE)
                {
                    files += one.files();
                    some.push(one);
                }
                let made = self.make_some(&some, options).await?;
                for one in some.iter().filter(|one| wanted.contains(&one.key)) {
                    self.used.extend(made.get(&one.key).map(|level| one.used(level.clone())));
                }
            }
        }
        Ok(())
    }

    /// Makes levels of spans of one length, and returns those that could be made, by key.
    async fn make_some(
        &mut self,
        some: &[Wanted<'_>],
        options: &RunOptions<'_>,
    ) -> Result<BTreeMap<String, Level>> {
        let RunOptions { engine, state, config, job, .. } = *options;
        let combiner = Combiner { engine, state, config, job };
        let mut plans = Vec::new();
        for wanted in some {
            plans.push(self.plan(wanted, options).await?);
        }
        let mut runs = Vec::new();
        for plan in &mut plans {
            runs.extend(plan.runs()?);
        }
        let made = build_levels(runs, combiner).await;
        plans.iter_mut().for_each(|plan| plan.use_runs(&made));
        let levels = build_levels(plans, combiner).await;
        remove_levels(made, combiner).await;
        Ok(levels)
    }

    /// How a level is made: from levels of parts of its span, as far as they exist, and from state files of units.
    async fn plan(&mut self, wanted: &Wanted<'_>, options: &RunOptions<'_>) -> Result<LevelPlan> {
        let mut weights = Weights::default();
        let mut files = Vec::new();
        let mut covered: BTreeSet<NaiveDate> = BTreeSet::new();
        for (part, level) in self.look_up(wanted.parts(options)?, options).await {
            let Some(level) = level else { continue };
            covered.extend(part.span.first.iter_days().take(part.span.days as usize));
            weights.add(&level.weights);
            files.extend(level.files());
        }
        let dates = wanted.dates.range(wanted.span.first..=wanted.span.last());
        let rest = dates.filter(|(date, _)| !covered.contains(date)).flat_map(|(_, state)| &state.states);
        for state in rest {
            state.weights().into_iter().for_each(|own| weights.add(own));
            files.extend(state.file().map(|file| LevelFile { buckets: (0, BUCKETS), file }));
        }
        Ok(LevelPlan::of(wanted.key.clone(), wanted.rollup, files, &weights))
    }
}

/// The state of the window's whole units, by table and rollup, and by date.
fn states_of<'s>(plan: &'s ScanPlan, records: &'s [UnitRecord]) -> States<'s> {
    let mut states = States::new();
    for record in records.iter().filter(|record| !is_past(&record.unit, plan)) {
        let unit = &record.unit;
        let Some(planned) = plan.tables.get(unit.table) else { continue };
        for rollup in unit.rollups.iter() {
            let key = (planned.table.spec.name, rollup.as_str());
            let of_date = states.entry(key).or_default().entry(unit.date).or_default();
            of_date.is_clipped |= unit.is_clipped || unit.selection.is_some();
            for state in record.states.iter().filter(|state| state.rollup() == rollup) {
                of_date.is_clipped |= state.is_clipped();
                of_date.states.extend(state.has_file().then_some(state));
            }
        }
    }
    states
}

/// Levels by their first dates, with the state of the scan that they combine.
type ByDate<'l> = BTreeMap<NaiveDate, (&'l UsedLevel, Fingerprint)>;

/// Levels of which all that they combine is state of the scan, by table and rollup.
#[derive(Default)]
pub(super) struct Applicable<'l>(BTreeMap<(&'l str, &'l str), ByDate<'l>>);

impl<'l> Applicable<'l> {
    /// Those of `levels` of which every source is in `records`.
    pub(super) fn of(levels: &'l [UsedLevel], plan: &'l ScanPlan, records: &'l [UnitRecord]) -> Self {
        let mut found = Self::default();
        for level in levels {
            let of_rollup = found.0.entry((&level.table, &level.rollup)).or_default();
            of_rollup.insert(level.span.first, (level, Fingerprint::default()));
        }
        for record in records.iter().filter(|record| !is_past(&record.unit, plan)) {
            let Some(planned) = plan.tables.get(record.unit.table) else { continue };
            for state in record.states.iter().filter(|state| state.has_file()) {
                let by_date = found.0.get_mut(&(planned.table.spec.name, state.rollup()));
                let level = by_date.and_then(|by_date| by_date.range_mut(..=record.unit.date).next_back());
                if let Some((_, (level, sources))) = level
                    && record.unit.date <= level.span.last()
                {
                    sources.add(state);
                }
            }
        }
        found.0.values_mut().for_each(|by_date| by_date.retain(|_, (level, found)| level.sources == *found));
        found
    }

    /// Whether one of them has the state of a rollup of a table at a date.
    pub(super) fn have(&self, table: &str, rollup: &str, date: NaiveDate) -> bool {
        let before = self.0.get(&(table, rollup)).and_then(|by_date| by_date.range(..=date).next_back());
        before.is_some_and(|(_, (level, _))| date <= level.span.last())
    }

    /// The files of those of a rollup; `None` if there was no level.
    pub(super) fn files(&self, rollup: &str) -> Option<Vec<LevelFile>> {
        let own: Vec<_> = self.0.iter().filter(|((_, id), _)| *id == rollup).collect();
        let levels = own.iter().flat_map(|(_, by_date)| by_date.values());
        (!own.is_empty()).then(|| levels.flat_map(|(level, _)| level.level.files()).collect())
    }
}

#[cfg(test)]
#[path = "levels_tests.rs"]
mod tests;
