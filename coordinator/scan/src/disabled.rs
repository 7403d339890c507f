//! Analyses that do not run, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hindcast_detections::analyses::{Analysis, Locations, one_of};

/// An analysis that does not run.
#[derive(Debug, Clone)]
pub struct Disabled {
    /// The analysis.
    pub analysis: &'static Analysis,
    /// The reason.
    pub reason: DisabledReason,
}

/// Why an analysis does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisabledReason {
    /// The lake has none of these tables, one of which would suffice.
    NoTable(&'static [&'static str]),
    /// The lake has none of the tables that it reads where they are.
    NoneOfItsTables,
    /// A table lacks columns that the analysis needs.
    NoColumns {
        /// The table.
        table: &'static str,
        /// The columns.
        columns: Vec<&'static str>,
    },
    /// It needs locations, and there is no location database.
    NoLocations,
    /// It compares an entity with all others, of which an investigation reads none.
    ComparesEntities,
    /// It is a user's own, and it failed.
    Failed {
        /// The error, with file and line.
        error: String,
    },
}

impl DisabledReason {
    /// Why `analysis` can't run with these `columns` by table; none if it can.
    pub(super) fn of(
        analysis: &Analysis,
        columns: &BTreeMap<String, BTreeSet<String>>,
        has_locations: bool,
        is_investigation: bool,
    ) -> Option<Self> {
        for requirement in analysis.requires {
            let Some(table) = requirement.tables.iter().find(|table| columns.contains_key(**table)) else {
                return Some(DisabledReason::NoTable(requirement.tables));
            };
            let is_absent =
                |column: &&'static str| !one_of(column).any(|name| columns[*table].contains(name));
            let absent: Vec<&str> = requirement.columns.iter().copied().filter(is_absent).collect();
            if !absent.is_empty() {
                return Some(DisabledReason::NoColumns { table, columns: absent });
            }
        }
        if analysis.locations == Locations::Required && !has_locations {
            return Some(DisabledReason::NoLocations);
        }
        (is_investigation && analysis.is_of_all_rows).then_some(DisabledReason::ComparesEntities)
    }

    /// The columns of `table` that are lacking.
    pub(super) fn lacking_columns(&self, table: &str) -> Option<&[&'static str]> {
        match self {
            DisabledReason::NoColumns { table: own, columns } if *own == table => Some(columns.as_slice()),
            _ => None,
        }
    }
}

impl fmt::Display for DisabledReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DisabledReason::NoTable(tables) => {
                write!(formatter, "the lake has no table {}", tables.join(" or "))
            }
            DisabledReason::NoneOfItsTables => formatter.write_str("the lake has none of the tables that it reads"),
            DisabledReason::NoColumns { table, columns } => {
                write!(formatter, "{table} has no column {}", columns.join(", "))
            }
            DisabledReason::NoLocations => formatter.write_str(
                "it needs the locations of addresses: use --geoip FILE.mmdb, on a cluster when the coordinator is started",
            ),
            DisabledReason::ComparesEntities => {
                formatter.write_str("it compares entities with each other, which only a scan of all rows can do")
            }
            DisabledReason::Failed { error } => formatter.write_str(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use hindcast_detections::Detections;

    use super::*;

    fn analysis(id: &str) -> &'static Analysis {
        Detections::built_in().by_id(id).unwrap()
    }

    /// All that `analysis` requires, in the first table of each requirement.
    fn sufficient(analysis: &Analysis) -> BTreeMap<String, BTreeSet<String>> {
        let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for required in analysis.requires {
            let own = required.columns.iter().flat_map(|column| one_of(column)).map(str::to_owned);
            columns.entry(required.tables[0].to_owned()).or_default().extend(own);
        }
        columns
    }

    #[test]
    fn an_analysis_runs_if_its_tables_and_columns_are_there() {
        let beaconing = analysis("beaconing");
        let mut columns = sufficient(beaconing);
        assert_eq!(DisabledReason::of(beaconing, &columns, false, false), None);
        let table = beaconing.requires[0].tables[0];
        let lost = beaconing.requires[0].columns[0];
        columns.get_mut(table).unwrap().remove(lost);
        let reason = DisabledReason::of(beaconing, &columns, false, false).unwrap();
        assert_eq!(reason, DisabledReason::NoColumns { table, columns: vec![lost] });
        assert_eq!(reason.to_string(), format!("{table} has no column {lost}"));
        assert_eq!(reason.lacking_columns(table), Some([lost].as_slice()));
        assert_eq!(reason.lacking_columns("AuditLogs"), None);
        let reason = DisabledReason::of(beaconing, &BTreeMap::new(), false, false).unwrap();
        assert_eq!(reason, DisabledReason::NoTable(beaconing.requires[0].tables));
        assert!(reason.to_string().starts_with(&format!("the lake has no table {table}")), "{reason}");
    }

    #[test]
    fn analyses_of_locations_need_a_database_and_comparing_ones_a_scan() {
        let all = Detections::built_in();
        let of_locations = all.analyses().iter().find(|a| a.locations == Locations::Required).unwrap();
        let columns = sufficient(of_locations);
        assert_eq!(
            DisabledReason::of(of_locations, &columns, false, false),
            Some(DisabledReason::NoLocations)
        );
        assert_eq!(DisabledReason::of(of_locations, &columns, true, false), None);
        let comparing = all.analyses().iter().find(|a| a.is_of_all_rows).unwrap();
        let columns = sufficient(comparing);
        assert_eq!(DisabledReason::of(comparing, &columns, true, false), None);
        assert_eq!(
            DisabledReason::of(comparing, &columns, true, true),
            Some(DisabledReason::ComparesEntities)
        );
    }
}
