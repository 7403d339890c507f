//! Units of tables with random histories: those that are said to have the same rows have the same rows.

use hindcast_base::time::{MICROS_PER_DAY, Window, date_of_us};
use hindcast_lake::{FileCommit, Rewrites};
use proptest::prelude::*;

use super::*;

/// 2026-01-05.
const FIRST_DAY_US: i64 = 20_458 * MICROS_PER_DAY;
const DAYS: i64 = 3;

/// A table, of which each row is its time.
#[derive(Clone, Default)]
struct Table {
    is_by_date: bool,
    live: Vec<LakeFile>,
    rows: HashMap<String, Vec<i64>>,
    known: HashMap<LoggedFile, (NaiveDate, LakeFile)>,
    /// The newest first.
    commits: Vec<FileCommit>,
    now_ms: i64,
}

/// A commit: its kind, two numbers that decide about its files, and the time since the last one.
type Step = (u8, u8, u8, i64);

impl Table {
    fn after(is_by_date: bool, steps: &[Step]) -> Self {
        let mut table = Self { is_by_date, now_ms: 1_767_600_000_000, ..Self::default() };
        steps.iter().for_each(|step| table.step(*step));
        table
    }

    fn step(&mut self, (kind, one, other, wait_ms): Step) {
        self.now_ms += wait_ms;
        match kind {
            0 => {
                let count = 1 + usize::from(one % 3);
                let rows = |file: usize| -> Vec<i64> {
                    let day =
                        |row: usize| if self.is_by_date { usize::from(one) } else { usize::from(one) + row };
                    let time = |row: usize| {
                        let number = (self.rows.len() + file) * 10 + row;
                        FIRST_DAY_US + (day(row) as i64 % DAYS) * MICROS_PER_DAY + number as i64
                    };
                    (0..1 + usize::from(other % 4)).map(time).collect()
                };
                let files: Vec<Vec<i64>> = (0..count).map(rows).collect();
                self.commit(Vec::new(), files, true, other.is_multiple_of(3));
            }
            1 => {
                let is_chosen = |index: &usize| (other >> (index % 8)) & 1 == 1;
                let chosen: Vec<LakeFile> =
                    (0..self.live.len()).filter(is_chosen).map(|index| self.live[index].clone()).collect();
                let mut by_partition: BTreeMap<_, Vec<i64>> = BTreeMap::new();
                for file in &chosen {
                    by_partition.entry(file.partition.clone()).or_default().extend(&self.rows[&file.path]);
                }
                let mut files = Vec::new();
                for mut rows in by_partition.into_values() {
                    rows.sort_unstable();
                    let second = rows.split_off(rows.len().div_ceil(1 + usize::from(one % 2)));
                    files.extend([rows, second].into_iter().filter(|rows| !rows.is_empty()));
                }
                self.commit(chosen, files, false, one.is_multiple_of(3));
            }
            _ => {
                let Some(file) = self.live.get(usize::from(one)).cloned() else { return };
                let rows = self.rows[&file.path][1..].to_vec();
                let left = if rows.is_empty() { Vec::new() } else { vec![rows] };
                self.commit(vec![file], left, true, false);
            }
        }
    }

    fn commit(&mut self, removed: Vec<LakeFile>, added: Vec<Vec<i64>>, changes_rows: bool, is_untimed: bool) {
        self.live.retain(|file| !removed.contains(file));
        let mut commit = FileCommit { changes_rows, ..FileCommit::default() };
        commit.removed = removed.iter().map(LakeFile::logged).collect();
        for rows in added {
            let (first, last) = (*rows.iter().min().unwrap(), *rows.iter().max().unwrap());
            let path = format!("{:04}.parquet", self.rows.len());
            let file = LakeFile::new(path.clone(), 10, None);
            let mut date = date_of_us(if is_untimed { self.now_ms * 1_000 } else { first });
            let file = file.with(|file| {
                file.modified_ms = self.now_ms;
                file.times_us = (!is_untimed).then_some((first, last));
                if self.is_by_date {
                    date = date_of_us(first);
                    file.partition.insert("date".into(), Some(date.to_string()));
                    let start_us = first - first.rem_euclid(MICROS_PER_DAY);
                    file.times_us = file.times_us.or(Some((start_us, start_us + MICROS_PER_DAY - 1)));
                }
            });
            self.rows.insert(path, rows);
            self.known.insert(file.logged(), (date, file.clone()));
            commit.added.push(file.logged());
            self.live.push(file);
        }
        self.commits.insert(0, commit);
    }

    fn listed(&self) -> ListedFiles {
        let mut listed = ListedFiles::default();
        for file in &self.live {
            let (date, _) = self.known[&file.logged()];
            listed.by_date.entry(date).or_default().push(file.clone());
        }
        listed
    }

    fn units(&self, window: &Window) -> Vec<RollupUnit> {
        let listed = self.listed();
        let dates = listed.by_date.iter();
        let units = dates.flat_map(|(date, files)| {
            units_of_date(*date, files, window).into_iter().map(move |unit| (*date, unit))
        });
        let unit = |(date, (files, is_clipped))| RollupUnit {
            table: 0,
            date,
            files,
            window: *window,
            is_clipped,
            rollups: vec!["event_bins".into()].into(),
            selection: None,
        };
        units.map(unit).collect()
    }

