//! Presets: mappings of the schemas of others to tables, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::columns::{ColumnPath, ColumnSource, PathStep};
use super::embedded;
use super::mapping::TableMapping;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};

/// Folder of the presets, below this crate's own.
const FOLDER: &str = "mappings/";

/// A mapping of another schema to a table.
#[derive(Debug, Clone)]
pub struct MappingPreset {
    /// Its name in a configuration, such as `ocsf/network_activity`.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
    definition: Definition,
}

/// A preset as written in its file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    title: String,
    source: String,
    table: String,
    recognised_by: Vec<ColumnPath>,
    filter: Option<String>,
    columns: BTreeMap<String, ColumnSource>,
}

/// All presets, by name.
///
/// ```
/// use hindcast_schema::mapping_presets;
///
/// let preset = mapping_presets().iter().find(|preset| preset.name == "zeek/conn").unwrap();
/// assert_eq!(preset.table(), "CommonSecurityLog");
/// assert_eq!(preset.columns()["SourceIP"].to_string(), "id.orig_h");
/// ```
pub fn mapping_presets() -> &'static [MappingPreset] {
    static PRESETS: LazyLock<Vec<MappingPreset>> = LazyLock::new(|| {
        let files =
            embedded::FILES.iter().filter_map(|(path, text)| Some((path.strip_prefix(FOLDER)?, *text)));
        let read = files.map(|(path, text)| read_preset(path.trim_end_matches(".toml"), text));
        match read.collect::<Result<Vec<_>, _>>() {
            Ok(presets) => presets,
            // The tests load them, so a binary that passed the tests has no broken ones.
            Err(error) => panic!("a built-in mapping is broken: {error}"),
        }
    });
    &PRESETS
}

fn read_preset(name: &'static str, text: &'static str) -> Result<MappingPreset, String> {
    let definition = toml::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    Ok(MappingPreset { name, text, definition })
}

impl MappingPreset {
    /// What it maps, in a few words.
    pub fn title(&self) -> &str {
        &self.definition.title
    }

    /// Where the schema that it maps is documented.
    pub fn source(&self) -> &str {
        &self.definition.source
    }

    /// The table whose rows it makes.
    pub fn table(&self) -> &str {
        &self.definition.table
    }

    /// The rows that it takes, as SQL over the columns of files; all if absent.
    pub fn filter(&self) -> Option<&str> {
        self.definition.filter.as_deref()
    }

    /// Where the table's columns are. All others have their own names.
    pub fn columns(&self) -> &BTreeMap<String, ColumnSource> {
        &self.definition.columns
    }

    /// Whether it reads a column with this name in files.
    pub fn reads(&self, name: &str) -> bool {
        let filter = self.filter().map(|filter| ColumnSource::Sql(filter.to_owned()));
        let paths = self.columns().values().cloned().chain(filter).flat_map(|source| source.paths());
        let mut all = paths.chain(self.definition.recognised_by.iter().cloned());
        all.any(|path| path.text() == name || first_name(&path) == name)
    }

    /// Whether files with columns of these names are of its schema, and not of its table's.
    fn fits(&self, names: &BTreeSet<String>) -> bool {
        let is_there = |wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
        // Files that have its columns under their own names need no preset.
        let is_needed = self.columns().keys().any(|column| !is_there(column));
        let mut paths = self.definition.recognised_by.iter();
        is_needed
            && !self.definition.recognised_by.is_empty()
            && paths.all(|path| is_there(path.text()) || is_there(first_name(path)))
    }

    /// The preset of `table` for files with columns of these names, if there is one.
    pub fn fitting(table: &str, names: &BTreeSet<String>) -> Option<&'static Self> {
        let of_table = mapping_presets().iter().filter(|preset| preset.table() == table);
        let fitting = of_table.filter(|preset| preset.fits(names));
        fitting.max_by_key(|preset| preset.definition.recognised_by.len())
    }
}

/// The name that a path begins with.
fn first_name(path: &ColumnPath) -> &str {
    match path.steps().first() {
        Some(PathStep::Name(name)) => name,
        _ => "",
    }
}

