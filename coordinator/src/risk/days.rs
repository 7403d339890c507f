//! The days of a window of which a risk is told: one by one where the lake has folders, in runs of equal ones elsewhere, so that
//! a window of centuries is no longer than what is in it.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use hindcast_common::findings::Finding;
use hindcast_common::time::{Window, date_of_us};

use crate::correlate::span_us;

/// A day, or days in a row of which the same is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaySpan {
    /// The first.
    pub first: NaiveDate,
    /// The last; the first where it is one.
    pub last: NaiveDate,
    /// Whether rows of it were looked at.
    pub is_looked_at: bool,
}

/// The days of `window`. Those of `folders` stand alone; the others are cut where a span of `looked_at` (first and last
/// day, apart and in order) or a finding begins or ends.
pub fn days_of(
    window: &Window,
    folders: &BTreeSet<NaiveDate>,
    looked_at: &[(NaiveDate, NaiveDate)],
    findings: &[Finding],
) -> Vec<DaySpan> {
    let (first, last) = (window.first_date(), window.last_date());
    let folders = folders.iter().map(|date| (*date, *date));
    let findings = findings.iter().filter_map(days_of_finding);
    let mut starts = BTreeSet::from([first]);
    for (from, to) in folders.chain(looked_at.iter().copied()).chain(findings) {
        starts.extend(
            [Some(from), to.succ_opt()].into_iter().flatten().filter(|day| *day > first && *day <= last),
        );
    }
    let starts: Vec<NaiveDate> = starts.into_iter().collect();
    let ends = starts.iter().skip(1).map(|next| next.pred_opt().unwrap_or(*next)).chain([last]);
    let span = |(first, last): (&NaiveDate, NaiveDate)| {
        let before = looked_at.partition_point(|(from, _)| from <= first);
        let is_looked_at = before > 0 && looked_at[before - 1].1 >= *first;
        DaySpan { first: *first, last, is_looked_at }
    };
    starts.iter().zip(ends).map(span).collect()
}

/// First and last day of a finding's evidence.
pub(super) fn days_of_finding(finding: &Finding) -> Option<(NaiveDate, NaiveDate)> {
    span_us(finding).map(|(first_us, last_us)| (date_of_us(first_us), date_of_us(last_us)))
}

#[cfg(test)]
mod tests {
    use hindcast_common::time::parse_time;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn spans_of(from: &str, to: &str, folders: &[&str], looked_at: &[(&str, &str)]) -> Vec<String> {
        let window = Window::new(parse_time(from).unwrap(), parse_time(to).unwrap()).unwrap();
        let folders = folders.iter().map(|text| day(text)).collect();
        let looked_at: Vec<_> = looked_at.iter().map(|(first, last)| (day(first), day(last))).collect();
        let spans = days_of(&window, &folders, &looked_at, &[]);
        spans.iter().map(|span| format!("{} {} {}", span.first, span.last, span.is_looked_at)).collect()
    }

    #[test]
    fn days_with_folders_stand_alone_and_the_others_in_runs() {
        let days = ["2026-01-05", "2026-01-06"];
        assert_eq!(
            spans_of("2026-01-04T12:00:00Z", "2026-01-10", &days, &[("2026-01-05", "2026-01-06")]),
            [
                "2026-01-04 2026-01-04 false",
                "2026-01-05 2026-01-05 true",
                "2026-01-06 2026-01-06 true",
                "2026-01-07 2026-01-09 false"
            ]
        );
        // Rows of the day before its folder, and a folder of which nothing was read.
        assert_eq!(
            spans_of("2026-01-04", "2026-01-06", &["2026-01-05"], &[("2026-01-04", "2026-01-04")]),
            ["2026-01-04 2026-01-04 true", "2026-01-05 2026-01-05 false"]
        );
    }

    #[test]
    fn centuries_are_few_spans() {
        let days = ["2026-01-05"];
        assert_eq!(spans_of("0001-01-01", "9999-12-31", &days, &[("2026-01-05", "2026-01-05")]).len(), 3);
    }
}
