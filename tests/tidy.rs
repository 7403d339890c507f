//! Rules of the source tree: short files with module documentation, and short functions.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 75;
/// Folders of other programs and of data.
const SKIPPED_FOLDERS: [&str; 4] = ["target", "recorded", "hindcast-out", "__pycache__"];

/// The root of the repository.
pub fn repository() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("Cargo.lock").exists()).expect("a workspace").to_owned()
}

/// Adds the files below `folder` whose names end with one of `endings`, without hidden folders.
pub fn add_files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().expect("a type").is_dir() {
            if !name.starts_with('.') && !SKIPPED_FOLDERS.contains(&name.as_str()) {
                add_files(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

fn rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    add_files(&repository(), &[".rs"], &mut found);
    assert!(found.len() > 400, "{} files", found.len());
    found
}

#[test]
fn files_are_documented_and_short() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("//! "), "{} does not start with module documentation", path.display());
        let lines = text.lines().count();
        assert!(lines <= MAX_FILE_LINES, "{} has {lines} lines", path.display());
    }
}

#[test]
fn functions_are_short() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).expect("text");
        let mut start: Option<(usize, usize)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            match start {
                None if is_function(line) && !line.trim_end().ends_with([';', '}']) => {
                    start = Some((number, indent));
                }
                Some((first, of)) if line.trim_end() == format!("{}}}", " ".repeat(of)) => {
                    let length = number - first;
                    let place = format!("{}:{}", path.display(), first + 1);
                    assert!(length <= MAX_FUNCTION_LINES, "{place} is {length} lines long");
                    start = None;
                }
                _ => {}
            }
        }
    }
}

/// Whether a function begins on the line.
fn is_function(line: &str) -> bool {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub") {
        rest =
            after.strip_prefix('(').and_then(|scope| scope.split_once(')')).map_or(after, |(_, rest)| rest);
    }
    let words = rest.split_whitespace().take_while(|word| ["const", "async", "unsafe", "fn"].contains(word));
    words.last() == Some("fn")
}
