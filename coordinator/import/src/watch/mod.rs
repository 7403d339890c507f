//! Watches folders: imports the files that appear in them, each content once, as soon as they no longer change.
//!
//! Files are found by listing, so that it works on any store. What was imported is known from the lake, so that a process
//! that is killed leaves nothing to repair: [`journal`] has the files, with size and time, and [`texts`] the texts, by which
//! a file that grew, was renamed or was compressed continues where an earlier import of it ended.

mod files;
mod journal;
mod texts;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::{StreamExt, TryStreamExt};
use hindcast_base::{Error, ErrorKind, Result};
use hindcast_lake::changes;
use tokio::task::spawn_blocking;

use super::report::{FileReport, ImportReport};
use super::{ImportRequest, import_inputs, prepare, publish};
use files::{FileId, Files};
use hindcast_records::built_in::Sources;
use hindcast_records::inputs::{self, Found, Input};
use hindcast_records::watched::{Text, Watched};
use texts::Texts;

pub(super) use journal::{is_marker, marker_of};

/// Bytes of input files per change: at a signal, the process stops after the running change.
const BATCH_BYTES: u64 = 1 << 30;
/// Most files per change.
const BATCH_FILES: usize = 1_000;
/// From this many new files on, the journal is read before their contents are.
const MANY_FILES: usize = 200;

/// Watches the files and folders of a request.
pub struct Watch<'a> {
    request: &'a ImportRequest,
    sources: Sources,
    files: Files,
    texts: Arc<Texts>,
}

/// A file that no longer changes.
#[derive(Clone)]
struct Ready {
    found: Found,
    name: String,
    id: FileId,
}

impl<'a> Watch<'a> {
    /// Checks the request.
    ///
    /// # Errors
    /// As [`super::import`]; [`Error::NotFound`] if a local folder does not exist.
    pub async fn start(request: &'a ImportRequest) -> Result<Self> {
        let sources = prepare(request).await?;
        for name in &request.files {
            let path = hindcast_lake::Location::parse(name)?.local_path();
            if path.is_some_and(|path| !path.exists()) {
                return Err(Error::NotFound(format!("there is no file or folder {name}")));
            }
        }
        Ok(Self { request, sources, files: Files::default(), texts: Arc::default() })
    }

