//! Pattern lists: regular expressions matched anywhere in lower-cased text.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

use hindcast_base::{Error, Result};

/// Upper bound of one compiled list, in bytes: a longer one is refused rather than filling memory.
const SIZE_LIMIT_BYTES: usize = 16 << 20;

/// A list of regular expressions of the `regex` crate; a text matches the list where it matches any of them. Letters
/// match either case.
///
/// ```
/// use hindcast_functions::Patterns;
///
/// let archivers = Patterns::of(&[r"\b7z\s+a\b", "compress-archive"])?;
/// let mut scratch = String::new();
/// assert!(archivers.is_match(r"C:\Tools\7Z a out.7z docs", &mut scratch));
/// assert!(!archivers.is_match("7z x in.7z", &mut scratch));
/// # Ok::<(), hindcast_base::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    patterns: Vec<String>,
    compiled: OnceLock<Option<Regex>>,
}

impl Patterns {
    /// The list of these regular expressions.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the first pattern that does not compile, or says that all of them are too large.
    pub fn of(patterns: &[impl AsRef<str>]) -> Result<Self> {
        let patterns = patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect();
        let mut list = Self { patterns, compiled: OnceLock::new() };
        if !list.patterns.is_empty() {
            let compiled = compile(&list.source()).map_err(|error| Error::Invalid(list.fault(&error)))?;
            list.compiled = OnceLock::from(Some(compiled));
        }
        Ok(list)
    }

    /// What is wrong with a list that does not compile.
    fn fault(&self, of_list: &regex::Error) -> String {
        let fault = |pattern: &String| {
            let error = compile(pattern).err()?;
            Some(format!("pattern `{pattern}`: {error}"))
        };
        self.patterns.iter().find_map(fault).unwrap_or_else(|| of_list.to_string())
    }

    /// A list that matches text holding one of `words`, any case.
    pub(crate) fn containing_any(words: &[impl AsRef<str>]) -> Self {
        Self::of_literals(words, "", "")
    }

    /// A list that matches text equal to one of `words`, any case.
    pub(crate) fn equal_to(words: &[impl AsRef<str>]) -> Self {
        Self::of_literals(words, "^", "$")
    }

    /// A list that matches text starting with one of `words`, any case.
    pub(crate) fn starting_with(words: &[impl AsRef<str>]) -> Self {
        Self::of_literals(words, "^", "")
    }

    fn of_literals(words: &[impl AsRef<str>], before: &str, after: &str) -> Self {
        let pattern = |word: &str| format!("{before}{}{after}", regex::escape(&word.to_lowercase()));
        let patterns = words.iter().map(|word| pattern(word.as_ref())).collect();
        Self { patterns, compiled: OnceLock::new() }
    }

    /// The whole list as one expression.
    pub fn source(&self) -> String {
        let alternatives: Vec<String> =
            self.patterns.iter().map(|pattern| format!("(?:{pattern})")).collect();
        alternatives.join("|")
    }

    /// Whether `text`, lower-cased, matches any pattern. `scratch` is reused between calls.
    pub fn is_match(&self, text: &str, scratch: &mut String) -> bool {
        let regex = self.compiled.get_or_init(|| {
            // Lists are compiled once when they are read, and refused there: this fails only for literals of a length
            // that no list has.
            if self.patterns.is_empty() { None } else { compile(&self.source()).ok() }
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
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    // The text is lower-cased before the match, so only patterns with capitals pay for folding.
    let has_capitals = pattern.bytes().any(|byte| byte.is_ascii_uppercase()) || !pattern.is_ascii();
    RegexBuilder::new(pattern).case_insensitive(has_capitals).size_limit(SIZE_LIMIT_BYTES).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching<'a>(list: &Patterns, texts: &[&'a str]) -> Vec<&'a str> {
        let mut scratch = String::new();
        texts.iter().copied().filter(|text| list.is_match(text, &mut scratch)).collect()
    }

    #[test]
    fn a_text_matches_any_pattern_anywhere_in_any_case() {
        let list = Patterns::of(&["7z\\s+a", "RAR$", "straße"]).unwrap();
        let texts = ["c:\\7Z  A x", "7za x", "WinRar", "rar x", "Hauptstraße", "HAUPTSTRAßE", ""];
        assert_eq!(matching(&list, &texts), ["c:\\7Z  A x", "WinRar", "Hauptstraße", "HAUPTSTRAßE"]);
    }

    #[test]
    fn lists_of_words_take_them_literally() {
        let words = ["a.b", "X"];
        let texts = ["A.B", "axb", "ya.bz", "x", "xa", "ax", "q"];
        assert_eq!(matching(&Patterns::equal_to(&words), &texts), ["A.B", "x"]);
        assert_eq!(matching(&Patterns::starting_with(&words), &texts), ["A.B", "x", "xa"]);
        assert_eq!(
            matching(&Patterns::containing_any(&words), &texts),
            ["A.B", "axb", "ya.bz", "x", "xa", "ax"]
        );
    }

    #[test]
    fn an_empty_list_matches_nothing() {
        let none: [&str; 0] = [];
        for list in [Patterns::default(), Patterns::of(&none).unwrap(), Patterns::equal_to(&none)] {
            assert!(matching(&list, &["", "a"]).is_empty());
        }
    }

    #[test]
    fn the_pattern_that_does_not_compile_is_named() {
        let error = Patterns::of(&["fine", "broken(", "worse["]).unwrap_err().to_string();
        assert!(error.starts_with("pattern `broken(`: "), "{error}");
    }
}
