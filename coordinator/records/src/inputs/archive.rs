//! Finds the files in tar and zip archives, also within each other and compressed, in one pass from start to end.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::NaiveDate;
use hindcast_base::format::format_bytes;
use zip::ZipArchive;

use super::layers::{Compression, MAX_LAYERS};
use super::streams::{peeked, read_up_to, spooled};
use super::tar::{self, Source, TarFiles};

/// Bytes that any archive may expand to.
const FREE_BYTES: u64 = 4 << 30;
/// Beyond that, how many times its own size. Logs compress to a fiftieth at best.
const MAX_RATIO: u64 = 200;
/// Most files in an archive.
const MAX_MEMBERS: usize = 200_000;
/// Bytes of a file from which an archive is detected: a header of tar.
const HEAD_BYTES: usize = tar::BLOCK_BYTES;
/// The same for a compressed file: bzip2 compresses up to 900 kB at a time.
const COMPRESSED_HEAD_BYTES: usize = 1 << 20;
/// Why an Office document is no archive of logs.
const OFFICE_DOCUMENT: &str = "it is an Office document, such as an Excel workbook: save its rows as CSV";

/// Reads a file from any position.
pub trait ReadSeek: Read + Seek + Send {}

impl<R: Read + Seek + Send> ReadSeek for R {}

type Stream<'s> = Box<dyn Read + Send + 's>;

/// A file in an archive.
pub struct Member<'m> {
    /// Its path in the archive, through the archives in it; empty for the archive itself, if that can't be read.
    pub path: String,
    /// Time of its last modification, in microseconds since 1970, if the archive states one. A zip's has no zone.
    pub modified_us: Option<i64>,
    /// Its bytes, or why it can't be read.
    pub content: Result<Stream<'m>, String>,
}

/// Why a walk ends early.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The visitor has seen enough.
    Enough,
    /// The archive is too large or too deep.
    Refused(String),
}

/// Called for each file in an archive, in the order of the archive.
pub type Visit<'v> = &'v mut dyn FnMut(Member<'_>) -> Result<(), Stop>;

/// A format that holds files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Tar,
    Zip,
}

impl Format {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            _ => tar::is_header(head).then_some(Self::Tar),
        }
    }
}

/// Whether a file that begins with `head` is an archive, and what compresses it.
fn archive_of(mut head: Vec<u8>) -> Option<(Format, Vec<Compression>)> {
    let mut compressions = Vec::new();
    loop {
        if let Some(format) = Format::of(&head) {
            return Some((format, compressions));
        }
        let compression = Compression::of(&head).filter(|_| compressions.len() < MAX_LAYERS)?;
        let mut decoder = compression.decoder(Box::new(Cursor::new(head))).ok()?;
        compressions.push(compression);
        let mut decoded = vec![0; COMPRESSED_HEAD_BYTES];
        let (length, _) = read_up_to(&mut decoder, &mut decoded[..HEAD_BYTES]);
        let more = Compression::of(&decoded[..length]).is_some();
        let more = if more { read_up_to(&mut decoder, &mut decoded[length..]).0 } else { 0 };
        decoded.truncate(length + more);
        drop(decoder);
        head = decoded;
    }
}

/// Visits the files of `file`, which has `bytes` bytes. Returns its format; `None`
/// if it is no archive, and then visits nothing.
///
/// # Errors
/// Why the walk ended early.
pub fn walk(file: Box<dyn ReadSeek + '_>, bytes: u64, visit: Visit<'_>) -> Result<Option<Format>, Stop> {
    walk_within(file, FREE_BYTES.max(bytes.saturating_mul(MAX_RATIO)), visit)
}

/// Like [`walk`], with a limit for the bytes that come out of archives and compressions.
pub(crate) fn walk_within(
    mut file: Box<dyn ReadSeek + '_>,
    limit: u64,
    visit: Visit<'_>,
) -> Result<Option<Format>, Stop> {
    let mut head = vec![0; COMPRESSED_HEAD_BYTES];
    let (length, _) = read_up_to(&mut file, &mut head[..HEAD_BYTES]);
    let more = match Compression::of(&head[..length]) {
        Some(_) => read_up_to(&mut file, &mut head[length..]).0,
        None => 0,
    };
    head.truncate(length + more);
    let Some((format, compressions)) = archive_of(head) else { return Ok(None) };
    // The reader reports the error again.
    let _ = file.rewind();
    let mut walk = Walk { visit, members: 0, left: Arc::new(AtomicU64::new(limit)), limit };
    match (format, compressions.as_slice()) {
        (Format::Zip, []) => walk.zip(file, "", 1)?,
        (Format::Tar, []) => walk.tar(Source::File(file), "", 1)?,
        _ => walk.archive(Box::new(file), (format, compressions), "", 1)?,
    }
    Ok(Some(format))
}

/// A pass over an archive.
struct Walk<'w> {
    visit: Visit<'w>,
    /// Files seen so far.
    members: usize,
    /// How many bytes may still come out of archives and compressions.
    left: Arc<AtomicU64>,
    /// How many that were at the start.
    limit: u64,
}

