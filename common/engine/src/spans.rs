//! Which dates are combined into one level: spans of 28, 7 and 1 days, aligned to Mondays, so that windows share them.

use std::collections::BTreeMap;

use super::known_state::KnownState;
use chrono::{Datelike, Days, NaiveDate};
use hindcast_base::time::Window;
use hindcast_lake::StateFile;

/// Days of spans, the longest first.
pub const SPANS: [u32; 3] = [28, 7, 1];
/// State files of a date from which on they are combined although the date is a span of its own.
const LEAST_FILES_OF_DATE: usize = 8;
/// State files of several dates from which on they are combined.
const LEAST_FILES: usize = 2;
/// State files of the newest date from which on they are combined although the date may still grow: every shard would read something
/// of each.
const LEAST_FILES_OF_NEWEST: usize = 33;

/// The state of a rollup for one date.
#[derive(Debug, Default)]
pub struct DateState<'s> {
    /// State with rows.
    pub states: Vec<&'s KnownState>,
    /// Whether the window cuts the date, so that its state serves no other window.
    pub is_clipped: bool,
}

/// Dates whose state is combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first.
    pub first: NaiveDate,
    /// Their number.
    pub days: u32,
}

impl Span {
    /// The span of this length with `date`.
    fn around(date: NaiveDate, days: u32) -> Self {
        // The first day of the common era was a Monday.
        let place = (date.num_days_from_ce() - 1).rem_euclid(days as i32) as u64;
        Self { first: date.checked_sub_days(Days::new(place)).unwrap_or(date), days }
    }

    /// Its last date.
    pub fn last(&self) -> NaiveDate {
        self.first.checked_add_days(Days::new(u64::from(self.days) - 1)).unwrap_or(self.first)
    }

    /// The spans of the next shorter length in it.
    pub fn parts(&self) -> Vec<Span> {
        let Some(days) = SPANS.into_iter().find(|days| *days < self.days) else { return Vec::new() };
        let start = |place| self.first.checked_add_days(Days::new(u64::from(place * days)));
        (0..self.days / days).filter_map(start).map(|first| Span { first, days }).collect()
    }

    /// The dates of `dates` in it.
    pub fn of<'d, 's>(
        &self,
        dates: &'d BTreeMap<NaiveDate, DateState<'s>>,
    ) -> impl Iterator<Item = &'d DateState<'s>> {
        dates.range(self.first..=self.last()).map(|(_, state)| state)
    }

    /// The state files of its dates.
    pub fn files(&self, dates: &BTreeMap<NaiveDate, DateState<'_>>) -> Vec<StateFile> {
        self.of(dates).flat_map(|state| &state.states).filter_map(|state| state.file()).collect()
    }

    /// Whether its files are worth combining.
    pub fn is_worthwhile(&self, dates: &BTreeMap<NaiveDate, DateState<'_>>) -> bool {
        self.file_count(dates) >= if self.days == 1 { LEAST_FILES_OF_DATE } else { LEAST_FILES }
    }

    /// Whether its files will probably stay, or are so many that they are combined all the same.
    fn is_settled(&self, dates: &BTreeMap<NaiveDate, DateState<'_>>, newest: NaiveDate) -> bool {
        self.last() < newest || (self.days == 1 && self.file_count(dates) >= LEAST_FILES_OF_NEWEST)
    }

    /// The number of state files of its dates.
    pub fn file_count(&self, dates: &BTreeMap<NaiveDate, DateState<'_>>) -> usize {
        self.of(dates).map(|state| state.states.len()).sum()
    }
}