impl TableMapping {
    /// This mapping of `table` with the columns and the filter of its preset, unless it has its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such preset, or it is of another table.
    pub fn with_preset(&self, table: &str) -> Result<Self> {
        let Some(name) = &self.preset else { return Ok(self.clone()) };
        let Some(preset) = mapping_presets().iter().find(|preset| preset.name == name) else {
            let hint = did_you_mean(name, mapping_presets().iter().map(|preset| preset.name));
            return Err(Error::Invalid(format!(
                "tables.{table}.preset: there is no preset {name}{hint}; `hindcast tables presets` lists them"
            )));
        };
        if preset.table() != table {
            return Err(Error::Invalid(format!(
                "tables.{table}.preset: {name} maps rows to {}, not to {table}: write it in [tables.{0}]",
                preset.table()
            )));
        }
        let mut mapping = self.clone();
        for (column, source) in preset.columns() {
            mapping.columns.entry(column.clone()).or_insert_with(|| source.clone());
        }
        mapping.filter = mapping.filter.or_else(|| preset.filter().map(str::to_owned));
        Ok(mapping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tables;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn with(preset: &str) -> TableMapping {
        TableMapping { preset: Some(preset.to_owned()), ..TableMapping::default() }
    }

    #[test]
    fn every_preset_maps_columns_of_its_table_and_its_time() {
        assert_eq!(mapping_presets().len(), 26);
        for preset in mapping_presets() {
            let spec =
                Tables::built_in().by_name(preset.table()).unwrap_or_else(|| panic!("{}", preset.name));
            for column in preset.columns().keys() {
                assert!(
                    spec.column(column).is_some(),
                    "{}: {} has no column {column}",
                    preset.name,
                    spec.name
                );
            }
            assert!(preset.columns().contains_key(spec.time_column), "{}", preset.name);
            assert!(preset.source().starts_with("https://") && !preset.title().is_empty(), "{}", preset.name);
            assert_ne!(preset.definition.recognised_by.len(), 1, "{}", preset.name);
            if let Some(filter) = preset.filter() {
                let source = format!(r#"{{"sql": {}}}"#, serde_json::to_string(filter).unwrap());
                let checked: std::result::Result<ColumnSource, _> = serde_json::from_str(&source);
                assert!(checked.is_ok(), "{}: {checked:?}", preset.name);
            }
        }
    }

    #[test]
    fn a_mapping_overrides_its_preset() {
        let own: ColumnSource = serde_json::from_str(r#""metadata.product.feature.name""#).unwrap();
        let mut mapping = with("ocsf/network_activity");
        mapping.columns.insert("DeviceProduct".into(), own.clone());
        let whole = mapping.with_preset("CommonSecurityLog").unwrap();
        assert_eq!(whole.columns["DeviceProduct"], own);
        assert_eq!(whole.columns["SourceIP"].to_string(), "src_endpoint.ip");
        assert_eq!(whole.filter.as_deref(), Some("coalesce(class_uid, 4001) = 4001"));
        assert_eq!(whole.with_preset("CommonSecurityLog").unwrap(), whole, "it may be applied again");
        let all = TableMapping { filter: Some("true".into()), ..mapping };
        assert_eq!(all.with_preset("CommonSecurityLog").unwrap().filter.as_deref(), Some("true"));
        let none = TableMapping::default();
        assert_eq!(none.with_preset("AuditLogs").unwrap(), none);
    }

    #[test]
    fn an_unknown_preset_and_one_of_another_table_are_refused() {
        let error = with("ocsf/network_activty").with_preset("CommonSecurityLog").unwrap_err().to_string();
        assert!(
            error.contains("tables.CommonSecurityLog.preset: there is no preset ocsf/network_activty")
                && error.contains("did you mean ocsf/network_activity?"),
            "{error}"
        );
        let error = with("zeek/conn").with_preset("AuditLogs").unwrap_err().to_string();
        assert_eq!(
            error,
            "tables.AuditLogs.preset: zeek/conn maps rows to CommonSecurityLog, not to AuditLogs: write it in \
             [tables.CommonSecurityLog]"
        );
    }

    #[test]
    fn the_preset_that_fits_is_found_by_columns_in_any_case_and_form() {
        let fitting = |table: &str, columns: &[&str]| {
            MappingPreset::fitting(table, &names(columns)).map(|preset| preset.name)
        };
        let log = "CommonSecurityLog";
        assert_eq!(fitting(log, &["ts", "uid", "id.orig_h", "conn_state"]), Some("zeek/conn"));
        assert_eq!(fitting(log, &["TS", "uid", "id", "conn_state", "proto"]), Some("zeek/conn"));
        assert_eq!(
            fitting(log, &["time", "src_endpoint", "dst_endpoint", "connection_info"]),
            Some("ocsf/network_activity")
        );
        assert_eq!(fitting(log, &["@timestamp", "source", "destination"]), Some("ecs/network"));
        assert_eq!(
            fitting("AzureNetworkAnalytics_CL", &["SrcIP_s", "DestIP_s", "FlowDirection_s"]),
            Some("azure/network_analytics")
        );
        assert_eq!(fitting(log, &["TimeGenerated", "SourceIP"]), None);
        let dns = ["EventStartTime", "DnsQuery", "SrcIpAddr"];
        assert_eq!(fitting("ASimDnsActivityLogs", &dns), Some("asim/dns"));
        assert_eq!(fitting("ASimDnsActivityLogs", &[&dns[..], &["TimeGenerated"]].concat()), None);
        assert_eq!(fitting("AuditLogs", &["ts", "uid", "id", "conn_state"]), None);
    }
}
