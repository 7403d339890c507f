//! A location in an object store: a path, or a `file://`, `s3://`, `az://`, `abfss://` or `gs://` URL.

use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::datasource::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::{Path, PathPart};
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutPayload, RetryConfig,
};
use url::Url;

use super::confined::{Confined, real_path};
use hindcast_base::retry::with_retries;
use hindcast_base::storage_fault::{StorageFault, StorageOperation};
use hindcast_base::{Error, Result};

/// Retries of a request by a store's client, with exponential back-off. If it still fails, the whole unit is retried.
const REQUEST_RETRIES: usize = 5;
/// Longest time for all attempts of one request together.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A folder in an object store, with the client of the store.
#[derive(Debug, Clone)]
pub struct Location {
    url: Url,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Folders of the local disk, as paths without links, from which no link may lead outside; any folder if absent.
    confines: Option<Arc<[PathBuf]>>,
}

impl Location {
    /// Opens the store that `text` names. Credentials come from the environment, in the variables of each cloud's tools.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the URL is malformed or of an unknown kind.
    ///
    /// ```
    /// use hindcast_lake::Location;
    ///
    /// let lake = Location::parse("/data/lake")?;
    /// assert_eq!(lake.join("AuditLogs").url(), "file:///data/lake/AuditLogs");
    /// assert!(Location::parse("gopher://lake").is_err());
    /// # Ok::<(), hindcast_base::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_with(text, |url| {
            open_store(url).map_err(|error| {
                Error::Invalid(format!("{text:?} is not a place Hindcast can read: {error}"))
            })
        })
    }

    /// The location that `text` names, in the store that `open` returns for its URL.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the URL is malformed or of an unknown kind, and the errors of `open`.
    pub fn parse_with(text: &str, open: impl FnOnce(&Url) -> Result<Arc<dyn ObjectStore>>) -> Result<Self> {
        let url = match Url::parse(text) {
            // A scheme of one letter is a drive, not a store.
            Ok(url) if url.scheme().len() > 1 => url,
            _ => file_url(text)?,
        };
        let (_, prefix) = ObjectStoreScheme::parse(&url)
            .map_err(|error| Error::Invalid(format!("{text:?} is not a place Hindcast can read: {error}")))?;
        Ok(Self { store: open(&url)?, url, prefix, confines: None })
    }

    /// The same location; on the local disk, no path below it is followed that leads out of `confines`.
    pub fn confined(self, confines: Arc<[PathBuf]>) -> Self {
        if self.url.scheme() != "file" {
            return Self { confines: Some(confines), ..self };
        }
        let store = Arc::new(Confined::new(Arc::clone(&confines)));
        Self { store, confines: Some(confines), ..self }
    }

    /// Another location, confined like this one.
    ///
    /// # Errors
    /// As for [`Location::parse`].
    pub fn elsewhere(&self, text: &str) -> Result<Self> {
        let place = Self::parse(text)?;
        Ok(match &self.confines {
            Some(confines) => place.confined(Arc::clone(confines)),
            None => place,
        })
    }

    /// The folder on the local disk with links resolved, as far as it exists; `None` in another store.
    pub fn real_path(&self) -> Option<PathBuf> {
        self.file_path(&self.prefix).map(|path| real_path(&path))
    }

    /// The path of an object on the local disk; `None` in another store.
    fn file_path(&self, path: &Path) -> Option<PathBuf> {
        let is_local = self.url.scheme() == "file";
        is_local.then(|| LocalFileSystem::new().path_to_filesystem(path).ok()).flatten()
    }

    /// The URL as given; a local path as `file://`.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The folder on the local disk; `None` in another store.
    pub fn local_path(&self) -> Option<PathBuf> {
        (self.url.scheme() == "file").then(|| self.url.to_file_path().ok()).flatten()
    }

    /// Checks that a lake on the local disk is a folder.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is a file or does not exist.
    pub fn check_folder(&self) -> Result<()> {
        let Some(path) = self.local_path() else { return Ok(()) };
        // Without a slash at the end, with which no file exists.
        let path: PathBuf = path.components().collect();
        let why = match (path.is_dir(), path.exists()) {
            (true, _) => return Ok(()),
            (false, true) => "it is a file: name the folder that holds the folders of its tables",
            (false, false) => "the folder does not exist",
        };
        Err(Error::Invalid(format!("there is no lake at {}: {why}", path.display())))
    }

    /// The client of the store.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The folder, below the store's root.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The root of the store, under which the query engine registers it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the URL has no usable root.
    pub fn store_url(&self) -> Result<ObjectStoreUrl> {
        let root = &self.url[..url::Position::BeforePath];
        Ok(ObjectStoreUrl::parse(root)?)
    }

    /// The name of a file in messages: the absolute path on the local disk, elsewhere the path below the store's root.
    pub fn name_of(&self, path: &Path) -> String {
        if self.url.scheme() == "file" { format!("/{path}") } else { path.to_string() }
    }

    /// A folder or file below this one, by its literal name: `%`, `#` and `?` have no special meaning.
    pub fn child(&self, relative: &str) -> Path {
        // A part that is not a valid name, such as `..`, is encoded, so that it can't lead elsewhere.
        let part_of = |part| PathPart::parse(part).unwrap_or_else(|_| PathPart::from(part));
        relative
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(self.prefix.clone(), |path, part| path.join(part_of(part)))
    }

    /// A location below this one, in the same store; `relative` is interpreted as by [`Self::child`].
    pub fn join(&self, relative: &str) -> Self {
        let mut url = self.url.clone();
        // Only `%` needs encoding here; the URL encodes the rest itself.
        let relative_url = relative.replace('%', "%25");
        url.set_path(&format!("{}/{relative_url}", self.url.path().trim_end_matches('/')));
        let (store, confines) = (Arc::clone(&self.store), self.confines.clone());
        Self { url, store, prefix: self.child(relative), confines }
    }

    /// The parent folder; `None` at the store's root.
    pub fn parent(&self) -> Option<Self> {
        let prefix = self.prefix.parent()?;
        let path = self.url.path().trim_end_matches('/');
        let mut url = self.url.clone();
        url.set_path(&path[..=path.rfind('/')?]);
        let (store, confines) = (Arc::clone(&self.store), self.confines.clone());
        Some(Self { url, store, prefix, confines })
    }

    /// The content of a file below this folder; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails otherwise.
    pub async fn read(&self, relative: &str) -> Result<Option<Bytes>> {
        let path = self.child(relative);
        let failed = |error| Error::reading(self.name_of(&path))(error);
        with_retries(|| async {
            match self.store.get(&path).await {
                Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        })
        .await
    }

    /// The content of a file below this folder, of at most `most` bytes and read within `longest`; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not a regular file or too large, [`Error::Storage`] if the store fails or takes too long.
    pub async fn read_bounded(&self, relative: &str, most: u64, longest: Duration) -> Result<Option<Bytes>> {
        let place = self.name_of(&self.child(relative));
        let read = tokio::time::timeout(longest, self.read_within(relative, most)).await;
        read.unwrap_or_else(|_| {
            let reason = format!("it took longer than {} s", longest.as_secs());
            Err(Error::Storage(StorageFault::temporary(StorageOperation::Reading, &place, reason)))
        })
    }

    async fn read_within(&self, relative: &str, most: u64) -> Result<Option<Bytes>> {
        let path = self.child(relative);
        let place = self.name_of(&path);
        let too_long = || Error::Invalid(format!("{place} is longer than {most} bytes"));
        if let Some(file) = self.file_path(&path) {
            // Opening a pipe would wait for its writer.
            match tokio::fs::metadata(&file).await {
                Ok(found) if !found.is_file() => {
                    return Err(Error::Invalid(format!("{place} is not a regular file")));
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io(format!("reading {place}"))(error)),
            }
        }
        let failed = |error| Error::reading(&place)(error);
        with_retries(|| async {
            let found = match self.store.get(&path).await {
                Ok(found) => found,
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            if found.meta.size > most {
                return Err(too_long());
            }
            let mut parts = found.into_stream();
            let mut bytes = Vec::new();
            while let Some(part) = parts.try_next().await.map_err(failed)? {
                bytes.extend_from_slice(&part);
                if bytes.len() as u64 > most {
                    return Err(too_long());
                }
            }
            Ok(Some(bytes.into()))
        })
        .await
    }

    /// All objects below a folder of the store.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails, even when retried.
    pub async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        with_retries(|| async {
            let listed = self.store.list(Some(folder)).try_collect().await;
            listed.map_err(Error::listing(self.name_of(folder)))
        })
        .await
    }

    /// Puts an object of this store, and replaces an existing one.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn put(&self, path: &Path, content: Vec<u8>) -> Result<()> {
        let payload = PutPayload::from(content);
        with_retries(|| async {
            let put = self.store.put(path, payload.clone()).await;
            put.map(|_| ()).map_err(Error::writing(self.name_of(path)))
        })
        .await
    }

    /// Puts an object of this store unless it exists; returns whether it was put. It makes one attempt: if that was put but its
    /// response was lost, another attempt finds the object.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn put_if_absent(&self, path: &Path, content: Vec<u8>) -> Result<bool> {
        match self.store.put_opts(path, PutPayload::from(content), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(Error::writing(self.name_of(path))(error)),
        }
    }
}

