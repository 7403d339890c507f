//! Reads ASCII text from left to right.

/// A position in a text.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    /// Index of the next byte.
    pub(super) at: usize,
}

impl<'t> Cursor<'t> {
    /// Starts at the beginning of `text`, which is ASCII.
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Index of the next byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips the next byte if it is one of `wanted`, and returns it.
    pub(super) fn take_any(&mut self, wanted: &[u8]) -> Option<u8> {
        let next = self.peek().filter(|byte| wanted.contains(byte))?;
        self.at += 1;
        Some(next)
    }

    /// Skips the next byte if it is `wanted`.
    pub(super) fn take(&mut self, wanted: u8) -> bool {
        self.take_any(&[wanted]).is_some()
    }

    /// Skips spaces, and returns their number.
    pub(super) fn spaces(&mut self) -> usize {
        self.take_while(|byte| byte == b' ').len()
    }

    /// Takes the letters that follow.
    pub(super) fn letters(&mut self) -> &'t str {
        self.take_while(|byte| byte.is_ascii_alphabetic())
    }

    /// Takes a number of one to `most` digits that no further digit follows, and returns it with the number of its digits.
    /// Otherwise the cursor does not move.
    pub(super) fn number(&mut self, most: usize) -> Option<(u32, usize)> {
        let start = self.at;
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let number = if digits.len() <= most { digits.parse().ok() } else { None };
        if number.is_none() {
            self.at = start;
        }
        number.map(|number| (number, digits.len()))
    }

    /// Takes a number of exactly `digits` digits.
    pub(super) fn number_of(&mut self, digits: usize) -> Option<u32> {
        let start = self.at;
        let found = self.number(digits).filter(|(_, length)| *length == digits);
        if found.is_none() {
            self.at = start;
        }
        found.map(|(number, _)| number)
    }

    /// Takes bytes as long as `is_taken` holds.
    pub(super) fn take_while(&mut self, is_taken: impl Fn(u8) -> bool) -> &'t str {
        let start = self.at;
        self.at += self.text.as_bytes()[start..].iter().take_while(|byte| is_taken(**byte)).count();
        &self.text[start..self.at]
    }
}
