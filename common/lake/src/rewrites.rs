//! Which files of a table replaced others without a change of rows: commits such as OPTIMIZE, and REORG of deleted rows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;

use super::file_source::FileSource;
use super::lake::LakeTable;
use super::lake_file::{DeletionVector, LakeFile, PartitionValues};
use hindcast_base::Result;

/// A file of a log: its path, and the vector of its deleted rows. Another vector makes it another file, with other rows.
pub type LoggedFile = (String, Option<String>);

/// What a commit does to the list of files.
#[derive(Debug, Clone, Default)]
pub struct FileCommit {
    /// Files that it adds.
    pub added: Vec<LoggedFile>,
    /// Files that it removes.
    pub removed: Vec<LoggedFile>,
    /// Whether it changes rows, rather than only the files that hold them.
    pub changes_rows: bool,
}

/// Files before a rewrite, and files of the current version that have the same rows together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rewrite {
    before: BTreeMap<LoggedFile, (NaiveDate, LakeFile)>,
    after: BTreeSet<String>,
}

/// The rewrites in the newest commits of a table.
#[derive(Debug, Default)]
pub struct Rewrites {
    /// For each commit that only rewrites files, the newest first: by what it and newer ones have replaced earlier files. Rewrites
    /// of one list have no file in common.
    pub by_commit: Vec<Vec<Arc<Rewrite>>>,
}

impl LakeTable {
    /// What the newest commits of the table only rewrote; nothing if it has no log. The log is read at the first call.
    ///
    /// # Errors
    /// [`hindcast_base::Error`] if the log can't be read.
    pub async fn rewrites(&self) -> Result<&Rewrites> {
        let read = || async {
            match &self.source {
                FileSource::Listed(listed) => match &listed.history {
                    Some(history) => history.rewrites(listed).await,
                    None => Ok(Rewrites::default()),
                },
                FileSource::Folders(_) => Ok(Rewrites::default()),
            }
        };
        self.known.rewrites.get_or_try_init(read).await
    }
}

impl LakeFile {
    /// What a log calls it.
    pub fn logged(&self) -> LoggedFile {
        logged(self.path.clone(), self.deleted.as_ref())
    }
}

/// The file at `path`, without the rows that `deleted` names.
pub(super) fn logged(path: String, deleted: Option<&DeletionVector>) -> LoggedFile {
    let text = |vector: &DeletionVector| {
        format!("{}{}@{}", vector.storage_type, vector.path_or_inline, vector.offset.unwrap_or_default())
    };
    (path, deleted.map(text))
}

impl Rewrite {
    /// The files before, each with the date at which it was listed.
    pub fn before(&self) -> impl Iterator<Item = (NaiveDate, &LakeFile)> {
        self.before.values().map(|(date, file)| (*date, file))
    }

    /// Paths of the files of the current version.
    pub fn after(&self) -> &BTreeSet<String> {
        &self.after
    }
}

impl Rewrites {
    /// The rewrites in `commits`, the newest first, of a table whose current files are `live`. `known` has the files of those commits,
    /// each with the date at which it is listed. A rewrite is left out if one of its files was changed later, or is not known.
    pub fn of<'a>(
        live: impl Iterator<Item = &'a LakeFile>,
        commits: &[FileCommit],
        known: &HashMap<LoggedFile, (NaiveDate, LakeFile)>,
    ) -> Self {
        let mut walk = Walk { files: live.map(LakeFile::logged).collect(), ..Walk::default() };
        let mut by_commit = Vec::new();
        for commit in commits.iter().filter(|commit| !commit.changes_rows) {
            let mut is_undone = false;
            for (added, removed) in by_partition(commit, known) {
                is_undone |= walk.undo(&added, &removed, known);
            }
            if is_undone {
                by_commit.push(walk.open.values().cloned().collect());
            }
        }
        Self { by_commit }
    }
}

/// The list of files on the way back through the commits.
#[derive(Default)]
struct Walk {
    /// The files as they were before the commits that are undone.
    files: HashSet<LoggedFile>,
    /// The rewrites so far.
    open: BTreeMap<usize, Arc<Rewrite>>,
    /// The rewrite that each file before it belongs to.
    rewrite_of: HashMap<LoggedFile, usize>,
    next: usize,
}

