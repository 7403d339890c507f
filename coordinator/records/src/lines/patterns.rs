//! Messages that regular expressions with named groups take apart.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::Regex;

use super::super::format::Record;

/// An expression, which is compiled when it is first used: sources have many, and an import uses few.
#[derive(Debug)]
pub struct Pattern {
    text: String,
    compiled: OnceLock<Result<Compiled, String>>,
}

/// A compiled expression, and the names of its groups.
#[derive(Debug)]
pub struct Compiled {
    pub regex: Regex,
    names: Vec<(usize, String)>,
}

/// `text` with its parts: `%{name:argument}` stands for the part of that name, in which `@` stands for the argument.
///
/// # Errors
/// A part does not exist, or contains itself.
pub fn expanded(text: &str, parts: &BTreeMap<String, String>) -> Result<String, String> {
    let mut text = text.to_owned();
    for _ in 0..1_000 {
        let Some((before, rest)) = text.split_once("%{") else { return Ok(text) };
        let (name, behind) = rest.split_once('}').ok_or_else(|| format!("{rest:?} has no }}"))?;
        let (name, argument) = name.split_once(':').unwrap_or((name, ""));
        let part = parts.get(name).ok_or_else(|| format!("there is no part {name:?}"))?;
        text = format!("{before}{}{behind}", part.replace('@', argument));
    }
    Err("a part contains itself".to_owned())
}

impl Pattern {
    /// The pattern that a source writes.
    pub fn new(text: String) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// The compiled expression.
    ///
    /// # Errors
    /// Why the text is not a regular expression.
    pub fn compiled(&self) -> Result<&Compiled, String> {
        let compile = || {
            let regex = Regex::new(&self.text).map_err(|error| error.to_string())?;
            let names = regex.capture_names().enumerate();
            let names = names.filter_map(|(group, name)| Some((group, name?.to_owned()))).collect();
            Ok(Compiled { regex, names })
        };
        self.compiled.get_or_init(compile).as_ref().map_err(Clone::clone)
    }
}

impl Compiled {
    /// Adds the groups of a match in `text` to `record`. The group `message` is returned instead.
    pub fn push<'a>(&'a self, text: &'a str, record: &mut Record<'a>) -> Option<&'a str> {
        if self.names.is_empty() {
            return None;
        }
        let groups = self.regex.captures(text)?;
        let mut message = None;
        for (group, name) in &self.names {
            match groups.get(*group).map_or("", |value| value.as_str()) {
                "" => {}
                value if name == "message" => message = Some(value),
                value => record.push((Cow::Borrowed(name.as_str()), Cow::Borrowed(value))),
            }
        }
        message
    }
}

/// Adds the groups of the first of `patterns` that matches `text` to `record`.
///
/// # Errors
/// None matches.
pub fn read<'a>(patterns: &'a [Pattern], text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
    // A search without groups fails fast, and most patterns fail.
    for pattern in patterns {
        let pattern = pattern.compiled()?;
        if pattern.regex.is_match(text) {
            pattern.push(text, record);
            return Ok(());
        }
    }
    Err("is in no form that the source knows".to_owned())
}
