//! Files to import: their location, the hash of their content, and their decompressed bytes.

mod archive;
mod avro;
mod binary;
mod layers;
mod members;
mod object;
mod parquet_text;
mod streams;
mod tar;

use std::io::{self, Seek};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use futures::{StreamExt, TryStreamExt};
use hindcast_base::catch_panic::catch_panic_sync;
use hindcast_base::log_time::LOGGED_US;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};

use super::encoding;
use super::watched::Watched;
use archive::{Format, Member, Stop, walk};
use members::{Parked, Place};
use object::{Object, ObjectReader};

pub use layers::Layers;
pub use streams::{Bytestream, peeked, piped, read_up_to};

/// An object at one of the places that the user names.
pub type Found = (Location, ObjectMeta);

/// A file to import, which may be within an archive.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its path, for people.
    pub name: String,
    /// Size in bytes: as stored, or as in the archive.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub content: String,
    /// BLAKE3 of a zip with this file only, which earlier versions imported as the content.
    pub zip_content: Option<String>,
    /// Time of the last modification, in UTC microseconds.
    pub modified_us: i64,
    object: Object,
    /// Its place in the object, if that is an archive.
    member: Option<Place>,
    /// Bytes of all inputs that were read so far, for progress.
    bytes_read: Arc<AtomicU64>,
    /// Why the store failed to deliver the whole file.
    failure: Arc<OnceLock<String>>,
    /// What to note about it, if its folder is watched.
    pub watched: Option<Watched>,
}

/// The files at `names`, which are paths or URLs of files or folders; of a folder, all files below it whose names do
/// not start with `.` or `_`; of an archive, the files in it. A file that can't be read comes with the error.
///
/// # Errors
/// [`Error::NotFound`] if a file or folder does not exist, [`Error::Storage`] if a store fails.
pub async fn list(
    names: &[String],
    threads: usize,
    bytes_read: &Arc<AtomicU64>,
) -> Result<Vec<(Input, Result<()>)>> {
    let mut found = Vec::new();
    for name in names {
        let mut below = Vec::new();
        find(name, |object| below.push(object)).await?;
        if below.is_empty() {
            return Err(Error::NotFound(format!("there is no file {name}, and no file below it")));
        }
        below.sort_by(|(_, left), (_, right)| left.location.cmp(&right.location));
        found.append(&mut below);
    }
    read(found, threads, bytes_read).await
}

/// Calls `visit` for the file at `name`, or for all files below it whose names do not start with `.` or `_`.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub async fn find(name: &str, mut visit: impl FnMut(Found)) -> Result<()> {
    let place = Location::parse(name)?;
    match place.store().head(place.prefix()).await {
        Ok(object) => visit((place, object)),
        Err(StoreError::NotFound { .. }) => {
            let mut below = place.store().list(Some(place.prefix()));
            while let Some(object) = below.try_next().await.map_err(Error::listing(&name))? {
                if object.location.filename().is_some_and(|name| !name.starts_with(['.', '_'])) {
                    visit((place.clone(), object));
                }
            }
        }
        Err(error) => return Err(Error::reading(&name)(error)),
    }
    Ok(())
}

/// The inputs in `found` files with the hashes of their contents; of an archive, the files in it. A file that can't be read comes
/// with the error.
///
/// # Errors
/// [`Error::Internal`] if reading panics.
pub async fn read(
    found: Vec<Found>,
    threads: usize,
    bytes_read: &Arc<AtomicU64>,
) -> Result<Vec<(Input, Result<()>)>> {
    let parked = Arc::<Parked>::default();
    let inputs = found.into_iter().enumerate().map(|(number, (place, object))| {
        let input = Input::of_object(place, object, Arc::clone(bytes_read));
        let parked = Arc::clone(&parked);
        tokio::task::spawn_blocking(move || input.listed(number, &parked))
    });
    // The stream is lazy: only `threads` files are open at once.
    let listed: Vec<Vec<(Input, Result<()>)>> = futures::stream::iter(inputs)
        .buffered(threads)
        .map(|joined| joined.map_err(|error| Error::Internal(error.to_string())))
        .try_collect()
        .await?;
    Ok(listed.into_iter().flatten().collect())
}

/// Whether an object still is as it was when it was found.
///
/// # Errors
/// [`Error::Storage`] if its store fails.
pub async fn is_unchanged((place, object): &Found) -> Result<bool> {
    Object::of(place.clone(), object.clone()).is_unchanged().await
}

/// The file at a location.
#[cfg(test)]
pub async fn input_at(place: Location) -> Input {
    let object = place.store().head(place.prefix()).await.unwrap();
    Input { name: "file".into(), ..Input::of_object(place, object, Arc::default()) }
}