/// A client for the store of `url`.
fn open_store(url: &Url) -> Result<Arc<dyn ObjectStore>, Box<dyn std::error::Error>> {
    let (scheme, _) = ObjectStoreScheme::parse(url)?;
    let retry = RetryConfig {
        max_retries: REQUEST_RETRIES,
        retry_timeout: REQUEST_TIMEOUT,
        ..RetryConfig::default()
    };
    // Each builder reads its variables of the environment.
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::Local => Arc::new(LocalFileSystem::new()),
        ObjectStoreScheme::AmazonS3 => {
            Arc::new(AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry).build()?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            Arc::new(MicrosoftAzureBuilder::from_env().with_url(url.as_str()).with_retry(retry).build()?)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            Arc::new(GoogleCloudStorageBuilder::from_env().with_url(url.as_str()).with_retry(retry).build()?)
        }
        _ => return Err("its kind of store is not known".into()),
    };
    Ok(store)
}

fn file_url(text: &str) -> Result<Url> {
    let absolute = std::path::absolute(FilePath::new(text))
        .map_err(Error::io(format!("resolving the path {text:?}")))?;
    // Links and `..` are resolved if the path exists: an object store accepts neither.
    let resolved = absolute.canonicalize().unwrap_or_else(|_| without_parents(&absolute));
    // A directory URL, so that names are joined below it.
    Url::from_directory_path(&resolved)
        .map_err(|()| Error::Invalid(format!("{text:?} is not a path or URL Hindcast can read")))
}

/// The path without `..`, resolved lexically.
fn without_parents(path: &FilePath) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

#[cfg(test)]
#[path = "location_tests.rs"]
mod tests;