    /// Imports the files that have not changed since the last call, and calls `imported` after each change of the lake, with
    /// its files and those that failed for the first time in this state. Ends early, between two changes, if `is_stopped`.
    ///
    /// # Errors
    /// [`Error::Storage`] and others if the files can't be listed or the lake can't be written. The next call tries again.
    pub async fn poll(
        &mut self,
        is_stopped: impl Fn() -> bool,
        mut imported: impl FnMut(ImportReport),
    ) -> Result<()> {
        for batch in batches(self.ready().await?) {
            if is_stopped() {
                break;
            }
            match self.import(&batch).await {
                Ok(report) => imported(report),
                Err(error) if is_of_the_lake(&error) => return Err(error),
                // One of them may have a fault that no report can name, such as rows of a table that can't be written.
                Err(_) => {
                    for file in batch {
                        match self.import(std::slice::from_ref(&file)).await {
                            Ok(report) => imported(report),
                            Err(error) if is_of_the_lake(&error) => return Err(error),
                            Err(error) => imported(self.failed(&file, &error).await),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The files that have not changed since the last call and are not dealt with, the oldest first.
    async fn ready(&mut self) -> Result<Vec<Ready>> {
        let is_first = self.files.begin();
        let mut ready: Vec<Ready> = Vec::new();
        for name in &self.request.files {
            inputs::find(name, |found| {
                let name = inputs::name_of(&found.0, &found.1.location);
                let id = FileId::of(&name, &found.1);
                if self.files.is_ready(id) {
                    ready.push(Ready { found, name, id });
                }
            })
            .await?;
        }
        let new = self.files.end();
        if is_first || new.len() > MANY_FILES {
            let known = journal::read(&self.request.lake, self.request.table.as_deref(), &new).await?;
            self.files.are_known(&known.files);
            let texts = Arc::make_mut(&mut self.texts);
            known.texts.into_iter().for_each(|text| texts.add(text));
        }
        ready.sort_by(|left, right| {
            let key = |ready: &Ready| (ready.found.1.last_modified, ready.name.clone());
            key(left).cmp(&key(right))
        });
        Ok(ready)
    }

    /// Imports files in one change.
    async fn import(&mut self, batch: &[Ready]) -> Result<ImportReport> {
        changes::recover(&self.request.lake).await?;
        let bytes_read = Arc::<AtomicU64>::default();
        let found = batch.iter().map(|ready| ready.found.clone()).collect();
        let inputs = inputs::read(found, self.request.threads, &bytes_read).await?;
        let known =
            publish::imported(&self.request.lake, self.request.table.as_deref(), &publish::contents(&inputs))
                .await?;
        let (inputs, before) = self.continued(inputs, &known, batch).await?;
        let texts: Vec<(String, Text)> =
            inputs.iter().filter_map(|(input, _)| Some((input.name.clone(), input.watched?.text?))).collect();
        let mut report =
            import_inputs(self.request, &self.sources, (inputs, known), &bytes_read, |_| {}).await?;
        let failed: HashSet<&str> = report
            .files
            .iter()
            .filter(|file| file.failure.is_some())
            .map(|file| file.file.as_str())
            .collect();
        let texts = texts.into_iter().filter(|(name, _)| !failed.contains(name.as_str()));
        texts.for_each(|(_, text)| Arc::make_mut(&mut self.texts).add(text));
        report.files.extend(before);
        self.settle(batch, &mut report).await;
        Ok(report)
    }

    /// The inputs that are to be imported, each with what was imported of its text before; and reports of those of which all
    /// was. A second file with the same content waits for the outcome of the first.
    async fn continued(
        &self,
        inputs: Vec<(Input, Result<()>)>,
        known: &HashSet<String>,
        batch: &[Ready],
    ) -> Result<(Vec<(Input, Result<()>)>, Vec<FileReport>)> {
        let texts = inputs.into_iter().map(|(mut input, read)| {
            let id = batch.iter().find(|ready| ready.name == input.name).map(|ready| ready.id);
            let needs_text = read.is_ok() && !input.is_member() && !known.contains(&input.content);
            let texts = Arc::clone(&self.texts);
            spawn_blocking(move || {
                let text = if needs_text { texts.of(&input) } else { None };
                let (text, from) = text.map_or((None, 0), |(text, from)| (Some(text), from));
                input.watched = Some(Watched { file: id.unwrap_or_default().version, text, from });
                (input, read)
            })
        });
        let texts: Vec<(Input, Result<()>)> = futures::stream::iter(texts)
            .buffered(self.request.threads)
            .map_err(|error| Error::Internal(error.to_string()))
            .try_collect()
            .await?;
        let (mut rest, mut before) = (Vec::new(), Vec::new());
        let (mut texts_seen, mut contents_seen) = (HashSet::new(), HashSet::new());
        for (input, read) in texts {
            let text = input.watched.and_then(|watched| Some((watched.text?, watched.from)));
            if text.is_some_and(|(text, from)| from > 0 && from == text.bytes) {
                before.push(FileReport::already_imported(&input.name, input.bytes));
                continue;
            }
            let is_known = read.is_err() || known.contains(&input.content);
            let is_new = text.is_none_or(|(text, _)| texts_seen.insert(text))
                && contents_seen.insert(input.content.clone());
            if is_known || is_new {
                rest.push((input, read));
            }
        }
        Ok((rest, before))
    }

    /// Notes the outcome of each file, and removes what was reported before.
    async fn settle(&mut self, batch: &[Ready], report: &mut ImportReport) {
        for ready in batch {
            let own = || report.files.iter().filter(|file| is_of(&ready.name, &file.file));
            let failures: Vec<ErrorKind> = own().filter_map(|file| file.failure_kind).collect();
            let is_reported = if own().next().is_none() {
                // It waits for another file with the same content.
                self.files.put_off(ready.id)
            } else if failures.is_empty() {
                self.files.done(ready.id)
            } else if inputs::is_unchanged(&ready.found).await.unwrap_or(true) {
                self.files.failed(ready.id, failures.iter().all(is_final))
            } else {
                // It was written to, or renamed, while it was read.
                self.files.put_off(ready.id)
            };
            if !is_reported {
                report.files.retain(|file| file.failure.is_none() || !is_of(&ready.name, &file.file));
            }
        }
        report.failures.clear();
    }

    /// The report of a file that fails alone; empty if that was reported before.
    async fn failed(&mut self, file: &Ready, error: &Error) -> ImportReport {
        let files = vec![FileReport::failed(&file.name, file.found.1.size, error)];
        let mut report = ImportReport { files, ..ImportReport::default() };
        self.settle(std::slice::from_ref(file), &mut report).await;
        report
    }
}

/// Whether the fault is not one of a file: the same will happen with others, and may pass.
fn is_of_the_lake(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Conflict | ErrorKind::Denied)
}

/// Whether a file that fails so will always fail.
fn is_final(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::Data)
}

/// Whether `input` is the file with that name, or in it if it is an archive.
fn is_of(file: &str, input: &str) -> bool {
    input.strip_prefix(file).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The files of each change.
fn batches(ready: Vec<Ready>) -> Vec<Vec<Ready>> {
    let mut batches: Vec<Vec<Ready>> = Vec::new();
    let mut bytes = 0;
    for file in ready {
        let last = batches.last_mut().filter(|last| bytes < BATCH_BYTES && last.len() < BATCH_FILES);
        match last {
            Some(last) => {
                bytes += file.found.1.size;
                last.push(file);
            }
            None => {
                bytes = file.found.1.size;
                batches.push(vec![file]);
            }
        }
    }
    batches
}
