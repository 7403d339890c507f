//! Reads a file as blocks of whole records.

use std::sync::Arc;

use hindcast_base::{Error, Result};

use super::built_in::Sources;
use super::detect::Sample;
use super::envelopes::Wrapper;
use super::format::{FileFormat, Kind};
use super::framing::{Framed, Span};
use super::inputs::{Bytestream, Input, Layers, read_up_to};
use super::rejects::Reject;
use super::wrapped::Wrapped;

/// Bytes per read.
const BLOCK_BYTES: usize = 2 << 20;
/// Longest record; longer text without an end is rejected.
const MAX_RECORD_BYTES: usize = 16 << 20;
/// Bytes from which the format is detected.
const SAMPLE_BYTES: usize = 256 << 10;

/// Records from which the source is detected.
const SAMPLE_RECORDS: usize = 200;

/// Consecutive records of a file.
pub struct Block {
    /// Index of the file among the inputs.
    pub input: usize,
    /// The format of the records.
    pub format: Arc<FileFormat>,
    /// The text.
    pub bytes: Vec<u8>,
    /// Line of the text's first byte, from 0.
    pub first_line: u64,
    /// The records.
    pub spans: Vec<Span>,
    /// Text that is not a record.
    pub rejects: Vec<Reject>,
}

impl Block {
    /// Leaves out the records that end within the first `bytes`, which were imported before. A record that was cut there is
    /// kept, as only its rest makes it whole.
    fn skip(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.bytes.len());
        if bytes > 0 {
            let line = self.format.framing.line_ends(&self.bytes[..bytes]);
            self.spans.retain(|span| span.end > bytes);
            self.rejects.retain(|reject| bytes < self.bytes.len() && reject.line >= line);
        }
    }
}

/// Reads one file block by block.
pub struct Blocks {
    input: usize,
    file: Input,
    stream: Bytestream,
    /// What the text is in.
    pub layers: Layers,
    format: Arc<FileFormat>,
    /// Text that was read and is not yet in a block.
    pending: Vec<u8>,
    line: u64,
    /// Bytes of text before the pending text.
    at: u64,
    is_last: bool,
    /// Whether the text up to the next line end belongs to a rejected record.
    skipping: bool,
    /// Why the file's content ends early although the store delivered all bytes.
    failure: Option<String>,
    is_done: bool,
}

impl Blocks {
    /// Opens `file`, which has one of the sources.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be opened or its store fails, [`Error::Invalid`] if its format is unknown.
    pub fn open(input: usize, file: &Input, sources: &Sources) -> Result<Self> {
        let (stream, layers) = file.open()?;
        let mut blocks = Self {
            input,
            file: file.clone(),
            stream,
            layers,
            format: Arc::new(FileFormat::lines()),
            pending: Vec::new(),
            line: 0,
            at: 0,
            is_last: false,
            skipping: false,
            failure: None,
            is_done: false,
        };
        blocks.fill(SAMPLE_BYTES)?;
        if let (true, Some(reason)) = (blocks.pending.is_empty(), &blocks.failure) {
            return Err(Error::Invalid(format!("{}: {reason}", file.name)));
        }
        if blocks.pending.starts_with("\u{feff}".as_bytes()) {
            blocks.take(3);
        }
        let sample = Sample { text: &blocks.pending, is_whole: blocks.is_last };
        let (format, header_bytes) = FileFormat::of(sample, sources)
            .map_err(|reason| Error::Invalid(format!("{}: {reason}", file.name)))?;
        blocks.line = format.framing.line_ends(&blocks.pending[..header_bytes]);
        blocks.take(header_bytes);
        blocks.format = Arc::new(FileFormat { file_name: short_name(&file.name), ..format });
        // The source is detected from whole records, of which the first may be longer than the sample.
        while !blocks.is_last && blocks.pending.len() < MAX_RECORD_BYTES && blocks.sample().1.is_empty() {
            blocks.fill(BLOCK_BYTES)?;
        }
        let (format, records) = blocks.sample();
        let wrapper = match format.kind {
            Kind::Json => format.with_records(&records, Wrapper::of),
            _ => None,
        };
        blocks.format = Arc::new(FileFormat { wrapper, ..blocks.format.as_ref().clone() });
        Ok(blocks)
    }

