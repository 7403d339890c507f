//! Reads an object of a store like a file.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};
use tokio::runtime::Handle;

/// Bytes per request to a store.
const FETCH_BYTES: u64 = 8 << 20;

/// An object of a store. Bytes that are appended to it later are not read.
#[derive(Debug, Clone)]
pub struct Object {
    pub place: Location,
    pub path: Path,
    /// Size in bytes.
    pub size: u64,
    /// The store's tag of its content, and the second of its last modification.
    version: (Option<String>, i64),
}

impl Object {
    pub fn of(place: Location, object: ObjectMeta) -> Self {
        Self { version: version(&object), place, path: object.location, size: object.size }
    }

    /// Whether the object still is as it was listed.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn is_unchanged(&self) -> Result<bool> {
        match self.place.store().head(&self.path).await {
            Ok(now) => Ok(now.size == self.size && version(&now) == self.version),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::reading(&self.path)(error)),
        }
    }
}

/// Listings and other answers of a store differ in quotes round the tag, and in parts of a second.
fn version(object: &ObjectMeta) -> (Option<String>, i64) {
    let tag = object.e_tag.as_deref().map(|tag| tag.trim_matches('"').to_owned());
    (tag, object.last_modified.timestamp())
}

/// Reads an object in large pieces. It blocks its thread.
pub struct ObjectReader {
    object: Object,
    /// Position of the next byte.
    at: u64,
    /// The last piece, and its position.
    fetched: (u64, Bytes),
    handle: Handle,
    /// Bytes that were read so far, for progress.
    bytes_read: Arc<AtomicU64>,
    /// Why the store failed to deliver the whole object.
    failure: Arc<OnceLock<String>>,
}

impl ObjectReader {
    pub fn new(object: Object, bytes_read: Arc<AtomicU64>, failure: Arc<OnceLock<String>>) -> Self {
        let (fetched, handle) = ((0, Bytes::new()), Handle::current());
        Self { object, at: 0, fetched, handle, bytes_read, failure }
    }

    /// The piece from the current position on, which is not empty.
    fn fetch(&self) -> Result<Bytes> {
        let Object { place, path, size, .. } = &self.object;
        let range = self.at..(self.at + FETCH_BYTES).min(*size);
        let store = place.store();
        let fetched = self.handle.block_on(with_retries(|| async {
            let fetched = store.get_range(path, range.clone()).await;
            fetched.map_err(Error::reading(path))
        }))?;
        if fetched.is_empty() {
            let action = format!("reading {path} from byte {} on", self.at);
            return Err(Error::io(action)(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(fetched)
    }

    /// The fetched bytes from the current position on.
    fn rest(&self) -> &[u8] {
        let (start, bytes) = &self.fetched;
        let offset = self.at.checked_sub(*start).and_then(|offset| usize::try_from(offset).ok());
        offset.and_then(|offset| bytes.get(offset..)).unwrap_or_default()
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest().is_empty() && self.at < self.object.size {
            let fetched = self.fetch().map_err(|error| {
                self.failure.get_or_init(|| error.to_string());
                io::Error::other(error)
            })?;
            self.fetched = (self.at, fetched);
        }
        let rest = self.rest();
        let length = buffer.len().min(rest.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length as u64;
        self.bytes_read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let target = match position {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.object.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = target.ok_or_else(|| io::Error::other("seek before the start of the file"))?;
        Ok(self.at)
    }
}
