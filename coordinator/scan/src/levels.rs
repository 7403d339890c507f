//! The levels of a scan: combined state that replaces the state files of units. What is missing is made before the first merge.
//!
//! A level is only used if every state file that it combines is one of the scan's, so it never changes a result. If one can't be made
//! or read, the files of its units are merged instead.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::NaiveDate;
use futures::{StreamExt, stream};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_engine::{
    Combiner, DateState, FAN_IN, Level, LevelFile, LevelPlan, Manifest, SPANS, Span, StateFault, Weights,
    build_levels, depth, level_key, remove_levels, spans_of,
};
use hindcast_functions::BUCKETS;
use hindcast_lake::StateFile;

use super::plan::ScanPlan;
use super::run::RunOptions;
use super::unit_record::UnitRecord;
use super::units::is_past;

/// Levels that are looked up at once.
const CONCURRENT_LOOKUPS: usize = 64;

/// State of a rollup by date, by table and rollup.
type States = BTreeMap<(String, String), BTreeMap<NaiveDate, DateState>>;

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
    pub(super) rollup: String,
    pub(super) level: Level,
    /// The paths of the state files that it combines.
    pub(super) sources: HashSet<String>,
}

/// A level that is needed.
struct Wanted<'s> {
    table: &'s str,
    rollup: &'s str,
    span: Span,
    dates: &'s BTreeMap<NaiveDate, DateState>,
    key: String,
}

impl<'s> Wanted<'s> {
    fn of(
        options: &RunOptions<'_>,
        (table, rollup): (&'s str, &'s str),
        span: Span,
        dates: &'s BTreeMap<NaiveDate, DateState>,
    ) -> Result<Self> {
        let known = options.config.detections.rollup(rollup);
        let known = known.ok_or_else(|| Error::Internal(format!("there is no rollup {rollup}")))?;
        let files = span.files(dates);
        let sources = files.iter().map(|file| file.path.as_str()).collect();
        let key = level_key(known, table, span.first, span.days, sources)?;
        Ok(Self { table, rollup, span, dates, key })
    }

    /// The state files of its units.
    fn unit_files(&self) -> Vec<LevelFile> {
        let files = self.span.files(self.dates).into_iter();
        files.map(|file| LevelFile { buckets: (0, BUCKETS), file }).collect()
    }

    /// The levels of the parts of its span.
    fn parts(&self, options: &RunOptions<'_>) -> Result<Vec<Self>> {
        let parts = self.span.parts().into_iter().filter(|part| part.is_worthwhile(self.dates));
        parts.map(|part| Self::of(options, (self.table, self.rollup), part, self.dates)).collect()
    }

    /// The level with what it replaces.
    fn used(&self, level: Level) -> UsedLevel {
        let sources = self.span.files(self.dates).into_iter().map(|file| file.path).collect();
        UsedLevel { rollup: self.rollup.to_owned(), level, sources }
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
                wanted.push(Wanted::of(options, (table.as_str(), rollup.as_str()), span, dates)?);
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
        let UsedLevel { level, sources, .. } = self.used.swap_remove(place);
        with_retries(|| options.state.forget(&level.key)).await?;
        self.damaged.extend(sources.into_iter().min().map(|source| (source, fault.clone())));
        Ok(true)
    }

    /// Names levels that were damaged in the record of a unit whose state they combined.
    pub(super) fn name_damaged(&mut self, records: &mut [UnitRecord]) {
        for (source, fault) in std::mem::take(&mut self.damaged) {
            let is_source = |manifest: &Manifest| manifest.file().is_some_and(|file| file.path == source);
            let record = records.iter_mut().find(|record| record.manifests.iter().any(is_source));
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
                    let source = wanted.span.files(wanted.dates).into_iter().map(|file| file.path).min();
                    self.damaged.extend(source.map(|source| (source, fault)));
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
            let parts = if depth(&all[place].unit_files()) > FAN_IN {
                all[place].parts(options)?
            } else {
                Vec::new()
            };
            let found = self.look_up(parts, options).await;
            all.extend(found.into_iter().filter(|(_, level)| level.is_none()).map(|(part, _)| part));
            place += 1;
        }
        let RunOptions { engine, state, config, job, .. } = *options;
        let combiner = Combiner { engine, state, config, job };
        for days in SPANS.into_iter().rev() {
            let mut plans = Vec::new();
            let (of_length, longer): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|one| one.span.days == days);
            all = longer;
            for wanted in &of_length {
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
            for one in of_length.iter().filter(|one| wanted.contains(&one.key)) {
                self.used.extend(levels.get(&one.key).map(|level| one.used(level.clone())));
            }
        }
        Ok(())
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
        let rest = dates.filter(|(date, _)| !covered.contains(date)).flat_map(|(_, state)| &state.manifests);
        for manifest in rest {
            let Some(data) = &manifest.data else { continue };
            weights.add(&data.weights);
            files.extend(manifest.file().map(|file| LevelFile { buckets: (0, BUCKETS), file }));
        }
        Ok(LevelPlan::of(wanted.key.clone(), wanted.rollup, files, &weights))
    }
}

/// The state of the window's whole units, by table and rollup, and by date.
fn states_of(plan: &ScanPlan, records: &[UnitRecord]) -> States {
    let mut states = States::new();
    for record in records.iter().filter(|record| !is_past(&record.unit, plan)) {
        let unit = &record.unit;
        let Some(planned) = plan.tables.get(unit.table) else { continue };
        for rollup in &unit.rollups {
            let key = (planned.table.spec.name.to_owned(), rollup.clone());
            let state = states.entry(key).or_default().entry(unit.date).or_default();
            let own = record.manifests.iter().filter(|manifest| manifest.rollup == *rollup);
            state.is_clipped |= unit.is_clipped || unit.selection.is_some();
            for manifest in own {
                state.is_clipped |= manifest.is_clipped();
                state.manifests.extend(manifest.data.is_some().then(|| manifest.clone()));
            }
        }
    }
    states
}

/// The state files of `files` that no level in `used` replaces, and the parts of those levels.
pub(super) fn replaced(files: Vec<StateFile>, used: &[&UsedLevel]) -> (Vec<StateFile>, Vec<LevelFile>) {
    let paths: HashSet<String> = files.iter().map(|file| file.path.clone()).collect();
    let applicable: Vec<&&UsedLevel> =
        used.iter().filter(|used| used.sources.iter().all(|source| paths.contains(source))).collect();
    let is_left = |file: &StateFile| !applicable.iter().any(|used| used.sources.contains(&file.path));
    let parts = applicable.iter().flat_map(|used| used.level.files()).collect();
    (files.into_iter().filter(is_left).collect(), parts)
}

#[cfg(test)]
#[path = "levels_tests.rs"]
mod tests;