/// The path as the user wrote it: local paths without `file://`.
pub fn name_of(place: &Location, path: &Path) -> String {
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
    /// The file that is an object of a store. Its content is not known yet.
    pub fn of_object(place: Location, object: ObjectMeta, bytes_read: Arc<AtomicU64>) -> Self {
        Self {
            name: name_of(&place, &object.location),
            bytes: object.size,
            content: String::new(),
            zip_content: None,
            modified_us: object.last_modified.timestamp_micros(),
            object: Object::of(place, object),
            member: None,
            bytes_read,
            failure: Arc::default(),
            watched: None,
        }
    }

    /// The file with its hash, or the files in it if it is an archive, the `number`th of the inputs.
    fn listed(mut self, number: usize, parked: &Arc<Parked>) -> Vec<(Self, Result<()>)> {
        // Progress counts bytes that are imported, not bytes that are hashed.
        let mut reader = self.reader(Arc::default());
        let mut found = Vec::new();
        let mut visit = |member: Member<'_>| {
            let place =
                Place { archive: number, index: found.len(), is_last: false, parked: Arc::clone(parked) };
            found.push(self.member(member, place));
            Ok(())
        };
        let size = self.object.size;
        let walked = catch_panic_sync(|| walk(Box::new(&mut reader), size, &mut visit));
        if let Some(place) = found.last_mut().and_then(|(last, _)| last.member.as_mut()) {
            place.is_last = true;
        }
        let refused = |reason: String| Error::Invalid(format!("{}: {reason}", self.name));
        // What the store failed to deliver can be read later.
        let walked = match (self.check_whole(), walked) {
            (Err(error), _) => Err(error),
            (_, Ok(Err(Stop::Refused(reason)))) => Err(refused(reason)),
            (_, Err(panic)) => Err(refused(format!("its decoder panicked: {panic}"))),
            (_, Ok(Ok(format))) => Ok(format),
            (_, Ok(Err(Stop::Enough))) => Ok(None),
        };
        match (walked, found.as_mut_slice()) {
            (Err(error), _) => vec![(self, Err(error))],
            (Ok(None), _) => {
                let hashed = self.hash(&mut reader).map(|content| self.content = content);
                vec![(self, hashed)]
            }
            (Ok(Some(Format::Zip)), [(file, _)]) => {
                file.zip_content = self.hash(&mut reader).ok();
                found
            }
            (Ok(Some(_)), _) => found,
        }
    }

    /// A file in this archive, with its hash.
    fn member(&self, member: Member<'_>, place: Place) -> (Self, Result<()>) {
        // An archive is newer than what it holds. A time that is not plausible is a placeholder.
        let is_plausible = |time_us: &i64| LOGGED_US.contains(time_us) && *time_us < self.modified_us;
        let mut input = Self {
            name: format!("{}{}", self.name, member.path),
            modified_us: member.modified_us.filter(is_plausible).unwrap_or(self.modified_us),
            member: Some(place),
            ..self.clone()
        };
        let mut hasher = blake3::Hasher::new();
        let hash = |mut content| io::copy(&mut content, &mut hasher).map_err(|error| error.to_string());
        let hashed = member.content.and_then(hash);
        (input.bytes, input.content) = (hasher.count(), hasher.finalize().to_hex().to_string());
        // A file that ends early is read up to there, as one that is not in an archive.
        let read = match hashed {
            Err(reason) if input.bytes == 0 => Err(Error::Invalid(format!("{}: {reason}", input.name))),
            _ => Ok(()),
        };
        (input, read)
    }

    fn hash(&self, reader: &mut ObjectReader) -> Result<String> {
        let failed = |error| Error::io(format!("reading {}", self.name))(error);
        let mut hasher = blake3::Hasher::new();
        reader.rewind().map_err(failed)?;
        io::copy(reader, &mut hasher).map_err(failed)?;
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The same file from its start, without progress.
    pub fn without_progress(&self) -> Self {
        Self { bytes_read: Arc::default(), watched: None, ..self.clone() }
    }

    /// Whether the object is the one that was listed.
    ///
    /// # Errors
    /// [`Error::Storage`] if its store fails.
    pub async fn is_unchanged(&self) -> Result<bool> {
        self.object.is_unchanged().await
    }

    /// Whether it is within an archive.
    pub fn is_member(&self) -> bool {
        self.member.is_some()
    }

    /// Checks that the store delivered all requested bytes. A file whose content ends early, such as a truncated
    /// archive, is read up to there; a file whose store failed is not imported, because the next attempt may read it
    /// whole.
    ///
    /// # Errors
    /// [`Error::Io`] if it did not.
    pub(crate) fn check_whole(&self) -> Result<()> {
        self.failure.get().map_or(Ok(()), |reason| {
            Err(Error::io(format!("reading {}", self.name))(io::Error::other(reason.clone())))
        })
    }

    fn reader(&self, bytes_read: Arc<AtomicU64>) -> ObjectReader {
        ObjectReader::new(self.object.clone(), bytes_read, Arc::clone(&self.failure))
    }

    /// The text of a file that is in no archive, without progress; `None` if it is in a binary format.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it can't be read.
    pub fn open_unless_binary(&self) -> Result<Option<Bytestream>> {
        layers::text_unless_binary(Box::new(self.reader(Arc::default()))).map_err(Error::Invalid)
    }

    /// The file's text: decompressed, UTF-16 and UTF-32 as UTF-8, and records of binary formats as text; and what it is in.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be read, [`Error::Invalid`] if its format can't be imported.
    pub fn open(&self) -> Result<(Bytestream, Layers)> {
        let bytes: Bytestream = match &self.member {
            None => Box::new(self.reader(Arc::clone(&self.bytes_read))),
            Some(member) => member
                .open(|| (self.reader(Arc::default()), self.object.size), Arc::clone(&self.bytes_read))
                .map_err(Error::io(format!("reading {}", self.name)))?,
        };
        let text = layers::text_of(bytes);
        self.check_whole()?;
        let (text, mut layers) = text.map_err(|reason| Error::Invalid(format!("{}: {reason}", self.name)))?;
        if self.member.is_some() {
            layers.containers.insert(0, "archive");
        }
        Ok((text, layers))
    }
}

#[cfg(test)]
mod tests;
