//! Raw logs become tables of a lake: read record by record, clustered, and put in place all at once.

mod blocks;
mod cef;
mod duplicates;
mod format;
mod framing;
mod inputs;
mod instants;
mod json;
mod layout;
#[cfg(test)]
mod mutations;
mod parse;
mod publish;
mod rejects;
mod report;
mod rows;
mod runs;
mod source;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use hindcast_common::catalog::{Location, changes};
use hindcast_common::{Error, Result};
use tokio::task::{JoinHandle, spawn_blocking};

pub use report::{FileReport, ImportReport};

pub(crate) use layout::{SMALL_FILE_BYTES, TARGET_FILE_BYTES, TINY_FILE_BYTES, writer};
pub(crate) use publish::forget;
pub(crate) use source::{cluster_column, time_column};

use blocks::Blocks;
use duplicates::Duplicates;
use format::Record;
use inputs::Input;
use parse::Parsed;
use rejects::RejectFile;
use runs::Staged;
use source::Source;

/// Bytes of rows in memory that are sorted and written together.
const RUN_BYTES: usize = 128 << 20;
/// Bytes of files that come into the lake together: what a killed import loses at most.
const COMMIT_BYTES: u64 = 16 << 30;

/// What is to be imported.
#[derive(Debug)]
pub struct ImportRequest {
    /// Paths or URLs of files or folders.
    pub files: Vec<String>,
    /// The lake; a local folder is made where it is not there.
    pub lake: Location,
    /// The table, where records do not tell it.
    pub table: Option<String>,
    /// Name of a built-in source; recognised by content where absent.
    pub source: Option<String>,
    /// A mapping file's name and text, in place of a source.
    pub mapping: Option<(String, String)>,
    /// Stop at the first record that can't be read.
    pub strict: bool,
    /// Column whose value no two rows of a date may share.
    pub record_id: Option<String>,
    /// Threads.
    pub threads: usize,
    /// When the import began; changes of processes that died long before are undone.
    pub now: DateTime<Utc>,
}

/// Imports files; `progress` is told bytes done and bytes in all.
///
/// # Errors
/// [`Error::Config`] for files, sources and tables that are not there, and with `strict` for a record that can't be
/// read; [`Error::Storage`] and [`Error::Io`] where reading or writing fails. What was not put in place then is not seen.
pub async fn import(request: &ImportRequest, progress: impl Fn(u64, u64)) -> Result<ImportReport> {
    if let Some(table) = request.table.as_deref().filter(|table| !source::is_table_name(table)) {
        return Err(Error::Config(format!(
            "{table:?} is no name of a table: it takes letters, digits and _"
        )));
    }
    let told = match (&request.mapping, &request.source) {
        (Some((name, text)), _) => Some(Arc::new(Source::parse(name, text)?)),
        (None, Some(name)) => Some(Arc::new(Source::built_in(name)?)),
        (None, None) => None,
    };
    changes::recover(&request.lake, request.now).await?;
    let bytes_read = Arc::new(AtomicU64::new(0));
    let inputs = inputs::list(&request.files, request.threads, &bytes_read).await?;
    let total: u64 = inputs.iter().map(|input| input.bytes).sum();
    let mut known = publish::imported(&request.lake, request.table.as_deref()).await?;
    let mut report = ImportReport::default();
    let mut group = Vec::new();
    let mut group_bytes = 0;
    for input in inputs {
        if !known.insert(input.content.clone()) {
            bytes_read.fetch_add(input.bytes, Ordering::Relaxed);
            report.files.push(FileReport::already(&input.name, input.bytes));
            continue;
        }
        group_bytes += input.bytes;
        group.push(input);
        if group_bytes >= COMMIT_BYTES {
            let told = told.clone();
            Group::import(request, told, std::mem::take(&mut group), &mut report, || {
                progress(bytes_read.load(Ordering::Relaxed), total);
            })
            .await?;
            group_bytes = 0;
        }
    }
    Group::import(request, told, group, &mut report, || progress(bytes_read.load(Ordering::Relaxed), total))
        .await?;
    Ok(report)
}

/// Files that come into the lake together.
struct Group<'a> {
    request: &'a ImportRequest,
    told: Option<Arc<Source>>,
    inputs: Vec<Input>,
    scratch: tempfile::TempDir,
    /// Rows that wait to be written, by table.
    run: BTreeMap<String, Waiting>,
    run_bytes: usize,
    runs: usize,
    writing: Option<JoinHandle<Result<(Vec<Staged>, u64)>>>,
    staged: Vec<Staged>,
    rejects: RejectFile,
    duplicates: Option<Arc<Mutex<Duplicates>>>,
    duplicate_rows: u64,
    files: Vec<FileReport>,
}

/// Rows of a table that wait to be written.
#[derive(Default)]
struct Waiting {
    cluster: Option<String>,
    batches: Vec<RecordBatch>,
}

