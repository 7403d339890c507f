//! Saves the rows of the firewall suite, with derived columns, as a lake table by date; then reads the table back and
//! counts.

mod remaining;
mod staged;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use hindcast_base::error::{causes, input_fault};
use hindcast_base::storage_fault::StorageFaultKind;
use hindcast_base::time::{MICROS_PER_DAY, Window, date_start_us};
use hindcast_base::{Error, Result};
use hindcast_detections::config::Config;
use hindcast_functions::is_external;
use hindcast_lake::changes::{self, Change, Made};
use hindcast_lake::task_session;
use hindcast_lake::{
    FileScan, Lake, LakeFile, LakeTable, Location, UnreadableCounts, date_files, file_scan, parquet_footer,
    refuse_unwritable, table_files,
};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};

use remaining::{Replaced, without_replaced};
use staged::{StagedFile, Staging};

const SOURCE_TABLE: &str = "CommonSecurityLog";
/// The columns of that table that are saved.
const SAVED_COLUMNS: [&str; 23] = [
    "TimeGenerated",
    "DeviceVendor",
    "DeviceProduct",
    "DeviceEventClassID",
    "Activity",
    "LogSeverity",
    "DeviceAction",
    "SimplifiedDeviceAction",
    "ApplicationProtocol",
    "Protocol",
    "SourceIP",
    "SourcePort",
    "SourceUserName",
    "SourceHostName",
    "DestinationIP",
    "DestinationPort",
    "DestinationHostName",
    "SentBytes",
    "ReceivedBytes",
    "RequestURL",
    "CommunicationDirection",
    "Message",
    "DeviceName",
];
/// Most attempts to save a date that other processes change at the same time.
const ATTEMPTS: u32 = 8;
/// How long to wait for a process that started earlier before it counts as dead.
const OTHER_SAVE_WAIT: Duration = Duration::from_secs(10);

/// The result of a save.
#[derive(Debug, Default)]
pub struct Saved {
    /// Rows written by this save.
    pub rows_written: u64,
    /// Files written by this save.
    pub files_written: u64,
    /// Rows of the whole table, read back.
    pub rows_in_table: u64,
}

