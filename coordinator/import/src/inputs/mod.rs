//! Files to import: their location, the hash of their content, and their decompressed bytes.

mod binary;
mod layers;
mod object;
mod parquet_text;
mod streams;

use std::io::{self, Seek, SeekFrom, Write};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use futures::{StreamExt, TryStreamExt};
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};
use zip::ZipArchive;

use super::encoding;
use object::ObjectReader;
use streams::piped;

pub(super) use streams::{Bytestream, peeked, read_up_to};

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
        let object = (self.place.clone(), self.path.clone(), self.bytes);
        ObjectReader::new(object, bytes_read, Arc::clone(&self.failure))
    }

    /// The file's text: decompressed, UTF-16 and UTF-32 as UTF-8, and records of binary formats as text.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be read, [`Error::Invalid`] if its format can't be imported.
    pub(super) fn open(&self) -> Result<Bytestream> {
        let mut reader = self.reader(Arc::clone(&self.bytes_read));
        let mut magic = [0; 4];
        let (_, failure) = read_up_to(&mut reader, &mut magic);
        if let Some(error) = failure {
            return Err(Error::io(format!("reading {}", self.name))(error));
        }
        reader.seek(SeekFrom::Start(0)).map_err(Error::io(format!("reading {}", self.name)))?;
        let text = match &magic {
            b"PK\x03\x04" => self.open_zip(reader)?,
            _ => Box::new(reader),
        };
        layers::text_of(text).map_err(|reason| {
            self.check_whole().err().unwrap_or_else(|| Error::Invalid(format!("{}: {reason}", self.name)))
        })
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
        let copied = move |target: &mut dyn Write| {
            let mut file = archive.by_index(index).map_err(io::Error::other)?;
            io::copy(&mut file, target).map(|_| ())
        };
        piped(copied).map_err(Error::io("making a pipe"))
    }
}

#[cfg(test)]
mod tests;