impl Walk<'_> {
    /// Visits a file in an archive, or the files in it if it is an archive itself. It is within `layers` archives and
    /// compressions.
    fn file(
        &mut self,
        stream: Stream<'_>,
        path: String,
        modified_us: Option<i64>,
        layers: usize,
    ) -> Result<(), Stop> {
        let (head, stream) = peeked(stream, HEAD_BYTES);
        let (head, stream) = match Compression::of(&head) {
            Some(_) => peeked(stream, COMPRESSED_HEAD_BYTES),
            None => (head, stream),
        };
        match archive_of(head) {
            Some(found) => self.archive(stream, found, &path, layers + 1),
            None => self.member(Member { path, modified_us, content: Ok(stream) }),
        }
    }

    fn archive<'s>(
        &mut self,
        mut stream: Stream<'s>,
        (format, compressions): (Format, Vec<Compression>),
        path: &str,
        layers: usize,
    ) -> Result<(), Stop> {
        let layers = layers + compressions.len();
        if layers > MAX_LAYERS {
            return Err(Stop::Refused(format!(
                "{path} is within more than {MAX_LAYERS} archives: unpack them"
            )));
        }
        for compression in compressions {
            stream = match compression.decoder(stream) {
                Ok(decoder) => Box::new(Metered { stream: decoder, left: Arc::clone(&self.left) }),
                Err(error) => return self.unreadable(path, error.to_string()),
            };
        }
        match format {
            Format::Tar => self.tar(Source::Stream(stream), path, layers),
            // The directory of a zip is at its end.
            Format::Zip => match spooled(&mut stream) {
                Ok(file) => self.zip::<File>(file, path, layers),
                Err(error) => self.unreadable(path, error.to_string()),
            },
        }
    }

    fn zip<R: ReadSeek>(&mut self, reader: R, path: &str, layers: usize) -> Result<(), Stop> {
        let before = self.members;
        let mut archive = match ZipArchive::new(reader) {
            Ok(archive) => archive,
            Err(error) => return self.unreadable(path, error.to_string()),
        };
        if archive.file_names_raw().any(|name| name == b"[Content_Types].xml") {
            return self.unreadable(path, OFFICE_DOCUMENT.to_owned());
        }
        for index in 0..archive.len() {
            let name = match archive.name_for_index(index) {
                Some(Ok(name)) => name.into_owned(),
                _ => format!("file {}", index + 1),
            };
            let Some(child) = path_of(path, &name) else { continue };
            match archive.by_index(index) {
                Ok(file) if file.is_dir() || file.is_symlink() => {}
                Ok(file) => {
                    let modified_us = file.last_modified().and_then(zip_time_us);
                    let stream = Metered { stream: file, left: Arc::clone(&self.left) };
                    self.file(Box::new(stream), child, modified_us, layers)?;
                }
                Err(error) => self.unreadable(&child, error.to_string())?,
            }
        }
        self.check_holds_files(path, before)
    }

    fn tar(&mut self, source: Source<'_>, path: &str, layers: usize) -> Result<(), Stop> {
        let before = self.members;
        let mut files = TarFiles::new(source);
        loop {
            let mut file = match files.next() {
                Ok(Some(file)) => file,
                Ok(None) => return self.check_holds_files(path, before),
                Err(error) => {
                    let reason =
                        format!("its files after the first {} can't be read: {error}", self.members - before);
                    return self.unreadable(path, reason);
                }
            };
            let Some(child) = path_of(path, &file.name) else { continue };
            match file.is_sparse {
                true => self.unreadable(&child, "it is a sparse file: unpack the archive".to_owned())?,
                false => self.file(Box::new(&mut file.content), child, file.modified_us, layers)?,
            }
        }
    }

    fn member(&mut self, member: Member<'_>) -> Result<(), Stop> {
        self.members += 1;
        if self.members > MAX_MEMBERS {
            return Err(Stop::Refused(format!("it holds more than {MAX_MEMBERS} files: unpack it")));
        }
        (self.visit)(member)?;
        match self.left.load(Ordering::Relaxed) {
            0 => {
                let limit = format_bytes(self.limit);
                Err(Stop::Refused(format!(
                    "it expands to more than {limit}, as an archive bomb does: unpack it"
                )))
            }
            _ => Ok(()),
        }
    }

    fn unreadable(&mut self, path: &str, reason: String) -> Result<(), Stop> {
        self.member(Member { path: path.to_owned(), modified_us: None, content: Err(reason) })
    }

    /// An archive without files is named, because an empty folder is.
    fn check_holds_files(&mut self, path: &str, before: usize) -> Result<(), Stop> {
        match self.members > before {
            true => Ok(()),
            false => {
                self.unreadable(path, "the archive holds no files, except perhaps hidden ones".to_owned())
            }
        }
    }
}

/// The path of a file in the archive `path`; `None` for folders and for files that are passed over, as in folders.
fn path_of(path: &str, name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let mut parts: Vec<&str> = name.split('/').filter(|part| *part != ".").collect();
    let is_passed_over = parts.last().is_none_or(|name| name.is_empty() || name.starts_with(['.', '_']))
        || parts.contains(&"__MACOSX");
    parts.retain(|part| !part.is_empty());
    (!is_passed_over).then(|| format!("{path}/{}", parts.join("/")))
}

/// The time of a file in a zip, which has no zone.
fn zip_time_us(time: zip::DateTime) -> Option<i64> {
    let (hour, minute, second) = (time.hour().into(), time.minute().into(), time.second().into());
    let date = NaiveDate::from_ymd_opt(time.year().into(), time.month().into(), time.day().into())?;
    Some(date.and_hms_opt(hour, minute, second)?.and_utc().timestamp_micros())
}

/// A stream that takes its bytes from an allowance.
struct Metered<R> {
    stream: R,
    left: Arc<AtomicU64>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::other("the archive expands to too many bytes"));
        }
        let length = self.stream.read(buffer)?;
        self.left.store(left.saturating_sub(length as u64), Ordering::Relaxed);
        Ok(length)
    }
}
