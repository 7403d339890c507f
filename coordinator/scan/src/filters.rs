//! Tables of which a suite looks only at rows with certain values, when no row has one: reports which values the rows have.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::logical_expr::{cast, ident};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use hindcast_base::Result;
use hindcast_detections::config::Config;
use hindcast_detections::rollups::{POPULATIONS, Population, Share};
use hindcast_lake::task_session;
use hindcast_lake::{LakeFile, UnreadableCounts, file_scan};

use super::gap::{Gap, GapCause, UnusedRows};
use super::plan::{PlannedTable, ScanPlan};
use super::run::RunOptions;
use super::unit_record::UnitRecord;

/// Rows at most whose values are counted, once state shows that no row has a wanted value.
const COUNTED_ROWS: u64 = 1_000_000;
/// Distinct values counted at most; further ones are counted together.
const COUNTED_VALUES: usize = 1_000;
/// A log with fewer rows than this, all without a value, may just be short; with more, its column is never filled.
const FEWEST_WITHOUT_VALUE: u64 = 10;
/// Values shown, those of the most rows.
const SHOWN: usize = 5;

/// A gap for each table with rows in the window, if the suite looks at none of them.
///
/// # Errors
/// [`hindcast_base::Error::Internal`] if a scan lacks a column that it was planned with. Unreadable files are skipped: the coverage reports them.
pub(super) async fn row_gaps(
    plan: &ScanPlan,
    records: &[UnitRecord],
    options: &RunOptions<'_>,
) -> Result<Vec<Gap>> {
    let mut gaps = Vec::new();
    for (index, planned) in plan.tables.iter().enumerate() {
        let units: Vec<&UnitRecord> = records.iter().filter(|record| record.unit.table == index).collect();
        let rows: u64 = units.iter().filter_map(|unit| unit.stats()).map(|stats| stats.rows).sum();
        let mut looked_for: Vec<PopulationCheck> = applied(plan, planned, options.config)
            .map(|population| PopulationCheck::new(population, options.config, &units))
            .collect();
        if rows == 0 || looked_for.iter().all(|one| one.is_found) {
            continue;
        }
        let mut counted = 0;
        for file in units.iter().flat_map(|unit| &unit.unit.files) {
            let Some(missed) = looked_for.iter().find(|one| !one.is_found) else { break };
            if missed.is_absent && counted >= COUNTED_ROWS {
                break;
            }
            counted += count_values(plan, planned, file, &mut looked_for, options).await?;
        }
        let missed = looked_for.iter().find(|one| !one.is_found && !one.is_too_small(rows));
        gaps.extend(missed.map(|missed| missed.gap(rows).in_root(planned.table.root.as_ref())));
    }
    Ok(gaps)
}

/// The populations of which rollups of a table take rows.
fn applied<'a>(
    plan: &'a ScanPlan,
    planned: &'a PlannedTable,
    config: &'a Config,
) -> impl Iterator<Item = &'static Population> + 'a {
    let table = planned.table.spec.name;
    POPULATIONS.iter().filter(move |population| {
        population.table == table
            && planned.rollups.iter().any(|rollup| rollup.share_of(population).is_some())
            && plan.columns.get(table).is_some_and(|columns| columns.contains(population.column))
            && !(population.values)(config).is_empty()
    })
}

/// A population, and what is known about rows that may belong to it.
struct PopulationCheck {
    population: &'static Population,
    values: Vec<String>,
    /// Values that mean the same: a log that has them is written as expected.
    usual: &'static [&'static str],
    /// Whether there is a row with such a value.
    is_found: bool,
    /// Whether state shows that there is none.
    is_absent: bool,
    /// Rows by value of the column; none for null.
    counts: BTreeMap<Option<String>, u64>,
    /// Rows with further values.
    others: u64,
}

impl PopulationCheck {
    fn new(population: &'static Population, config: &Config, units: &[&UnitRecord]) -> Self {
        let states = units.iter().flat_map(|unit| &unit.states);
        let shares = states.filter_map(|state| {
            let share = config.detections.rollup(state.rollup())?.share_of(population)?;
            Some((share, state.rows))
        });
        let shares: Vec<(Share, u64)> = shares.collect();
        let is_found = shares.iter().any(|(share, state_rows)| share.is_alone() && *state_rows > 0);
        let is_absent = !is_found && shares.iter().any(|(share, _)| *share == Share::All);
        let values = (population.values)(config);
        let is_usual = values.iter().any(|value| population.usual.contains(&value.as_str()));
        Self {
            population,
            values,
            usual: if is_usual { population.usual } else { &[] },
            is_found,
            is_absent,
            counts: BTreeMap::new(),
            others: 0,
        }
    }

    /// Counts a value and says whether the population wants it.
    fn count(&mut self, value: Option<&str>) -> bool {
        let is_one = value.is_some_and(|value| self.values.iter().any(|one| one == value));
        self.is_found |= is_one || value.is_some_and(|value| self.usual.contains(&value));
        if self.is_found {
            // The other values matter only if no row has a wanted one.
            return is_one;
        }
        if let Some(count) = self.counts.get_mut(&value.map(str::to_owned)) {
            *count += 1;
        } else if self.counts.len() < COUNTED_VALUES {
            self.counts.insert(value.map(str::to_owned), 1);
        } else {
            self.others += 1;
        }
        is_one
    }

