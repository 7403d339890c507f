//! The tree as a good engineer wants to inherit it: short files, each saying what it is for.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILE: usize = 400;
const MAX_FUNCTION: usize = 75;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for part in ["common", "coordinator", "worker/src", "proto/src", "tests"] {
        sources(&root.join(part), &mut found);
    }
    assert!(found.len() > 60);
    found
}

#[test]
fn files_say_what_they_are_for_and_are_short() {
    for path in all_sources() {
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("//! "), "{} does not open with what it is for", path.display());
        let lines = text.lines().count();
        assert!(lines <= MAX_FILE, "{} has {lines} lines", path.display());
    }
}

#[test]
fn functions_are_short() {
    for path in all_sources() {
        let text = fs::read_to_string(&path).expect("text");
        let mut start: Option<(usize, usize)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_function =
                ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn ", "pub(super) async fn "]
                    .iter()
                    .any(|head| line.trim_start().starts_with(head));
            match start {
                None if is_function && !line.trim_end().ends_with([';', '}']) => {
                    start = Some((number, indent))
                }
                Some((first, of)) if line.trim_end() == format!("{}}}", " ".repeat(of)) => {
                    let length = number - first;
                    assert!(
                        length <= MAX_FUNCTION,
                        "{}:{} is {length} lines long",
                        path.display(),
                        first + 1
                    );
                    start = None;
                }
                _ => {}
            }
        }
    }
}
