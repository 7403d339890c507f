//! Groups the listed files of a date by the time at which they were written: files of a new commit form new units, and the state of
//! earlier units stays valid.

use chrono::NaiveDate;
use hindcast_base::time::Window;
use hindcast_lake::LakeFile;

use super::unit_files::{UNIT_BYTES, UnitFiles, groups};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Lengths of the slots of time whose files share units, in milliseconds, finest first.
const SLOTS_MS: [i64; 4] = [1, MINUTE_MS, HOUR_MS, DAY_MS];
/// Most slots of a date. If more files of a date were written apart from each other, its slots are longer.
const MAX_SLOTS: usize = 64;

/// Units for all files that a table lists at a date, of the rows in `window`. Files with rows beyond the window are in other units
/// than files without, and files without a row in the window in none; otherwise the window does not decide which files share a unit.
pub fn units_of_date(date: NaiveDate, files: &[LakeFile], window: &Window) -> Vec<UnitFiles> {
    let mut units = Vec::new();
    for group in groups_by_age(files, UNIT_BYTES) {
        let in_window = group.into_iter().filter(|file| file.may_touch(window));
        let is_covered = |file: &LakeFile| file.is_within(window).unwrap_or_else(|| window.covers_date(date));
        let (covered, cut): (Vec<LakeFile>, Vec<LakeFile>) = in_window.partition(is_covered);
        let parts = [(covered, false), (cut, true)];
        units.extend(parts.into_iter().filter(|(files, _)| !files.is_empty()));
    }
    units
}

/// Files in groups of about `most_bytes`, in the order in which they were written. A group ends with its slot of time.
fn groups_by_age(files: &[LakeFile], most_bytes: u64) -> Vec<Vec<LakeFile>> {
    let mut files: Vec<&LakeFile> = files.iter().collect();
    files.sort_by(|left, right| (left.modified_ms, &left.path).cmp(&(right.modified_ms, &right.path)));
    let slot_ms = slot_of(&files);
    let slots = files.chunk_by(|left, right| is_same_slot(left, right, slot_ms));
    slots.flat_map(|slot| groups(slot.iter().copied(), most_bytes)).collect()
}

/// The finest length of a slot that `files`, in the order of their times, need few of.
fn slot_of(files: &[&LakeFile]) -> i64 {
    let is_enough = |slot_ms: &i64| {
        files.chunk_by(|left, right| is_same_slot(left, right, *slot_ms)).count() <= MAX_SLOTS
    };
    SLOTS_MS.into_iter().find(is_enough).unwrap_or(DAY_MS)
}

