//! Runs a case: rows to state, state to shards, shards to the result, its companion and its findings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};

use super::form::Case;
use super::rng::SeededRng;
use super::rows::{TableRows, locations};
use super::states::{Source, States};
use hindcast_base::time::{MICROS_PER_DAY, Window, date_of_us, date_start_us, parse_time};
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::correlation::{NAME_PREVALENCE, PREVALENCE};
use hindcast_detections::analyses::{
    Analysis, Context, Inputs, LOCATIONS, Locations, SideTable, WANTED_ENTITIES, merged_columns,
};
use hindcast_detections::config::Config;
use hindcast_detections::findings::{Finding, Prevalence, candidate_entities, findings_of, wanted_rows};
use hindcast_functions::{BUCKETS, key_number};
use hindcast_lake::task_session;

/// Maximum number of shards of a merge.
const MAX_SHARDS: usize = 3;

/// The results of a detection for a case's rows.
#[derive(Debug)]
pub struct CaseOutcome {
    /// The result, including hidden columns.
    pub result: RecordBatch,
    /// The companion table, if the detection has one.
    pub companion: Option<RecordBatch>,
    /// The findings, in order.
    pub findings: Vec<Finding>,
}

/// Runs `analysis` over the rows of `case`. `seed` decides how rows are split into units, how states are united and where shards end.
///
/// # Errors
/// If the case names an unknown table or column, or a plan fails.
pub async fn run_case(
    analysis: &'static Analysis,
    case: &Case,
    config: &Config,
    seed: u64,
) -> Result<CaseOutcome> {
    let mut tables = BTreeMap::new();
    for (name, rows) in &case.rows {
        tables.insert(name.clone(), TableRows::of(name, rows, config.detections.tables())?);
    }
    let columns = tables.iter().map(|(name, table)| (name.clone(), table.columns.clone())).collect();
    let runner = Runner {
        config,
        rng: SeededRng::new(seed),
        session: task_session(Arc::new(RuntimeEnv::default())),
        window: window_of(case, &tables)?,
        tables,
        columns,
    };
    runner.run(analysis, case).await
}

/// The window of a case: its own, or the whole days of its rows.
fn window_of(case: &Case, tables: &BTreeMap<String, TableRows>) -> Result<Window> {
    if let Some(window) = &case.window {
        return Window::new(parse_time(&window.from)?, parse_time(&window.to)?);
    }
    let times: Vec<i64> = tables.values().flat_map(TableRows::times).flatten().collect();
    let midnight = |micros: Option<&i64>| date_start_us(date_of_us(micros.copied().unwrap_or_default()));
    Window::new(midnight(times.iter().min()), midnight(times.iter().max()) + MICROS_PER_DAY)
}

struct Runner<'a> {
    config: &'a Config,
    rng: SeededRng,
    session: SessionContext,
    window: Window,
    tables: BTreeMap<String, TableRows>,
    /// Columns that the case's rows have, by table.
    columns: BTreeMap<String, BTreeSet<String>>,
}

/// Side tables by name.
type SideTables = BTreeMap<&'static str, RecordBatch>;

