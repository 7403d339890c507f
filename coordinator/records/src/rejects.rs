//! Records that can't be read, with file, line and reason.

use std::fs::File;
use std::io::{BufWriter, Write};

use hindcast_base::{Error, Result};
use serde::Serialize;

/// Bytes of a rejected record that are stored.
const STORED_BYTES: usize = 64 << 10;

/// Text that is not a record of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its line, relative to the start of its block.
    pub line: u64,
    /// Why it was rejected.
    pub reason: String,
    /// The text, with invalid UTF-8 replaced, truncated if it is long.
    pub text: String,
    /// Length of the whole text in bytes.
    pub bytes: usize,
}

impl Reject {
    /// The reject of `text` in a line, counted from 0 in its block.
    pub fn new(line: u64, reason: impl Into<String>, text: &[u8]) -> Self {
        let stored = &text[..text.len().min(STORED_BYTES)];
        let stored_text = String::from_utf8_lossy(stored).trim_end_matches(['\r', '\n']).to_owned();
        Self { line, reason: reason.into(), text: stored_text, bytes: text.len() }
    }
}

/// A line of a reject file.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: u64,
    reason: &'a str,
    bytes: usize,
    text: &'a str,
}

/// A reject file being written: JSON lines with file, line (from 1), reason, length and text.
pub struct RejectFile {
    target: BufWriter<File>,
    count: u64,
}

impl RejectFile {
    /// Creates a temporary file, which is deleted when this is dropped.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be created.
    pub fn create() -> Result<Self> {
        let file = tempfile::tempfile().map_err(Error::io("making a file for rejects"))?;
        Ok(Self { target: BufWriter::new(file), count: 0 })
    }

    /// Adds a reject of `file`, whose block starts at line `first_line`, from 0.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be written.
    pub fn add(&mut self, file: &str, first_line: u64, reject: &Reject) -> Result<()> {
        let line = Line {
            file,
            line: first_line + reject.line + 1,
            reason: &reject.reason,
            bytes: reject.bytes,
            text: &reject.text,
        };
        let mut json = serde_json::to_vec(&line).map_err(|error| Error::Internal(error.to_string()))?;
        json.push(b'\n');
        self.count += 1;
        self.target.write_all(&json).map_err(Error::io("writing rejects"))
    }

    /// Whether there are no rejects.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The file, at its start; `None` if there are no rejects.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be read back.
    pub fn finish(self) -> Result<Option<File>> {
        if self.count == 0 {
            return Ok(None);
        }
        let mut file =
            self.target.into_inner().map_err(|error| Error::io("writing rejects")(error.into_error()))?;
        std::io::Seek::rewind(&mut file).map_err(Error::io("reading rejects"))?;
        Ok(Some(file))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_reject_keeps_the_start_of_a_long_record() {
        let long = [b"x".repeat(STORED_BYTES), b"end\r\n".to_vec()].concat();
        let reject = Reject::new(3, "is too long", &long);
        assert_eq!((reject.text.len(), reject.bytes), (STORED_BYTES, STORED_BYTES + 5));
        let reject = Reject::new(0, "is not UTF-8", b"a\xff\r\n");
        assert_eq!((reject.text.as_str(), reject.bytes), ("a\u{fffd}", 4));
    }

    #[test]
    fn rejects_are_json_lines_with_line_numbers_of_the_file() {
        let mut rejects = RejectFile::create().unwrap();
        assert!(rejects.is_empty());
        rejects.add("a.json", 0, &Reject::new(0, "is not JSON", b"{\"a\n")).unwrap();
        rejects.add("b.csv", 100, &Reject::new(7, "has 1 cells", b"x")).unwrap();
        assert!(!rejects.is_empty());
        let mut text = String::new();
        rejects.finish().unwrap().unwrap().read_to_string(&mut text).unwrap();
        let wanted = concat!(
            r#"{"file":"a.json","line":1,"reason":"is not JSON","bytes":4,"text":"{\"a"}"#,
            "\n",
            r#"{"file":"b.csv","line":108,"reason":"has 1 cells","bytes":1,"text":"x"}"#,
            "\n"
        );
        assert_eq!(text, wanted);
    }

    #[test]
    fn without_rejects_there_is_no_file() {
        assert!(RejectFile::create().unwrap().finish().unwrap().is_none());
    }
}