fn is_same_slot(left: &LakeFile, right: &LakeFile, slot_ms: i64) -> bool {
    left.modified_ms.div_euclid(slot_ms) == right.modified_ms.div_euclid(slot_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST_BYTES: u64 = 100;

    fn file(number: usize, modified_ms: i64, bytes: u64) -> LakeFile {
        LakeFile::new(format!("{number:04}.parquet"), bytes, None).with(|file| file.modified_ms = modified_ms)
    }

    fn files(times_ms: &[i64]) -> Vec<LakeFile> {
        times_ms.iter().enumerate().map(|(number, time_ms)| file(number, *time_ms, 10)).collect()
    }

    fn groups_of(files: &[LakeFile]) -> Vec<Vec<LakeFile>> {
        groups_by_age(files, MOST_BYTES)
    }

    #[test]
    fn each_commit_has_its_groups_until_there_are_many() {
        let commits: Vec<i64> = (0..64).map(|commit| commit * 1_000).collect();
        assert_eq!(groups_of(&files(&commits)).len(), 64);
        let more: Vec<i64> = (0..65).map(|commit| commit * 1_000).collect();
        // Two minutes, of 60 and 5 files of 10 bytes.
        assert_eq!(groups_of(&files(&more)).len(), 7);
        let scattered: Vec<i64> = (0..65).map(|commit| commit * DAY_MS).collect();
        assert_eq!(groups_of(&files(&scattered)).len(), 65);
    }

    #[test]
    fn files_that_the_window_cuts_have_units_of_their_own() {
        let window = Window::new(100, 200).unwrap();
        let at = |number, times_us| file(number, 7, 10).with(|file| file.times_us = times_us);
        let files = [
            at(0, Some((100, 199))),
            at(1, Some((100, 200))),
            at(2, Some((0, 99))),
            at(3, Some((150, 160))),
            at(4, None),
        ];
        let units = units_of_date("1970-01-01".parse().unwrap(), &files, &window);
        let paths = |(files, is_clipped): &UnitFiles| -> (String, bool) {
            (files.iter().map(|file| &file.path[3..4]).collect(), *is_clipped)
        };
        let units: Vec<(String, bool)> = units.iter().map(paths).collect();
        assert_eq!(units, [("03".to_owned(), false), ("14".to_owned(), true)]);
    }

    /// Files of a few commits, at intervals of every order of magnitude.
    fn commits() -> impl Strategy<Value = Vec<(i64, Vec<u64>)>> {
        let step_ms = prop_oneof![0..3_i64, 1_000..100_000_i64, HOUR_MS..3 * DAY_MS];
        let sizes = proptest::collection::vec(1..250_u64, 1..6);
        proptest::collection::vec((step_ms, sizes), 1..90)
    }

    fn files_of(commits: &[(i64, Vec<u64>)]) -> Vec<LakeFile> {
        let mut files = Vec::new();
        let mut now_ms = 1_767_600_000_000;
        for (step_ms, sizes) in commits {
            now_ms += step_ms;
            for bytes in sizes {
                files.push(file(files.len(), now_ms, *bytes));
            }
        }
        files
    }

    proptest! {
        #[test]
        fn every_byte_of_every_file_is_in_one_group(commits in commits()) {
            let files = files_of(&commits);
            let mut parts: Vec<LakeFile> = groups_of(&files).into_iter().flatten().collect();
            parts.sort_by(|left, right| (&left.path, left.range).cmp(&(&right.path, right.range)));
            for (file, own) in files.iter().zip(parts.chunk_by(|left, right| left.path == right.path)) {
                prop_assert_eq!(&own[0].path, &file.path);
                let mut next = 0;
                for part in own {
                    let (start, end) = part.range.unwrap_or((0, file.bytes));
                    prop_assert_eq!(start, next);
                    next = end;
                }
                prop_assert_eq!(next, file.bytes);
            }
            let groups = groups_of(&files);
            let bytes_of = |file: &LakeFile| file.range.map_or(file.bytes, |(from, to)| to - from);
            let is_small = |group: &Vec<LakeFile>| {
                group.len() == 1 || group.iter().map(bytes_of).sum::<u64>() <= MOST_BYTES
            };
            prop_assert!(groups.iter().all(is_small));
        }

        #[test]
        fn groups_do_not_depend_on_the_order_of_the_list(
            (files, shuffled) in commits().prop_map(|commits| files_of(&commits))
                .prop_flat_map(|files| (Just(files.clone()), Just(files).prop_shuffle()))
        ) {
            prop_assert_eq!(groups_of(&files), groups_of(&shuffled));
        }

        #[test]
        fn new_files_change_no_earlier_group(commits in commits(), kept in any::<prop::sample::Index>()) {
            let files = files_of(&commits);
            let earlier = files_of(&commits[..kept.index(commits.len())]);
            let slot_of = |files: &[LakeFile]| slot_of(&files.iter().collect::<Vec<_>>());
            let slot_ms = slot_of(&files);
            if slot_ms != slot_of(&earlier) {
                return Ok(());
            }
            let next_slot = files[earlier.len()].modified_ms.div_euclid(slot_ms);
            let groups = groups_of(&files);
            for group in groups_of(&earlier) {
                // New files may join the slot in which they were written.
                if group[0].modified_ms.div_euclid(slot_ms) < next_slot {
                    prop_assert!(groups.contains(&group));
                }
            }
        }
    }
}
