//! Files that come into the lake together: read one after the other, their blocks side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use hindcast_common::catalog::refuse_table_format;
use hindcast_common::{Error, Result};
use tokio::task::{JoinHandle, spawn_blocking};

use super::blocks::Blocks;
use super::duplicates::{Counts, Duplicates};
use super::format::Record;
use super::inputs::Input;
use super::parse::{Parsed, gather, parse};
use super::rejects::RejectFile;
use super::report::{FileReport, ImportReport};
use super::runs::{self, Staged};
use super::source::{Route, Source};
use super::times::{Evidence, TimeOptions, Times};
use super::wrapped::messages_in;
use super::{ImportRequest, json, publish};

/// Bytes of rows in memory that are sorted and written together.
const RUN_BYTES: usize = 128 << 20;

/// Files that come into the lake together.
pub(super) struct Group<'a> {
    request: &'a ImportRequest,
    told: Option<Arc<Source>>,
    inputs: Vec<Input>,
    scratch: tempfile::TempDir,
    /// Rows that wait to be written, by table.
    run: BTreeMap<String, Waiting>,
    run_bytes: usize,
    runs: usize,
    /// Tables that are known to have no log: they may be written to.
    plain: BTreeSet<String>,
    writing: Option<JoinHandle<Result<WrittenRun>>>,
    staged: Vec<Staged>,
    rejects: RejectFile,
    duplicates: Option<Arc<Mutex<Duplicates>>>,
    counts: Counts,
    files: Vec<FileReport>,
    /// Why files could not be read.
    failures: Vec<Error>,
}

/// Why an import stops reading a file.
enum Stop {
    /// The file can't be read; others can.
    File(Error),
    /// The import can't go on.
    Import(Error),
}

/// A run's files, and what was told by record ids.
#[derive(Default)]
struct WrittenRun {
    staged: Vec<Staged>,
    counts: Counts,
}

/// Rows of a table that wait to be written.
#[derive(Default)]
struct Waiting {
    cluster: Option<String>,
    batches: Vec<RecordBatch>,
}

impl<'a> Group<'a> {
    /// Imports `inputs`, and adds what became of them to `report`; `progress` is told that there was some. A file that
    /// can't be read is named there, and the others are imported without it.
    ///
    /// # Errors
    /// As [`super::import`].
    pub(super) async fn import(
        request: &'a ImportRequest,
        told: Option<Arc<Source>>,
        mut inputs: Vec<Input>,
        report: &mut ImportReport,
        progress: impl Fn(),
    ) -> Result<()> {
        while !inputs.is_empty() {
            let mut group = Self::new(request, told.clone(), inputs)?;
            // A file that breaks off when rows of it are among those of others: these are read again without it.
            if let Some(broken) = group.read_files(&progress).await? {
                inputs = group.inputs;
                inputs.remove(broken);
                report.files.push(group.files.swap_remove(broken));
                report.failures.append(&mut group.failures);
                continue;
            }
            return group.publish(report).await;
        }
        Ok(())
    }

    fn new(request: &'a ImportRequest, told: Option<Arc<Source>>, inputs: Vec<Input>) -> Result<Self> {
        let duplicates = request
            .record_id
            .as_ref()
            .map(|column| Arc::new(Mutex::new(Duplicates::new(request.lake.clone(), column.clone()))));
        Ok(Self {
            request,
            told,
            files: inputs.iter().map(|input| FileReport::new(&input.name, input.bytes)).collect(),
            inputs,
            scratch: tempfile::tempdir().map_err(Error::io("making a temporary folder"))?,
            run: BTreeMap::new(),
            run_bytes: 0,
            runs: 0,
            plain: BTreeSet::new(),
            writing: None,
            staged: Vec::new(),
            rejects: RejectFile::create()?,
            duplicates,
            counts: Counts::default(),
            failures: Vec::new(),
        })
    }