impl<'a> Group<'a> {
    async fn import(
        request: &'a ImportRequest,
        told: Option<Arc<Source>>,
        inputs: Vec<Input>,
        report: &mut ImportReport,
        progress: impl Fn(),
    ) -> Result<()> {
        if inputs.is_empty() {
            return Ok(());
        }
        let duplicates = request
            .record_id
            .as_ref()
            .map(|column| Arc::new(Mutex::new(Duplicates::new(request.lake.clone(), column.clone()))));
        let mut group = Self {
            request,
            told,
            files: inputs.iter().map(|input| FileReport::new(&input.name, input.bytes)).collect(),
            inputs,
            scratch: tempfile::tempdir().map_err(Error::io("making a temporary folder"))?,
            run: BTreeMap::new(),
            run_bytes: 0,
            runs: 0,
            writing: None,
            staged: Vec::new(),
            rejects: RejectFile::create()?,
            duplicates,
            duplicate_rows: 0,
        };
        for index in 0..group.inputs.len() {
            group.read_file(index, &progress).await?;
        }
        group.write_run().await?;
        group.wait_for_writing().await?;
        let change = format!("import-{}", uuid::Uuid::now_v7());
        publish::publish(&request.lake, &change, &group.staged, group.rejects, &group.inputs, &group.files)
            .await
            .map(|rejects| report.reject_files.extend(rejects))?;
        for staged in &group.staged {
            report.tables.entry(staged.table.clone()).or_default().add(staged);
        }
        report.duplicates += group.duplicate_rows;
        report.files.append(&mut group.files);
        Ok(())
    }

    /// Reads one file: blocks are parsed side by side, and taken in their order.
    async fn read_file(&mut self, index: usize, progress: &impl Fn()) -> Result<()> {
        let input = self.inputs[index].clone();
        let opened = spawn_blocking(move || Blocks::open(index, &input)).await;
        let blocks = opened.map_err(internal)??;
        let source = self.source_of(&blocks)?;
        self.files[index].source.clone_from(&source.name);
        let asked = self.request.table.clone();
        let parsed = futures::stream::try_unfold(blocks, |mut blocks| async move {
            let next = spawn_blocking(move || blocks.next().map(|block| (block, blocks)));
            next.await.map_err(internal)
        })
        .map_ok(|block| {
            let (source, asked) = (Arc::clone(&source), asked.clone());
            async move {
                spawn_blocking(move || parse::parse(block, &source, asked.as_deref()))
                    .await
                    .map_err(internal)?
            }
        })
        .try_buffered(self.request.threads);
        let mut parsed = std::pin::pin!(parsed);
        while let Some(parsed) = parsed.try_next().await? {
            self.take(parsed)?;
            progress();
            if self.run_bytes >= RUN_BYTES {
                self.write_run().await?;
            }
        }
        Ok(())
    }

    fn source_of(&self, blocks: &Blocks) -> Result<Arc<Source>> {
        if let Some(source) = &self.told {
            return Ok(Arc::clone(source));
        }
        let (reading, texts) = blocks.sample();
        let mut records = Vec::new();
        for text in texts {
            let mut record = Record::new();
            if reading.read(text, &mut record).is_ok() {
                records.push(record);
            }
        }
        Source::of_records(&records).map(Arc::new)
    }

    fn take(&mut self, parsed: Parsed) -> Result<()> {
        let file = &mut self.files[parsed.input];
        for reject in &parsed.rejects {
            if self.request.strict {
                let line = parsed.first_line + reject.line + 1;
                return Err(Error::Config(format!("{}, line {line}: {}", file.file, reject.reason)));
            }
            self.rejects.add(&file.file, parsed.first_line, reject)?;
        }
        file.rejects += parsed.rejects.len() as u64;
        for (kind, count) in parsed.set_aside {
            *file.set_aside.entry(kind).or_default() += count;
        }
        for rows in parsed.tables {
            *file.rows.entry(rows.table.clone()).or_default() += rows.batch.num_rows() as u64;
            for (column, count) in rows.unreadable {
                *file.unreadable.entry(format!("{}.{column}", rows.table)).or_default() += count;
            }
            self.run_bytes += rows.batch.get_array_memory_size();
            let waiting = self.run.entry(rows.table).or_default();
            waiting.cluster = rows.cluster;
            waiting.batches.push(rows.batch);
        }
        Ok(())
    }

    /// Has the waiting rows written, beside what is read on.
    async fn write_run(&mut self) -> Result<()> {
        self.wait_for_writing().await?;
        let run = std::mem::take(&mut self.run);
        self.run_bytes = 0;
        if run.is_empty() {
            return Ok(());
        }
        let (folder, number) = (self.scratch.path().to_owned(), self.runs);
        self.runs += 1;
        let duplicates = self.duplicates.clone();
        self.writing =
            Some(spawn_blocking(move || write_tables(run, &folder, number, duplicates.as_deref())));
        Ok(())
    }

    async fn wait_for_writing(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            let (staged, dropped) = writing.await.map_err(internal)??;
            self.staged.extend(staged);
            self.duplicate_rows += dropped;
        }
        Ok(())
    }
}

fn internal(error: tokio::task::JoinError) -> Error {
    Error::Internal(error.to_string())
}

/// Writes each table's rows; gives the files and how many rows were left out as duplicates.
fn write_tables(
    run: BTreeMap<String, Waiting>,
    folder: &Path,
    number: usize,
    duplicates: Option<&Mutex<Duplicates>>,
) -> Result<(Vec<Staged>, u64)> {
    let mut staged = Vec::new();
    let mut dropped = 0;
    for (table, waiting) in run {
        let cluster = waiting.cluster.as_deref();
        let rows = runs::united(&table, cluster, &waiting.batches)?;
        drop(waiting.batches);
        let keep = match duplicates {
            Some(duplicates) => {
                Some(duplicates.lock().unwrap_or_else(PoisonError::into_inner).first_of_each(&table, &rows)?)
            }
            None => None,
        };
        dropped += keep.iter().flatten().filter(|keep| !**keep).count() as u64;
        staged.extend(runs::write(&table, cluster, &rows, keep.as_deref(), folder, number)?);
    }
    Ok((staged, dropped))
}

/// Contents of files.
type Contents = HashSet<String>;