impl Runner<'_> {
    async fn run(&self, analysis: &'static Analysis, case: &Case) -> Result<CaseOutcome> {
        let mut states = self.states(analysis).await?;
        let mut sides = SideTables::new();
        if let Some(places) = case.places.as_ref().filter(|_| analysis.locations != Locations::Unused) {
            sides.insert(LOCATIONS.name, locations(places)?);
        }
        let (schema, rows) = self.shards(analysis, &states, &sides).await?;
        let result = if analysis.finish.is_some() {
            let candidates = concat_batches(&schema, &rows).map_err(engine)?;
            let prevalence = self.prevalence(analysis, &candidates, &mut states).await?;
            let prevalence = self.session.read_batch(prevalence.rows()?)?;
            let context = Context { config: self.config, prevalence };
            let whole = analysis.finished(self.session.read_batch(candidates)?, &context)?;
            let schema = Arc::clone(whole.schema().inner());
            analysis.ordered(&schema, whole.collect().await?, self.config)?
        } else {
            analysis.ordered(&schema, rows, self.config)?
        };
        let companion = match &analysis.companion {
            Some(companion) => {
                let whole = self.session.read_batch(result.clone())?;
                Some(all(companion.compute(whole, &analysis.bindings(self.config)?)?).await?)
            }
            None => None,
        };
        let findings = findings_of(analysis, &result, self.config)?;
        Ok(CaseOutcome { result, companion, findings })
    }

    fn source(&self) -> Source<'_> {
        Source { session: &self.session, config: self.config, rng: &self.rng, tables: &self.tables }
    }

    /// The state that `analysis` reads, for the window and for the time before it.
    async fn states(&self, analysis: &Analysis) -> Result<States<'_>> {
        let source = self.source();
        let mut states = States::new(&source);
        for id in analysis.rollups {
            states.add(&source, self.rollup(id)?, &self.window).await?;
        }
        for id in analysis.optional_rollups {
            let rollup = self.rollup(id)?;
            if source.has_table_of(rollup) {
                states.add(&source, rollup, &self.window).await?;
            }
        }
        let start_us = analysis.looks_back_to(self.config, self.window.from_us)?;
        if let Some(start_us) = start_us.filter(|start_us| *start_us < self.window.from_us) {
            // It starts at midnight, as scans do.
            let past = Window::new(date_start_us(date_of_us(start_us)), self.window.from_us)?;
            for id in analysis.look_back.iter().flat_map(|look_back| look_back.rollups) {
                states.add_past(&source, self.rollup(id)?, &past).await?;
            }
        }
        Ok(states)
    }

    /// Prevalence of the entities of candidate rows, computed by the same analysis as in scans.
    async fn prevalence<'a>(
        &'a self,
        analysis: &Analysis,
        candidates: &RecordBatch,
        states: &mut States<'a>,
    ) -> Result<Prevalence> {
        let rule = analysis.finding.as_ref();
        let wanted = rule.map(|rule| candidate_entities(rule, candidates)).unwrap_or_default();
        if wanted.is_empty() {
            return Ok(Prevalence::default());
        }
        let sides = SideTables::from([(WANTED_ENTITIES.name, wanted_rows(&wanted)?)]);
        let mut answers = [PREVALENCE, NAME_PREVALENCE].map(|_| Prevalence::default());
        for (id, answer) in [PREVALENCE, NAME_PREVALENCE].into_iter().zip(&mut answers) {
            let Some(question) = self.config.detections.by_id(id) else { continue };
            if self.add_states(question, states).await? {
                let (schema, rows) = self.shards(question, states, &sides).await?;
                *answer = Prevalence::of_rows(&concat_batches(&schema, &rows).map_err(engine)?);
            }
        }
        let [addresses, names] = answers;
        Ok(addresses.with_names(names))
    }

    /// Adds the state that a query reads; false if it can't run.
    async fn add_states<'a>(&'a self, question: &Analysis, states: &mut States<'a>) -> Result<bool> {
        let source = self.source();
        let read = question.rollups.iter().chain(question.optional_rollups).map(|id| self.rollup(id));
        let read: Vec<_> = read.collect::<Result<_>>()?;
        let has_state = read.iter().map(|rollup| source.has_table_of(rollup)).collect::<Vec<_>>();
        let needed = &has_state[..question.rollups.len()];
        if !needed.iter().all(|has| *has) || !has_state.contains(&true) {
            return Ok(false);
        }
        for (rollup, _) in read.into_iter().zip(has_state).filter(|(_, has)| *has) {
            states.add(&source, rollup, &self.window).await?;
        }
        Ok(true)
    }

    /// The rows of all shards, in any order.
    async fn shards(
        &self,
        analysis: &Analysis,
        states: &States<'_>,
        sides: &SideTables,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let mut bounds: Vec<u16> =
            (0..self.rng.below(MAX_SHARDS)).map(|_| self.rng.below(usize::from(BUCKETS)) as u16).collect();
        bounds.extend([0, BUCKETS]);
        bounds.sort_unstable();
        let mut shards: Vec<(u16, u16)> = bounds.windows(2).map(|pair| (pair[0], pair[1])).collect();
        self.rng.shuffle(&mut shards);
        let (mut schema, mut rows) = (None, Vec::new());
        for buckets in shards {
            // Rows that depend on one key alone are the same if other keys are computed apart.
            let halves = if analysis.per_key.is_empty() { vec![None] } else { vec![Some(0), Some(1)] };
            for half in halves {
                let frame = self.shard(analysis, states, sides, (buckets, half))?;
                schema = Some(Arc::clone(frame.schema().inner()));
                rows.extend(frame.collect().await?);
            }
        }
        let schema = schema.ok_or_else(|| Error::Internal("a merge has no shard".to_owned()))?;
        Ok((schema, rows))
    }

    /// The result of one shard, or of the keys of it whose number has this remainder by 2.
    fn shard(
        &self,
        analysis: &Analysis,
        states: &States<'_>,
        sides: &SideTables,
        (buckets, half): ((u16, u16), Option<u64>),
    ) -> Result<DataFrame> {
        let open = |id: &str, scope| {
            let states = states.open(id, scope, buckets)?;
            let (Some(states), Some(half)) = (&states, half) else { return Ok(states) };
            let number = key_number(analysis.per_key.iter().map(|column| ident(*column)).collect());
            states.clone().filter((number % lit(2u64)).eq(lit(half))).map(Some)
        };
        let open_side = |table: &SideTable| {
            sides.get(table.name).map(|rows| self.session.read_batch(rows.clone())).transpose()
        };
        let frame = analysis.run(&Inputs {
            config: self.config,
            columns: &self.columns,
            open: &open,
            schema_of: &|id| merged_columns(id, self.config, &self.session),
            session: &self.session.state(),
            open_side: &open_side,
            window: self.window,
            buckets,
            investigated: None,
        })?;
        Ok(analysis.cut(frame, self.config)?)
    }

    fn rollup(&self, id: &str) -> Result<&'static hindcast_detections::rollups::Rollup> {
        let rollup = self.config.detections.rollup(id);
        rollup.ok_or_else(|| Error::Invalid(format!("there is no rollup {id}")))
    }
}

/// All rows of a frame as one batch, which has the columns even without rows.
async fn all(frame: DataFrame) -> Result<RecordBatch> {
    let schema = Arc::clone(frame.schema().inner());
    concat_batches(&schema, &frame.collect().await?).map_err(engine)
}

fn engine(error: arrow::error::ArrowError) -> Error {
    Error::Engine(error.into())
}