    /// Reads all files; gives the place of one that broke off when something of it had been taken.
    async fn read_files(&mut self, progress: &impl Fn()) -> Result<Option<usize>> {
        for index in 0..self.inputs.len() {
            match self.read_file(index, progress).await {
                Ok(()) => {}
                Err(Stop::File(error)) if !self.request.strict => {
                    let is_taken = self.files[index].records() > 0;
                    self.files[index] =
                        FileReport::failed(&self.inputs[index].name, self.inputs[index].bytes, &error);
                    self.failures.push(error);
                    if is_taken {
                        return Ok(Some(index));
                    }
                }
                Err(Stop::File(error) | Stop::Import(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Puts in place what was read, and reports it.
    async fn publish(mut self, report: &mut ImportReport) -> Result<()> {
        self.write_run().await?;
        self.wait_for_writing().await?;
        if !(self.staged.is_empty() && self.rejects.is_empty()) {
            let change = format!("import-{}", uuid::Uuid::now_v7());
            let (staged, lake) = (&self.staged, &self.request.lake);
            publish::publish(lake, &change, staged, self.rejects, &self.inputs, &self.files)
                .await
                .map(|rejects| report.reject_files.extend(rejects))?;
        }
        for staged in &self.staged {
            report.tables.entry(staged.table.clone()).or_default().add(staged);
        }
        report.duplicates += self.counts.duplicates;
        report.changed += self.counts.changed;
        report.files.append(&mut self.files);
        report.failures.append(&mut self.failures);
        Ok(())
    }

    /// Reads one file: blocks are parsed side by side, and taken in their order.
    async fn read_file(&mut self, index: usize, progress: &impl Fn()) -> std::result::Result<(), Stop> {
        let (input, told) = (self.inputs[index].clone(), self.told.clone());
        let opened = spawn_blocking(move || Blocks::open(index, &input, told.as_deref())).await;
        let mut blocks = opened.map_err(internal).map_err(Stop::Import)?.map_err(Stop::File)?;
        let name = self.inputs[index].name.clone();
        let stop = |error| match error {
            Error::Internal(_) => Stop::Import(error),
            Error::Config(reason) => Stop::File(Error::Config(format!("{name}: {reason}"))),
            error => Stop::File(error),
        };
        let source = self.source_of(&mut blocks).map_err(stop)?;
        self.files[index].source.clone_from(&source.name);
        let asked = self.request.table.clone();
        let times = Arc::new(self.times_of(index, &source, blocks.messages_in()));
        let parsed = futures::stream::try_unfold(blocks, |mut blocks| async move {
            let read = move || blocks.next().map(|next| next.map(|block| (block, blocks)));
            spawn_blocking(read).await.map_err(internal)?
        })
        .map_ok(|block| {
            let (source, asked, times) = (Arc::clone(&source), asked.clone(), Arc::clone(&times));
            async move {
                let parse = move || parse(block, &source, asked.as_deref(), &times);
                spawn_blocking(parse).await.map_err(internal)?
            }
        })
        .try_buffered(self.request.threads);
        let mut parsed = std::pin::pin!(parsed);
        while let Some(parsed) = parsed.try_next().await.map_err(stop)? {
            self.take(parsed).map_err(Stop::Import)?;
            progress();
            if self.run_bytes >= RUN_BYTES {
                self.write_run().await.map_err(Stop::Import)?;
            }
        }
        Ok(())
    }

    /// How the times of a file are read. Whatever its blocks and threads, the file as a whole proves the order of its dates.
    fn times_of(&self, index: usize, source: &Arc<Source>, messages_in: Option<String>) -> Times {
        let input = self.inputs[index].unobserved();
        let (told, source, asked) = (self.told.clone(), Arc::clone(source), self.request.table.clone());
        let options = self.request.times.clone();
        let modified_us = input.modified_us;
        let gather = move || {
            let mut blocks = Blocks::open(0, &input, told.as_deref())?;
            if let Some(path) = messages_in.clone() {
                blocks.unwrap_messages(path);
            }
            evidence_of(blocks, &source, asked.as_deref(), &options)
        };
        Times::new(self.request.times.clone(), modified_us, Box::new(gather))
    }

    /// The source of a file, as its first records say where none is told.
    fn source_of(&self, blocks: &mut Blocks) -> Result<Arc<Source>> {
        let asked = self.request.table.as_deref();
        let (format, texts) = blocks.sample();
        let (wrapped, source) = format.with_records(&texts, |records| {
            let is_cef = self.told.as_ref().is_none_or(|told| told.is_cef);
            let wrapped = messages_in(records).filter(|_| is_cef);
            let source = match (&self.told, &wrapped) {
                (Some(told), _) => Arc::clone(told),
                (None, Some(_)) => Arc::new(Source::built_in("cef")?),
                (None, None) => Arc::new(Source::of_records(records, asked)?),
            };
            // One record of a table that is not told is a reject; where all are, the table must be said.
            let is_unnamed = |record: &Record<'_>| {
                let mut record = record.clone();
                let _ = json::shape(&mut record, &source);
                matches!(source.route(&record, asked), Route::Unnamed(_))
            };
            if wrapped.is_none() && !records.is_empty() && records.iter().all(is_unnamed) {
                return Err(Error::Config(format!(
                    "nothing in the records tells their table (source {}): name it with --table, or say with --mapping \
                     FILE which fields become which columns",
                    source.name
                )));
            }
            Ok((wrapped, source))
        })?;
        if let Some(path) = wrapped {
            blocks.unwrap_messages(path);
        }
        Ok(source)
    }

    fn take(&mut self, parsed: Parsed) -> Result<()> {
        let file = &mut self.files[parsed.input];
        for reject in &parsed.rejects {
            let told = format!("line {}: {}", parsed.first_line + reject.line + 1, reject.reason);
            if self.request.strict {
                return Err(Error::Config(format!("{}, {told}", file.file)));
            }
            file.first_reject.get_or_insert(told);
            self.rejects.add(&file.file, parsed.first_line, reject)?;
        }
        file.rejects += parsed.rejects.len() as u64;
        file.windows_1252 += parsed.windows_1252;
        for (kind, count) in parsed.set_aside {
            *file.set_aside.entry(kind).or_default() += count;
        }
        for rows in parsed.tables {
            *file.rows.entry(rows.table.clone()).or_default() += rows.batch.num_rows() as u64;
            for (column, count) in rows.unreadable {
                *file.unreadable.entry(format!("{}.{column}", rows.table)).or_default() += count;
            }
            for (note, count) in rows.notes {
                *file.notes.entry(note).or_default() += count;
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
        for table in run.keys() {
            if self.plain.insert(table.clone()) {
                refuse_table_format(&self.request.lake.join(table), table).await?;
            }
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
            let written = writing.await.map_err(internal)??;
            self.staged.extend(written.staged);
            self.counts += written.counts;
        }
        Ok(())
    }
}

/// What the dates of a file prove, which are all its `blocks`.
fn evidence_of(
    mut blocks: Blocks,
    source: &Source,
    asked: Option<&str>,
    options: &TimeOptions,
) -> Result<Evidence> {
    let times = Times::without_proof(options.clone());
    let mut evidence = Evidence::default();
    while let Some(block) = blocks.next()? {
        gather(&block, source, asked, &times, &mut evidence);
    }
    Ok(evidence)
}

fn internal(error: tokio::task::JoinError) -> Error {
    Error::Internal(error.to_string())
}

/// Writes each table's rows.
fn write_tables(
    run: BTreeMap<String, Waiting>,
    folder: &Path,
    number: usize,
    duplicates: Option<&Mutex<Duplicates>>,
) -> Result<WrittenRun> {
    let mut written = WrittenRun::default();
    for (table, waiting) in run {
        let cluster = waiting.cluster.as_deref();
        let united = runs::united(&table, cluster, &waiting.batches)?;
        drop(waiting.batches);
        for (part, rows) in united.iter().enumerate() {
            let keep = match duplicates {
                Some(duplicates) => {
                    let mut duplicates = duplicates.lock().unwrap_or_else(PoisonError::into_inner);
                    Some(duplicates.first_of_each(&table, rows, &mut written.counts)?)
                }
                None => None,
            };
            let run = format!("{number}-{part}");
            written.staged.extend(runs::write(&table, cluster, rows, keep.as_deref(), folder, &run)?);
        }
    }
    Ok(written)
}
