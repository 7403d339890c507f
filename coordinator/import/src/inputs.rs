//! Files to import: their location, the hash of their content, and their decompressed bytes.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt};
use hindcast_base::catch_panic::{catch_panic_sync, panic_text};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::runtime::Handle;
use zip::ZipArchive;

use super::{encoding, parquet_text};

/// Bytes per request to a store.
const FETCH_BYTES: u64 = 8 << 20;

/// A file to import. Bytes that are appended after it was listed are not read.
#[derive(Debug, Clone)]
pub(super) struct Input {
    /// Its path, for people.
    pub(super) name: String,
    /// Size in bytes, as stored.
    pub(super) bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub(super) content: String,
    /// Time of the last modification, in UTC microseconds.
    pub(super) modified_us: i64,
    place: Location,
    path: Path,
    /// Bytes of all inputs that were read so far, for progress.
    bytes_read: Arc<AtomicU64>,
    /// Why the store failed to deliver the whole file.
    failure: Arc<OnceLock<String>>,
}

/// The files at `names`, which are paths or URLs of files or folders; of a folder, all files below it whose names do
/// not start with `.` or `_`. A file that can't be read comes with the error.
///
/// # Errors
/// [`Error::NotFound`] if a file or folder does not exist, [`Error::Storage`] if a store fails.
pub(super) async fn list(
    names: &[String],
    threads: usize,
    bytes_read: &Arc<AtomicU64>,
) -> Result<Vec<(Input, Result<()>)>> {
    let mut found = Vec::new();
    for name in names {
        let place = Location::parse(name)?;
        match place.store().head(place.prefix()).await {
            Ok(object) => found.push((place, object)),
            Err(StoreError::NotFound { .. }) => {
                let mut below: Vec<ObjectMeta> = place
                    .store()
                    .list(Some(place.prefix()))
                    .try_collect()
                    .await
                    .map_err(Error::listing(&name))?;
                below.retain(|object| {
                    object.location.filename().is_some_and(|name| !name.starts_with(['.', '_']))
                });
                below.sort_by(|left, right| left.location.cmp(&right.location));
                if below.is_empty() {
                    return Err(Error::NotFound(format!("there is no file {name}, and no file below it")));
                }
                found.extend(below.into_iter().map(|object| (place.clone(), object)));
            }
            Err(error) => return Err(Error::reading(&name)(error)),
        }
    }
    let inputs = found.into_iter().map(|(place, object)| {
        let bytes_read = Arc::clone(bytes_read);
        tokio::task::spawn_blocking(move || {
            let mut input = Input {
                name: name_of(&place, &object.location),
                bytes: object.size,
                content: String::new(),
                modified_us: object.last_modified.timestamp_micros(),
                place,
                path: object.location,
                bytes_read,
                failure: Arc::default(),
            };
            let read = input.hash().map(|content| input.content = content);
            (input, read)
        })
    });
    // The stream is lazy: only `threads` files are open at once.
    futures::stream::iter(inputs)
        .buffered(threads)
        .map(|joined| joined.map_err(|error| Error::Internal(error.to_string())))
        .try_collect()
        .await
}

/// The file at a location.
#[cfg(test)]
pub(super) async fn input_at(place: Location) -> Input {
    let object = place.store().head(place.prefix()).await.unwrap();
    Input {
        name: "file".into(),
        bytes: object.size,
        content: String::new(),
        modified_us: object.last_modified.timestamp_micros(),
        path: object.location,
        place,
        bytes_read: Arc::default(),
        failure: Arc::default(),
    }
}

/// The path as the user wrote it: local paths without `file://`.
fn name_of(place: &Location, path: &Path) -> String {
    let url = place.url().trim_end_matches('/');
    match place.local_path() {
        Some(_) => place.name_of(path),
        None => match path.as_ref().strip_prefix(place.prefix().as_ref()) {
            Some(below) => format!("{url}{below}"),
            None => path.to_string(),
        },
    }
}

/// The bytes of an input.
pub(super) type Bytestream = Box<dyn Read + Send>;

