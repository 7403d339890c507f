//! Which rows of a table a suite looks at, by the value of a column: where none has it, the suite has looked at nothing.

use crate::config::Config;

/// Rows that have one of some values.
#[derive(Debug)]
pub struct Population {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The values; all rows are taken where there is none.
    pub values: fn(&Config) -> Vec<String>,
    /// Values that a log has beside each other by nature: where a row has one of them, a window without those asked for is no
    /// sign of a log that is written otherwise.
    pub usual: &'static [&'static str],
    /// The parameter that names them, where one does.
    pub parameter: Option<&'static str>,
    /// Rollups that take such rows, with or without others.
    pub rollups: &'static [&'static str],
    /// Those of them that take no other row: where they have state, there is such a row.
    pub alone: &'static [&'static str],
    /// Those of them that take every such row: where they have no state, there is none.
    pub all: &'static [&'static str],
}

const SESSIONS: [&str; 4] = ["external_pairs", "internal_pairs", "port_sessions", "threat_counts"];
const OF_CLASS: [&str; 5] =
    ["attack_events", "external_pairs", "internal_pairs", "port_sessions", "threat_counts"];
const OF_VENDOR: [&str; 8] = [
    "attack_events",
    "dns_pairs",
    "event_bins",
    "external_pairs",
    "firewall_identities",
    "internal_pairs",
    "port_sessions",
    "threat_counts",
];
const OF_OFFICE_USERS: [&str; 3] = ["office_accounts", "office_hours", "office_operations"];

/// As Microsoft's schema of audit records has them.
const USER_TYPES: [&str; 9] = [
    "Regular",
    "Reserved",
    "Admin",
    "DcAdmin",
    "System",
    "Application",
    "ServicePrincipal",
    "CustomPolicy",
    "SystemPolicy",
];

/// Every population. Of those of a table, each is looked for among the rows of the ones before.
pub static POPULATIONS: [Population; 3] = [
    Population {
        table: "CommonSecurityLog",
        column: "DeviceVendor",
        values: |config| vec![config.firewall.vendor.clone()],
        usual: &[],
        parameter: Some("firewall.vendor"),
        rollups: &OF_VENDOR,
        alone: &OF_VENDOR,
        all: &["event_bins"],
    },
    Population {
        table: "CommonSecurityLog",
        column: "DeviceEventClassID",
        values: |_| vec!["TRAFFIC".to_owned(), "THREAT".to_owned()],
        usual: &[],
        parameter: None,
        rollups: &OF_CLASS,
        // Suspicious events are told by their action too, whatever their class.
        alone: &SESSIONS,
        all: &[],
    },
    Population {
        table: "OfficeActivity",
        column: "UserType",
        values: |config| config.office365.user_types.clone(),
        usual: &USER_TYPES,
        parameter: Some("office365.user_types"),
        rollups: &OF_OFFICE_USERS,
        alone: &OF_OFFICE_USERS,
        all: &OF_OFFICE_USERS,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollups::Rollup;

    #[test]
    fn populations_name_rollups_that_read_their_column() {
        for population in &POPULATIONS {
            for id in population.rollups {
                let rollup = Rollup::by_id(id).unwrap();
                assert!(rollup.tables.contains(&population.table), "{id}");
                assert!(rollup.columns.contains(&population.column), "{id}");
            }
            let told_by = population.alone.iter().chain(population.all);
            assert!(told_by.copied().all(|id| population.rollups.contains(&id)));
        }
    }
}
