//! The days of a window for the risk by day: single days where the lake has date folders, and runs of equal days elsewhere, so
//! that even a window of centuries has few entries.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use hindcast_base::time::{Window, date_of_us};
use hindcast_detections::findings::Finding;

use crate::correlate::span_us;

/// A day, or a run of equal days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaySpan {
    /// The first day.
    pub first: NaiveDate,
    /// The last day.
    pub last: NaiveDate,
    /// Whether rows of it were read.
    pub was_read: bool,
}

/// The days of `window`. Days of `folders` are single; runs of other days are split where a span of `days_read` (first and last
/// day, disjoint and ordered) or a finding begins or ends.
pub fn days_of(
    window: &Window,
    folders: &BTreeSet<NaiveDate>,
    days_read: &[(NaiveDate, NaiveDate)],
    findings: &[Finding],
) -> Vec<DaySpan> {
    let (first, last) = (window.first_date(), window.last_date());
    let folders = folders.iter().map(|date| (*date, *date));
    let findings = findings.iter().filter_map(days_of_finding);
    let mut starts = BTreeSet::from([first]);
    for (from, to) in folders.chain(days_read.iter().copied()).chain(findings) {
        starts.extend(
            [Some(from), to.succ_opt()].into_iter().flatten().filter(|day| *day > first && *day <= last),
        );
    }
    let starts: Vec<NaiveDate> = starts.into_iter().collect();
    let ends = starts.iter().skip(1).map(|next| next.pred_opt().unwrap_or(*next)).chain([last]);
    let span = |(first, last): (&NaiveDate, NaiveDate)| {
        let before = days_read.partition_point(|(from, _)| from <= first);
        let was_read = before > 0 && days_read[before - 1].1 >= *first;
        DaySpan { first: *first, last, was_read }
    };
    starts.iter().zip(ends).map(span).collect()
}

/// The first and last day of the evidence of a finding.
pub(super) fn days_of_finding(finding: &Finding) -> Option<(NaiveDate, NaiveDate)> {
    span_us(finding).map(|(first_us, last_us)| (date_of_us(first_us), date_of_us(last_us)))
}

#[cfg(test)]
mod tests {
    use hindcast_base::time::parse_time;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn spans_of(from: &str, to: &str, folders: &[&str], days_read: &[(&str, &str)]) -> Vec<String> {
        let window = Window::new(parse_time(from).unwrap(), parse_time(to).unwrap()).unwrap();
        let folders = folders.iter().map(|text| day(text)).collect();
        let days_read: Vec<_> = days_read.iter().map(|(first, last)| (day(first), day(last))).collect();
        let spans = days_of(&window, &folders, &days_read, &[]);
        spans.iter().map(|span| format!("{} {} {}", span.first, span.last, span.was_read)).collect()
    }

    #[test]
    fn days_with_folders_are_single_and_others_form_runs() {
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
        // Rows of a day without a folder were read, and nothing of a folder was.
        assert_eq!(
            spans_of("2026-01-04", "2026-01-06", &["2026-01-05"], &[("2026-01-04", "2026-01-04")]),
            ["2026-01-04 2026-01-04 true", "2026-01-05 2026-01-05 false"]
        );
    }

    fn finding(first_seen: &str, last_seen: &str) -> Finding {
        Finding { last_seen: Some(last_seen.into()), ..crate::test_finding::finding("a", first_seen) }
    }

    #[test]
    fn runs_of_days_are_split_where_findings_begin_and_end() {
        let window =
            Window::new(parse_time("2026-01-01").unwrap(), parse_time("2026-01-11").unwrap()).unwrap();
        let long = finding("2026-01-03T23:00:00Z", "2026-01-05T01:00:00Z");
        let spans = days_of(&window, &BTreeSet::new(), &[], std::slice::from_ref(&long));
        let found: Vec<_> = spans.iter().map(|span| (span.first, span.last)).collect();
        let expected =
            [("2026-01-01", "2026-01-02"), ("2026-01-03", "2026-01-05"), ("2026-01-06", "2026-01-10")];
        assert_eq!(found, expected.map(|(first, last)| (day(first), day(last))));
        assert_eq!(days_of_finding(&long), Some((day("2026-01-03"), day("2026-01-05"))));
        // A finding outside the window splits nothing.
        let before = finding("2025-12-01T00:00:00Z", "2025-12-02T00:00:00Z");
        assert_eq!(days_of(&window, &BTreeSet::new(), &[], &[before]).len(), 1);
    }

    #[test]
    fn a_window_of_centuries_has_few_spans() {
        let days = ["2026-01-05"];
        assert_eq!(spans_of("0001-01-01", "9999-12-31", &days, &[("2026-01-05", "2026-01-05")]).len(), 3);
    }
}
