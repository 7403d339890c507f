//! Scores of suites, defined as in the notebooks.

use std::collections::BTreeMap;

use hindcast_detections::config::Score;
use serde::{Deserialize, Serialize};

use hindcast_risk::Level;

/// A suite's score: the sum of `min(rows, cap)` over its signals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteScore {
    /// The sum.
    pub score: u64,
    /// The level of the sum.
    pub level: Level,
    /// Rows by signal: an analysis that raises findings.
    pub signals: BTreeMap<String, u64>,
}

/// The score of a suite whose signals have these numbers of rows.
pub(super) fn suite_score(signals: BTreeMap<String, u64>, limits: &Score) -> SuiteScore {
    let score = signals.values().map(|rows| (*rows).min(limits.cap)).sum();
    SuiteScore { score, level: Level::of(score, limits.medium, limits.high), signals }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_counts_up_to_the_cap() {
        let limits = Score { cap: 10, medium: 10, high: 20 };
        let score = |rows: &[u64]| {
            let signals = rows.iter().enumerate().map(|(index, rows)| (index.to_string(), *rows)).collect();
            let scored = suite_score(signals, &limits);
            (scored.score, scored.level)
        };
        assert_eq!(score(&[0, 0]), (0, Level::None));
        assert_eq!(score(&[973]), (10, Level::Medium));
        assert_eq!(score(&[9]), (9, Level::Low));
        assert_eq!(score(&[973, 12, 3]), (23, Level::High));
    }
}