/// Saves the rows of the suite's vendors in `window` to the table `name`, with `TotalBytes` and `IsExternal`. Each row is saved once,
/// in the folder of its own date, independent of what was saved before.
///
/// Each date is one change. It replaces the saved rows of those vendors and that window by those that the source has now.
/// Saved rows of other times remain, and so do those of dates for which the source has no more rows in the window.
///
/// # Errors
/// [`Error::Invalid`] if the name lacks the suffix, the lake has no firewall table, or either table has a transaction log;
/// [`Error::Conflict`] if other processes keep changing a date. Dates that were already saved stay saved.
pub async fn save(
    lake: &Lake,
    config: &Config,
    runtime: &Arc<RuntimeEnv>,
    name: &str,
    window: Option<Window>,
) -> Result<Saved> {
    check_name(name, config)?;
    refuse_unwritable(&lake.root().join(name), name).await?;
    changes::recover(lake.root()).await?;
    let window = match window {
        Some(window) => window,
        None => whole_window(&source_of(lake).await?)?,
    };
    let saving = Saving { lake, config, runtime, name, window };
    let (mut saved, mut done) = (Saved::default(), BTreeSet::new());
    for _ in 0..ATTEMPTS {
        match saving.save(&mut done, &mut saved).await {
            Ok(true) => return Ok(saved),
            Ok(false) => {}
            Err(error) if saving.is_missing_file(&error).await? => {
                tracing::info!(%error, "a file was replaced while it was read: saving again");
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::Conflict(format!(
        "{name}: other processes keep changing it or {SOURCE_TABLE}; save it again later"
    )))
}

/// Checks that a name is valid for a saved table.
///
/// # Errors
/// [`Error::Invalid`] if it is not.
fn check_name(name: &str, config: &Config) -> Result<()> {
    let suffix = &config.save.suffix;
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_plain || !name.ends_with(suffix.as_str()) || name.len() == suffix.len() {
        return Err(Error::Invalid(format!(
            "{name:?} can't be the name of a saved table: use letters, digits and _, and the ending {suffix}"
        )));
    }
    if config.detections.tables().by_name(name).is_some() {
        return Err(Error::Invalid(format!("{name} is a table that Hindcast reads, not one to save to")));
    }
    Ok(())
}

/// The firewall table, with its current dates.
async fn source_of(lake: &Lake) -> Result<LakeTable> {
    let found = lake.tables(|table| table == SOURCE_TABLE).await?.all_readable(|_| String::new())?;
    found.into_iter().next().ok_or_else(|| Error::Invalid(format!("the lake has no table {SOURCE_TABLE}")))
}

/// The window of all dates of a table.
fn whole_window(table: &LakeTable) -> Result<Window> {
    match table.date_bounds() {
        Some((first, last)) => Window::new(date_start_us(first), date_start_us(last) + MICROS_PER_DAY),
        None => Err(Error::Invalid(format!("{} has no dates", table.spec.name))),
    }
}

/// What to save, and where.
struct Saving<'a> {
    lake: &'a Lake,
    config: &'a Config,
    runtime: &'a Arc<RuntimeEnv>,
    name: &'a str,
    window: Window,
}

impl Saving<'_> {
    /// Saves the rows of dates that are not `done`. False if other processes changed some dates since the saved files
    /// were listed: they may have read newer rows of the source.
    async fn save(&self, done: &mut BTreeSet<NaiveDate>, saved: &mut Saved) -> Result<bool> {
        let target = self.lake.root().join(self.name);
        let before: BTreeMap<NaiveDate, Vec<LakeFile>> = table_files(&target).await?.into_iter().collect();
        let source = source_of(self.lake).await?;
        let mut staging = Staging::new()?;
        for folder in source.folders(&self.window).await? {
            for file in &folder.files {
                self.stage_file(&source, file, done, &mut staging).await?;
            }
            staging.flush()?;
        }
        let staged = staging.finish()?;
        let dates = staged.by_date.keys().chain(done.iter()).copied().collect();
        let replaced = Replaced { window: self.window, firewall: &self.config.firewall, dates };
        for (date, files) in &staged.by_date {
            let existing = before.get(date).map(Vec::as_slice).unwrap_or_default();
            if self.put_date(*date, files, existing, &replaced).await? {
                saved.rows_written += files.iter().map(|file| file.rows).sum::<u64>();
                saved.files_written += files.len() as u64;
                done.insert(*date);
            }
        }
        let is_whole = staged.by_date.keys().all(|date| done.contains(date));
        if is_whole {
            saved.rows_in_table = self.rows_in_table().await?;
        }
        Ok(is_whole)
    }

    async fn rows_in_table(&self) -> Result<u64> {
        let target = self.lake.root().join(self.name);
        let mut rows = 0;
        for (_, files) in crate::inventory::existing(self.lake.root(), self.name).await? {
            for file in &files {
                rows += parquet_footer(&target, file).await?.rows;
            }
        }
        Ok(rows)
    }

    /// Whether the cause of an error is a file that was listed and no longer exists.
    async fn is_missing_file(&self, error: &Error) -> Result<bool> {
        let Some(fault) = input_fault(error) else { return Ok(is_not_found(error)) };
        let path = Path::parse(&fault.file).unwrap_or_else(|_| fault.file.as_str().into());
        for place in [self.lake.root(), &source_of(self.lake).await?.location] {
            match place.store().head(&path).await {
                Ok(_) => return Ok(false),
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(Error::reading(&fault.file)(error)),
            }
        }
        Ok(true)
    }

    /// Reads the rows to save from a file of the source.
    async fn stage_file(
        &self,
        source: &LakeTable,
        file: &LakeFile,
        done: &BTreeSet<NaiveDate>,
        staging: &mut Staging,
    ) -> Result<()> {
        let unreadable = UnreadableCounts::of(source.spec);
        let scan = file_scan(source, &SAVED_COLUMNS, file, Some(&self.window), None, &unreadable).await?;
        let session = task_session(Arc::clone(self.runtime));
        let table = StreamingTable::try_new(scan.schema(), vec![Arc::new(ScanFeed::new(scan))])?;
        let rows = enriched(session.read_table(Arc::new(table))?, &self.window, self.config)?;
        let mut batches = rows.execute_stream().await?;
        while let Some(batch) = batches.next().await.transpose()? {
            staging.write(&batch, source.spec.time_column, done)?;
        }
        Ok(())
    }

    /// Replaces the saved rows of a date by the staged ones in one change. False if the saved files are no longer
    /// `existing`, or another process changes them.
    async fn put_date(
        &self,
        date: NaiveDate,
        staged: &[StagedFile],
        existing: &[LakeFile],
        replaced: &Replaced<'_>,
    ) -> Result<bool> {
        let (lake, name) = (self.lake.root(), self.name);
        let table = lake.join(name);
        if files_of(&table, date).await? != existing {
            return Ok(false);
        }
        let remaining = without_replaced(&table, existing, replaced).await?;
        let id = format!("save-{}", uuid::Uuid::now_v7());
        let files: Vec<_> = staged.iter().map(|file| &file.path).chain(&remaining.rewritten).collect();
        let target = |number| lake.child(&format!("{name}/date={date}/{id}-{number:04}.parquet"));
        let targets: Vec<Path> = (0..files.len()).map(target).collect();
        let change = Change::of(lake, &id, &targets, &remaining.replaced)?.exclusive();
        let put = async {
            // From here on, no other save of the date can run at the same time.
            if files_of(&table, date).await? != existing {
                return Ok(None);
            }
            for (file, target) in files.iter().zip(&targets) {
                let content =
                    std::fs::read(file).map_err(Error::io(format!("reading {}", file.display())))?;
                lake.put(target, content).await?;
            }
            Ok(Some(()))
        };
        match changes::make(lake, &change, put).await? {
            Made::Done(()) => Ok(true),
            Made::Lost(conflicting) => {
                if let Some(conflicting) = conflicting {
                    changes::wait_or_take_back(lake, &conflicting, OTHER_SAVE_WAIT).await?;
                }
                Ok(false)
            }
        }
    }
}

