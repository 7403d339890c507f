//! Imports raw logs into tables of a lake: reads records, clusters rows, and commits all files in one change.

mod additional;
mod columns;
mod duplicates;
mod explain;
#[cfg(test)]
mod failures;
mod group;
#[cfg(test)]
mod mutations;
mod parse;
mod preview;
mod publish;
mod report;
mod row_time;
mod rows;
mod run_writer;
mod runs;
mod source_docs;
mod spills;
#[cfg(test)]
mod test_sources;
mod times;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hindcast_base::{Error, ErrorKind, Result};
use hindcast_lake::{Location, TableMapping, Tables, changes, refuse_table_as_lake, refuse_unwritable};
use hindcast_records::built_in::Sources;
use hindcast_records::inputs::{self, Input};
use hindcast_records::source;

pub use preview::{FilePreview, RejectPreview, TablePreview};
pub use report::{FileReport, ImportReport};
pub use source_docs::{SourceDocs, source_docs, sources_page};
pub use times::TimeOptions;

pub use publish::forget;
pub use watch::Watch;

use group::Group;

/// Bytes of input files per change, and so the most that a killed import loses.
const COMMIT_BYTES: u64 = 16 << 30;

/// What to import.
#[derive(Debug)]
pub struct ImportRequest {
    /// Paths or URLs of files or folders.
    pub files: Vec<String>,
    /// The lake. A local folder is created if it does not exist.
    pub lake: Location,
    /// The table, if the records do not name it.
    pub table: Option<String>,
    /// Name of a built-in source; detected from the content if absent.
    pub source: Option<String>,
    /// Name and text of a mapping file, instead of a source.
    pub mapping: Option<(String, String)>,
    /// Stop at the first record that can't be read.
    pub strict: bool,
    /// Column whose value identifies a row among those of its date.
    pub record_id: Option<String>,
    /// How to read times.
    pub times: TimeOptions,
    /// The known tables.
    pub known: Tables,
    /// The mappings of the lake's tables.
    pub mappings: BTreeMap<String, TableMapping>,
    /// Threads.
    pub threads: usize,
    /// Write nothing, and describe what would be stored.
    pub dry_run: Option<DryRun>,
}

/// What to describe of an import that writes nothing.
#[derive(Debug, Clone, Copy)]
pub struct DryRun {
    /// Why formats and sources were chosen.
    pub explain: bool,
}

impl ImportRequest {
    /// The sources of its records.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the named source does not exist or the mapping file is invalid.
    fn sources(&self) -> Result<Sources> {
        let mapping = self.mapping.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        Sources::of(self.known, self.record_id.as_deref(), self.source.as_deref(), mapping)
    }

    /// Fails if rows can't be written to a table: because of its format or layout, or because its mapping would not find them.
    async fn refuse_unwritable(&self, table: &str) -> Result<()> {
        if let Some(mapping) = self.mappings.get(table) {
            mapping.refuse_import(table)?;
        }
        refuse_unwritable(&self.lake.join(table), table).await
    }
}

/// Imports files, and calls `progress` with the bytes read so far and the total. A file that can't be read is named in
/// the report, and the others are imported without it.
///
/// # Errors
/// [`Error::NotFound`] if a file does not exist; [`Error::Invalid`] if there is no such source, if a table has a transaction log,
/// and with `strict` if a record or a file can't be read; the reason if no file can be read; [`Error::Conflict`] if another
/// process imports the same content; [`Error::Storage`] and [`Error::Io`] if writing fails. Readers never see a change that was
/// not committed.
pub async fn import(request: &ImportRequest, progress: impl Fn(u64, u64)) -> Result<ImportReport> {
    let sources = prepare(request).await?;
    if request.dry_run.is_none() {
        changes::recover(&request.lake).await?;
    }
    let bytes_read = Arc::new(AtomicU64::new(0));
    let inputs = inputs::list(&request.files, request.threads, &bytes_read).await?;
    let total: u64 = inputs.iter().map(|(input, _)| input.bytes).sum();
    let contents = publish::contents(&inputs);
    let known = publish::imported(&request.lake, request.table.as_deref(), &contents).await?;
    let progress = |done| progress(done, total);
    let report = import_inputs(request, &sources, (inputs, known), &bytes_read, progress).await?;
    match report.failures.len() == report.files.len() {
        true => Err(none_readable(report.failures)),
        false => Ok(report),
    }
}

/// Checks a request, and parses its sources.
async fn prepare(request: &ImportRequest) -> Result<Sources> {
    if let Some(table) = request.table.as_deref().filter(|table| !source::is_table_name(table)) {
        return Err(Error::Invalid(format!(
            "{table:?} is not a valid table name: use letters, digits and _"
        )));
    }
    let sources = request.sources()?;
    refuse_table_as_lake(&request.lake).await?;
    if let Some(table) = &request.table {
        request.refuse_unwritable(table).await?;
    }
    Ok(sources)
}

/// Imports the inputs whose contents are not among those that are `known`.
async fn import_inputs(
    request: &ImportRequest,
    sources: &Sources,
    (inputs, mut known): (Vec<(Input, Result<()>)>, HashSet<String>),
    bytes_read: &AtomicU64,
    progress: impl Fn(u64),
) -> Result<ImportReport> {
    let progress = || progress(bytes_read.load(Ordering::Relaxed));
    let mut report = ImportReport::default();
    let mut group = Vec::new();
    let mut group_bytes = 0;
    let mut first_names: HashMap<String, String> = HashMap::new();
    let mut repeats = Vec::new();
    for (input, listed) in inputs {
        match listed {
            Err(error) if request.strict => return Err(error),
            Err(error) => {
                report.files.push(FileReport::failed(&input.name, input.bytes, &error));
                report.failures.push(error);
                continue;
            }
            Ok(()) => {}
        }
        let is_known = input.zip_content.as_ref().is_some_and(|content| known.contains(content));
        if let Some(first) = first_names.get(&input.content) {
            bytes_read.fetch_add(input.bytes, Ordering::Relaxed);
            repeats.push((first.clone(), input.name, input.bytes));
            continue;
        }
        if is_known || !known.insert(input.content.clone()) {
            bytes_read.fetch_add(input.bytes, Ordering::Relaxed);
            report.files.push(FileReport::already_imported(&input.name, input.bytes));
            continue;
        }
        group_bytes += input.bytes;
        first_names.insert(input.content.clone(), input.name.clone());
        group.push(input);
        if group_bytes >= COMMIT_BYTES {
            Group::import(request, sources, std::mem::take(&mut group), &mut report, &progress).await?;
            group_bytes = 0;
        }
    }
    Group::import(request, sources, group, &mut report, &progress).await?;
    report.add_repeats(repeats);
    Ok(report)
}

/// The error that no file can be read, with the reason for each.
fn none_readable(mut failures: Vec<Error>) -> Error {
    if failures.len() == 1 {
        return failures.remove(0);
    }
    let reasons: Vec<String> = failures.iter().map(|error| format!("\n  {error}")).collect();
    let reason = format!("none of the {} files can be read:{}", failures.len(), reasons.concat());
    match failures.iter().all(|error| matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound)) {
        true => Error::Invalid(reason),
        false => Error::io("importing")(std::io::Error::other(reason)),
    }
}
