//! Which rows of a table a suite looks at, by the value of a column: where none has it, the suite has looked at nothing.

use serde::Deserialize;

use crate::config::Config;

/// Rows that have one of some values.
#[derive(Debug)]
pub struct Population {
    /// How rollups call it.
    pub name: &'static str,
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
}

/// How much of a population a rollup takes, and what beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// Rows of it, with or without others.
    Some,
    /// Rows of it and no others: if the rollup has state, there is such a row.
    Alone,
    /// All of its rows and no others: if the rollup has no state, there is none.
    All,
}

impl Share {
    /// Whether no other row is taken.
    pub fn is_alone(self) -> bool {
        self != Share::Some
    }
}

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

/// Every population. Each is looked for among the rows of those before it that are of the same table.
pub static POPULATIONS: [Population; 3] = [
    Population {
        name: "device_vendor",
        table: "CommonSecurityLog",
        column: "DeviceVendor",
        values: |config| vec![config.firewall.vendor.clone()],
        usual: &[],
        parameter: Some("firewall.vendor"),
    },
    Population {
        name: "device_event_class_id",
        table: "CommonSecurityLog",
        column: "DeviceEventClassID",
        values: |_| vec!["TRAFFIC".to_owned(), "THREAT".to_owned()],
        usual: &[],
        parameter: None,
    },
    Population {
        name: "user_type",
        table: "OfficeActivity",
        column: "UserType",
        values: |config| config.office365.user_types.clone(),
        usual: &USER_TYPES,
        parameter: Some("office365.user_types"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detections::Detections;

    #[test]
    fn every_population_is_taken_by_a_rollup_that_takes_no_other_row() {
        for population in &POPULATIONS {
            let shares =
                Detections::built_in().rollups().iter().filter_map(|rollup| rollup.share_of(population));
            assert!(shares.clone().any(Share::is_alone), "{}", population.name);
        }
    }
}
