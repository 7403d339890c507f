//! The engine with which `delta_kernel` reads a table's log: its default engine, on a store whose root is the table's folder.
//!
//! The log is written by others. All URLs of the engine are below [`ROOT`], and it follows no other, so that a log can't lead it out of
//! the table or to another server.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

use async_trait::async_trait;
use delta_kernel::schema::SchemaRef;
use delta_kernel::{
    Engine, EngineData, EvaluationHandler, FileDataReadResultIterator, FileMeta, FileSize, JsonHandler,
    KernelError, KernelResult, KernelResultIteratorStatic, ParquetHandler, PredicateRef, StorageHandler,
};
use delta_kernel_default_engine::executor::TaskExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::runtime::{EnterGuard, Handle};
use url::Url;

use super::super::location::Location;

/// The table's URL for the engine.
pub(super) const ROOT: &str = "memory:///";

/// Files of a log that are read at once.
const CONCURRENT_READS: NonZero<usize> = match NonZero::new(32) {
    Some(reads) => reads,
    None => NonZero::<usize>::MIN,
};

/// The engine for one table.
pub(super) struct LogEngine {
    inner: DefaultEngine<OnRuntime>,
    parquet: Arc<WithinTable>,
}

impl LogEngine {
    /// An engine for the table at `location`. It must be called on a thread of `runtime` that may block.
    pub(super) fn new(location: &Location, runtime: Handle) -> Self {
        let store = Arc::new(TableStore { location: location.clone() });
        let builder = DefaultEngineBuilder::new(store).with_task_executor(Arc::new(OnRuntime(runtime)));
        let inner = builder.with_buffer_size(CONCURRENT_READS).build();
        let parquet = Arc::new(WithinTable(inner.parquet_handler()));
        Self { inner, parquet }
    }
}

impl Engine for LogEngine {
    fn evaluation_handler(&self) -> Arc<dyn EvaluationHandler> {
        self.inner.evaluation_handler()
    }

    fn storage_handler(&self) -> Arc<dyn StorageHandler> {
        self.inner.storage_handler()
    }

    fn json_handler(&self) -> Arc<dyn JsonHandler> {
        self.inner.json_handler()
    }

    fn parquet_handler(&self) -> Arc<dyn ParquetHandler> {
        Arc::clone(&self.parquet) as _
    }
}

/// Runs requests on the process's runtime, whose clients the stores use, and waits for them on the thread that called the engine.
struct OnRuntime(Handle);

impl TaskExecutor for OnRuntime {
    type Guard<'a> = EnterGuard<'a>;

    fn block_on<T>(&self, task: T) -> T::Output
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        self.0.block_on(task)
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(task);
    }

    fn spawn_blocking<T, R>(&self, task: T) -> BoxFuture<'_, KernelResult<R>>
    where
        T: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let running = self.0.spawn_blocking(task);
        running.map(|result| result.map_err(KernelError::join_failure)).boxed()
    }

    fn enter(&self) -> EnterGuard<'_> {
        self.0.enter()
    }
}

/// Reads Parquet files of the table only: the path of a checkpoint's part may be a URL of any server, which the default engine would
/// request.
struct WithinTable(Arc<dyn ParquetHandler>);

fn check(file: &FileMeta) -> KernelResult<()> {
    match file.location.scheme() == "memory" {
        true => Ok(()),
        false => Err(KernelError::Unsupported(format!("its log refers to {}", file.location))),
    }
}

impl ParquetHandler for WithinTable {
    fn read_parquet_files(
        &self,
        files: &[FileMeta],
        physical_schema: SchemaRef,
        predicate: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        files.iter().try_for_each(check)?;
        self.0.read_parquet_files(files, physical_schema, predicate)
    }

    fn read_parquet_footer(&self, file: &FileMeta) -> KernelResult<delta_kernel::ParquetFooter> {
        check(file)?;
        self.0.read_parquet_footer(file)
    }

    fn write_parquet_file(
        &self,
        location: Url,
        _: KernelResultIteratorStatic<Box<dyn EngineData>>,
    ) -> KernelResult<FileSize> {
        Err(KernelError::Unsupported(format!("writing {location}")))
    }
}

/// A store of which the table's folder is the root. It can only be read, and lists objects in the order of their paths.
#[derive(Debug)]
struct TableStore {
    location: Location,
}

impl TableStore {
    /// The path of an object in the table's store.
    fn outer(&self, path: &Path) -> Path {
        self.location.prefix().parts().chain(path.parts()).collect()
    }

    /// An object as the engine sees it; none if it does not lie in the table.
    fn inner(&self, object: ObjectMeta) -> Option<ObjectMeta> {
        let location = object.location.prefix_match(self.location.prefix())?.collect();
        Some(ObjectMeta { location, ..object })
    }

    fn sorted(
        &self,
        objects: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let this = Self { location: self.location.clone() };
        let listed = async move {
            let objects: Vec<ObjectMeta> = objects.try_collect().await?;
            let mut own: Vec<ObjectMeta> =
                objects.into_iter().filter_map(|object| this.inner(object)).collect();
            own.sort_by(|left, right| left.location.cmp(&right.location));
            Ok::<_, Error>(stream::iter(own.into_iter().map(Ok)))
        };
        listed.try_flatten_stream().boxed()
    }
}

fn read_only(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "a store for reading".to_owned() }
}

impl fmt::Display for TableStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.location.url())
    }
}

#[async_trait]
impl ObjectStore for TableStore {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.location.store().get_opts(&self.outer(path), options).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = self.outer(prefix.unwrap_or(&Path::ROOT));
        self.sorted(self.location.store().list(Some(&folder)))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = self.outer(prefix.unwrap_or(&Path::ROOT));
        self.sorted(self.location.store().list_with_offset(Some(&folder), &self.outer(offset)))
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(read_only("list_with_delimiter"))
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put_multipart"))
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(read_only("delete"))]).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}
