//! The newest commits of a Delta table, to find the files that only replaced others with the same rows.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::Deserialize;

use super::super::file_source::ListedFiles;
use super::super::lake_file::{DeletionVector, LakeFile};
use super::super::rewrites::{FileCommit, LoggedFile, Rewrites, logged};
use super::log::LogRequest;
use super::rows::{FileRow, RowReader};
use super::version::TableVersion;
use super::{date_of, read_log};

/// The folder of the log.
const LOG: &str = "_delta_log";
/// Most commits that are read.
const MAX_COMMITS: u64 = 100;
/// Most bytes of them.
const MAX_BYTES: u64 = 64 << 20;
/// Commits that are read at once.
const CONCURRENT_READS: usize = 16;

/// What leads to a version of a table.
#[derive(Debug)]
pub(in super::super) struct History {
    pub(super) request: LogRequest,
    pub(super) reader: RowReader,
    /// The version that is read.
    pub(super) version: u64,
}

/// A commit.
#[derive(Debug)]
struct Commit {
    version: u64,
    files: FileCommit,
    /// The files that it adds.
    added: Vec<LakeFile>,
}

/// A line of a commit; other actions change no file.
#[derive(Deserialize)]
struct Action {
    add: Option<Add>,
    remove: Option<Remove>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    #[serde(default)]
    partition_values: BTreeMap<String, Option<String>>,
    size: i64,
    modification_time: i64,
    data_change: bool,
    stats: Option<String>,
    deletion_vector: Option<Vector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remove {
    path: String,
    data_change: bool,
    deletion_vector: Option<Vector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    storage_type: String,
    path_or_inline_dv: String,
    offset: Option<i32>,
    size_in_bytes: i32,
    cardinality: i64,
}

impl History {
    /// What the newest commits only rewrote, of the files in `listed`.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails, [`Error::Data`] if a commit can't be read.
    pub(in super::super) async fn rewrites(&self, listed: &ListedFiles) -> Result<Rewrites> {
        let commits = self.newest_commits().await?;
        let is_rewrite = |commit: &&Commit| !commit.files.changes_rows && !commit.files.removed.is_empty();
        let dated = |file: LakeFile| (file.logged(), (date_of(&file), file));
        let added = commits.iter().flat_map(|commit| &commit.added).cloned();
        let mut known: HashMap<LoggedFile, (NaiveDate, LakeFile)> = added.map(dated).collect();
        let is_unknown = |commit: &&Commit| commit.files.removed.iter().any(|file| !known.contains_key(file));
        let first = commits.iter().filter(is_rewrite).filter(is_unknown).map(|commit| commit.version).min();
        if let Some(before) = first.and_then(|first| first.checked_sub(1)) {
            // Files that earlier commits added are those of the version before.
            let request = LogRequest { version: TableVersion::Number(before), ..self.request.clone() };
            match read_log(request).await {
                Ok(log) => known.extend(log.files.into_iter().map(dated)),
                Err(error) => {
                    let table = &self.request.table;
                    tracing::debug!(table, before, %error, "files before a rewrite are not known");
                }
            }
        }
        let files: Vec<FileCommit> = commits.into_iter().map(|commit| commit.files).collect();
        Ok(Rewrites::of(listed.by_date.values().flatten(), &files, &known))
    }

    /// The newest commits that the log still has, the newest first.
    async fn newest_commits(&self) -> Result<Vec<Commit>> {
        let table = &self.request.location;
        let first = (self.version + 1).saturating_sub(MAX_COMMITS);
        let folder = table.child(LOG);
        let before_first = table.child(&format!("{LOG}/{first:020}"));
        let objects: Vec<ObjectMeta> = with_retries(|| async {
            let listed = table.store().list_with_offset(Some(&folder), &before_first).try_collect().await;
            listed.map_err(Error::listing(table.name_of(&folder)))
        })
        .await?;
        let sizes: BTreeMap<u64, u64> =
            objects.iter().filter_map(|object| Some((version_of(&object.location)?, object.size))).collect();
        let mut bytes = 0;
        let is_read = |version: &u64| {
            let size = sizes.get(version).copied();
            bytes += size.unwrap_or_default();
            size.is_some() && bytes <= MAX_BYTES
        };
        let versions: Vec<u64> = (first..=self.version).rev().take_while(is_read).collect();
        let reads: Vec<_> = versions.into_iter().map(|version| self.commit(version)).collect();
        futures::stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await
    }

    async fn commit(&self, version: u64) -> Result<Commit> {
        let table = &self.request.table;
        let text = self.request.location.read(&format!("{LOG}/{version:020}.json")).await?;
        let text = text.ok_or_else(|| Error::Data(format!("{table} lacks its commit {version}")))?;
        let parsed = self.parsed(version, &text);
        parsed.map_err(|reason| Error::Data(format!("commit {version} of {table} can't be read: {reason}")))
    }

