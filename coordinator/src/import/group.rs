//! Files that come into the lake together: read one after the other, their blocks side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use hindcast_common::catalog::refuse_log;
use hindcast_common::{Error, Result};
use tokio::task::{JoinHandle, spawn_blocking};

use super::blocks::Blocks;
use super::duplicates::Duplicates;
use super::format::Record;
use super::inputs::Input;
use super::parse::{Parsed, gather, parse};
use super::rejects::RejectFile;
use super::report::{FileReport, ImportReport};
use super::runs::{self, Staged};
use super::source::Source;
use super::times::{Evidence, TimeOptions, Times};
use super::{ImportRequest, publish};

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
    duplicate_rows: u64,
    files: Vec<FileReport>,
}

/// A run's files, and how many rows were left out as duplicates.
#[derive(Default)]
struct WrittenRun {
    staged: Vec<Staged>,
    duplicates: u64,
}

/// Rows of a table that wait to be written.
#[derive(Default)]
struct Waiting {
    cluster: Option<String>,
    batches: Vec<RecordBatch>,
}

impl<'a> Group<'a> {
    /// Imports `inputs`, and adds what became of them to `report`; `progress` is told that there was some.
    ///
    /// # Errors
    /// As [`super::import`].
    pub(super) async fn import(
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
            plain: BTreeSet::new(),
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
        let times = Arc::new(self.times_of(index, &source));
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
        let name = self.inputs[index].name.clone();
        let of_file = |error| match error {
            Error::Config(reason) => Error::Config(format!("{name}: {reason}")),
            other => other,
        };
        while let Some(parsed) = parsed.try_next().await.map_err(of_file)? {
            self.take(parsed)?;
            progress();
            if self.run_bytes >= RUN_BYTES {
                self.write_run().await?;
            }
        }
        Ok(())
    }

    /// How the times of a file are read. Whatever its blocks and threads, the file as a whole proves the order of its dates.
    fn times_of(&self, index: usize, source: &Arc<Source>) -> Times {
        let input = self.inputs[index].unobserved();
        let (source, asked) = (Arc::clone(source), self.request.table.clone());
        let options = self.request.times.clone();
        let modified_us = input.modified_us;
        let gather = move || evidence_of(&input, &source, asked.as_deref(), &options);
        Times::new(self.request.times.clone(), modified_us, Box::new(gather))
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
            let told = format!("line {}: {}", parsed.first_line + reject.line + 1, reject.reason);
            if self.request.strict {
                return Err(Error::Config(format!("{}, {told}", file.file)));
            }
            file.first_reject.get_or_insert(told);
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
                refuse_log(&self.request.lake.join(table), table).await?;
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
            self.duplicate_rows += written.duplicates;
        }
        Ok(())
    }
}

/// What the dates of a file prove; reads all of it.
fn evidence_of(
    input: &Input,
    source: &Arc<Source>,
    asked: Option<&str>,
    options: &TimeOptions,
) -> Result<Evidence> {
    let times = Times::without_proof(options.clone());
    let mut evidence = Evidence::default();
    let mut blocks = Blocks::open(0, input)?;
    while let Some(block) = blocks.next()? {
        gather(&block, source, asked, &times, &mut evidence)?;
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
                    Some(duplicates.first_of_each(&table, rows)?)
                }
                None => None,
            };
            written.duplicates += keep.iter().flatten().filter(|keep| !**keep).count() as u64;
            let run = format!("{number}-{part}");
            written.staged.extend(runs::write(&table, cluster, rows, keep.as_deref(), folder, &run)?);
        }
    }
    Ok(written)
}
