//! The risk of a finding in exports: the highest among its incidents and the entities it names.

use std::collections::BTreeMap;

use hindcast_base::entities::EntityKind;
use hindcast_detections::findings::Finding;
use hindcast_scan::ScanResult;

/// Risks by entity, and by finding of an incident.
pub(super) struct Risks<'a> {
    entities: BTreeMap<(EntityKind, &'a str), u64>,
    incidents: BTreeMap<&'a str, u64>,
}

impl<'a> Risks<'a> {
    pub(super) fn of(result: &'a ScanResult) -> Self {
        let entities = result.report.entities.iter();
        let mut incidents = BTreeMap::new();
        for incident in &result.report.incidents {
            for finding in &incident.findings {
                let worst = incidents.entry(finding.as_str()).or_default();
                *worst = incident.risk.score.max(*worst);
            }
        }
        Self {
            entities: entities
                .map(|risk| ((risk.entity.kind, &*risk.entity.name), risk.risk.score))
                .collect(),
            incidents,
        }
    }

    /// 0 to 100.
    pub(super) fn score(&self, finding: &Finding) -> u64 {
        let of_entities = finding
            .entities
            .iter()
            .filter_map(|entity| self.entities.get(&(entity.kind, entity.name.as_str())));
        let of_incident = self.incidents.get(finding.id.as_str());
        of_entities.chain(of_incident).copied().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{beacon, result, staging};
    use super::*;

    #[test]
    fn a_finding_has_the_highest_risk_of_its_incidents_and_entities() {
        let mut result = result();
        let scores =
            |result: &ScanResult| [staging(), beacon()].map(|finding| Risks::of(result).score(&finding));
        assert_eq!(scores(&result), [85, 85]);
        result.report.incidents[0].risk.score = 40;
        assert_eq!(scores(&result), [56, 40]);
        result.report.incidents.clear();
        assert_eq!(scores(&result), [56, 0]);
    }
}