impl Walk {
    /// Puts `removed` in the place of `added`, if all of those are still there.
    fn undo(
        &mut self,
        added: &[LoggedFile],
        removed: &[LoggedFile],
        known: &HashMap<LoggedFile, (NaiveDate, LakeFile)>,
    ) -> bool {
        let replaced: HashSet<&LoggedFile> = added.iter().collect();
        let is_there = |file: &LoggedFile| self.files.contains(file);
        if added.is_empty()
            || removed.is_empty()
            || !added.iter().all(is_there)
            || removed.iter().any(|file| is_there(file) && !replaced.contains(file))
        {
            return false;
        }
        let mut rewrite = Rewrite::default();
        for file in added {
            self.files.remove(file);
            match self.rewrite_of.get(file).and_then(|own| self.open.remove(own)) {
                Some(newer) => {
                    rewrite.before.extend(newer.before.clone());
                    rewrite.after.extend(newer.after.iter().cloned());
                }
                // It is live, unless a newer rewrite that was just joined has it.
                None if !rewrite.before.contains_key(file) => drop(rewrite.after.insert(file.0.clone())),
                None => {}
            }
        }
        rewrite.before.retain(|file, _| !replaced.contains(file));
        rewrite
            .before
            .extend(removed.iter().filter_map(|file| Some((file.clone(), known.get(file)?.clone()))));
        for file in rewrite.before.keys() {
            self.rewrite_of.insert(file.clone(), self.next);
        }
        self.files.extend(removed.iter().cloned());
        self.open.insert(self.next, Arc::new(rewrite));
        self.next += 1;
        true
    }
}

/// Files that a commit adds and files that it removes, with the same rows.
type Exchange = (Vec<LoggedFile>, Vec<LoggedFile>);
/// Files of a commit, each with whether it is added.
type Exchanged = Vec<(LakeFile, bool)>;

/// The files that a commit adds and removes, by the values of their partition and by ranges of time, which a rewrite keeps. There are
/// none if a file is not known.
fn by_partition(commit: &FileCommit, known: &HashMap<LoggedFile, (NaiveDate, LakeFile)>) -> Vec<Exchange> {
    let of_side = |files: &[LoggedFile], is_added: bool| -> Option<Exchanged> {
        files.iter().map(|file| Some((known.get(file)?.1.clone(), is_added))).collect()
    };
    let (Some(added), Some(removed)) = (of_side(&commit.added, true), of_side(&commit.removed, false)) else {
        return Vec::new();
    };
    let mut parts: BTreeMap<PartitionValues, Exchanged> = BTreeMap::new();
    for (file, is_added) in added.into_iter().chain(removed) {
        parts.entry(file.partition.clone()).or_default().push((file, is_added));
    }
    parts.into_values().flat_map(by_time).collect()
}

