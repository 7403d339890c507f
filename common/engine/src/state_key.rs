//! Keys of state: a hash of all that state depends on, including the versions of the code that reads and computes it.

use serde::Serialize;

use super::stage::{RollupUnit, TableRef};
use hindcast_base::time::Window;
use hindcast_base::{Error, Result};
use hindcast_detections::config::Config;
use hindcast_detections::rollups::Rollup;
use hindcast_functions::FUNCTIONS_VERSION;
use hindcast_lake::selection::SELECTION_VERSION;
use hindcast_lake::{CATALOG_VERSION, LakeFile, PhysicalNames};

/// Version of the format of state and manifests.
const STATE_FORMAT: u32 = 3;

/// The key of a rollup's state for a unit's files, made of all that the state depends on.
///
/// # Errors
/// [`Error::Internal`] if the parts can't be encoded as JSON.
pub fn unit_key(rollup: &Rollup, config: &Config, table: &TableRef, unit: &RollupUnit) -> Result<String> {
    // The key has the paths below the store's root, also where messages have another form of them.
    let stored = |file: &LakeFile| file.clone().with(|stored| stored.path = file.store_path().to_string());
    let files: Vec<LakeFile> = unit.files.iter().map(stored).collect();
    let parts = (state_version(rollup), rollup.parameters(config), &table.url, &table.mapping.columns, files);
    let mut json = serde_json::to_vec(&parts).map_err(|error| Error::Internal(error.to_string()))?;
    if let Some(rules) = table.mapping.rules_of_rows() {
        json.extend(serde_json::to_vec(&rules).map_err(|error| Error::Internal(error.to_string()))?);
    }
    if !table.physical.is_empty() {
        let own = serde_json::to_vec(&physical_names(rollup, config, table, unit));
        json.extend(own.map_err(|error| Error::Internal(error.to_string()))?);
    }
    if let Some(selection) = &unit.selection {
        let own = serde_json::to_vec(&(SELECTION_VERSION, selection));
        json.extend(own.map_err(|error| Error::Internal(error.to_string()))?);
    }
    let hash = blake3::hash(&json).to_hex();
    Ok(format!("{}/date={}/{}/{}", table.name, unit.date, rollup.id, &hash[..32]))
}

/// A hash of a value's JSON, as keys have it.
///
/// # Errors
/// [`Error::Internal`] if it can't be encoded as JSON.
pub fn hash_of(value: &impl Serialize) -> Result<String> {
    let json = serde_json::to_vec(value).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(blake3::hash(&json).to_hex()[..32].to_owned())
}

/// The names in the files of the columns that a unit reads for a rollup.
fn physical_names(rollup: &Rollup, config: &Config, table: &TableRef, unit: &RollupUnit) -> PhysicalNames {
    let Some(spec) = config.detections.tables().by_name(&table.name) else { return table.physical.clone() };
    let selected = unit.selection.as_ref().map(|selection| selection.columns(spec)).unwrap_or_default();
    let columns = rollup.columns.iter().copied().chain(selected).chain([spec.time_column]);
    table.physical.used_by(&table.mapping, columns)
}

/// The key of state with the rows of `window` only, if the files have other rows too.
pub(super) fn clipped_key(key: &str, window: &Window) -> String {
    format!("{key}-{}-{}", window.from_us, window.to_us)
}

