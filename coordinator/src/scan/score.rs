//! Scores of suites and of the run.

use std::collections::BTreeMap;

use hindcast_common::analyses::Suite;
use hindcast_common::config::Score;
use serde::{Deserialize, Serialize};

/// How bad a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Nothing was found.
    None,
    /// Something was found.
    Low,
    /// From `score.medium`.
    Medium,
    /// From `score.high`.
    High,
}

impl Level {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "NONE",
            Level::Low => "LOW",
            Level::Medium => "MEDIUM",
            Level::High => "HIGH",
        }
    }

    fn of(score: u64, limits: &Score) -> Self {
        match score {
            0 => Level::None,
            score if score >= limits.high => Level::High,
            score if score >= limits.medium => Level::Medium,
            _ => Level::Low,
        }
    }
}

/// A suite's score: the sum of `min(rows, cap)` over its signals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteScore {
    /// The sum.
    pub score: u64,
    /// What it amounts to.
    pub level: Level,
    /// Rows by signal, an analysis that raises findings.
    pub signals: BTreeMap<String, u64>,
}

/// The run's score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// Points of all suites together.
    pub score: u64,
    /// The highest level of a suite.
    pub level: Level,
    /// What each signal added; the numbers add up to the score.
    pub explanation: Vec<String>,
}

/// The score of a suite whose signals have these rows.
pub(super) fn suite_score(signals: BTreeMap<String, u64>, limits: &Score) -> SuiteScore {
    let score = signals.values().map(|rows| (*rows).min(limits.cap)).sum();
    SuiteScore { score, level: Level::of(score, limits), signals }
}

/// The score of a run over its suites.
pub(super) fn run_risk(suites: &BTreeMap<Suite, SuiteScore>, limits: &Score) -> Risk {
    let mut explanation = Vec::new();
    for (suite, score) in suites {
        for (signal, rows) in score.signals.iter().filter(|(_, rows)| **rows > 0) {
            let points = (*rows).min(limits.cap);
            explanation.push(format!("{points} points: {rows} rows of {signal} ({})", suite.name()));
        }
    }
    Risk {
        score: suites.values().map(|suite| suite.score).sum(),
        level: suites.values().map(|suite| suite.level).max().unwrap_or(Level::None),
        explanation,
    }
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
