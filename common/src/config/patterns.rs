//! Pattern lists: regular expressions with the texts they must and must not match.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Layer;
use crate::{Error, Result};

/// Upper bound of one compiled list, in bytes: a longer one is refused rather than filling memory.
const SIZE_LIMIT_BYTES: usize = 16 << 20;

/// One pattern, matched anywhere in the lower-cased text, with its cases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Regular expression of the `regex` crate; letters match either case.
    pub pattern: String,
    /// Texts it must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<String>,
    /// Texts it must not match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misses: Vec<String>,
}

/// A list of rules; a text matches the list where it matches any of them.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    rules: Vec<Rule>,
    compiled: OnceLock<Option<Regex>>,
}

impl Patterns {
    /// The rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A list of these regular expressions, without cases.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first pattern that does not compile, or says that all of them are too large.
    pub fn of(patterns: &[impl AsRef<str>]) -> Result<Self> {
        let rule = |pattern: &str| Rule { pattern: pattern.to_owned(), ..Rule::default() };
        let rules: Vec<Rule> = patterns.iter().map(|pattern| rule(pattern.as_ref())).collect();
        let mut list = Self { rules, compiled: OnceLock::new() };
        if !list.rules.is_empty() {
            let compiled = compile(&list.source()).map_err(|error| Error::Config(list.fault(error)))?;
            list.compiled = OnceLock::from(Some(compiled));
        }
        Ok(list)
    }

    /// What is wrong with a list that does not compile.
    fn fault(&self, of_list: regex::Error) -> String {
        let fault = |rule: &Rule| {
            let error = compile(&rule.pattern).err()?;
            Some(BadPattern { pattern: &rule.pattern, error }.to_string())
        };
        self.rules.iter().find_map(fault).unwrap_or_else(|| of_list.to_string())
    }

    /// A list that matches text holding one of `words`, any case.
    pub fn containing_any(words: &[impl AsRef<str>]) -> Self {
        Self::of_literals(words, "", "")
    }

    /// A list that matches text holding `word`, any case.
    pub fn containing(word: &str) -> Self {
        Self::of_literals(&[word], "", "")
    }

    /// A list that matches text equal to one of `words`, any case.
    pub fn equal_to(words: &[impl AsRef<str>]) -> Self {
        Self::of_literals(words, "^", "$")
    }

    /// A list that matches text starting with one of `words`, any case.
    pub fn starting_with(words: &[impl AsRef<str>]) -> Self {
        Self::of_literals(words, "^", "")
    }

    fn of_literals(words: &[impl AsRef<str>], before: &str, after: &str) -> Self {
        let rule = |word: &str| Rule {
            pattern: format!("{before}{}{after}", regex::escape(&word.to_lowercase())),
            ..Rule::default()
        };
        let rules = words.iter().map(|word| rule(word.as_ref())).collect();
        Self { rules, compiled: OnceLock::new() }
    }

    /// The whole list as one expression.
    pub fn source(&self) -> String {
        let alternatives: Vec<String> =
            self.rules.iter().map(|rule| format!("(?:{})", rule.pattern)).collect();
        alternatives.join("|")
    }

    /// Whether `text`, lower-cased, matches any rule. `scratch` is reused between calls.
    pub fn is_match(&self, text: &str, scratch: &mut String) -> bool {
        let regex = self.compiled.get_or_init(|| {
            // Each rule was compiled when it was read, so the list fails only by its size: it then matches nothing
            // here, and `compile_list` has refused it before.
            if self.rules.is_empty() { None } else { compile(&self.source()).ok() }
        });
        let Some(regex) = regex else {
            return false;
        };
        scratch.clear();
        if text.is_ascii() {
            scratch.push_str(text);
            scratch.make_ascii_lowercase();
        } else {
            scratch.push_str(&text.to_lowercase());
        }
        regex.is_match(scratch)
    }

    /// Checks every rule against its own cases.
    ///
    /// # Errors
    /// The first pattern and text that disagree.
    pub fn check_cases(&self) -> Result<(), BadCase> {
        let mut scratch = String::new();
        for rule in &self.rules {
            let alone = Patterns { rules: vec![rule.clone()], compiled: OnceLock::new() };
            let cases = rule.hits.iter().map(|t| (t, true)).chain(rule.misses.iter().map(|t| (t, false)));
            for (text, is_hit) in cases {
                if alone.is_match(text, &mut scratch) != is_hit {
                    return Err(BadCase { pattern: rule.pattern.clone(), text: text.clone(), is_hit });
                }
            }
        }
        Ok(())
    }
}

/// A pattern that misses a text it must hit, or hits one it must miss.
#[derive(Debug, thiserror::Error)]
#[error(
    "pattern {pattern:?} {} {text:?}, which its {} name",
    if *is_hit { "does not match" } else { "matches" },
    if *is_hit { "hits" } else { "misses" }
)]
pub struct BadCase {
    pattern: String,
    text: String,
    is_hit: bool,
}

impl BadCase {
    /// The error of the list `list` of `layer`, with the line where the pattern stands as it is.
    pub(super) fn in_file(&self, layer: &Layer<'_>, list: &str) -> Error {
        let line = layer.text.lines().position(|line| line.contains(&self.pattern));
        let line = line.map(|line| format!(", line {}", line + 1)).unwrap_or_default();
        Error::Config(format!("{}{line}: {list}: {self}", layer.name))
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    // The text is lower-cased before the match, so only patterns with capitals pay for folding.
    let has_capitals = pattern.bytes().any(|byte| byte.is_ascii_uppercase()) || !pattern.is_ascii();
    RegexBuilder::new(pattern).case_insensitive(has_capitals).size_limit(SIZE_LIMIT_BYTES).build()
}

/// A pattern that does not compile. The pattern stands in marks by which its line is found.
#[derive(Debug, thiserror::Error)]
#[error("pattern `{pattern}`: {error}")]
struct BadPattern<'a> {
    pattern: &'a str,
    error: regex::Error,
}

/// The line of `text`, counted from 1, on which the bad pattern of an error message stands.
pub(super) fn line_of_bad_pattern(message: &str, text: &str) -> Option<usize> {
    let pattern = message.strip_prefix("pattern `")?.split("`: ").next()?;
    text.lines().position(|line| line.contains(pattern)).map(|line| line + 1)
}

/// As a file may write a rule: the pattern alone, or a table with its cases.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenRule {
    Pattern(String),
    Rule(Rule),
}

/// A rule that compiles; read one by one so that an error carries the rule's own line.
struct CheckedRule(Rule);

impl<'de> Deserialize<'de> for CheckedRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = match WrittenRule::deserialize(deserializer)? {
            WrittenRule::Pattern(pattern) => Rule { pattern, ..Rule::default() },
            WrittenRule::Rule(rule) => rule,
        };
        compile(&rule.pattern)
            .map_err(|error| D::Error::custom(BadPattern { pattern: &rule.pattern, error }))?;
        Ok(Self(rule))
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rules: Vec<CheckedRule> = Vec::deserialize(deserializer)?;
        let patterns =
            Patterns { rules: rules.into_iter().map(|rule| rule.0).collect(), compiled: OnceLock::new() };
        if !patterns.rules.is_empty() {
            compile(&patterns.source()).map_err(D::Error::custom)?;
        }
        Ok(patterns)
    }
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rules.iter().map(|rule| &rule.pattern))
    }
}
