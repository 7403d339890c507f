//! Imports a group of files in one change: files are read one after the other, the blocks of a file in parallel.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use hindcast_base::{Error, Result};
use tokio::task::spawn_blocking;

use super::explain::explain;
use super::parse::{Parsed, gather, parse};
use super::preview::FilePreview;
use super::report::{FileReport, ImportReport};
use super::run_writer::{RunWriter, Written};
use super::times::{Evidence, TimeOptions, Times};
use super::{ImportRequest, publish};
use hindcast_records::blocks::Blocks;
use hindcast_records::built_in::Sources;
use hindcast_records::format::Record;
use hindcast_records::inputs::Input;
use hindcast_records::json;
use hindcast_records::rejects::RejectFile;
use hindcast_records::source::{Route, Source};
use hindcast_records::wrapped::Wrapped;

/// A group of files that one change imports.
pub(super) struct Group<'a> {
    request: &'a ImportRequest,
    sources: &'a Sources,
    inputs: Vec<Input>,
    writer: RunWriter<'a>,
    rejects: RejectFile,
    files: Vec<FileReport>,
    /// Why files could not be read.
    failures: Vec<Error>,
}

/// Why an import stops reading a file.
enum Stop {
    /// This file can't be read.
    File(Error),
    /// The import fails.
    Import(Error),
}

