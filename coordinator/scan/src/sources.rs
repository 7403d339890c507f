//! What a scan may read of a lake: its tables, the gaps known before any plan, and the requested window.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::execution::runtime_env::RuntimeEnv;
use hindcast_base::nearest::is_same_name;
use hindcast_base::time::{MICROS_PER_DAY, Window, date_start_us};
use hindcast_base::{Error, Result};
use hindcast_detections::Detections;
use hindcast_detections::analyses::Analysis;
use hindcast_lake::{FoundTables, Lake, LakeTable, MAIN_ROOT, RootName};

use super::gap::{Gap, GapCause};
use super::gaps::{layout_gaps, newest_gaps, root_gaps, table_gaps};
use super::newest::newest_row;
use super::plan::{PlanRequest, WindowRequest, reads, tables_of, wanted};

/// What a lake has of the requested tables.
#[derive(Debug)]
pub(super) struct Sources {
    /// The tables.
    pub(super) tables: Vec<LakeTable>,
    /// What is present but can't be looked at, whatever the window.
    pub(super) gaps: Vec<Gap>,
    /// All roots, if the lake has several.
    pub(super) roots: Vec<RootName>,
    /// Roots that can't be reached or hold no table.
    pub(super) absent_roots: BTreeSet<Arc<str>>,
    /// First and last date of the tables; if the lake has none of them, of all its tables.
    dates: Option<(NaiveDate, NaiveDate)>,
}

impl Sources {
    /// The tables of `lake` that `request` reads, whatever the window. There may be none, if the lake has other tables or lacks
    /// their layout.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the lake has no known table at all, or a requested table has a log; [`Error::Storage`] if a listing
    /// fails.
    pub(super) async fn of(lake: &Lake, request: &PlanRequest) -> Result<Self> {
        let wanted = wanted(request);
        let names = tables_of(request.detections, &wanted);
        let mut found = lake.tables(|name| names.contains(name)).await?;
        let mut gaps = layout_gaps(&std::mem::take(&mut found.stray_files));
        let unreachable = std::mem::take(&mut found.unreachable);
        gaps.extend(root_gaps(&unreachable));
        let roots = lake.roots();
        let tables = readable(found, &wanted, request.detections, roots.len() > 1)?;
        let mut absent_roots: BTreeSet<Arc<str>> = unreachable.into_iter().map(|root| root.name).collect();
        for (root, part) in lake.parts() {
            if root.as_ref().is_some_and(|root| absent_roots.contains(root)) {
                continue;
            }
            let own: BTreeSet<&str> =
                tables.iter().filter(|table| table.root == root).map(|table| table.spec.name).collect();
            let absent: Vec<&str> = names.iter().filter(|name| !own.contains(*name)).copied().collect();
            gaps.extend(gaps_of_names(&part, &absent, root.as_ref()).await?);
            if let Some(root) = root.filter(|_| own.is_empty())
                && part.tables(|name| !names.contains(name)).await?.readable.is_empty()
            {
                gaps.extend(empty_gap(&root, &part));
                absent_roots.insert(root);
            }
        }
        let mut dates = dates_of(&tables);
        if tables.is_empty() {
            dates = dates_of(&lake.tables(|name| !names.contains(name)).await?.readable);
        }
        if dates.is_none() && gaps.is_empty() {
            return Err(Error::Invalid(format!(
                "{} holds none of the tables these analyses read ({}), as folders <Table>/date=YYYY-MM-DD or in another layout that \
                 docs/lakes.md lists",
                lake.root().url(),
                names.iter().copied().collect::<Vec<_>>().join(", ")
            )));
        }
        Ok(Self { tables, gaps, roots, absent_roots, dates })
    }

