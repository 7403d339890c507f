//! The text of a configuration file, and errors that name a place in it.

use std::fmt::Display;

use hindcast_base::Error;

/// The text of a configuration file, and its name for errors.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// Path or URL.
    pub name: &'a str,
    /// TOML.
    pub text: &'a str,
}

impl Layer<'_> {
    /// The line, counted from 1, of a place in the text.
    pub fn line_of(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    /// An error at a place in the text.
    pub(crate) fn error_at(&self, offset: usize, what: impl Display) -> Error {
        Error::Invalid(format!("{}, line {}: {what}", self.name, self.line_of(offset)))
    }

    /// The error of text that is not valid TOML, with the lines it quotes.
    pub fn error(&self, error: &toml::de::Error) -> Error {
        Error::Invalid(format!("{}: {}", self.name, error.to_string().trim_end()))
    }
}