    fn parsed(&self, version: u64, text: &[u8]) -> Result<Commit, String> {
        let mut commit = Commit { version, files: FileCommit::default(), added: Vec::new() };
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        for line in lines {
            let Action { add, remove } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            if let Some(add) = add {
                commit.files.changes_rows |= add.data_change;
                let file = self.reader.file(FileRow {
                    path: &add.path,
                    bytes: add.size,
                    modified_ms: add.modification_time,
                    partition: &add.partition_values,
                    statistics: add.stats.as_deref(),
                    deleted: add.deletion_vector.map(DeletionVector::from),
                })?;
                commit.files.added.push(file.logged());
                commit.added.push(file);
            }
            if let Some(remove) = remove {
                commit.files.changes_rows |= remove.data_change;
                let deleted = remove.deletion_vector.map(DeletionVector::from);
                commit.files.removed.push(logged(self.reader.path_of(&remove.path)?, deleted.as_ref()));
            }
        }
        Ok(commit)
    }
}

impl From<Vector> for DeletionVector {
    fn from(vector: Vector) -> Self {
        Self {
            storage_type: vector.storage_type,
            path_or_inline: vector.path_or_inline_dv,
            offset: vector.offset,
            size_in_bytes: vector.size_in_bytes,
            cardinality: vector.cardinality,
        }
    }
}

/// The version that a commit's file makes; none for other files of a log.
fn version_of(path: &Path) -> Option<u64> {
    let number = path.filename()?.strip_suffix(".json")?;
    (number.len() == 20).then(|| number.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Written;
    use super::*;
    use crate::Rewrite;
    use serde_json::{Value, json};

    fn remove(path: &str, changes_rows: bool) -> Value {
        json!({ "remove": { "path": path, "dataChange": changes_rows, "deletionTimestamp": 0 } })
    }

    fn rewritten(mut add: Value) -> Value {
        add["add"]["dataChange"] = json!(false);
        add
    }

    fn names<'a>(files: impl Iterator<Item = &'a str>) -> Vec<String> {
        files.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect()
    }

    /// Names of the files before and after each rewrite.
    async fn rewrites_of(written: &Written) -> Vec<Vec<(Vec<String>, Vec<String>)>> {
        let table = written.latest().await;
        let rewrites = table.rewrites().await.unwrap();
        let of = |rewrite: &std::sync::Arc<Rewrite>| {
            let before = names(rewrite.before().map(|(_, file)| file.path.as_str()));
            (before, names(rewrite.after().iter().map(String::as_str)))
        };
        rewrites.by_commit.iter().map(|level| level.iter().map(of).collect()).collect()
    }

    #[tokio::test]
    async fn files_before_a_rewrite_are_found_in_its_commits_and_in_the_version_before() {
        let written = Written::new();
        let file = |name: &str| written.file(name, "2026-01-05T00:00:00Z", 2);
        written.commit(0, &[file("a.parquet"), file("b.parquet")]);
        written.commit(
            1,
            &[rewritten(file("ab.parquet")), remove("a.parquet", false), remove("b.parquet", false)],
        );
        written.commit(2, &[file("c.parquet")]);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let first = (texts(&["a.parquet", "b.parquet"]), texts(&["ab.parquet"]));
        assert_eq!(rewrites_of(&written).await, [vec![first]]);

        // A file of the first rewrite was rewritten again.
        written.commit(
            3,
            &[rewritten(file("abc.parquet")), remove("ab.parquet", false), remove("c.parquet", false)],
        );
        let newer = (texts(&["ab.parquet", "c.parquet"]), texts(&["abc.parquet"]));
        let all = (texts(&["a.parquet", "b.parquet", "c.parquet"]), texts(&["abc.parquet"]));
        assert_eq!(rewrites_of(&written).await, [vec![newer], vec![all]]);

        written.commit(4, &[file("less.parquet"), remove("abc.parquet", true)]);
        assert!(rewrites_of(&written).await.is_empty());
    }

    #[tokio::test]
    async fn files_from_before_the_newest_commits_are_those_of_an_earlier_version() {
        let written = Written::new();
        let file = |name: &str| written.file(name, "2026-01-05T00:00:00Z", 2);
        written.commit(0, &[file("a.parquet"), file("b.parquet")]);
        let last = MAX_COMMITS + 5;
        for version in 1..last {
            written.commit(version, &[json!({ "commitInfo": { "operation": "NONE" } })]);
        }
        written.commit(
            last,
            &[rewritten(file("ab.parquet")), remove("a.parquet", false), remove("b.parquet", false)],
        );
        let found = rewrites_of(&written).await;
        assert_eq!(found[0][0].0, ["a.parquet", "b.parquet"]);
        let table = written.latest().await;
        let before: Vec<LakeFile> =
            table.rewrites().await.unwrap().by_commit[0][0].before().map(|(_, file)| file.clone()).collect();
        // They have the keys that they had then.
        let then =
            written.open(crate::TableVersions { only: Some(last - 1), ..Default::default() }).await.unwrap();
        let crate::FileSource::Listed(listed) = &then.source else { panic!("a list") };
        assert_eq!(listed.by_date.values().flatten().cloned().collect::<Vec<_>>(), before);
    }
}
