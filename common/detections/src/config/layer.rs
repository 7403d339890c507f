//! The text of a configuration file, and errors that name a place in it.

use std::fmt::Display;

use hindcast_base::Error;
use hindcast_base::file_fault::FileFault;

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
    pub fn error_at(&self, offset: usize, what: impl Display) -> Error {
        Error::in_file(self.name, self.line_of(offset), what)
    }

    /// The error of text that is not valid TOML, with the lines it quotes.
    pub fn error(&self, error: &toml::de::Error) -> Error {
        Error::File(FileFault {
            file: self.name.to_owned(),
            line: error.span().map(|span| self.line_of(span.start)),
            message: error.message().to_owned(),
            excerpt: Some(error.to_string().trim_end().to_owned()),
        })
    }
}
