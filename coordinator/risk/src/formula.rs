//! The formula: logarithms of independent evidence add up, repeated findings of one analysis count less and less, and the
//! score is divided among the contributions in whole points.

use std::collections::BTreeMap;

use hindcast_detections::config::Risk;
use serde::{Deserialize, Serialize};

use super::contribution::{Contribution, RiskSource};

/// The level of a risk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// No data was read in which an analysis could have found anything. Only runs and days have this level.
    #[serde(rename = "not assessed")]
    NotAssessed,
    /// Nothing was found.
    #[default]
    None,
    /// Something was found.
    Low,
    /// Needs an assessment.
    Medium,
    /// Needs an assessment at once.
    High,
}

impl Level {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Level::NotAssessed => "not assessed",
            Level::None => "NONE",
            Level::Low => "LOW",
            Level::Medium => "MEDIUM",
            Level::High => "HIGH",
        }
    }

    /// The level of `score`, for the given lowest scores of MEDIUM and HIGH.
    pub fn of(score: u64, medium: u64, high: u64) -> Self {
        match score {
            0 => Level::None,
            score if score >= high => Level::High,
            score if score >= medium => Level::Medium,
            _ => Level::Low,
        }
    }
}

/// A risk with its contributions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessed {
    /// 0 to 100.
    pub score: u64,
    /// The level of the score.
    pub level: Level,
    /// The contributions, largest first. Their points add up to the score.
    pub contributions: Vec<Contribution>,
}

/// Evidence of an attack: the negative logarithm of the probability that there is none.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    /// Its source.
    pub(super) source: RiskSource,
    /// Pieces of evidence of one group are not independent.
    pub(super) group: String,
    pub(super) amount: f64,
}

impl Evidence {
    /// Evidence that is independent of all others.
    pub(super) fn alone(source: RiskSource, amount: f64) -> Self {
        Self { source, group: String::new(), amount }
    }
}

/// The sum of the amounts of one group, largest first. Each amount counts `repeat` times as much as the previous one.
pub(super) fn damped_sum(mut amounts: Vec<f64>, repeat: f64) -> f64 {
    amounts.sort_by(|left, right| right.total_cmp(left));
    let mut factor = 1.0;
    amounts.into_iter().fold(0.0, |sum, amount| {
        let sum = sum + amount * factor;
        factor *= repeat;
        sum
    })
}

/// Reduces evidence of the same group: in each group, strongest first, every piece counts `repeat` times as much as the
/// previous one.
pub(super) fn damped(mut evidence: Vec<Evidence>, repeat: f64) -> Vec<Evidence> {
    evidence.sort_by(|left, right| {
        let by_group = left.group.cmp(&right.group);
        by_group.then(right.amount.total_cmp(&left.amount)).then_with(|| left.source.by_text(&right.source))
    });
    let mut factor_of: BTreeMap<String, f64> = BTreeMap::new();
    for piece in &mut evidence {
        let factor = factor_of.entry(piece.group.clone()).or_insert(1.0);
        piece.amount *= *factor;
        *factor *= repeat;
    }
    evidence
}

/// The score of evidence: 100 (1 - exp(-sum)), rounded to whole points and divided among the contributions. Any evidence is
/// at least one point.
pub(super) fn assess(mut evidence: Vec<Evidence>, risk: &Risk) -> Assessed {
    evidence.sort_by(|left, right| {
        right.amount.total_cmp(&left.amount).then_with(|| left.source.by_text(&right.source))
    });
    let sum: f64 = evidence.iter().map(|piece| piece.amount).sum();
    let score = match sum > 0.0 {
        true => (100.0 * (1.0 - (-sum).exp())).round().clamp(1.0, 100.0) as u64,
        false => 0,
    };
    let points = divide_points(score, &evidence, sum);
    let contribution = |(piece, points): (Evidence, u64)| Contribution { from: piece.source, points };
    Assessed {
        score,
        level: Level::of(score, risk.medium_level, risk.high_level),
        contributions: evidence.into_iter().zip(points).map(contribution).collect(),
    }
}