    /// Whether the table has too few `rows` to know how it is written, all without a value.
    fn is_too_small(&self, rows: u64) -> bool {
        rows < FEWEST_WITHOUT_VALUE && self.counts.keys().all(Option::is_none)
    }

    fn gap(&self, rows: u64) -> Gap {
        let mut counts: Vec<(Option<String>, u64)> =
            self.counts.iter().map(|(value, count)| (value.clone(), *count)).collect();
        counts.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        let further: u64 = counts.iter().skip(SHOWN).map(|(_, count)| count).sum();
        counts.truncate(SHOWN);
        let unused = UnusedRows {
            rows,
            column: self.population.column.to_owned(),
            wanted: self.values.clone(),
            parameter: self.population.parameter,
            counts,
            others: further + self.others,
        };
        Gap::new(self.population.table, GapCause::Rows(unused))
    }
}

/// Counts the values of a file's rows in the window and returns the number of rows.
async fn count_values(
    plan: &ScanPlan,
    planned: &PlannedTable,
    file: &LakeFile,
    looked_for: &mut [PopulationCheck],
    options: &RunOptions<'_>,
) -> Result<u64> {
    let time = planned.table.spec.time_column;
    let by_populations = looked_for.iter().flat_map(|one| one.population.columns(options.config));
    let columns: BTreeSet<&str> = by_populations.chain([time]).collect();
    let columns: Vec<&str> = columns.into_iter().collect();
    let unreadable = UnreadableCounts::of(planned.table.spec);
    let scan = file_scan(&planned.table, &columns, file, Some(&plan.window), None, &unreadable).await;
    let Ok(scan) = scan else { return Ok(0) };
    let session = task_session(std::sync::Arc::clone(&options.runtime));
    let mut batches = scan.execute(session.task_ctx())?;
    let mut rows = 0;
    while let Some(Ok(batch)) = batches.next().await {
        for (times, texts) in values_of(batch, time, looked_for, options.config, &session).await? {
            for (row, time_us) in times.iter().enumerate() {
                let is_inside = |time_us| (plan.window.from_us..plan.window.to_us).contains(&time_us);
                if !time_us.is_some_and(is_inside) {
                    continue;
                }
                rows += 1;
                for (one, texts) in looked_for.iter_mut().zip(&texts) {
                    if !one.count(texts.is_valid(row).then(|| texts.value(row))) {
                        break;
                    }
                }
            }
        }
        if looked_for.iter().all(|one| one.is_found) {
            break;
        }
    }
    Ok(rows)
}

/// Times of rows, and their values for each population.
type TimesAndValues = (TimestampMicrosecondArray, Vec<StringViewArray>);

/// The times of the rows of `batch`, and their values for each population.
async fn values_of(
    batch: RecordBatch,
    time: &str,
    looked_for: &[PopulationCheck],
    config: &Config,
    session: &SessionContext,
) -> Result<Vec<TimesAndValues>> {
    let frame = session.read_batch(batch)?;
    let mut values = vec![ident(time)];
    for (place, one) in looked_for.iter().enumerate() {
        let value = one.population.value(config, frame.schema())?;
        values.push(cast(value, DataType::Utf8View).alias(format!("value_{place}")));
    }
    let batches = frame.select(values)?.collect().await?;
    let columns = |batch: &RecordBatch| {
        let texts = batch.columns()[1..].iter().map(|texts| texts.as_string_view().clone());
        (batch.column(0).as_primitive::<TimestampMicrosecondType>().clone(), texts.collect())
    };
    Ok(batches.iter().map(columns).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> PopulationCheck {
        let config = Config::load("default", &[]).unwrap();
        let population = POPULATIONS.iter().find(|population| population.name == "device_vendor").unwrap();
        PopulationCheck::new(population, &config, &[])
    }

    #[test]
    fn values_are_counted_until_a_wanted_one_is_found() {
        let mut check = check();
        let wanted = check.values[0].clone();
        assert!(!check.count(Some("Fortinet")) && !check.count(None) && !check.is_found);
        assert!(check.count(Some(&wanted)) && check.is_found);
        assert!(!check.count(Some("Fortinet")));
        assert_eq!(check.counts.values().sum::<u64>(), 2);
    }

    #[test]
    fn a_gap_shows_the_most_frequent_values_and_counts_the_others() {
        let mut check = check();
        for (index, value) in ["a", "b", "c", "d", "e", "f", "g"].iter().enumerate() {
            for _ in 0..=index {
                check.count(Some(value));
            }
        }
        check.others = 4;
        let gap = check.gap(32);
        let GapCause::Rows(unused) = gap.cause else { panic!("{gap:?}") };
        let shown: Vec<(&str, u64)> =
            unused.counts.iter().map(|(value, rows)| (value.as_deref().unwrap_or(""), *rows)).collect();
        assert_eq!(shown, [("g", 7), ("f", 6), ("e", 5), ("d", 4), ("c", 3)]);
        assert_eq!((unused.rows, unused.others), (32, 1 + 2 + 4));
    }

    #[test]
    fn a_few_rows_without_a_value_may_be_odd_ones() {
        let mut check = check();
        check.count(None);
        assert!(check.is_too_small(9) && !check.is_too_small(10));
        check.count(Some("Fortinet"));
        assert!(!check.is_too_small(9));
    }
}