    /// The format and the first records, from which the source is detected.
    pub fn sample(&self) -> (Arc<FileFormat>, Vec<&[u8]>) {
        let (mut format, mut framed) = FileFormat::cut(&self.format, &self.pending, self.is_last);
        let mut offset = 0;
        // If the text starts with headers, the records follow them. `next` has the format of what follows the records.
        let mut next = Arc::clone(&format);
        if !framed.spans.is_empty() {
            format = Arc::clone(&self.format);
        }
        while framed.spans.is_empty() && framed.consumed > 0 {
            offset += framed.consumed;
            format = Arc::clone(&next);
            (next, framed) = FileFormat::cut(&format, &self.pending[offset..], self.is_last);
        }
        let records = framed.spans.iter().take(SAMPLE_RECORDS);
        let records = records.map(|span| &self.pending[offset + span.start..offset + span.end]).collect();
        (format, records)
    }

    /// Reads records as wrappers of messages.
    pub fn unwrap_messages(&mut self, wrapped: Wrapped) {
        self.format = Arc::new(FileFormat { messages_in: Some(wrapped), ..self.format.as_ref().clone() });
    }

    /// The messages in a field of records, if they wrap some.
    pub fn messages_in(&self) -> Option<Wrapped> {
        self.format.messages_in.clone()
    }

    /// The next block; `None` after the last. A file whose content ends early, such as a truncated archive, ends with a
    /// reject.
    ///
    /// # Errors
    /// [`Error::Io`] if the file's store fails.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        while !self.is_done {
            if !self.is_last && self.pending.len() < BLOCK_BYTES {
                self.fill(BLOCK_BYTES)?;
            }
            if self.skipping && !self.skip() {
                continue;
            }
            let mut block = self.cut();
            // A header among the rows ends a block before the text ends.
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

    /// Takes the whole records out of the pending text.
    fn cut(&mut self) -> Block {
        let (format, Framed { spans, rejects, consumed, .. }) =
            FileFormat::cut(&self.format, &self.pending, self.is_last);
        let from = self.file.watched.map_or(0, |watched| watched.from).saturating_sub(self.at);
        let bytes = self.take(consumed);
        let first_line = self.line;
        self.line += self.format.framing.line_ends(&bytes);
        let used = std::mem::replace(&mut self.format, format);
        let mut block = Block { input: self.input, format: used, bytes, first_line, spans, rejects };
        block.skip(from);
        block
    }

    /// Takes the first bytes of the pending text.
    fn take(&mut self, bytes: usize) -> Vec<u8> {
        self.at += bytes as u64;
        let rest = self.pending.split_off(bytes);
        std::mem::replace(&mut self.pending, rest)
    }

    /// Reads more of a record that is longer than a block, up to the longest record.
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

    /// Drops the pending text up to and including its first line end and all that follow it directly. True if there was
    /// one or the file ended.
    fn skip(&mut self) -> bool {
        match memchr::memchr3(b'\n', b'\r', 0, &self.pending) {
            Some(end) => {
                let ends =
                    self.pending[end..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
                self.line += self.format.framing.line_ends(&self.pending[..end + ends]);
                self.take(end + ends);
                self.skipping = false;
            }
            None => drop(self.take(self.pending.len())),
        }
        !self.skipping || self.is_last
    }

    fn fill(&mut self, bytes: usize) -> Result<()> {
        let filled = self.pending.len();
        self.pending.resize(filled + bytes, 0);
        let (length, failure) = read_up_to(&mut self.stream, &mut self.pending[filled..]);
        self.pending.truncate(filled + length);
        self.is_last = length < bytes;
        // If the store failed, this is not the end of the file.
        if self.is_last {
            self.file.check_whole()?;
        }
        self.failure = failure.map(|error| format!("the file can't be read to its end: {error}"));
        Ok(())
    }
}

/// The name of a file without its folder, up to its first dot, in lower case.
fn short_name(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
