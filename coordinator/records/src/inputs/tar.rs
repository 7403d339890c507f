//! Reads the files of a tar archive one after the other, with bounded memory.

use std::io::{self, Read, SeekFrom};

use tar::{EntryType, Header, PaxExtensions};

use super::archive::ReadSeek;
use super::streams::read_up_to;

/// Bytes of a header; files are padded to a multiple.
pub(crate) const BLOCK_BYTES: usize = 512;
/// Most bytes of a long name or of the attributes of a file.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// Whether a file that begins with `head` is a tar archive: its first header has the right checksum.
pub(crate) fn is_header(head: &[u8]) -> bool {
    let header = head.get(..BLOCK_BYTES).filter(|header| header[0] != 0).map(Header::from_byte_slice);
    header.is_some_and(is_whole)
}

fn is_whole(header: &Header) -> bool {
    let bytes = header.as_bytes();
    // The checksum itself counts as spaces.
    let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum();
    header.cksum().is_ok_and(|stated| stated == sum + 8 * u32::from(b' '))
}

/// The bytes of an archive.
pub enum Source<'s> {
    /// A file, in which files that nobody reads cost nothing.
    File(Box<dyn ReadSeek + 's>),
    /// A stream.
    Stream(Box<dyn Read + Send + 's>),
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::File(file) => file.read(buffer),
            Source::Stream(stream) => stream.read(buffer),
        }
    }
}

impl Source<'_> {
    /// Skips bytes, as far as there are so many.
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match self {
            Source::File(file) => {
                let bytes = i64::try_from(bytes).map_err(io::Error::other)?;
                file.seek(SeekFrom::Current(bytes)).map(drop)
            }
            Source::Stream(stream) => io::copy(&mut stream.take(bytes), &mut io::sink()).map(drop),
        }
    }
}

/// The bytes of a file in an archive.
pub struct Content<'s> {
    source: Source<'s>,
    /// Bytes of the file that were not read yet.
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            // Some decoders fail if nothing is requested.
            return Ok(0);
        }
        let length = self.source.read(&mut buffer[..most])?;
        if length == 0 {
            return Err(io::Error::other("the archive ends within it"));
        }
        self.left -= length as u64;
        Ok(length)
    }
}

/// A file in a tar archive.
pub struct TarFile<'t, 's> {
    pub name: String,
    /// Time of its last modification, in microseconds since 1970.
    pub modified_us: Option<i64>,
    /// Whether its bytes have holes, which are not read.
    pub is_sparse: bool,
    pub content: &'t mut Content<'s>,
}

/// The files of a tar archive.
pub struct TarFiles<'s> {
    /// The current file, and the archive behind it.
    content: Content<'s>,
    /// Bytes that pad the current file.
    padding: u64,
}

impl<'s> TarFiles<'s> {
    pub fn new(source: Source<'s>) -> Self {
        Self { content: Content { source, left: 0 }, padding: 0 }
    }

    /// The next file; `None` after the last. Folders and links are passed over.
    ///
    /// # Errors
    /// If the archive ends early, or is damaged.
    pub fn next(&mut self) -> io::Result<Option<TarFile<'_, 's>>> {
        let (mut name, mut size, mut is_sparse) = (None, None, false);
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            let is_extension = kind.is_gnu_longname()
                || kind.is_gnu_longlink()
                || kind.is_pax_local_extensions()
                || kind.is_pax_global_extensions();
            let stated = match is_extension {
                true => header.entry_size()?,
                false => size.take().map_or_else(|| header.entry_size(), Ok)?,
            };
            self.content.left = stated;
            self.padding = stated.wrapping_neg() % BLOCK_BYTES as u64;
            if kind.is_gnu_longname() {
                name = Some(text_of(&self.extension()?));
            } else if kind.is_pax_local_extensions() {
                let attributes = self.extension()?;
                for attribute in PaxExtensions::new(&attributes) {
                    let attribute = attribute?;
                    match attribute.key_bytes() {
                        b"path" => name = Some(text_of(attribute.value_bytes())),
                        b"size" => size = attribute.value().ok().and_then(|size| size.parse().ok()),
                        key => is_sparse |= key.starts_with(b"GNU.sparse."),
                    }
                }
            } else if is_extension {
                continue;
            } else if matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse) {
                is_sparse |= kind.is_gnu_sparse();
                if header.as_gnu().is_some_and(|header| kind.is_gnu_sparse() && header.is_extended()) {
                    self.skip_sparse_headers()?;
                }
                let name = name.unwrap_or_else(|| text_of(&header.path_bytes()));
                let seconds = header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
                let modified_us = seconds.and_then(|seconds| seconds.checked_mul(1_000_000));
                return Ok(Some(TarFile { name, modified_us, is_sparse, content: &mut self.content }));
            } else {
                (name, is_sparse) = (None, false);
            }
        }
    }

    /// The header behind the current file; `None` at the end.
    fn header(&mut self) -> io::Result<Option<Header>> {
        if self.content.left > 0 {
            // The last byte is read, because a file can be skipped beyond its end.
            self.content.source.skip(self.content.left - 1)?;
            self.content.left = 1;
            self.content.read_exact(&mut [0])?;
        }
        self.content.source.skip(std::mem::take(&mut self.padding))?;
        let header = self.block()?.filter(|header| header.as_bytes().iter().any(|byte| *byte != 0));
        match header {
            Some(header) if !is_whole(&header) => Err(io::Error::other("a header is damaged")),
            header => Ok(header),
        }
    }

    fn block(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        match read_up_to(&mut self.content.source, header.as_mut_bytes()) {
            (_, Some(error)) => Err(error),
            (0, None) => Ok(None),
            (BLOCK_BYTES, None) => Ok(Some(header)),
            _ => Err(io::Error::other("the archive ends early")),
        }
    }

    /// The long name or the attributes that the current header announces.
    fn extension(&mut self) -> io::Result<Vec<u8>> {
        if self.content.left > MAX_EXTENSION_BYTES {
            return Err(io::Error::other("the name of a file is too long"));
        }
        let mut bytes = Vec::new();
        self.content.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Skips the headers that list more holes of a file.
    fn skip_sparse_headers(&mut self) -> io::Result<()> {
        // The byte says whether there is one more.
        while self.block()?.is_some_and(|header| header.as_bytes()[504] == 1) {}
        Ok(())
    }
}

fn text_of(name: &[u8]) -> String {
    String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()
}
