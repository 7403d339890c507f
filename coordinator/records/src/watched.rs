//! What is known of a file in a watched folder.

/// What to note about a file when it is imported.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    /// The file with its size and time.
    pub file: u128,
    /// Its text, if it could be read to its end.
    pub text: Option<Text>,
    /// Bytes at the start of its text that were imported before.
    pub from: u64,
}

/// A text: its length, and half of its BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text {
    /// Bytes of UTF-8.
    pub bytes: u64,
    /// Half of its BLAKE3.
    pub hash: u128,
}
