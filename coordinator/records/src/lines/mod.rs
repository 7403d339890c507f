//! Lines of text that are neither JSON, CEF nor CSV with a header: a source says how they become fields. A syslog header
//! may precede the message of each line.

mod cells;
mod header;
mod leef;
mod pairs;
mod patterns;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::built_in::Sources;
use super::encoding::text_of;
use super::format::Record;
use super::source::Source;
pub use header::SYSLOG_TIME;

use cells::Cells;
pub use pairs::{Pairs, REST};
use patterns::Pattern;

/// The lines of a source.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct LineFormat {
    /// Matches where the message begins. Its groups are fields; its group `message` is the message, if it has one.
    begins: Pattern,
    message: Message,
    /// Further forms, for lines of which this one finds no message.
    pub others: Vec<LineFormat>,
}

/// How messages are written.
#[derive(Debug)]
enum Message {
    Pairs(Pairs),
    Leef,
    Cells(Cells),
    Patterns(Vec<Pattern>),
    /// Messages of other programs: only the groups of where they begin.
    Aside,
}

/// The part `[lines]` of a source.
#[derive(Debug, Deserialize)]
#[serde(tag = "format", rename_all = "lowercase", deny_unknown_fields)]
enum Written {
    /// `key=value`, quoted or not.
    Pairs {
        /// Expressions for the start of a message.
        matches: Vec<String>,
        /// Between key and value.
        #[serde(default = "equals_sign")]
        assign: char,
        /// Between pairs.
        #[serde(default = "space")]
        delimiter: char,
    },
    /// Log Event Extended Format.
    Leef {
        /// Expressions for the start of a message.
        matches: Vec<String>,
    },
    /// Cells without a header.
    Cells {
        /// Expressions for the start of a message.
        matches: Vec<String>,
        /// Between cells. Several spaces count as one.
        #[serde(default = "comma")]
        delimiter: char,
        /// Cells whose values, separated by a space, choose the names; from 0.
        #[serde(default)]
        by: Vec<usize>,
        /// Names of the cells by these values. An empty name leaves the cell out.
        names: BTreeMap<String, Vec<String>>,
    },
    /// Expressions with named groups.
    Patterns {
        /// Expressions for the start of a message.
        matches: Vec<String>,
        /// The first that matches a message gives its fields.
        patterns: Vec<String>,
        /// Parts of them that have names.
        #[serde(default)]
        parts: BTreeMap<String, String>,
    },
    /// Messages of other programs in the same file, which have no more fields.
    Aside {
        /// Expressions for the start of a message.
        matches: Vec<String>,
    },
}

fn equals_sign() -> char {
    '='
}

fn space() -> char {
    ' '
}

fn comma() -> char {
    ','
}

impl TryFrom<Written> for LineFormat {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let byte = |character: char| {
            u8::try_from(character).ok().filter(u8::is_ascii).ok_or(format!("{character:?} is not ASCII"))
        };
        let (matches, message) = match written {
            Written::Pairs { matches, assign, delimiter } => {
                (matches, Message::Pairs(Pairs { assign: byte(assign)?, delimiter: byte(delimiter)? }))
            }
            Written::Leef { matches } => (matches, Message::Leef),
            Written::Cells { matches, delimiter, by, names } => {
                (matches, Message::Cells(Cells { delimiter: byte(delimiter)?, by, names }))
            }
            Written::Aside { matches } => (matches, Message::Aside),
            Written::Patterns { matches, patterns, parts } => {
                let patterns = patterns.iter().map(|text| patterns::expanded(text, &parts).map(Pattern::new));
                (matches, Message::Patterns(patterns.collect::<Result<_, _>>()?))
            }
        };
        let any: Vec<String> = matches.iter().map(|text| format!("(?:{text})")).collect();
        Ok(Self { begins: Pattern::new(any.join("|")), message, others: Vec::new() })
    }
}

impl LineFormat {
    /// Compiles all expressions.
    ///
    /// # Errors
    /// Which one is not a regular expression.
    pub fn check(&self) -> Result<(), String> {
        self.begins.compiled()?;
        if let Message::Patterns(patterns) = &self.message {
            patterns.iter().try_for_each(|pattern| pattern.compiled().map(drop))?;
        }
        self.others.iter().try_for_each(Self::check)
    }

    /// The first form that finds a message in `text`, and where the message begins.
    fn find(&self, text: &str) -> Result<Option<(&Self, usize)>, String> {
        if let Some(found) = self.begins.compiled()?.regex.find(text) {
            return Ok(Some((self, found.start())));
        }
        let mut others = self.others.iter().map(|other| other.find(text));
        others.find(|found| !matches!(found, Ok(None))).unwrap_or(Ok(None))
    }

    /// Whether a line has a message of the source, alone or after a syslog header.
    pub fn takes(&self, line: &[u8]) -> bool {
        let Ok(text) = text_of(line) else { return false };
        let Ok(Some((form, start))) = self.find(&text) else { return false };
        !matches!(form.message, Message::Aside) && header::is_header(&text[..start])
    }

    /// Adds the fields of the line `text` to `record`.
    ///
    /// # Errors
    /// Why it is not a line of the source.
    pub fn read<'a>(&'a self, text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
        let text = text.trim_end();
        let (form, start) = self.find(text)?.ok_or("is not a message of the source")?;
        let (header, message) = text.split_at(start);
        header::read(header, record);
        let message = form.begins.compiled()?.push(text, record).unwrap_or(message);
        match &form.message {
            Message::Pairs(pairs) => pairs.read(message, record),
            Message::Leef => leef::read(message, record)?,
            Message::Cells(cells) => cells.read(message, record)?,
            Message::Patterns(patterns) => patterns::read(patterns, message, record)?,
            Message::Aside => {}
        }
        Ok(())
    }
}

/// Lines of a source.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The source.
    pub source: Arc<Source>,
    /// Its lines.
    pub format: Arc<LineFormat>,
}

impl Lines {
    /// The source with the most messages in these lines, if most lines are its messages. A source that the user names
    /// needs only one message.
    pub fn of(lines: &[&[u8]], sources: &Sources) -> Option<Self> {
        let found = sources.with_lines().filter_map(|candidate| {
            let count = lines.iter().filter(|line| candidate.format.takes(line)).count();
            let is_enough = 2 * count > lines.len() || (sources.named().is_some() && count > 0);
            is_enough.then_some((count, candidate))
        });
        // Of several with as many, the first.
        found.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, lines)| lines)
    }
}

#[cfg(test)]
mod tests;
