//! Reads parts of a state file and checks each: a changed file is an error, and never returns other rows.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;

use super::sealed::{Seal, StateFile, changed, chunks_of, content_hash};
use super::store_reader::StoreReader;

/// Bytes that the first request reads from a state file's end. Each shard of a merge reads all state files; they have few columns
/// and row groups, and most are smaller than this.
const FOOTER_HINT_BYTES: u64 = 128 << 10;

/// The factory of readers of state files for queries. Each file has its [`StateFile`] as an extension.
#[derive(Debug)]
pub(super) struct SealedReaders(pub(super) Arc<dyn ObjectStore>);

impl ParquetFileReaderFactory for SealedReaders {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> datafusion::common::Result<Box<dyn AsyncFileReader + Send>> {
        let sealed = file.extension::<StateFile>().cloned();
        let sealed = sealed.ok_or_else(|| DataFusionError::Internal("a state file has no seal".into()))?;
        Ok(Box::new(SealedReader::new(Arc::clone(&self.0), file.object_meta.location, sealed)))
    }
}

/// The reader of one file.
struct SealedReader {
    file: StoreReader,
    sealed: StateFile,
    /// Hashes of the pages, once the footer is read and checked.
    seal: Option<Seal>,
}

impl SealedReader {
    fn new(store: Arc<dyn ObjectStore>, path: Path, sealed: StateFile) -> Self {
        let hint = FOOTER_HINT_BYTES.max(sealed.tail_bytes) as usize;
        Self { file: StoreReader::of(store, path, sealed.bytes, hint), sealed, seal: None }
    }

    /// Adds the file's name to an error about the file.
    fn named(&self, error: ParquetError) -> ParquetError {
        match error {
            ParquetError::General(reason) | ParquetError::EOF(reason) => {
                ParquetError::General(format!("{}: {reason}", self.sealed.path))
            }
            other => other,
        }
    }

    async fn read_footer(&mut self, options: Option<&ArrowReaderOptions>) -> Result<Arc<ParquetMetaData>> {
        self.file.read_tail().await?;
        let StateFile { bytes, tail_bytes, .. } = self.sealed;
        let tail = bytes.checked_sub(tail_bytes).and_then(|start| self.file.in_tail(&(start..bytes)));
        if tail.is_none_or(|tail| content_hash(&tail) != self.sealed.content()) {
            return Err(changed("its footer"));
        }
        let metadata = self.file.parse_footer(options).await?;
        self.seal = Some(Seal::of(&metadata)?);
        Ok(metadata)
    }

    async fn read_checked(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if self.seal.is_none() {
            self.read_footer(None).await?;
        }
        let pages_end = self.sealed.bytes.saturating_sub(self.sealed.tail_bytes);
        let of_pages: Vec<Range<u64>> =
            ranges.iter().filter(|range| range.end <= pages_end).cloned().collect();
        let spans = chunks_of(&of_pages, pages_end);
        let read = self.file.get_byte_ranges(spans.clone()).await?;
        let seal = self.seal.as_ref().ok_or_else(|| changed("its footer"))?;
        for (span, bytes) in spans.iter().zip(&read) {
            if bytes.len() as u64 != span.end - span.start {
                return Err(ParquetError::EOF(format!("it should have {} bytes", self.sealed.bytes)));
            }
            seal.check(span.start, bytes)?;
        }
        let part = |range: &Range<u64>| {
            if range.start >= pages_end {
                return self.file.in_tail(range);
            }
            let holds = |span: &&Range<u64>| span.start <= range.start && range.end <= span.end;
            let index = spans.iter().position(|span| holds(&span))?;
            let start = (range.start - spans[index].start) as usize;
            Some(read[index].slice(start..start + range.end.checked_sub(range.start)? as usize))
        };
        let outside = || changed("it refers to bytes outside of the file");
        ranges.iter().map(|range| part(range).ok_or_else(outside)).collect()
    }
}

impl AsyncFileReader for SealedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let parts = self.read_checked(&[range]).await.map_err(|error| self.named(error))?;
            parts.into_iter().next().ok_or_else(|| self.named(changed("nothing was read")))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.read_checked(&ranges).await.map_err(|error| self.named(error)) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move { self.read_footer(options).await.map_err(|error| self.named(error)) }.boxed()
    }
}
