//! Messages that regular expressions with named groups take apart.

use std::borrow::Cow;

use regex::Regex;

use super::super::format::Record;

/// An expression, and the names of its groups.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    names: Vec<(usize, String)>,
}

impl Pattern {
    /// The pattern that a source writes.
    ///
    /// # Errors
    /// Why it is not a regular expression.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let regex = Regex::new(text).map_err(|error| error.to_string())?;
        let names = regex.capture_names().enumerate();
        let names = names.filter_map(|(group, name)| Some((group, name?.to_owned()))).collect();
        Ok(Self { regex, names })
    }
}

/// Adds the groups of the first of `patterns` that matches `text` to `record`.
///
/// # Errors
/// None matches.
pub(super) fn read<'a>(
    patterns: &'a [Pattern],
    text: &'a str,
    record: &mut Record<'a>,
) -> Result<(), String> {
    // A search without groups fails fast, and most patterns fail.
    let first = patterns.iter().find(|pattern| pattern.regex.is_match(text));
    let found = first.and_then(|pattern| Some((pattern, pattern.regex.captures(text)?)));
    let (pattern, groups) = found.ok_or("is in no form that the source knows")?;
    for (group, name) in &pattern.names {
        if let Some(value) = groups.get(*group).filter(|value| !value.is_empty()) {
            record.push((Cow::Borrowed(name.as_str()), Cow::Borrowed(value.as_str())));
        }
    }
    Ok(())
}