/// Divides `score` into whole points in proportion to the amounts, by largest remainders (Hamilton's method). `evidence` is
/// ordered by falling amounts.
fn divide_points(score: u64, evidence: &[Evidence], sum: f64) -> Vec<u64> {
    let exact: Vec<f64> = evidence
        .iter()
        .map(|piece| if sum > 0.0 { score as f64 * piece.amount / sum } else { 0.0 })
        .collect();
    let mut points: Vec<u64> = exact.iter().map(|share| share.floor() as u64).collect();
    let mut by_remainder: Vec<usize> = (0..points.len()).collect();
    by_remainder.sort_by(|left, right| {
        let remainder = |index: &usize| exact[*index] - exact[*index].floor();
        remainder(right).total_cmp(&remainder(left)).then(left.cmp(right))
    });
    // Rounding may leave more missing points than there are pieces.
    let mut missing = score.saturating_sub(points.iter().sum());
    for index in by_remainder.iter().cycle().take(points.len() * 2) {
        if missing == 0 {
            break;
        }
        points[*index] += 1;
        missing -= 1;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(parts: &[(&str, &str, f64)]) -> Vec<Evidence> {
        let piece = |(id, group, amount): &(&str, &str, f64)| Evidence {
            source: RiskSource::Finding((*id).to_owned()),
            group: (*group).to_owned(),
            amount: *amount,
        };
        parts.iter().map(piece).collect()
    }

    #[test]
    fn levels_begin_at_their_lowest_score() {
        let levels = [0, 1, 39, 40, 69, 70, 100].map(|score| Level::of(score, 40, 70).name());
        assert_eq!(levels, ["NONE", "LOW", "LOW", "MEDIUM", "MEDIUM", "HIGH", "HIGH"]);
        assert!(Level::NotAssessed < Level::None && Level::Medium < Level::High);
        for level in [Level::NotAssessed, Level::None, Level::Low, Level::Medium, Level::High] {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
        }
    }

    #[test]
    fn a_damped_sum_starts_with_the_strongest() {
        assert_eq!(damped_sum(vec![1.0, 4.0, 2.0], 0.5), 4.0 + 1.0 + 0.25);
        assert_eq!(damped_sum(vec![1.0, 4.0, 2.0], 0.0), 4.0);
        assert_eq!(damped_sum(vec![], 0.5), 0.0);
    }

    #[test]
    fn evidence_is_damped_within_its_group_alone() {
        let pieces = evidence(&[("c", "beaconing", 4.0), ("b", "uploads", 2.0), ("a", "beaconing", 4.0)]);
        let damped = damped(pieces, 0.5);
        let found: Vec<_> = damped.iter().map(|piece| (piece.source.to_string(), piece.amount)).collect();
        let expected = [("a", 4.0), ("c", 2.0), ("b", 2.0)].map(|(id, amount)| (id.to_owned(), amount));
        assert_eq!(found, expected);
    }

    #[test]
    fn points_are_divided_by_largest_remainders() {
        let divided = |score, amounts: &[f64]| {
            let pieces: Vec<_> = amounts.iter().map(|amount| ("", "", *amount)).collect();
            divide_points(score, &evidence(&pieces), amounts.iter().sum())
        };
        // Three thirds of 10 are 3.33 each.
        assert_eq!(divided(10, &[1.0, 1.0, 1.0]), [4, 3, 3]);
        // 4.2, 2.1 and 0.7 of 7.
        assert_eq!(divided(7, &[6.0, 3.0, 1.0]), [4, 2, 1]);
        // The largest amount gets the only point.
        assert_eq!(divided(1, &[2.0, 1.0, 1.0]), [1, 0, 0]);
        assert_eq!(divided(0, &[0.0, 0.0]), [0, 0]);
        assert_eq!(divided(5, &[]), [0; 0]);
    }
}
