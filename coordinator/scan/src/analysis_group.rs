//! Groups of analyses that share one merge.

use hindcast_detections::analyses::Analysis;

/// Analyses that read the same rollups. A user's own is alone, so that no other fails with it.
pub(super) struct AnalysisGroup(Vec<&'static Analysis>);

impl AnalysisGroup {
    /// The groups of `analyses`.
    pub(super) fn all(analyses: &[&'static Analysis]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for &analysis in analyses {
            match groups.iter_mut().find(|group| group.takes(analysis)) {
                Some(group) => group.0.push(analysis),
                None => groups.push(Self(vec![analysis])),
            }
        }
        groups
    }

    fn takes(&self, analysis: &Analysis) -> bool {
        // Rows are stored for those that depend on one key alone, and for these only together.
        // Those that need no rollup read other ones if the lake has them.
        let is_alike = |own: &&Analysis| {
            own.rollups == analysis.rollups
                && own.per_key == analysis.per_key
                && (!own.rollups.is_empty() || own.optional_rollups == analysis.optional_rollups)
        };
        let reads_the_same = self.0.iter().all(is_alike);
        !analysis.about.is_own && self.own_detection().is_none() && reads_the_same
    }

    /// Its analyses, in the order of reports.
    pub(super) fn analyses(&self) -> &[&'static Analysis] {
        &self.0
    }

    /// The only analysis, if it is a user's own.
    pub(super) fn own_detection(&self) -> Option<&'static Analysis> {
        self.0.first().copied().filter(|analysis| analysis.about.is_own)
    }

    /// Whether one of its analyses reads the rollup.
    pub(super) fn reads(&self, rollup: &str) -> bool {
        let reads = |analysis: &&Analysis| {
            analysis.rollups.contains(&rollup) || analysis.optional_rollups.contains(&rollup)
        };
        self.0.iter().any(reads)
    }

    /// Whether one of its analyses may open all keys of a rollup, and not only those of its shard.
    pub(super) fn may_read_whole(&self, rollup: &str) -> bool {
        self.0.iter().any(|analysis| analysis.may_read_whole(rollup))
    }

    /// The ids of its analyses, for messages.
    pub(super) fn names(&self) -> String {
        self.0.iter().map(|analysis| analysis.id).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use hindcast_detections::Detections;

    use super::*;

    #[test]
    fn analyses_of_the_same_rollups_are_one_group() {
        let all = Detections::built_in().analyses();
        let groups = AnalysisGroup::all(all);
        let grouped: usize = groups.iter().map(|group| group.analyses().len()).sum();
        assert_eq!(grouped, all.len());
        assert!(groups.len() < all.len());
        for (index, group) in groups.iter().enumerate() {
            let rollups = group.analyses()[0].rollups;
            assert!(group.analyses().iter().all(|analysis| analysis.rollups == rollups));
            assert!(group.own_detection().is_none());
            assert!(rollups.iter().all(|id| group.reads(id)));
            assert!(!group.reads("no_such_rollup"));
            let others = groups.iter().skip(index + 1);
            let is_other = |other: &AnalysisGroup| {
                let (own, other) = (group.analyses()[0], other.analyses()[0]);
                own.rollups != other.rollups
                    || own.per_key != other.per_key
                    || (own.rollups.is_empty() && own.optional_rollups != other.optional_rollups)
            };
            assert!(others.clone().all(is_other), "{}", group.names());
        }
    }
}
