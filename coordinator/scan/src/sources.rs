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
use hindcast_lake::{FoundTables, Lake, LakeTable};

use super::gap::Gap;
use super::gaps::{layout_gaps, newest_gaps, table_gaps};
use super::newest::newest_row;
use super::plan::{PlanRequest, WindowRequest, reads, tables_of, wanted};

/// What a lake has of the requested tables.
#[derive(Debug)]
pub(super) struct Sources {
    /// The tables.
    pub(super) tables: Vec<LakeTable>,
    /// What is present but can't be looked at, whatever the window.
    pub(super) gaps: Vec<Gap>,
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
        let tables = readable(found, &wanted, request.detections)?;
        let has = |name: &&&str| tables.iter().any(|table| table.spec.name == **name);
        let absent: Vec<&str> = names.iter().filter(|name| !has(name)).copied().collect();
        if !absent.is_empty() {
            let is_like =
                |folder: &str| absent.iter().any(|table| folder != *table && is_same_name(folder, table));
            gaps.extend(table_gaps(&absent, &lake.data_folders(is_like).await?));
        }
        let mut dates = dates_of(&tables);
        if tables.is_empty() {
            dates = dates_of(&lake.tables(|name| !names.contains(name)).await?.readable);
        }
        if dates.is_none() && gaps.is_empty() {
            return Err(Error::Invalid(format!(
                "{} holds none of the tables these analyses read ({}), as folders <Table>/date=YYYY-MM-DD",
                lake.root().url(),
                names.iter().copied().collect::<Vec<_>>().join(", ")
            )));
        }
        Ok(Self { tables, gaps, dates })
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

/// The tables of `found`, if none of those that the `wanted` analyses read has a log.
fn readable(
    mut found: FoundTables,
    wanted: &[&'static Analysis],
    detections: Detections,
) -> Result<Vec<LakeTable>> {
    let names: BTreeSet<&str> = found.readable.iter().map(|table| table.spec.name).collect();
    found.unsupported.retain(|unsupported| {
        wanted.iter().any(|analysis| reads(detections, analysis, &unsupported.name, &names))
    });
    found.all_readable(|unsupported| {
        let reads_it =
            |analysis: &&&'static Analysis| reads(detections, analysis, &unsupported.name, &BTreeSet::new());
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
