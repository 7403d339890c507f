//! ATT&CK (Enterprise): the tactic each technique here is counted under.

use serde::{Deserialize, Serialize};

/// The version of ATT&CK that techniques and tactics here are of.
pub const ATTACK_VERSION: &str = "16.1";

/// A tactic of MITRE ATT&CK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tactic {
    /// TA0001
    InitialAccess,
    /// TA0003
    Persistence,
    /// TA0006
    CredentialAccess,
    /// TA0009
    Collection,
    /// TA0011
    CommandAndControl,
    /// TA0010
    Exfiltration,
}

impl Tactic {
    /// All, in the order of ATT&CK's matrix, which is that of an attack.
    pub const ALL: [Tactic; 6] = [
        Tactic::InitialAccess,
        Tactic::Persistence,
        Tactic::CredentialAccess,
        Tactic::Collection,
        Tactic::CommandAndControl,
        Tactic::Exfiltration,
    ];

    /// Its name in output.
    pub fn name(self) -> &'static str {
        match self {
            Tactic::InitialAccess => "initial_access",
            Tactic::Persistence => "persistence",
            Tactic::CredentialAccess => "credential_access",
            Tactic::Collection => "collection",
            Tactic::CommandAndControl => "command_and_control",
            Tactic::Exfiltration => "exfiltration",
        }
    }

    /// Its id in ATT&CK.
    pub fn id(self) -> &'static str {
        match self {
            Tactic::InitialAccess => "TA0001",
            Tactic::Persistence => "TA0003",
            Tactic::CredentialAccess => "TA0006",
            Tactic::Collection => "TA0009",
            Tactic::CommandAndControl => "TA0011",
            Tactic::Exfiltration => "TA0010",
        }
    }

    /// Its name in ATT&CK.
    pub fn title(self) -> &'static str {
        match self {
            Tactic::InitialAccess => "Initial Access",
            Tactic::Persistence => "Persistence",
            Tactic::CredentialAccess => "Credential Access",
            Tactic::Collection => "Collection",
            Tactic::CommandAndControl => "Command and Control",
            Tactic::Exfiltration => "Exfiltration",
        }
    }

    /// Its short name in ATT&CK's data, such as `command-and-control`.
    pub fn short_name(self) -> String {
        self.title().to_lowercase().replace(' ', "-")
    }
}

/// Techniques by the tactic they serve here; sub-techniques are their technique's. A technique that serves several is
/// under the one it shows in telemetry such as this.
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