/// The version of state of `rollup`: its definition, and the versions of this process's code that reads and computes it.
pub fn state_version(rollup: &Rollup) -> String {
    let Rollup { version, hash, .. } = rollup;
    format!("{STATE_FORMAT}.{CATALOG_VERSION}.{FUNCTIONS_VERSION}.{version}.{hash}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use hindcast_detections::Detections;
    use hindcast_detections::config::Layer;
    use hindcast_detections::rollups::definition;
    use hindcast_lake::PhysicalColumn;
    use hindcast_lake::Tables;

    fn key(rollup: &Rollup, config: &Config) -> String {
        let (name, url) = ("CommonSecurityLog".to_owned(), "file:///lake/CommonSecurityLog/".to_owned());
        let table = TableRef { name, url, ..TableRef::default() };
        unit_key(rollup, config, &table, &unit(rollup)).unwrap()
    }

    fn unit(rollup: &Rollup) -> RollupUnit {
        RollupUnit {
            table: 0,
            date: "2026-03-01".parse().unwrap(),
            files: vec![],
            window: Window { from_us: 0, to_us: 1 },
            is_clipped: false,
            rollups: vec![rollup.id.to_owned()].into(),
            selection: None,
        }
    }

    fn with(text: &str) -> Config {
        Config::load("default", &[Layer { name: "mine.toml", text }]).unwrap()
    }

    #[test]
    fn a_key_depends_on_the_parameters_that_the_rollup_uses_and_no_others() {
        let (plain, other_vendor) = (with(""), with("[firewall]\nvendor = 'Fortinet'"));
        let other_threshold = with("[attack_timeline]\nmin_sent_bytes = 1");
        let unused = with("[dns_tunneling]\nmin_queries = 3");
        for rollup in Detections::built_in().rollups() {
            let uses = |path: &str| rollup.uses.iter().any(|(_, used)| *used == path);
            let key = |config: &Config| key(rollup, config);
            let id = rollup.id;
            assert_eq!(
                key(&plain) != key(&other_vendor),
                uses("firewall.vendors") || uses("firewall.kind"),
                "{id}"
            );
            assert_eq!(key(&plain) != key(&other_threshold), uses("attack_timeline.min_sent_bytes"), "{id}");
            assert_eq!(key(&plain), key(&unused), "{id}");
        }
    }

    #[test]
    fn a_key_depends_on_the_stored_names_of_the_columns_that_the_rollup_reads() {
        let config = with("");
        let rollup = definition::parse(
            "mine.toml",
            "version = 1\ntables = ['CommonSecurityLog']\ncolumns = ['SourceIP AS source_ip']\n\
             bucket_key = ['source_ip']",
            "mine",
            Tables::built_in(),
        )
        .unwrap();
        let named = |column: &str, stored: &str| {
            let physical = PhysicalColumn { name: stored.into(), ..PhysicalColumn::default() };
            let columns = [(column.to_owned(), physical)].into();
            let table = TableRef {
                name: "CommonSecurityLog".into(),
                physical: PhysicalNames { by_id: false, columns },
                ..TableRef::default()
            };
            unit_key(&rollup, &config, &table, &unit(&rollup)).unwrap()
        };
        assert_ne!(named("SourceIP", "col-1"), named("SourceIP", "col-2"));
        assert_eq!(named("Message", "col-1"), named("Message", "col-2"));
    }

    #[test]
    fn a_key_depends_on_which_rows_and_times_a_mapping_reads() {
        let rollup = Detections::built_in().rollups()[0];
        let key = |text: &str| {
            let config = with(&format!("[tables.CommonSecurityLog]\n{text}"));
            let (name, mapping) = ("CommonSecurityLog", config.tables["CommonSecurityLog"].clone());
            let table = TableRef { name: name.into(), mapping, ..TableRef::default() };
            unit_key(rollup, &with(""), &table, &unit(rollup)).unwrap()
        };
        let texts = [
            "",
            "filter = 'class_uid = 4001'",
            "filter = 'class_uid = 4002'",
            "dates = 'day-first'",
            "time_zone = 'Europe/Berlin'",
            "columns.SourceIP = 'src'",
            "columns.SourceIP = { sql = 'src' }",
        ];
        let keys: BTreeSet<String> = texts.iter().map(|text| key(text)).collect();
        assert_eq!(keys.len(), texts.len());
        assert_eq!(key("folder_slack_days = 1"), key(""));
    }

    #[test]
    fn two_definitions_with_one_name_have_different_keys() {
        let rollup = |port: u32| {
            let text = format!(
                "version = 1\ntables = ['CommonSecurityLog']\nfilter = 'DestinationPort = {port}'\n\
                 columns = ['SourceIP AS source_ip']\nbucket_key = ['source_ip']"
            );
            definition::parse("mine.toml", &text, "mine", Tables::built_in()).unwrap()
        };
        let config = with("");
        assert_eq!(key(&rollup(53), &config), key(&rollup(53), &config));
        assert_ne!(key(&rollup(53), &config), key(&rollup(54), &config));
    }
}