/// The spans of `window` whose state is combined, none with a date in common. A date is closed, and so combined, if a later one has
/// state: the newest may still grow, and is combined only if it has very many files.
pub fn spans_of(dates: &BTreeMap<NaiveDate, DateState<'_>>, window: &Window) -> Vec<Span> {
    let Some((newest, _)) = dates.last_key_value() else { return Vec::new() };
    let mut spans: Vec<Span> = Vec::new();
    for date in dates.keys() {
        if spans.last().is_some_and(|span| *date <= span.last()) {
            continue;
        }
        let fits = |span: &Span| {
            span.is_settled(dates, *newest)
                && window.covers_date(span.first)
                && window.covers_date(span.last())
                && spans.last().is_none_or(|last| last.last() < span.first)
                && span.of(dates).all(|state| !state.is_clipped)
                && span.is_worthwhile(dates)
        };
        let candidates = SPANS.into_iter().map(|days| Span::around(*date, days));
        spans.extend(candidates.into_iter().find(fits));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::super::known_state::StateFolders;
    use super::super::manifest::{Manifest, StateData, UnitStats};
    use super::super::weights::StoredWeights;
    use super::*;
    use hindcast_base::time::{MICROS_PER_DAY, date_start_us};
    use std::sync::LazyLock;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn known() -> KnownState {
        let data =
            StateData { content: "00ff".into(), bytes: 9, tail_bytes: 4, weights: StoredWeights::default() };
        let manifest = Manifest {
            key: "T/date=2026-01-05/event_bins/0123".into(),
            rollup: "event_bins".into(),
            stats: UnitStats::default().into(),
            data: Some(data),
            state_rows: 1,
        };
        KnownState::of(manifest, &StateFolders::default())
    }

    fn dates(first: &str, files: &[usize]) -> BTreeMap<NaiveDate, DateState<'static>> {
        static KNOWN: LazyLock<KnownState> = LazyLock::new(known);
        let state = |files: &usize| DateState { states: vec![&*KNOWN; *files], is_clipped: false };
        date(first).iter_days().zip(files.iter().map(state)).collect()
    }

    fn window(first: &str, last: &str) -> Window {
        let (from, to) = (date_start_us(date(first)), date_start_us(date(last)) + MICROS_PER_DAY);
        Window::new(from, to).unwrap()
    }

    fn spans(dates: &BTreeMap<NaiveDate, DateState<'_>>, window: &Window) -> Vec<(String, u32)> {
        spans_of(dates, window).iter().map(|span| (span.first.to_string(), span.days)).collect()
    }

    #[test]
    fn closed_weeks_are_combined_and_the_newest_date_is_not() {
        // 2026-01-05 is a Monday.
        let all = dates("2026-01-04", &[1; 12]);
        let whole = window("2026-01-04", "2026-01-15");
        assert_eq!(spans(&all, &whole), [("2026-01-05".to_owned(), 7)]);
        // The week is not closed, or not all of it is in the window.
        assert!(spans(&dates("2026-01-05", &[1; 7]), &whole).is_empty());
        assert!(spans(&all, &window("2026-01-06", "2026-01-15")).is_empty());
        assert!(spans(&all, &window("2026-01-05", "2026-01-10")).is_empty());
        let mut cut = dates("2026-01-04", &[1; 12]);
        cut.get_mut(&date("2026-01-07")).unwrap().is_clipped = true;
        assert!(spans(&cut, &whole).is_empty());
    }

    #[test]
    fn dates_with_many_files_are_combined_alone_and_missing_ones_do_not_matter() {
        let many = dates("2026-01-01", &[9, 8, 7, 9]);
        let both = [("2026-01-01".to_owned(), 1), ("2026-01-02".to_owned(), 1)];
        assert_eq!(spans(&many, &window("2026-01-01", "2026-01-04")), both);
        // So many that every shard would read something of each.
        let newest = [("2026-01-02".to_owned(), 1)];
        assert_eq!(spans(&dates("2026-01-01", &[1, 33]), &window("2026-01-01", "2026-01-02")), newest);
        assert!(spans(&dates("2026-01-01", &[1, 32]), &window("2026-01-01", "2026-01-02")).is_empty());
        let mut gaps = dates("2026-01-05", &[1; 8]);
        gaps.remove(&date("2026-01-05"));
        assert_eq!(spans(&gaps, &window("2026-01-05", "2026-01-12")), [("2026-01-05".to_owned(), 7)]);
        gaps.retain(|other, _| *other >= date("2026-01-11"));
        assert!(spans(&gaps, &window("2026-01-05", "2026-01-12")).is_empty());
    }

    #[test]
    fn four_weeks_are_one_span_of_which_the_weeks_are_parts() {
        let all = dates("2026-01-01", &[1; 75]);
        let found = spans_of(&all, &window("2026-01-01", "2026-03-16"));
        let long: Vec<&Span> = found.iter().filter(|span| span.days == 28).collect();
        assert!(!long.is_empty(), "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].last() < pair[1].first), "{found:?}");
        let parts = long[0].parts();
        assert_eq!((parts.len(), parts[0].first, parts[3].last()), (4, long[0].first, long[0].last()));
        assert_eq!(parts[0].parts().len(), 7);
        assert!(parts[0].parts()[0].parts().is_empty());
    }
}
