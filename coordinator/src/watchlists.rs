//! Applies watchlists to findings: raises their severity, or suppresses and counts them.

use std::collections::BTreeMap;

use hindcast_common::config::{Effect, Watchlist, WatchlistIndex};
use hindcast_common::entities::Entity;
use hindcast_common::findings::{Finding, Severity};

/// Findings after the watchlists.
#[derive(Debug, Default)]
pub struct Watched {
    /// Findings that remain; those on a list carry its name.
    pub findings: Vec<Finding>,
    /// Findings that an allow-list suppresses, with its name.
    pub suppressed: Vec<Finding>,
}

impl Watched {
    /// Applies `lists` to `findings`, whose order is kept.
    pub fn of(findings: Vec<Finding>, lists: &[Watchlist]) -> Self {
        let indices: Vec<(&Watchlist, WatchlistIndex)> =
            lists.iter().map(|list| (list, list.index())).collect();
        let mut watched = Self::default();
        for mut finding in findings {
            let mut is_allowed = false;
            let mut raised = 0;
            for (list, index) in &indices {
                let Some(entity) = finding.entities.iter().find(|entity| index.has(entity)) else { continue };
                let is_meant = list.analyses.is_empty() || list.analyses.contains(&finding.analysis);
                match list.effect {
                    Effect::Allow if !is_meant => continue,
                    Effect::Allow => is_allowed = true,
                    Effect::Raise => raised += 1,
                    Effect::Weigh => {}
                }
                finding.explanation.push_str(&note(list, entity));
                finding.watchlists.push(list.name.clone());
            }
            // Several lists that name it raise it by one level only.
            if raised > 0 {
                finding.severity = above(finding.severity);
            }
            if is_allowed {
                watched.suppressed.push(finding);
            } else {
                watched.findings.push(finding);
            }
        }
        watched
    }

    /// Rows of suppressed findings, by analysis.
    pub fn suppressed_rows(&self) -> BTreeMap<&str, u64> {
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for finding in &self.suppressed {
            *rows.entry(&finding.analysis).or_default() += finding.rows;
        }
        rows
    }

    /// Number of suppressed findings, by list.
    pub fn suppressed_by_list(&self) -> BTreeMap<String, u64> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for list in self.suppressed.iter().flat_map(|finding| &finding.watchlists) {
            *counts.entry(list.clone()).or_default() += 1;
        }
        counts
    }
}

fn note(list: &Watchlist, entity: &Entity) -> String {
    format!("; {} {} is on the watchlist {}", entity.kind.name(), entity.name, list.name)
}

fn above(severity: Severity) -> Severity {
    match severity {
        Severity::Low => Severity::Medium,
        Severity::Medium => Severity::High,
        Severity::High | Severity::Critical => Severity::Critical,
    }
}