impl Input {
    fn hash(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        // Progress counts bytes that are imported, not bytes that are hashed.
        let copied = io::copy(&mut self.reader(Arc::default()), &mut hasher);
        copied.map_err(Error::io(format!("reading {}", self.name)))?;
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The same file, without progress.
    pub(super) fn without_progress(&self) -> Self {
        Self { bytes_read: Arc::default(), ..self.clone() }
    }

    /// Checks that the store delivered all requested bytes. A file whose content ends early, such as a truncated
    /// archive, is read up to there; a file whose store failed is not imported, because the next attempt may read it
    /// whole.
    ///
    /// # Errors
    /// [`Error::Io`] if it did not.
    pub(super) fn check_whole(&self) -> Result<()> {
        self.failure.get().map_or(Ok(()), |reason| {
            Err(Error::io(format!("reading {}", self.name))(io::Error::other(reason.clone())))
        })
    }

    fn reader(&self, bytes_read: Arc<AtomicU64>) -> ObjectReader {
        ObjectReader {
            place: self.place.clone(),
            path: self.path.clone(),
            size: self.bytes,
            at: 0,
            fetched: Bytes::new(),
            handle: Handle::current(),
            bytes_read,
            failure: Arc::clone(&self.failure),
        }
    }

    /// The file's text: gzip, zstd and zip archives of one file decompressed, UTF-16 and UTF-32 as UTF-8, and rows of
    /// Parquet as NDJSON.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be read, [`Error::Invalid`] if its format can't be imported.
    pub(super) fn open(&self) -> Result<Bytestream> {
        let failed = |error| Error::io(format!("reading {}", self.name))(error);
        let mut reader = self.reader(Arc::clone(&self.bytes_read));
        let mut magic = [0; 4];
        let length = match read_up_to(&mut reader, &mut magic) {
            (_, Some(error)) => return Err(failed(error)),
            (length, None) => length,
        };
        reader.seek(SeekFrom::Start(0)).map_err(failed)?;
        let text: Bytestream = match &magic[..length] {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(reader))),
            [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(reader).map_err(failed)?),
            b"PK\x03\x04" => self.open_zip(reader)?,
            b"PAR1" => return self.open_parquet(),
            _ => Box::new(reader),
        };
        Ok(encoding::decoded(text))
    }

    fn open_zip(&self, reader: ObjectReader) -> Result<Bytestream> {
        let unreadable = |reason: String| Error::Invalid(format!("{}: {reason}", self.name));
        let mut archive = ZipArchive::new(reader)
            .map_err(|error| self.check_whole().err().unwrap_or_else(|| unreadable(error.to_string())))?;
        let is_file = |(_, name): &(usize, &[u8])| !name.ends_with(b"/") && !name.starts_with(b"__MACOSX/");
        let files: Vec<(usize, &[u8])> = archive.file_names_raw().enumerate().filter(is_file).collect();
        let &[(index, _)] = files.as_slice() else {
            let is_document = files.iter().any(|(_, name)| *name == b"[Content_Types].xml");
            return Err(unreadable(match is_document {
                true => {
                    "it is an Office document, such as an Excel workbook: save its rows as CSV".to_owned()
                }
                false => format!("the archive holds {} files: unpack it, and import the files", files.len()),
            }));
        };
        piped(move |target| {
            let mut file = archive.by_index(index).map_err(io::Error::other)?;
            io::copy(&mut file, target).map(|_| ())
        })
    }

    fn open_parquet(&self) -> Result<Bytestream> {
        let mut bytes = Vec::new();
        self.reader(Arc::clone(&self.bytes_read))
            .read_to_end(&mut bytes)
            .map_err(Error::io(format!("reading {}", self.name)))?;
        let unreadable =
            |reason: String| Error::Invalid(format!("{} can't be read as Parquet: {reason}", self.name));
        let opened = || ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?.build();
        let rows = catch_panic_sync(opened)
            .map_err(|panic| unreadable(format!("its decoder panicked: {panic}")))?
            .map_err(|error| unreadable(error.to_string()))?;
        piped(move |target| {
            for batch in rows {
                let batch = batch.map_err(io::Error::other)?;
                parquet_text::writer(&mut *target).write(&batch).map_err(io::Error::other)?;
            }
            Ok(())
        })
    }
}

/// A reader of what `write` writes on a separate thread. An error of `write` is returned after its bytes.
fn piped(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Result<Bytestream> {
    let (receiver, mut sender) = io::pipe().map_err(Error::io("making a pipe"))?;
    let writer = std::thread::spawn(move || write(&mut sender));
    Ok(Box::new(Piped { receiver, writer: Some(writer) }))
}

struct Piped {
    receiver: io::PipeReader,
    writer: Option<std::thread::JoinHandle<io::Result<()>>>,
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.receiver.read(buffer)?;
        if length == 0
            && !buffer.is_empty()
            && let Some(writer) = self.writer.take()
        {
            let panicked = |panic: &str| Err(io::Error::other(format!("its decoder panicked: {panic}")));
            writer.join().unwrap_or_else(|panic| panicked(panic_text(&*panic)))?;
        }
        Ok(length)
    }
}

/// Reads an object of a store like a file, in large pieces. It blocks its thread.
struct ObjectReader {
    place: Location,
    path: Path,
    size: u64,
    at: u64,
    fetched: Bytes,
    handle: Handle,
    bytes_read: Arc<AtomicU64>,
    failure: Arc<OnceLock<String>>,
}

impl ObjectReader {
    /// The next piece, which is not empty.
    fn fetch(&self) -> Result<Bytes> {
        let range = self.at..self.size.min(self.at + FETCH_BYTES);
        let store = self.place.store();
        let fetched = self.handle.block_on(with_retries(|| async {
            let fetched = store.get_range(&self.path, range.clone()).await;
            fetched.map_err(Error::reading(&self.path))
        }))?;
        if fetched.is_empty() {
            let action = format!("reading {} from byte {} on", self.path, self.at);
            return Err(Error::io(action)(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(fetched)
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fetched.is_empty() && self.at < self.size {
            self.fetched = self.fetch().map_err(|error| {
                self.failure.get_or_init(|| error.to_string());
                io::Error::other(error)
            })?;
        }
        let length = buffer.len().min(self.fetched.len());
        buffer[..length].copy_from_slice(&self.fetched.split_to(length));
        self.at += length as u64;
        self.bytes_read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let target = match position {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = target.ok_or_else(|| io::Error::other("seek before the start of the file"))?;
        self.fetched = Bytes::new();
        Ok(self.at)
    }
}

/// Fills `buffer` as far as the reader has bytes. Returns the number of bytes, and the error that followed them.
pub(super) fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;
