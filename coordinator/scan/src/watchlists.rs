//! Applies watchlists to findings: raises their severity, or suppresses and counts them.

use std::collections::BTreeMap;

use hindcast_base::entities::Entity;
use hindcast_detections::config::{Effect, Watchlist, WatchlistIndex};
use hindcast_detections::findings::{Finding, Severity};

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
    pub(crate) fn suppressed_rows(&self) -> BTreeMap<&str, u64> {
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for finding in &self.suppressed {
            *rows.entry(&finding.analysis).or_default() += finding.rows;
        }
        rows
    }

    /// Number of suppressed findings, by list.
    pub(crate) fn suppressed_by_list(&self) -> BTreeMap<String, u64> {
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

#[cfg(test)]
mod tests {
    use hindcast_base::entities::EntityKind;

    use super::*;
    use crate::test_finding;

    fn finding(analysis: &str, address: &str) -> Finding {
        Finding {
            analysis: analysis.into(),
            rows: 3,
            entities: Entity::of(EntityKind::Ip, address).into_iter().map(Into::into).collect(),
            explanation: "as found".into(),
            ..test_finding::finding(format!("{analysis} {address}"), "2026-01-01T10:00:00Z")
        }
    }

    fn list(name: &str, effect: Effect, entries: &[&str]) -> Watchlist {
        Watchlist {
            name: name.into(),
            kind: EntityKind::Ip,
            effect,
            weight: 1.0,
            analyses: Vec::new(),
            file: None,
            column: None,
            entries: entries.iter().map(|entry| (*entry).to_owned()).collect(),
        }
    }

    #[test]
    fn several_lists_raise_a_finding_by_one_level() {
        let lists = [list("a", Effect::Raise, &["10.0.0.1"]), list("b", Effect::Raise, &["10.0.0.0/24"])];
        let watched = Watched::of(vec![finding("beaconing", "10.0.0.1")], &lists);
        let [raised] = watched.findings.as_slice() else { panic!("{watched:?}") };
        assert_eq!((raised.severity, raised.watchlists.len()), (Severity::High, 2));
        assert_eq!(
            raised.explanation,
            "as found; ip 10.0.0.1 is on the watchlist a; ip 10.0.0.1 is on the watchlist b"
        );
    }

    #[test]
    fn a_finding_on_no_list_stays_as_it_is() {
        let found = finding("beaconing", "10.9.9.9");
        let watched = Watched::of(vec![found.clone()], &[list("a", Effect::Raise, &["10.0.0.1"])]);
        assert_eq!(watched.findings, [found]);
        assert!(watched.suppressed.is_empty() && watched.suppressed_by_list().is_empty());
    }

    #[test]
    fn an_allow_list_suppresses_findings_of_its_analyses_and_counts_their_rows() {
        let allow = Watchlist {
            analyses: vec!["beaconing".into()],
            ..list("scanners", Effect::Allow, &["10.0.0.1"])
        };
        let found = [finding("beaconing", "10.0.0.1"), finding("top_talkers", "10.0.0.1")];
        let watched = Watched::of(found.to_vec(), &[allow]);
        assert_eq!(watched.findings, [found[1].clone()]);
        assert_eq!(watched.suppressed[0].watchlists, ["scanners"]);
        assert_eq!(watched.suppressed_rows(), [("beaconing", 3)].into());
        assert_eq!(watched.suppressed_by_list(), [("scanners".to_owned(), 1)].into());
    }
}
