//! A file's text in blocks of whole records.

use std::sync::Arc;

use hindcast_common::{Error, Result};

use super::detect::Sample;
use super::format::FileFormat;
use super::framing::{Framed, Span};
use super::inputs::{Bytestream, Input, read_up_to};
use super::rejects::Reject;
use super::source::Source;

/// Bytes read at once.
const BLOCK_BYTES: usize = 4 << 20;
/// Bytes from which what has no end is no record.
const MAX_RECORD_BYTES: usize = 16 << 20;
/// Bytes that tell what a file is.
const SAMPLE_BYTES: usize = 256 << 10;

/// Records that tell what a file is.
const SAMPLE_RECORDS: usize = 200;

/// Some records of a file.
pub(super) struct Block {
    /// The file, by its place among the inputs.
    pub(super) input: usize,
    /// How the records are read.
    pub(super) format: Arc<FileFormat>,
    /// The text.
    pub(super) bytes: Vec<u8>,
    /// Line of the text's first byte, counted from 0.
    pub(super) first_line: u64,
    /// The records.
    pub(super) spans: Vec<Span>,
    /// What is none.
    pub(super) rejects: Vec<Reject>,
}

/// Reads one file block by block.
pub(super) struct Blocks {
    input: usize,
    file: Input,
    stream: Bytestream,
    format: Arc<FileFormat>,
    /// Text read and not yet handed out.
    pending: Vec<u8>,
    line: u64,
    is_last: bool,
    /// Whether the text up to the next line's end belongs to a record that was given up.
    skipping: bool,
    /// What made the file end before its end, though the store gave all its bytes.
    failure: Option<String>,
    is_done: bool,
}

impl Blocks {
    /// The blocks of `file`, whose source may be `told`.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be opened or its store breaks off, [`Error::Config`] where its kind is not known.
    pub(super) fn open(input: usize, file: &Input, told: Option<&Source>) -> Result<Self> {
        let mut blocks = Self {
            input,
            file: file.clone(),
            stream: file.open()?,
            format: Arc::new(FileFormat::lines()),
            pending: Vec::new(),
            line: 0,
            is_last: false,
            skipping: false,
            failure: None,
            is_done: false,
        };
        blocks.fill(SAMPLE_BYTES)?;
        if let (true, Some(reason)) = (blocks.pending.is_empty(), &blocks.failure) {
            return Err(Error::Config(format!("{}: {reason}", file.name)));
        }
        if blocks.pending.starts_with("\u{feff}".as_bytes()) {
            blocks.pending.drain(..3);
        }
        let sample = Sample { text: &blocks.pending, is_whole: blocks.is_last };
        let (format, header_bytes) = FileFormat::of(sample, told)
            .map_err(|reason| Error::Config(format!("{}: {reason}", file.name)))?;
        blocks.line = format.framing.line_ends(&blocks.pending[..header_bytes]);
        blocks.pending.drain(..header_bytes);
        blocks.format = Arc::new(format);
        Ok(blocks)
    }

    /// The first records, and how they are read; to tell what the file is.
    pub(super) fn sample(&self) -> (Arc<FileFormat>, Vec<&[u8]>) {
        let (format, framed) = FileFormat::cut(&self.format, &self.pending, self.is_last);
        // Where the text starts with a header of its own, the records come behind it.
        let (format, offset, framed) = if framed.spans.is_empty() && framed.consumed > 0 {
            let (format, behind) = FileFormat::cut(&format, &self.pending[framed.consumed..], self.is_last);
            (format, framed.consumed, behind)
        } else {
            (format, 0, framed)
        };
        let records = framed.spans.iter().take(SAMPLE_RECORDS);
        let records = records.map(|span| &self.pending[offset + span.start..offset + span.end]).collect();
        (format, records)
    }

    /// Has records wrap CEF messages, in the field at a path.
    pub(super) fn unwrap_messages(&mut self, path: String) {
        self.format = Arc::new(FileFormat { messages_in: Some(path), ..self.format.as_ref().clone() });
    }

    /// The field in which records wrap CEF messages, where they do.
    pub(super) fn messages_in(&self) -> Option<String> {
        self.format.messages_in.clone()
    }

    /// The next block; `None` after the last. A file that breaks off by itself, such as a cut archive, ends with a reject.
    ///
    /// # Errors
    /// [`Error::Io`] where the file's store breaks off.
    pub(super) fn next(&mut self) -> Result<Option<Block>> {
        while !self.is_done {
            if !self.is_last && self.pending.len() < BLOCK_BYTES {
                self.fill(BLOCK_BYTES)?;
            }
            if self.skipping && !self.skip() {
                continue;
            }
            let mut block = self.cut();
            // A header among the rows ends a block before the text does.
            if self.is_last && (self.pending.is_empty() || block.bytes.is_empty()) {
                self.is_done = true;
                if let Some(reason) = self.failure.take() {
                    let line = self.format.framing.line_ends(&block.bytes);
                    block.rejects.push(Reject::new(line, reason, b""));
                }
                return Ok(Some(block));
            }
            if block.bytes.is_empty() {
                self.grow_or_give_up(&mut block)?;
            }
            if !block.bytes.is_empty() || !block.rejects.is_empty() {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// The whole records of the pending text, taken out of it.
    fn cut(&mut self) -> Block {
        let (format, Framed { spans, rejects, consumed }) =
            FileFormat::cut(&self.format, &self.pending, self.is_last);
        let rest = self.pending.split_off(consumed);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let first_line = self.line;
        self.line += self.format.framing.line_ends(&bytes);
        let used = std::mem::replace(&mut self.format, format);
        Block { input: self.input, format: used, bytes, first_line, spans, rejects }
    }

    /// Reads on where a record is longer than a block, up to what a record may have.
    fn grow_or_give_up(&mut self, block: &mut Block) -> Result<()> {
        if self.pending.len() < MAX_RECORD_BYTES {
            return self.fill(BLOCK_BYTES);
        }
        let reason = format!("has no end within {} MiB", MAX_RECORD_BYTES >> 20);
        block.rejects.push(Reject::new(0, reason, &self.pending));
        self.skipping = true;
        self.skip();
        Ok(())
    }

    /// Drops the pending text up to its first line's end, and what else ends lines behind it; tells whether there was one,
    /// or the file ended.
    fn skip(&mut self) -> bool {
        match memchr::memchr3(b'\n', b'\r', 0, &self.pending) {
            Some(end) => {
                let ends =
                    self.pending[end..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
                self.line += self.format.framing.line_ends(&self.pending[..end + ends]);
                self.pending.drain(..end + ends);
                self.skipping = false;
            }
            None => self.pending.clear(),
        }
        !self.skipping || self.is_last
    }

    fn fill(&mut self, bytes: usize) -> Result<()> {
        let filled = self.pending.len();
        self.pending.resize(filled + bytes, 0);
        let (length, failure) = read_up_to(&mut self.stream, &mut self.pending[filled..]);
        self.pending.truncate(filled + length);
        self.is_last = length < bytes;
        // What the store broke off has more to it: that is no end of the file.
        if self.is_last {
            self.file.check_whole()?;
        }
        self.failure = failure.map(|error| format!("the file can't be read to its end: {error}"));
        Ok(())
    }
}