    /// The requested window, and what could not be read to determine it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the window is empty, or is counted back from the newest row and there is none; [`Error::Storage`] if a
    /// listing fails.
    pub(super) async fn window(
        &self,
        request: &WindowRequest,
        runtime: &Arc<RuntimeEnv>,
    ) -> Result<(Window, Vec<Gap>)> {
        let bounds =
            self.dates.map(|(first, last)| (date_start_us(first), date_start_us(last) + MICROS_PER_DAY));
        // The rows of a lake without date folders may be of any time.
        let (first_us, end_us) = bounds.unwrap_or((date_start_us(FIRST_DATE), date_start_us(LAST_DATE)));
        match *request {
            WindowRequest::Between(from_us, to_us) => {
                // If folders are dated by arrival, the lake has rows of dates beyond its folders.
                let slack_days =
                    self.tables.iter().map(|table| table.mapping.folder_slack_days).max().unwrap_or(0);
                let slack_us = i64::from(slack_days) * MICROS_PER_DAY;
                let from_us = from_us.unwrap_or(first_us - slack_us);
                Ok((Window::new(from_us, to_us.unwrap_or(end_us + slack_us))?, Vec::new()))
            }
            WindowRequest::Last(length_us) => {
                let newest = newest_row(&self.tables, runtime).await?;
                let gaps = newest_gaps(&newest);
                let to_us = match newest.time_us {
                    Some(newest_us) => newest_us + 1,
                    None if gaps.is_empty() && self.gaps.is_empty() => {
                        return Err(Error::Invalid("the lake has no row to count back from".into()));
                    }
                    // What is present can't be read: the window is where its rows should be.
                    None => end_us,
                };
                Ok((Window::new(to_us - length_us, to_us)?, gaps))
            }
        }
    }

    /// First and last date of the folders, as the end of a sentence.
    pub(super) fn dates_hint(&self) -> String {
        match self.dates {
            Some((first, last)) => format!("; its folders go from {first} to {last}"),
            None => String::new(),
        }
    }
}

/// Gaps for the `absent` tables of a root, if it has folders with similar names.
async fn gaps_of_names(part: &Lake, absent: &[&str], root: Option<&Arc<str>>) -> Result<Vec<Gap>> {
    if absent.is_empty() {
        return Ok(Vec::new());
    }
    let is_like = |folder: &str| absent.iter().any(|table| folder != *table && is_same_name(folder, table));
    Ok(table_gaps(absent, &part.data_folders(is_like).await?, root))
}

/// The gap of a root without any table. The lake's own root may hold nothing but a configuration that names the others.
fn empty_gap(root: &Arc<str>, part: &Lake) -> Option<Gap> {
    let reason = format!("{} holds no table that Hindcast reads", part.root().url());
    (&**root != MAIN_ROOT).then(|| Gap::new(&**root, GapCause::Root { reason }))
}

/// The tables of `found`, if none of those that the `wanted` analyses read has a log. Where there are several roots, each has its
/// own choice among the tables that may replace each other.
fn readable(
    mut found: FoundTables,
    wanted: &[&'static Analysis],
    detections: Detections,
    has_several_roots: bool,
) -> Result<Vec<LakeTable>> {
    let readable = found.readable.iter().filter(|_| !has_several_roots);
    let names: BTreeSet<&str> = readable.map(|table| table.spec.name).collect();
    let is_read = |name: &str| wanted.iter().any(|analysis| reads(detections, analysis, name, &names));
    found.unsupported.retain(|unsupported| is_read(&unsupported.name));
    found.unread.retain(|unread| is_read(unread.table));
    found.all_readable(|name| {
        let reads_it = |analysis: &&&'static Analysis| reads(detections, analysis, name, &BTreeSet::new());
        let readers: Vec<&str> = wanted.iter().filter(reads_it).map(|analysis| analysis.id).collect();
        match readers.len() < wanted.len() {
            true => format!("; or leave out, by --suite or --only, what reads it: {}", readers.join(", ")),
            false => String::new(),
        }
    })
}

/// First and last date of `tables`.
fn dates_of(tables: &[LakeTable]) -> Option<(NaiveDate, NaiveDate)> {
    let bounds = tables.iter().filter_map(LakeTable::date_bounds);
    bounds.reduce(|all, own| (all.0.min(own.0), all.1.max(own.1)))
}

/// First and last date that can be written.
const FIRST_DATE: NaiveDate = date(1, 1, 1);
const LAST_DATE: NaiveDate = date(9_999, 12, 31);

const fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(date) => date,
        None => NaiveDate::MIN,
    }
}
