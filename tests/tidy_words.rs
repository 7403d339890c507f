//! Words that must not come back: each was a private word for something with a common name.

use std::fs;

use crate::tidy::{add_files, repository};

/// The words in lower case. Parts of identifiers are words too: both `bytes_told` and `WindowTold` contain `told`.
const WORDS: [&str; 26] = [
    "anew", "asked", "bears", "beside", "dice", "hence", "judge", "judged", "lest", "likest", "naught",
    "nought", "patience", "rival", "rivals", "seat", "seats", "sickness", "tell", "telling", "tells",
    "thence", "thereof", "told", "whence", "whoever",
];
/// Former names of things that have a plain one now.
const IDENTIFIERS: [&str; 21] = [
    "JobBoard",
    "JobCodec",
    "JobExec",
    "JobLedger",
    "JobMeans",
    "JobTasks",
    "LeftAlone",
    "LoggedTable",
    "LookedUp",
    "MeansArguments",
    "MergeJob",
    "NAMINGS",
    "RollupJob",
    "TiedName",
    "caught_now",
    "coverage_of",
    "look_at_window",
    "merged_if_there",
    "most_alike",
    "outlast",
    "passed_over",
];
/// Other ways to say "one ... per ...".
const PHRASES: [&str; 4] = ["a row a ", "a task a ", "a unit a ", "once a value"];
const ENDINGS: [&str; 11] =
    [".rs", ".toml", ".md", ".html", ".proto", ".sql", ".py", ".sh", ".yaml", ".yml", "justfile"];
/// The history, and this list.
const EXCEPTED_FILES: [&str; 2] = ["CHANGELOG.md", "tests/tidy_words.rs"];
/// Words that a stored or public name needs.
const EXCEPTED_LINES: [&str; 1] = ["#[serde(rename = \"asked\")]"];

#[test]
fn private_words_do_not_come_back() {
    let root = repository();
    let mut files = Vec::new();
    add_files(&root, &ENDINGS, &mut files);
    let mut found = Vec::new();
    for path in files {
        let name = path.strip_prefix(&root).expect("a file of the repository").display().to_string();
        if EXCEPTED_FILES.contains(&name.as_str()) {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
        for (number, line) in text.lines().enumerate() {
            if !EXCEPTED_LINES.contains(&line.trim()) {
                let wrong = private_words(line).into_iter();
                found.extend(wrong.map(|word| format!("{name}:{}: {word:?}", number + 1)));
            }
        }
    }
    assert!(found.is_empty(), "say it in common words:\n{}", found.join("\n"));
}

/// The words, identifiers and phrases of the lists in a line.
fn private_words(line: &str) -> Vec<String> {
    let mut found: Vec<String> =
        words_of(line).into_iter().filter(|word| WORDS.contains(&word.as_str())).collect();
    let identifiers = line.split(|next: char| !next.is_ascii_alphanumeric() && next != '_');
    found.extend(identifiers.filter(|name| IDENTIFIERS.contains(name)).map(str::to_owned));
    found.extend(PHRASES.iter().filter(|phrase| line.contains(*phrase)).map(|phrase| (*phrase).to_owned()));
    found
}

/// The words of a line in lower case, with identifiers split at underscores and capital letters.
fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut is_after_lower_case = false;
    for next in line.chars() {
        if !next.is_ascii_alphabetic() || (next.is_ascii_uppercase() && is_after_lower_case) {
            words.push(std::mem::take(&mut word));
        }
        if next.is_ascii_alphabetic() {
            word.push(next.to_ascii_lowercase());
        }
        is_after_lower_case = next.is_ascii_lowercase();
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn words_are_found_in_identifiers() {
    assert_eq!(
        words_of("bytes_told(WindowTold, TOLD_TABLES, untold)").join(" "),
        "bytes told window told told tables untold"
    );
    assert_eq!(private_words("let LookedUp = told;"), ["told", "LookedUp"]);
    assert!(private_words("a_teller tolled the sea").is_empty());
}