    /// The rows of units that are in their window.
    fn rows_of<'a>(&self, units: impl Iterator<Item = &'a RollupUnit>) -> Vec<i64> {
        let in_window = |unit: &'a RollupUnit| {
            let rows = unit.files.iter().flat_map(|file| self.rows[&file.path].clone());
            rows.filter(|time| (unit.window.from_us..unit.window.to_us).contains(time)).collect::<Vec<_>>()
        };
        let mut rows: Vec<i64> = units.flat_map(in_window).collect();
        rows.sort_unstable();
        rows
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait_ms = prop_oneof![Just(0_i64), Just(1), Just(61_000), Just(4_000_000)];
    let kind = prop_oneof![3 => Just(0_u8), 2 => Just(1), 1 => Just(2)];
    proptest::collection::vec((kind, 0..12_u8, any::<u8>(), wait_ms), 1..40)
}

fn windows() -> impl Strategy<Value = Window> {
    let half_days = (0..5_i64, 1..5_i64);
    half_days.prop_map(|(from, length)| {
        let at = |half_days: i64| FIRST_DAY_US + half_days * MICROS_PER_DAY / 2;
        Window::new(at(from), at(from + length)).unwrap()
    })
}

fn equal_of(table: &Table, units: &[RollupUnit], dates: &BTreeSet<NaiveDate>) -> Vec<Vec<EqualUnits>> {
    let rewrites = Rewrites::of(table.live.iter(), &table.commits, &table.known);
    let placed: Vec<(usize, &RollupUnit)> = units.iter().enumerate().collect();
    let listed = table.listed();
    rewrites.by_commit.iter().map(|level| equal_units(&placed, dates, &listed, level)).collect()
}

fn dates_of(units: &[RollupUnit]) -> BTreeSet<NaiveDate> {
    units.iter().map(|unit| unit.date).collect()
}

/// What decides the key of a unit's state.
fn key(unit: &RollupUnit) -> (NaiveDate, Vec<LakeFile>, bool) {
    (unit.date, unit.files.clone(), unit.is_clipped)
}

proptest! {
    #[test]
    fn equal_units_have_the_same_rows(
        is_by_date in any::<bool>(),
        steps in steps(),
        window in windows(),
        chosen in any::<u8>(),
    ) {
        let table = Table::after(is_by_date, &steps);
        let units = table.units(&window);
        let dates: BTreeSet<NaiveDate> =
            dates_of(&units).into_iter().enumerate().filter(|(day, _)| (chosen >> (day % 8)) & 1 == 1).map(|(_, date)| date).collect();
        for equal in equal_of(&table, &units, &dates) {
            let mut seen = BTreeSet::new();
            for one in &equal {
                prop_assert!(one.current.iter().all(|place| seen.insert(*place)));
                let current = one.current.iter().map(|place| &units[*place]);
                prop_assert_eq!(table.rows_of(current), table.rows_of(one.earlier.iter()));
            }
        }
    }

    #[test]
    fn what_was_read_by_date_is_known_after_rewrites_and_new_files(
        before in steps(),
        after in proptest::collection::vec((0..2_u8, 0..12_u8, any::<u8>(), 1..100_000_i64), 1..4),
        window in windows(),
    ) {
        // Of rewrites that no scan came between, files of the first may be in units of the second with files that no scan has read.
        prop_assume!(after.iter().filter(|(kind, ..)| *kind == 1).count() <= 1);
        let mut table = Table::after(true, &before);
        let known: Vec<_> = table.units(&window).iter().map(key).collect();
        let read = table.rows_of(table.units(&window).iter());
        after.iter().for_each(|step| table.step(*step));
        let units = table.units(&window);
        let equal: Vec<EqualUnits> = equal_of(&table, &units, &dates_of(&units)).into_iter().flatten().collect();
        let is_known = |unit: &RollupUnit| known.contains(&key(unit));
        for (place, unit) in units.iter().enumerate() {
            let rows = table.rows_of([unit].into_iter());
            if rows.iter().all(|row| read.binary_search(row).is_err()) || is_known(unit) {
                continue;
            }
            let of_unit: Vec<_> = equal.iter().filter(|one| one.current.contains(&place)).collect();
            let is_found = of_unit.iter().any(|one| one.earlier.iter().all(is_known));
            // Rows that were read may be in one unit with new rows, after a rewrite or before it.
            let is_mixed = of_unit.iter().any(|one| {
                table.rows_of(one.earlier.iter()).iter().any(|row| read.binary_search(row).is_err())
            });
            let has_new = rows.iter().any(|row| read.binary_search(row).is_err());
            prop_assert!(is_found || has_new || is_mixed, "{unit:?} {of_unit:?}");
        }
    }
}

#[test]
fn files_that_were_rewritten_together_have_the_units_of_each() {
    let mut table = Table::after(true, &[(0, 0, 1, 1), (0, 0, 1, 100_000), (0, 1, 0, 100_000)]);
    let window = Window::new(FIRST_DAY_US, FIRST_DAY_US + DAYS * MICROS_PER_DAY).unwrap();
    let before = table.units(&window);
    assert_eq!(before.len(), 3);
    table.step((1, 0, 255, 100_000));
    let units = table.units(&window);
    assert_eq!(units.len(), 2);
    let equal = equal_of(&table, &units, &dates_of(&units));
    let expected =
        |place: usize, earlier: &[RollupUnit]| EqualUnits { current: vec![place], earlier: earlier.to_vec() };
    assert_eq!(equal, [vec![expected(0, &before[..2]), expected(1, &before[2..])]]);
}
