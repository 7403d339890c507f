//! The crate graph: every crate is small, and depends only on crates below it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::tidy::{add_files, repository};

/// The folders of the crates from the bottom to the top: a crate may depend on the crates before it.
const LAYERS: [&str; 20] = [
    "proto",
    "common/base",
    "common/functions",
    "common/schema",
    "common/lake",
    "common/detections",
    "common/cases",
    "common/observability",
    "common/engine",
    "common/node",
    "coordinator/demo",
    "coordinator/risk",
    "coordinator/scan",
    "coordinator/report",
    "coordinator/tables",
    "coordinator/records",
    "coordinator/import",
    "coordinator/server",
    "worker",
    "coordinator/cli",
];
const MAX_CRATE_LINES: usize = 12_000;

fn manifest(folder: &Path) -> Table {
    let text = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    text.parse().expect("TOML")
}

/// The folders of the workspace's members; `folder/*` stands for all crates in a folder.
fn members() -> Vec<String> {
    let root = repository();
    let workspace = manifest(&root);
    let patterns = workspace["workspace"]["members"].as_array().expect("members");
    let mut members = Vec::new();
    for pattern in patterns.iter().filter_map(Value::as_str) {
        let Some(folder) = pattern.strip_suffix("/*") else {
            members.push(pattern.to_owned());
            continue;
        };
        for entry in fs::read_dir(root.join(folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.path().join("Cargo.toml").exists() {
                members.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    members.sort();
    members
}

#[test]
fn every_crate_has_its_layer() {
    let mut layers = LAYERS;
    layers.sort_unstable();
    assert_eq!(members(), layers, "the members of the workspace and the list of layers");
}

#[test]
fn crates_depend_only_on_crates_below_them() {
    let manifests: Vec<Table> = LAYERS.iter().map(|layer| manifest(&repository().join(layer))).collect();
    let layer_of: BTreeMap<&str, usize> =
        manifests.iter().enumerate().map(|(layer, crate_of)| (name_of(crate_of), layer)).collect();
    for (layer, crate_of) in manifests.iter().enumerate() {
        // Tests may use a crate above.
        for kind in ["dependencies", "build-dependencies"] {
            let dependencies = crate_of.get(kind).and_then(Value::as_table).into_iter().flatten();
            for (name, _) in dependencies {
                let is_below = layer_of.get(name.as_str()).is_none_or(|dependency| *dependency < layer);
                assert!(is_below, "{} has {name}, which is not below it, in [{kind}]", LAYERS[layer]);
            }
        }
    }
}

fn name_of(manifest: &Table) -> &str {
    manifest["package"]["name"].as_str().expect("a name")
}

#[test]
fn crates_are_small() {
    for layer in LAYERS {
        let mut files = Vec::new();
        add_files(&repository().join(layer).join("src"), &[".rs"], &mut files);
        let lines = files.iter().map(|file| fs::read_to_string(file).expect("text").lines().count());
        let lines: usize = lines.sum();
        assert!(lines <= MAX_CRATE_LINES, "{layer} has {lines} lines of Rust: split it by role");
    }
}
