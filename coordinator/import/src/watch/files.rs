//! The files that a listing shows, and what is to be done with each.

use std::collections::{HashMap, HashSet};

use object_store::ObjectMeta;

/// After failures that may pass, a file waits 1, 2, 4 and so on polls, up to two to this power.
const MOST_DOUBLINGS: u32 = 6;

/// A file in one state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FileId {
    /// Its name.
    pub(super) name: u128,
    /// Its name, size, time and tag.
    pub(super) version: u128,
}

impl FileId {
    /// The state of the object with that name in a listing.
    pub(super) fn of(name: &str, object: &ObjectMeta) -> Self {
        let tag = object.e_tag.as_deref().unwrap_or_default();
        let version = format!("{name}\0{}\0{}\0{tag}", object.size, object.last_modified.timestamp_micros());
        Self { name: half_hash(name.as_bytes()), version: half_hash(version.as_bytes()) }
    }
}

/// Half of a BLAKE3.
fn half_hash(bytes: &[u8]) -> u128 {
    half(&blake3::hash(bytes))
}

/// The first half of a hash.
pub(super) fn half(hash: &blake3::Hash) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(half)
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It was not there in the last listing, or was different.
    Changed,
    /// It is imported, or was before.
    Done,
    /// It failed this often, and is not tried before this poll.
    Failed { times: u32, next: u64 },
}

#[derive(Debug)]
struct File {
    version: u128,
    state: State,
    /// The last poll in which it was listed.
    listed: u64,
}

/// The files of the last listing. It takes some 60 bytes for each.
#[derive(Debug, Default)]
pub(super) struct Files {
    by_name: HashMap<u128, File>,
    poll: u64,
    /// Versions of files that are new or changed in this poll.
    new: HashSet<u128>,
}

impl Files {
    /// Begins a poll. Returns whether it is the first.
    pub(super) fn begin(&mut self) -> bool {
        self.poll += 1;
        self.poll == 1
    }

    /// Notes a listed file. Returns whether it is to be imported now.
    pub(super) fn is_ready(&mut self, id: FileId) -> bool {
        let poll = self.poll;
        match self.by_name.get_mut(&id.name) {
            Some(file) if file.version == id.version => {
                // It may be below two of the watched folders.
                let is_again = std::mem::replace(&mut file.listed, poll) == poll;
                let is_due = match file.state {
                    State::Changed => true,
                    State::Done => false,
                    State::Failed { next, .. } => next <= poll,
                };
                is_due && !is_again
            }
            _ => {
                let file = File { version: id.version, state: State::Changed, listed: poll };
                self.by_name.insert(id.name, file);
                self.new.insert(id.version);
                false
            }
        }
    }

    /// Ends a listing: forgets the files that were not in it. Returns the versions of the new ones.
    pub(super) fn end(&mut self) -> HashSet<u128> {
        self.by_name.retain(|_, file| file.listed == self.poll);
        std::mem::take(&mut self.new)
    }

    /// Notes that these versions were imported before.
    pub(super) fn are_known(&mut self, versions: &HashSet<u128>) {
        let known = self.by_name.values_mut().filter(|file| versions.contains(&file.version));
        known.for_each(|file| file.state = State::Done);
    }

    /// Notes that a file is imported.
    pub(super) fn done(&mut self, id: FileId) -> bool {
        self.set(id, State::Done)
    }

    /// Notes that a file is to be tried again in the next poll if it is then the same. Returns false.
    pub(super) fn put_off(&mut self, id: FileId) -> bool {
        self.set(id, State::Changed);
        false
    }

    /// Notes that a file failed, for as long as it does not change if `is_final`. Returns whether it is the first time in this
    /// state.
    pub(super) fn failed(&mut self, id: FileId, is_final: bool) -> bool {
        let times = match self.by_name.get(&id.name).map(|file| file.state) {
            Some(State::Failed { times, .. }) => times + 1,
            _ => 1,
        };
        let next = if is_final { u64::MAX } else { self.poll + (1 << (times - 1).min(MOST_DOUBLINGS)) };
        self.set(id, State::Failed { times, next });
        times == 1
    }

    fn set(&mut self, id: FileId, state: State) -> bool {
        if let Some(file) = self.by_name.get_mut(&id.name) {
            file.state = state;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the files `listed`, as name and version, are ready in a poll.
    fn poll(files: &mut Files, listed: &[(u128, u128)]) -> Vec<u128> {
        files.begin();
        let ids = listed.iter().map(|(name, version)| FileId { name: *name, version: *version });
        let ready = ids.filter(|id| files.is_ready(*id)).map(|id| id.name).collect();
        files.end();
        ready
    }

    #[test]
    fn a_file_is_ready_when_it_did_not_change_for_one_interval() {
        let mut files = Files::default();
        assert!(poll(&mut files, &[(1, 10), (2, 20)]).is_empty());
        assert_eq!(poll(&mut files, &[(1, 10), (2, 21), (1, 10)]), [1]);
        files.done(FileId { name: 1, version: 10 });
        assert_eq!(poll(&mut files, &[(1, 10), (2, 21)]), [2]);
        files.put_off(FileId { name: 2, version: 21 });
        assert_eq!(poll(&mut files, &[(1, 11), (2, 21)]), [2]);
        assert_eq!(poll(&mut files, &[(1, 11)]), [1]);
        // It is gone, and comes back.
        assert!(poll(&mut files, &[(1, 11), (2, 21)]).contains(&1));
        assert_eq!(files.by_name.len(), 2);
    }

    #[test]
    fn failures_are_reported_once_and_tried_less_and_less_often() {
        let mut files = Files::default();
        let (passing, lasting) = (FileId { name: 1, version: 10 }, FileId { name: 2, version: 20 });
        let mut tried = Vec::new();
        for number in 0..40 {
            let ready = poll(&mut files, &[(1, 10), (2, 20)]);
            if ready.contains(&1) {
                tried.push(number);
                assert_eq!(files.failed(passing, false), tried.len() == 1);
            }
            if ready.contains(&2) {
                assert!(files.failed(lasting, true) && number == 1);
            }
        }
        assert_eq!(tried, [1, 2, 4, 8, 16, 32]);
        assert!(poll(&mut files, &[(2, 21)]).is_empty());
        assert_eq!(poll(&mut files, &[(2, 21)]), [2]);
        assert!(files.failed(FileId { name: 2, version: 21 }, true));
    }

    #[test]
    fn files_of_the_journal_are_not_ready() {
        let mut files = Files::default();
        assert!(poll(&mut files, &[(1, 10), (2, 20)]).is_empty());
        files.are_known(&HashSet::from([10, 30]));
        assert_eq!(poll(&mut files, &[(1, 10), (2, 20)]), [2]);
    }
}
