//! Tests with stores that fail during reads or writes: an import is complete or leaves nothing.

use super::test_sources;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use hindcast_base::{Error, ErrorKind, Result};
use hindcast_lake::{Location, Tables};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetRange, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use super::group::Group;
use super::{ImportReport, ImportRequest, TimeOptions, publish};

/// Rows of the file: more than one fetch reads.
const ROWS: usize = 12_000;
/// Readable bytes of a file that fails later: one fetch works, the second fails.
const READABLE_BYTES: u64 = 9 << 20;
/// Largest object that the store accepts in one request.
const PUT_BYTES: usize = 16 << 20;
/// Identifies the content of the file.
const CONTENT: &str = "content";

/// A store in memory that fails reads on demand, and accepts large objects only in parts.
#[derive(Debug)]
struct Failing {
    inner: InMemory,
    /// Reads of ranges that end after this many bytes fail.
    readable_bytes: AtomicU64,
    /// Multipart uploads that will still fail.
    failing_uploads: AtomicU64,
}

impl Failing {
    /// A store with `file` that does not fail yet.
    async fn holding(file: Vec<u8>) -> Arc<Self> {
        let inner = InMemory::new();
        inner.put(&Path::from("logs/rows"), file.into()).await.unwrap();
        Arc::new(Self { inner, readable_bytes: AtomicU64::new(u64::MAX), failing_uploads: AtomicU64::new(0) })
    }

    fn place(self: &Arc<Self>, path: &str) -> Location {
        let store: Arc<dyn ObjectStore> = self.clone();
        Location::parse_with(&format!("s3://memory/{path}"), |_| Ok(store)).unwrap()
    }

    /// The objects below a folder.
    async fn objects(&self, folder: &str) -> Vec<Path> {
        let listed: Vec<ObjectMeta> = self.inner.list(Some(&Path::from(folder))).try_collect().await.unwrap();
        listed.into_iter().map(|object| object.location).collect()
    }

    /// Imports the file into the folder `lake`.
    async fn import(self: &Arc<Self>, strict: bool) -> Result<ImportReport> {
        let mut input = test_sources::input_at(self.place("logs/rows")).await;
        input.content = CONTENT.to_owned();
        let request = ImportRequest {
            files: Vec::new(),
            lake: self.place("lake"),
            table: None,
            source: None,
            mapping: None,
            strict,
            record_id: None,
            times: TimeOptions::default(),
            known: Tables::built_in(),
            mappings: Default::default(),
            threads: 2,
            dry_run: None,
        };
        let mut report = ImportReport::default();
        Group::import(&request, &test_sources::built_in(), vec![input], &mut report, || {}).await?;
        match report.failures.pop() {
            Some(failure) => Err(failure),
            None => Ok(report),
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a failing store")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if payload.content_length() > PUT_BYTES {
            return Err(StoreError::NotSupported { source: "too large for one piece".into() });
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        if self.failing_uploads.load(Ordering::SeqCst) > 0 {
            self.failing_uploads.fetch_sub(1, Ordering::SeqCst);
            return Err(StoreError::Generic { store: "failing", source: "it is busy".into() });
        }
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let readable_bytes = self.readable_bytes.load(Ordering::SeqCst);
        if matches!(&options.range, Some(GetRange::Bounded(range)) if range.end > readable_bytes) {
            let path = location.to_string();
            return Err(StoreError::PermissionDenied { path, source: "the token expired".into() });
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// `count` rows of about 1,000 bytes each.
fn rows(count: usize) -> Vec<u8> {
    let padding = "x".repeat(900);
    let known = "\"TimeGenerated\":\"2026-01-05T08:00:00Z\",\"TenantId\":\"t\",\"Type\":\"Own\"";
    let mut text: Vec<u8> = Vec::new();
    for id in 0..count {
        writeln!(text, "{{{known},\"Id\":\"r{id}\",\"Text\":\"{padding}\"}}").unwrap();
    }
    text
}

/// A gzip without compression, so that it takes as many fetches as its text.
fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_store_failed_is_imported_whole_later() {
    let text = rows(ROWS);
    for (file, strict) in [(text.clone(), false), (packed(&text), false), (packed(&text), true)] {
        assert!(file.len() as u64 > READABLE_BYTES);
        let store = Failing::holding(file).await;
        store.readable_bytes.store(READABLE_BYTES, Ordering::SeqCst);
        let failed = store.import(strict).await.unwrap_err();
        assert!(matches!(failed, Error::Io { .. }), "{failed:?}");
        let message = failed.to_string();
        assert!(message.starts_with("reading file: ") && message.contains("the token expired"), "{message}");
        assert_eq!(store.objects("lake").await, Vec::<Path>::new());

        store.readable_bytes.store(u64::MAX, Ordering::SeqCst);
        let report = store.import(strict).await.unwrap();
        assert_eq!((report.files[0].rows["Own"], report.rejects()), (ROWS as u64, 0));
        assert!(publish::imported(&store.place("lake"), None, &[CONTENT]).await.unwrap().contains(CONTENT));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_archive_is_imported_up_to_its_end() {
    let mut file = packed(&rows(ROWS));
    file.truncate(file.len() / 2);
    let store = Failing::holding(file).await;
    let report = store.import(false).await.unwrap();
    let imported = report.files[0].rows["Own"];
    assert!((5_000..7_000).contains(&imported), "{imported}");
    let rejects = store.objects("lake/_hindcast/rejects").await;
    let message = store.inner.get(&rejects[0]).await.unwrap().bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&message).contains("can't be read to its end"));
    assert!(publish::imported(&store.place("lake"), None, &[CONTENT]).await.unwrap().contains(CONTENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_are_uploaded_in_parts() {
    let mut text = rows(30);
    for _ in 0..300 {
        text.extend(b"not json".repeat(7_500));
        text.push(b'\n');
    }
    let store = Failing::holding(text).await;
    store.failing_uploads.store(1, Ordering::SeqCst);
    let report = store.import(false).await.unwrap();
    assert_eq!((report.files[0].rows["Own"], report.rejects()), (30, 300));
    let rejects = store.objects("lake/_hindcast/rejects").await;
    assert_eq!(rejects.len(), 1);
    let message = store.inner.get(&rejects[0]).await.unwrap().bytes().await.unwrap();
    assert!(message.len() > PUT_BYTES);
    assert_eq!(memchr::memchr_iter(b'\n', &message).count(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_import_of_the_same_content_is_a_conflict() {
    let store = Failing::holding(rows(30)).await;
    store.import(false).await.unwrap();
    let tables = store.objects("lake/Own").await;
    let conflict = store.import(false).await.unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Conflict, "{conflict}");
    assert_eq!(store.objects("lake/Own").await, tables);
    assert!(publish::imported(&store.place("lake"), None, &[CONTENT]).await.unwrap().contains(CONTENT));
}
