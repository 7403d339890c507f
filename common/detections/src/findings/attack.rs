//! ATT&CK (Enterprise): its tactics, and the tactic of each technique of the built-in detections.

use serde::{Deserialize, Serialize};

/// The version of ATT&CK of these techniques and tactics.
pub const ATTACK_VERSION: &str = "16.1";

/// A tactic of MITRE ATT&CK, in the order of its matrix, which follows an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tactic {
    /// TA0043
    Reconnaissance,
    /// TA0042
    ResourceDevelopment,
    /// TA0001
    InitialAccess,
    /// TA0002
    Execution,
    /// TA0003
    Persistence,
    /// TA0004
    PrivilegeEscalation,
    /// TA0005
    DefenseEvasion,
    /// TA0006
    CredentialAccess,
    /// TA0007
    Discovery,
    /// TA0008
    LateralMovement,
    /// TA0009
    Collection,
    /// TA0011
    CommandAndControl,
    /// TA0010
    Exfiltration,
    /// TA0040
    Impact,
}

impl Tactic {
    /// All, in the order of ATT&CK's matrix.
    pub const ALL: [Tactic; 14] = [
        Tactic::Reconnaissance,
        Tactic::ResourceDevelopment,
        Tactic::InitialAccess,
        Tactic::Execution,
        Tactic::Persistence,
        Tactic::PrivilegeEscalation,
        Tactic::DefenseEvasion,
        Tactic::CredentialAccess,
        Tactic::Discovery,
        Tactic::LateralMovement,
        Tactic::Collection,
        Tactic::CommandAndControl,
        Tactic::Exfiltration,
        Tactic::Impact,
    ];

    /// Its name in output.
    pub fn name(self) -> &'static str {
        match self {
            Tactic::Reconnaissance => "reconnaissance",
            Tactic::ResourceDevelopment => "resource_development",
            Tactic::InitialAccess => "initial_access",
            Tactic::Execution => "execution",
            Tactic::Persistence => "persistence",
            Tactic::PrivilegeEscalation => "privilege_escalation",
            Tactic::DefenseEvasion => "defense_evasion",
            Tactic::CredentialAccess => "credential_access",
            Tactic::Discovery => "discovery",
            Tactic::LateralMovement => "lateral_movement",
            Tactic::Collection => "collection",
            Tactic::CommandAndControl => "command_and_control",
            Tactic::Exfiltration => "exfiltration",
            Tactic::Impact => "impact",
        }
    }

    /// Its id in ATT&CK.
    pub fn id(self) -> &'static str {
        match self {
            Tactic::Reconnaissance => "TA0043",
            Tactic::ResourceDevelopment => "TA0042",
            Tactic::InitialAccess => "TA0001",
            Tactic::Execution => "TA0002",
            Tactic::Persistence => "TA0003",
            Tactic::PrivilegeEscalation => "TA0004",
            Tactic::DefenseEvasion => "TA0005",
            Tactic::CredentialAccess => "TA0006",
            Tactic::Discovery => "TA0007",
            Tactic::LateralMovement => "TA0008",
            Tactic::Collection => "TA0009",
            Tactic::CommandAndControl => "TA0011",
            Tactic::Exfiltration => "TA0010",
            Tactic::Impact => "TA0040",
        }
    }

    /// Its name in ATT&CK.
    pub fn title(self) -> &'static str {
        match self {
            Tactic::Reconnaissance => "Reconnaissance",
            Tactic::ResourceDevelopment => "Resource Development",
            Tactic::InitialAccess => "Initial Access",
            Tactic::Execution => "Execution",
            Tactic::Persistence => "Persistence",
            Tactic::PrivilegeEscalation => "Privilege Escalation",
            Tactic::DefenseEvasion => "Defense Evasion",
            Tactic::CredentialAccess => "Credential Access",
            Tactic::Discovery => "Discovery",
            Tactic::LateralMovement => "Lateral Movement",
            Tactic::Collection => "Collection",
            Tactic::CommandAndControl => "Command and Control",
            Tactic::Exfiltration => "Exfiltration",
            Tactic::Impact => "Impact",
        }
    }

    /// Its short name in ATT&CK's data, such as `command-and-control`.
    pub fn short_name(self) -> String {
        self.title().to_lowercase().replace(' ', "-")
    }
}

/// The tactic of each technique and its sub-techniques. A technique with several tactics has the one that it shows in this kind of
/// telemetry. A detection must name the tactic of any other technique.
const TACTIC_OF: [(&str, Tactic); 9] = [
    ("T1078", Tactic::InitialAccess),
    ("T1098", Tactic::Persistence),
    ("T1552", Tactic::CredentialAccess),
    ("T1074", Tactic::Collection),
    ("T1560", Tactic::Collection),
    ("T1071", Tactic::CommandAndControl),
    ("T1573", Tactic::CommandAndControl),
    ("T1048", Tactic::Exfiltration),
    ("T1567", Tactic::Exfiltration),
];

/// The tactic of a technique's id, such as `T1560.001`.
pub(super) fn tactic_of(technique: &str) -> Option<Tactic> {
    let technique = technique.split('.').next().unwrap_or(technique);
    TACTIC_OF.iter().find(|(id, _)| *id == technique).map(|(_, tactic)| *tactic)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_tactic_has_its_own_names_and_id() {
        for tactic in Tactic::ALL {
            assert_eq!(serde_json::to_value(tactic).unwrap(), tactic.name());
            assert_eq!(tactic.short_name(), tactic.name().replace('_', "-"), "{tactic:?}");
        }
        assert_eq!(Tactic::CommandAndControl.short_name(), "command-and-control");
        assert_eq!(BTreeSet::from(Tactic::ALL.map(Tactic::id)).len(), Tactic::ALL.len());
        assert!(Tactic::ALL.is_sorted());
    }

    #[test]
    fn a_sub_technique_has_the_tactic_of_its_technique() {
        assert_eq!(tactic_of("T1560"), Some(Tactic::Collection));
        assert_eq!(tactic_of("T1560.001"), Some(Tactic::Collection));
        assert_eq!(tactic_of("T1560x"), None);
        assert_eq!(tactic_of(""), None);
    }
}