/// Divides files where no file has rows of both an earlier and a later time. A file without known times may have rows of any time.
fn by_time(mut files: Exchanged) -> Vec<Exchange> {
    let are_timed = files.iter().all(|(file, _)| file.times_us.is_some());
    files.sort_by_key(|(file, _)| file.times_us);
    let mut parts: Vec<Exchange> = Vec::new();
    let mut open_until_us = None;
    for (file, is_added) in files {
        let (first_us, last_us) = file.times_us.unzip();
        if parts.is_empty() || (are_timed && first_us > open_until_us) {
            parts.push(Exchange::default());
        }
        open_until_us = open_until_us.max(last_us);
        if let Some((added, removed)) = parts.last_mut() {
            let side = if is_added { added } else { removed };
            side.push(file.logged());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a partition, with rows between these times.
    fn file(path: &str, partition: &str, times_us: Option<(i64, i64)>) -> LakeFile {
        let partition = BTreeMap::from([("p".to_owned(), Some(partition.to_owned()))]);
        LakeFile::new(path.to_owned(), 1, None)
            .with(|file| (file.partition, file.times_us) = (partition, times_us))
    }

    fn known(files: &[LakeFile]) -> HashMap<LoggedFile, (NaiveDate, LakeFile)> {
        files.iter().map(|file| (file.logged(), (NaiveDate::default(), file.clone()))).collect()
    }

    fn logged(paths: &str) -> Vec<LoggedFile> {
        paths.split_whitespace().map(|path| (path.to_owned(), None)).collect()
    }

    fn rewrite(added: &str, removed: &str) -> FileCommit {
        FileCommit { added: logged(added), removed: logged(removed), changes_rows: false }
    }

    fn change(added: &str, removed: &str) -> FileCommit {
        FileCommit { changes_rows: true, ..rewrite(added, removed) }
    }

    /// Paths before and after each rewrite, by commit.
    fn of(live: &str, commits: &[FileCommit], files: &[LakeFile]) -> Vec<Vec<(String, String)>> {
        let files_of_live: Vec<LakeFile> = files
            .iter()
            .filter(|file| live.split_whitespace().any(|path| path == file.path))
            .cloned()
            .collect();
        let rewrites = Rewrites::of(files_of_live.iter(), commits, &known(files));
        let texts = |rewrite: &Arc<Rewrite>| {
            let before: Vec<&str> = rewrite.before().map(|(_, file)| file.path.as_str()).collect();
            let after: Vec<&str> = rewrite.after().iter().map(String::as_str).collect();
            (before.join(" "), after.join(" "))
        };
        rewrites.by_commit.iter().map(|rewrites| rewrites.iter().map(texts).collect()).collect()
    }

    fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(before, after)| ((*before).to_owned(), (*after).to_owned())).collect()
    }

    fn same_partition(paths: &str) -> Vec<LakeFile> {
        paths.split_whitespace().map(|path| file(path, "x", None)).collect()
    }

    #[test]
    fn rewrites_of_rewritten_files_lead_to_the_first_ones() {
        let files = same_partition("a b c d e ab abc");
        let commits = [change("e", ""), rewrite("abc", "ab c"), change("c d", ""), rewrite("ab", "a b")];
        let found = of("abc d e", &commits, &files);
        assert_eq!(found, [texts(&[("ab c", "abc")]), texts(&[("a b c", "abc")])]);
    }

    #[test]
    fn a_file_that_was_changed_later_has_no_earlier_files() {
        let files = same_partition("a b c d ab ab2 cd");
        let commits = [change("ab2", "ab"), rewrite("cd", "c d"), rewrite("ab", "a b")];
        assert_eq!(of("ab2 cd", &commits, &files), [texts(&[("c d", "cd")])]);
        // A restored file was there at the same time as its successor.
        let commits = [change("a", ""), rewrite("ab", "a b")];
        assert!(of("a ab", &commits, &files).is_empty());
    }

    #[test]
    fn partitions_and_separate_times_are_rewritten_independently() {
        let files = [
            file("a", "x", Some((0, 9))),
            file("b", "x", Some((5, 20))),
            file("ab", "x", Some((0, 20))),
            file("c", "x", Some((21, 30))),
            file("c2", "x", Some((21, 30))),
            file("d", "y", None),
            file("e", "y", Some((0, 1))),
            file("de", "y", None),
        ];
        let commits = [rewrite("de ab c2", "a b c d e")];
        let found = of("ab c2 de", &commits, &files);
        assert_eq!(found, [texts(&[("a b", "ab"), ("c", "c2"), ("d e", "de")])]);
        // One of them was changed later: the others keep their earlier files.
        let commits = [change("", "c2"), rewrite("de ab c2", "a b c d e")];
        assert_eq!(of("ab de", &commits, &files), [texts(&[("a b", "ab"), ("d e", "de")])]);
    }

    #[test]
    fn files_without_deleted_rows_replace_those_with_a_vector() {
        let vector = DeletionVector {
            storage_type: "u".into(),
            path_or_inline: "x".into(),
            offset: Some(1),
            size_in_bytes: 9,
            cardinality: 1,
        };
        let before = file("a", "x", None).with(|file| file.deleted = Some(vector));
        let after = file("b", "x", None);
        let commit =
            FileCommit { added: vec![after.logged()], removed: vec![before.logged()], changes_rows: false };
        let rewrites =
            Rewrites::of([&after].into_iter(), &[commit], &known(&[before.clone(), after.clone()]));
        let found: Vec<&LakeFile> = rewrites.by_commit[0][0].before().map(|(_, file)| file).collect();
        assert_eq!(found, [&before]);
        assert_ne!(before.logged(), before.clone().with(|file| file.deleted = None).logged());
    }

    #[test]
    fn a_commit_with_an_unknown_file_is_left_out() {
        let files = same_partition("b ab");
        assert!(of("ab", &[rewrite("ab", "a b")], &files).is_empty());
    }
}