impl<'a> Group<'a> {
    /// Imports `inputs`, adds their outcome to `report`, and calls `progress` after each block. A file that can't be
    /// read is named in the report, and the others are imported without it.
    ///
    /// # Errors
    /// As [`super::import`].
    pub(super) async fn import(
        request: &'a ImportRequest,
        sources: &'a Sources,
        mut inputs: Vec<Input>,
        report: &mut ImportReport,
        progress: impl Fn(),
    ) -> Result<()> {
        while !inputs.is_empty() {
            let mut group = Self::new(request, sources, inputs)?;
            // If a file fails when some of its rows are among the rows of others, read the others again without it.
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

    fn new(request: &'a ImportRequest, sources: &'a Sources, inputs: Vec<Input>) -> Result<Self> {
        Ok(Self {
            request,
            sources,
            files: inputs.iter().map(|input| FileReport::new(&input.name, input.bytes)).collect(),
            inputs,
            writer: RunWriter::new(request)?,
            rejects: RejectFile::create()?,
            failures: Vec::new(),
        })
    }

    /// Reads all files. Returns the index of a file that failed after some of its rows were taken.
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

    /// Commits what was read, and adds it to the report.
    async fn publish(mut self, report: &mut ImportReport) -> Result<()> {
        if self.request.dry_run.is_some() {
            for table in self.files.iter().flat_map(|file| file.rows.keys()).collect::<BTreeSet<_>>() {
                self.request.refuse_unwritable(table).await?;
            }
        }
        let Written { staged, counts, .. } = self.writer.finish().await?;
        if self.request.dry_run.is_none() && !(staged.is_empty() && self.rejects.is_empty()) {
            let change = format!("import-{}", uuid::Uuid::now_v7());
            let lake = &self.request.lake;
            publish::publish(lake, &change, staged, self.rejects, &self.inputs, &self.files)
                .await
                .map(|rejects| report.reject_files.extend(rejects))?;
        }
        for staged in staged {
            report.tables.entry(staged.table.clone()).or_default().add(staged);
        }
        report.duplicates += counts.duplicates;
        report.changed += counts.changed;
        report.files.append(&mut self.files);
        report.failures.append(&mut self.failures);
        Ok(())
    }

    /// Reads one file: parses blocks in parallel, and takes them in order.
    async fn read_file(&mut self, index: usize, progress: &impl Fn()) -> std::result::Result<(), Stop> {
        let (input, sources) = (self.inputs[index].clone(), self.sources.clone());
        let opened = spawn_blocking(move || Blocks::open(index, &input, &sources)).await;
        let mut blocks = opened.map_err(internal).map_err(Stop::Import)?.map_err(Stop::File)?;
        let name = self.inputs[index].name.clone();
        let stop = |error| match error {
            Error::Internal(_) => Stop::Import(error),
            Error::Invalid(reason) => Stop::File(Error::Invalid(format!("{name}: {reason}"))),
            error => Stop::File(error),
        };
        let source = self.source_of(&mut blocks).map_err(stop)?;
        self.files[index].source.clone_from(&source.name);
        self.files[index].preview = self.preview_of(&blocks, &source);
        let requested_table = self.request.table.clone();
        let times = Arc::new(self.times_of(index, &source, blocks.messages_in()));
        let parsed = futures::stream::try_unfold(blocks, |mut blocks| async move {
            let read = move || blocks.next_block().map(|next| next.map(|block| (block, blocks)));
            spawn_blocking(read).await.map_err(internal)?
        })
        .map_ok(|block| {
            let (source, requested_table, times) =
                (Arc::clone(&source), requested_table.clone(), Arc::clone(&times));
            async move {
                let parse = move || parse(block, &source, requested_table.as_deref(), &times);
                spawn_blocking(parse).await.map_err(internal)?
            }
        })
        .try_buffered(self.request.threads);
        let mut parsed = std::pin::pin!(parsed);
        while let Some(parsed) = parsed.try_next().await.map_err(stop)? {
            self.take(parsed).map_err(Stop::Import)?;
            progress();
            self.writer.write_if_full().await.map_err(Stop::Import)?;
        }
        if let Some(preview) = &mut self.files[index].preview {
            preview.finish(&source);
        }
        self.check_unchanged(index).await.map_err(Stop::File)
    }

    /// Checks that a watched file still is as it was when its content was hashed. Otherwise another may have taken its name.
    async fn check_unchanged(&mut self, index: usize) -> Result<()> {
        let input = &self.inputs[index];
        let Some(watched) = input.watched else { return Ok(()) };
        self.files[index].from_byte = watched.from;
        match input.is_unchanged().await? {
            true => Ok(()),
            false => Err(Error::Busy(format!("{}: it changed while it was read", input.name))),
        }
    }

    /// The preview of a file, if nothing is to be written.
    fn preview_of(&self, blocks: &Blocks, source: &Source) -> Option<FilePreview> {
        let dry_run = self.request.dry_run?;
        let (format, texts) = blocks.sample();
        let mut preview = FilePreview::new(&blocks.layers, &format);
        if dry_run.explain {
            let requested_table = self.request.table.as_deref();
            preview.explanation = explain((&format, &texts), source, self.sources, requested_table);
        }
        Some(preview)
    }

    /// How to read the times of a file. The whole file proves the order of its dates, independent of blocks and threads.
    fn times_of(&self, index: usize, source: &Arc<Source>, messages_in: Option<Wrapped>) -> Times {
        let input = self.inputs[index].without_progress();
        let (sources, source, requested_table) =
            (self.sources.clone(), Arc::clone(source), self.request.table.clone());
        let options = self.request.times.clone();
        let modified_us = input.modified_us;
        let gather = move || {
            let mut blocks = Blocks::open(0, &input, &sources)?;
            if let Some(wrapped) = messages_in.clone() {
                blocks.unwrap_messages(wrapped);
            }
            evidence_of(blocks, &source, requested_table.as_deref(), &options)
        };
        Times::new(self.request.times.clone(), modified_us, Box::new(gather))
    }

    /// The source of a file: the one that the user names, otherwise detected from the first records.
    fn source_of(&self, blocks: &mut Blocks) -> Result<Arc<Source>> {
        let requested_table = self.request.table.as_deref();
        let (format, texts) = blocks.sample();
        let (wrapped, source) = format.with_records(&texts, |records| {
            let (source, wrapped) = self.sources.choose(&format, records, requested_table)?;
            // A record that names no table is a reject. If no record names one, the user must.
            let has_no_table = |record: &Record<'_>| {
                let mut record = record.clone();
                let _ = json::shape(&mut record, &source, &format.file_name);
                matches!(source.route(&record, requested_table), Route::NoTable(_))
            };
            if wrapped.is_none() && !records.is_empty() && records.iter().all(has_no_table) {
                return Err(Error::Invalid(format!(
                    "no record names its table (source {}): name it with --table, or map fields to columns with \
                     --mapping FILE",
                    source.name
                )));
            }
            Ok((wrapped, source))
        })?;
        if let Some(wrapped) = wrapped {
            blocks.unwrap_messages(wrapped);
        }
        Ok(source)
    }

    fn take(&mut self, parsed: Parsed) -> Result<()> {
        let file = &mut self.files[parsed.input];
        if let Some(preview) = &mut file.preview {
            preview.take(&parsed, self.request.known);
        }
        for reject in &parsed.rejects {
            let message = format!("line {}: {}", parsed.first_line + reject.line + 1, reject.reason);
            if self.request.strict {
                return Err(Error::Invalid(format!("{}, {message}", file.file)));
            }
            file.first_reject.get_or_insert(message);
            self.rejects.add(&file.file, parsed.first_line, reject)?;
        }
        file.rejects += parsed.rejects.len() as u64;
        file.further_rows += parsed.further_rows;
        file.windows_1252 += parsed.windows_1252;
        for (kind, count) in parsed.set_aside {
            *file.set_aside.entry(kind).or_default() += count;
        }
        for mut rows in parsed.tables {
            *file.rows.entry(rows.table.clone()).or_default() += rows.batch.num_rows() as u64;
            file.count_vendors(&rows.table, &rows.batch);
            for (column, count) in std::mem::take(&mut rows.unreadable) {
                *file.unreadable.entry(format!("{}.{column}", rows.table)).or_default() += count;
            }
            for (note, count) in std::mem::take(&mut rows.notes) {
                *file.notes.entry(note).or_default() += count;
            }
            if file.preview.is_some() {
                continue;
            }
            self.writer.add(rows);
        }
        Ok(())
    }
}

/// Evidence from the dates in all `blocks` of a file.
fn evidence_of(
    mut blocks: Blocks,
    source: &Source,
    requested_table: Option<&str>,
    options: &TimeOptions,
) -> Result<Evidence> {
    let times = Times::without_proof(options.clone());
    let mut evidence = Evidence::default();
    while let Some(block) = blocks.next_block()? {
        gather(&block, source, requested_table, &times, &mut evidence);
    }
    Ok(evidence)
}

fn internal(error: tokio::task::JoinError) -> Error {
    Error::Internal(error.to_string())
}
