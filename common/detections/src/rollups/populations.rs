//! The rows of a table that a suite examines, by the value of a column: if no row has it, the suite has examined nothing.

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Expr, ident};
use serde::Deserialize;

use crate::bindings::Bindings;
use crate::config::Config;
use crate::config::vendors;
use crate::sql::{SqlText, expression};

/// Rows that have one of some values.
#[derive(Debug)]
pub struct Population {
    /// Its name in rollups.
    pub name: &'static str,
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The parameter with the SQL of the value, if it is not that of the column.
    pub computed_by: Option<&'static str>,
    /// Whether coverage counts the rows of each value.
    pub is_counted: bool,
    /// The values; all rows are taken if there are none.
    pub values: fn(&Config) -> Vec<String>,
    /// Values that normally occur together in a log: if a row has one of them, a window without the wanted values does not mean that
    /// the log is written differently.
    pub usual: &'static [&'static str],
    /// The parameter with the values, if any.
    pub parameter: Option<&'static str>,
}

impl Population {
    /// The columns from which its value is computed.
    pub fn columns<'a>(&self, config: &'a Config) -> Vec<&'a str> {
        let computed = self.computed_by.map(|path| config.firewall.columns_of(path)).unwrap_or_default();
        computed.into_iter().chain([self.column]).collect()
    }

    /// The value by which a row belongs to it or not, over rows with `schema`.
    ///
    /// # Errors
    /// If a column is missing.
    pub fn value(&self, config: &Config, schema: &DFSchema) -> Result<Expr> {
        let Some(path) = self.computed_by else { return Ok(ident(self.column)) };
        let bindings = Bindings::of(config, self.name, &[("value", path)])?;
        expression(&SqlText { file: path, line: 1, text: "$value" }, schema, &bindings)
    }
}

/// How much of a population a rollup takes, and whether it takes other rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// Rows of it, and possibly other rows.
    Some,
    /// Only rows of it: if the rollup has state, the population has a row.
    Alone,
    /// Exactly its rows: if the rollup has no state, the population has no row.
    All,
}

impl Share {
    /// Whether only rows of the population are taken.
    pub fn is_alone(self) -> bool {
        self != Share::Some
    }
}

/// From Microsoft's schema of audit records.
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

/// All populations. Each is searched among the rows of the preceding ones of the same table.
pub static POPULATIONS: [Population; 3] = [
    Population {
        name: "device_vendor",
        table: "CommonSecurityLog",
        column: "DeviceVendor",
        computed_by: None,
        is_counted: true,
        values: |config| config.firewall.vendors.clone(),
        usual: &[],
        parameter: Some("firewall.vendors"),
    },
    Population {
        name: "device_event_class_id",
        table: "CommonSecurityLog",
        column: "DeviceEventClassID",
        computed_by: Some(vendors::KIND),
        is_counted: false,
        values: |_| vec!["TRAFFIC".to_owned(), "THREAT".to_owned()],
        usual: &[],
        parameter: None,
    },
    Population {
        name: "user_type",
        table: "OfficeActivity",
        column: "UserType",
        computed_by: None,
        is_counted: false,
        values: |config| config.office365.user_types.clone(),
        usual: &USER_TYPES,
        parameter: Some("office365.user_types"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detections;

    #[test]
    fn every_population_has_a_rollup_that_takes_only_its_rows() {
        for population in &POPULATIONS {
            let shares =
                Detections::built_in().rollups().iter().filter_map(|rollup| rollup.share_of(population));
            assert!(shares.clone().any(Share::is_alone), "{}", population.name);
        }
    }
}