/// Whether the cause of an error is that an object does not exist.
fn is_not_found(error: &Error) -> bool {
    causes(error).any(|cause| match (cause.downcast_ref::<Error>(), cause.downcast_ref::<StoreError>()) {
        (Some(Error::Storage(fault)), _) => fault.kind == StorageFaultKind::NotFound,
        (_, Some(failure)) => matches!(failure, StoreError::NotFound { .. }),
        _ => false,
    })
}

async fn files_of(table: &Location, date: NaiveDate) -> Result<Vec<LakeFile>> {
    let (_, files) = date_files(table, &[date], None).await?;
    Ok(files.into_iter().flatten().collect())
}

/// A scan of one file as a table.
#[derive(Debug)]
pub(crate) struct ScanFeed {
    schema: SchemaRef,
    scan: FileScan,
}

impl ScanFeed {
    /// The rows of `scan`.
    pub fn new(scan: FileScan) -> Self {
        Self { schema: scan.schema(), scan }
    }
}

impl PartitionStream for ScanFeed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.scan.execute(context) {
            Ok(batches) => batches,
            Err(error) => Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                futures::stream::once(async { Err(error) }),
            )),
        }
    }
}

/// The rows of the suite's vendors in the window, with the notebook's derived columns.
fn enriched(rows: DataFrame, window: &Window, config: &Config) -> Result<DataFrame> {
    let bound = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
    let time = ident("TimeGenerated");
    let in_window = time.clone().gt_eq(bound(window.from_us)).and(time.lt(bound(window.to_us)));
    let vendors: Vec<Expr> = config.firewall.vendors.iter().map(|vendor| lit(vendor.as_str())).collect();
    let wanted = match vendors.is_empty() {
        true => in_window,
        false => in_window.and(ident("DeviceVendor").in_list(vendors, false)),
    };
    Ok(rows
        .filter(wanted)?
        .with_column("TotalBytes", ident("SentBytes") + ident("ReceivedBytes"))?
        .with_column("IsExternal", is_external(ident("DestinationIP"), &config.network))?)
}
