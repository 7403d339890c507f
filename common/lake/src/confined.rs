//! A local store whose links can't lead outside: someone who may write to a lake must not decide what else a coordinator reads.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use hindcast_base::refused::Refused;

/// Entries of a listing that are checked together.
const CHECKED_TOGETHER: usize = 1_000;

/// The local disk, below certain folders only.
#[derive(Debug, Clone)]
pub(super) struct Confined {
    disk: Arc<LocalFileSystem>,
    /// The folders, with links resolved.
    roots: Arc<[PathBuf]>,
}

impl Confined {
    /// A store of all that lies below `roots`, which are paths without links.
    pub(super) fn new(roots: Arc<[PathBuf]>) -> Self {
        Self { disk: Arc::new(LocalFileSystem::new()), roots }
    }

    async fn check(&self, path: &Path) -> Result<()> {
        let (this, path) = (self.clone(), path.clone());
        blocking(move || this.check_now(&path, &mut HashMap::new())).await?
    }

    /// Fails if `path` is not below the roots, or is neither a file nor a folder. `folders` caches resolved folders.
    fn check_now(&self, path: &Path, folders: &mut HashMap<PathBuf, PathBuf>) -> Result<()> {
        let link = self.disk.path_to_filesystem(path)?;
        let refused = |why: Refused| Error::PermissionDenied { path: path.to_string(), source: why.into() };
        let found = fs::symlink_metadata(&link);
        let is_link = found.as_ref().is_ok_and(fs::Metadata::is_symlink);
        let target = match (link.parent(), link.file_name()) {
            (Some(folder), Some(name)) if !is_link => match folders.get(folder) {
                Some(real) => real.join(name),
                None => {
                    let real = real_path(folder);
                    folders.insert(folder.to_owned(), real.clone());
                    real.join(name)
                }
            },
            _ => real_path(&link),
        };
        if !self.roots.iter().any(|root| target.starts_with(root)) {
            return Err(refused(Refused::LeadsOut { link, target }));
        }
        // If it does not exist, its reader reports that.
        let kind = if is_link { fs::metadata(&link) } else { found };
        match kind {
            Ok(kind) if !kind.is_file() && !kind.is_dir() => Err(refused(Refused::NotRegularFile(link))),
            _ => Ok(()),
        }
    }

    fn check_all(&self, entries: Vec<Result<ObjectMeta>>) -> Vec<Result<ObjectMeta>> {
        let mut folders = HashMap::new();
        let checked = entries.into_iter().map(|entry| {
            let entry = entry?;
            self.check_now(&entry.location, &mut folders)?;
            Ok(entry)
        });
        checked.collect()
    }
}

/// `path` with links and `..` resolved, as far as it exists.
pub(super) fn real_path(path: &FilePath) -> PathBuf {
    let mut missing = Vec::new();
    let mut rest = path;
    loop {
        match (rest.canonicalize(), rest.parent(), rest.file_name()) {
            (Ok(real), ..) => return missing.iter().rev().fold(real, |real, name| real.join(name)),
            (Err(_), Some(parent), Some(name)) => {
                missing.push(name);
                rest = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|source| Error::JoinError { source })
}

impl fmt::Display for Confined {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(formatter)
    }
}

#[async_trait]
impl ObjectStore for Confined {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.check(path).await?;
        self.disk.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.check(path).await?;
        self.disk.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(path).await?;
        self.disk.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check(path).await?;
        self.disk.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let checked = paths.then(move |path| {
            let this = this.clone();
            async move {
                let path = path?;
                this.check(&path).await?;
                Ok(path)
            }
        });
        self.disk.delete_stream(checked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, folder) = (self.clone(), prefix.cloned().unwrap_or_default());
        let entries = self.disk.list(prefix);
        let checked = async move {
            let entries = match this.check(&folder).await {
                Ok(()) => entries,
                Err(error) => stream::iter([Err(error)]).boxed(),
            };
            entries.ready_chunks(CHECKED_TOGETHER).then(move |chunk| {
                let this = this.clone();
                async move {
                    let checked = blocking(move || this.check_all(chunk)).await;
                    stream::iter(checked.unwrap_or_else(|error| vec![Err(error)]))
                }
            })
        };
        stream::once(checked).flatten().flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check(&prefix.cloned().unwrap_or_default()).await?;
        let listed = self.disk.list_with_delimiter(prefix).await?;
        let this = self.clone();
        blocking(move || {
            let mut folders = HashMap::new();
            let files = listed.objects.iter().map(|object| &object.location);
            let mut paths = listed.common_prefixes.iter().chain(files);
            paths.try_for_each(|path| this.check_now(path, &mut folders))?;
            Ok(listed)
        })
        .await?
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check(from).await?;
        self.check(to).await?;
        self.disk.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        store: Confined,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let real = folder.path().canonicalize().unwrap();
            for path in ["lake/T/date=2026-01-01", "secret/T"] {
                fs::create_dir_all(real.join(path)).unwrap();
            }
            for path in ["lake/T/date=2026-01-01/a.parquet", "secret/T/b.parquet", "secret/c.toml"] {
                fs::write(real.join(path), "bytes").unwrap();
            }
            Self { store: Confined::new(Arc::new([real.join("lake")])), folder }
        }

        fn path(&self, name: &str) -> Path {
            Path::from_absolute_path(self.folder.path().canonicalize().unwrap().join(name)).unwrap()
        }

        fn link(&self, target: &str, name: &str) {
            symlink(target, self.folder.path().join(name)).unwrap();
        }

        async fn listed(&self, name: &str) -> Result<Vec<ObjectMeta>> {
            self.store.list(Some(&self.path(name))).try_collect().await
        }
    }

    fn is_refused<T: fmt::Debug>(result: Result<T>) {
        let error = result.unwrap_err();
        assert!(Refused::of(&error).is_some(), "{error}");
    }

    #[tokio::test]
    async fn links_that_stay_inside_are_followed_and_others_refused() {
        let place = Place::new();
        place.link("date=2026-01-01", "lake/T/date=2026-01-02");
        assert_eq!(place.listed("lake/T").await.unwrap().len(), 2);
        let linked = place.path("lake/T/date=2026-01-02/a.parquet");
        assert_eq!(place.store.get(&linked).await.unwrap().bytes().await.unwrap().as_ref(), b"bytes");
        place.link("../secret/c.toml", "lake/hindcast.toml");
        is_refused(place.store.get(&place.path("lake/hindcast.toml")).await);
        is_refused(place.store.list_with_delimiter(Some(&place.path("lake"))).await);
        place.link("../secret/T", "lake/U");
        is_refused(place.listed("lake/U").await);
        is_refused(place.store.get(&place.path("lake/U/b.parquet")).await);
        place.link("../../../secret/T/b.parquet", "lake/T/date=2026-01-01/b.parquet");
        is_refused(place.listed("lake/T").await);
        is_refused(place.store.get(&place.path("secret/c.toml")).await);
        // A missing file is only missing, not refused.
        let missing = place.store.get(&place.path("lake/none.toml")).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    }

    #[tokio::test]
    async fn a_pipe_is_refused() {
        let place = Place::new();
        let pipe = place.folder.path().join("lake/T/date=2026-01-01/p.parquet");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        is_refused(place.store.get(&place.path("lake/T/date=2026-01-01/p.parquet")).await);
        // A listing skips it anyway.
        assert_eq!(place.listed("lake/T").await.unwrap().len(), 1);
    }
}
