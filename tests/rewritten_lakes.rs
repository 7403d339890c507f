//! The demo lake as others would store it: as Delta tables, as nested OCSF events in the layout of Security Lake, in the folders of an
//! Azure export job, and under lower-case names. Read in place, each gives the findings and result files of the plain lake, and as many
//! rows as another reader finds. Needs Python with the packages of `tests/requirements.txt`, which `tests/run` installs; without them
//! the tests print a message and do nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::azure_store::{AzureStore, CONTAINER};
use crate::object_stores::{BUCKET, Store};
use crate::support::{Place, files_below, read_json, stderr, stdout};
use crate::tidy::repository;

const DEMO: &str = "--days 2 --rows-per-day 3000 --seed 3";

/// Rows by table.
type Counts = BTreeMap<String, u64>;
/// The environment of a process.
type Environment = Vec<(String, String)>;

/// A demo lake with its results, and the same rows in other forms.
struct Rewritten {
    place: Place,
    /// By form.
    rows: BTreeMap<String, Counts>,
}

/// Whether other readers are installed.
pub fn has_readers() -> bool {
    let imports = ["-c", "import deltalake, duckdb, pyarrow"];
    let has = Command::new("python3").args(imports).output().is_ok_and(|output| output.status.success());
    let is_required = std::env::var_os("HINDCAST_REQUIRE_STORES").is_some();
    assert!(has || !is_required, "python3 lacks the packages of tests/requirements.txt");
    if !has {
        println!("skipped: python3 lacks the packages of tests/requirements.txt");
    }
    has
}

fn python(arguments: &[&str], environment: &Environment) -> String {
    let script = repository().join("tests/rewritten_lakes/rewrite.py");
    let environment = environment.iter().map(|(name, value)| (name, value));
    let output = Command::new("python3").arg(script).args(arguments).envs(environment).output();
    let output = output.expect("Python runs");
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("text")
}

impl Rewritten {
    /// `None` without Python's packages.
    fn new(forms: &[&str]) -> Option<Self> {
        if !has_readers() {
            return None;
        }
        let place = Place::with_demo(DEMO);
        place.scan_well("");
        let (lake, out) = (place.lake(), place.path("rewritten"));
        let mut arguments = vec![lake.to_str().expect("text"), out.to_str().expect("text")];
        arguments.extend(forms);
        let rows = serde_json::from_str(&python(&arguments, &Vec::new())).expect("counts as JSON");
        Some(Self { place, rows })
    }

    fn folder(&self, form: &str) -> PathBuf {
        self.place.path("rewritten").join(form)
    }

    /// Scans the lake at `url`, which has this form. Returns the folder of the results.
    fn scan(&self, form: &str, url: &str, environment: &Environment) -> PathBuf {
        let out = self.place.path(&format!("out of {form}"));
        let output = Command::new(env!("CARGO_BIN_EXE_hindcast"))
            .args(["scan", "--no-cache", "--format", "json,parquet", "--lake", url, "--out"])
            .arg(&out)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{form}: {}{}", stdout(&output), stderr(&output));
        out
    }

    /// Checks that the results in `out` are those of the plain lake, and that all rows of this form were read.
    fn check(&self, form: &str, out: &Path) {
        let plain: BTreeMap<String, PathBuf> = files_below(&self.place.out()).into_iter().collect();
        let own: BTreeMap<String, PathBuf> = files_below(out).into_iter().collect();
        assert_eq!(own.keys().collect::<Vec<_>>(), plain.keys().collect::<Vec<_>>(), "{form}");
        // These two name files, sizes and parameters, which differ.
        let is_compared = |name: &str| !["summary.json", "parameters.json"].contains(&name);
        for (name, path) in plain.iter().filter(|(name, _)| is_compared(name)) {
            let is_same = fs::read(path).expect("a file") == fs::read(&own[name]).expect("a file");
            assert!(is_same, "{form}: {name} differs from that of the plain lake");
        }
        let summaries =
            [&self.place.out(), out].map(|folder| read_json::<Value>(&folder.join("summary.json")));
        let [plain, own] = &summaries;
        for key in ["risk", "risk_by_day", "suites", "findings", "incidents", "analyses", "disabled"] {
            assert_eq!(own[key], plain[key], "{form}: {key}");
        }
        assert_eq!(own["coverage"]["complete"], true, "{form}");
        let (own, plain) = (rows_of(own), rows_of(plain));
        assert_eq!(own, plain, "{form}: rows by table");
        let mut counted = self.rows[form].clone();
        counted.retain(|table, _| own.contains_key(table));
        assert_eq!(own, counted, "{form}: another reader");
        assert!(own.len() > 5, "{form}: {own:?}");
    }
}

/// The rows that a scan read, by table. The demo has no DNS logs.
fn rows_of(summary: &Value) -> Counts {
    let mut rows = Counts::new();
    let entries = summary["coverage"]["tables"].as_array().expect("coverage");
    for entry in entries.iter().filter(|entry| entry["status"] != "missing") {
        let table = entry["table"].as_str().expect("a table").to_owned();
        *rows.entry(table).or_default() += entry["rows"].as_u64().expect("rows");
    }
    rows
}

#[test]
fn the_demo_lake_in_other_forms_gives_the_same_findings() {
    let forms = ["delta", "ocsf", "azure", "lower"];
    let Some(rewritten) = Rewritten::new(&forms) else { return };
    for form in forms {
        let url = rewritten.folder(form).display().to_string();
        rewritten.check(form, &rewritten.scan(form, &url, &Vec::new()));
    }
}

#[test]
fn other_forms_are_read_from_s3() {
    let Some(store) = Store::start() else { return };
    let Some(rewritten) = Rewritten::new(&["delta", "ocsf"]) else { return };
    store.upload(&rewritten.place.path("rewritten"));
    for form in ["delta", "ocsf"] {
        let url = format!("s3://{BUCKET}/soc/lake/{form}");
        rewritten.check(form, &rewritten.scan(form, &url, &store.environment()));
    }
    let counted =
        python(&["--count", "delta", &format!("s3://{BUCKET}/soc/lake/delta")], &store.environment());
    assert_eq!(serde_json::from_str::<Counts>(&counted).expect("counts"), rewritten.rows["delta"]);
}

#[test]
fn other_forms_are_read_from_azure() {
    let folder = Place::new();
    let Some(store) = AzureStore::start(&folder.path("azurite")) else { return };
    let Some(rewritten) = Rewritten::new(&["delta", "ocsf"]) else { return };
    python(&["--container", CONTAINER], &store.environment());
    store.upload(&rewritten.place.path("rewritten"));
    for form in ["delta", "ocsf"] {
        let url = format!("az://{CONTAINER}/{form}");
        rewritten.check(form, &rewritten.scan(form, &url, &store.environment()));
    }
    let counted = python(&["--count", "delta", &format!("az://{CONTAINER}/delta")], &store.environment());
    assert_eq!(serde_json::from_str::<Counts>(&counted).expect("counts"), rewritten.rows["delta"]);
}
