//! Reads Parquet files of an object store: footers, and rows without a query.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::{BoxFuture, ready};
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::{Encoding, PageType};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};

use super::delta::explain_missing;
use super::lake::LakeTable;
use super::lake_file::LakeFile;
use super::location::Location;
use hindcast_base::Error;
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::error::InputFault;
use hindcast_base::storage_fault::storage_fault;

/// Bytes that the first request reads from a file's end: most footers fit.
const FOOTER_HINT_BYTES: usize = 512 << 10;

/// One file of a store, for the readers of the Parquet crate. The response to the request for the footer is kept, so that a file
/// that is not longer takes one request.
pub(super) struct StoreReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
    footer_hint: usize,
    /// The end of the file, once it is read.
    tail: Bytes,
}

impl StoreReader {
    pub(super) fn new(location: &Location, file: &LakeFile) -> Self {
        let store = Arc::clone(location.store());
        Self::of(store, file.store_path(), file.bytes, FOOTER_HINT_BYTES)
    }

    pub(super) fn of(store: Arc<dyn ObjectStore>, path: Path, bytes: u64, footer_hint: usize) -> Self {
        Self { store, path, bytes, footer_hint, tail: Bytes::new() }
    }

    /// Fails if the range lies outside the file: then the file is at fault, and a request to the store is useless.
    fn check(&self, range: &Range<u64>) -> Result<()> {
        if range.start <= range.end && range.end <= self.bytes {
            return Ok(());
        }
        let Range { start, end } = range;
        Err(ParquetError::EOF(format!("it refers to its bytes {start} to {end}, but has {}", self.bytes)))
    }

    /// Reads the end of the file, as many bytes as the hint says.
    pub(super) async fn read_tail(&mut self) -> Result<()> {
        let bytes = self.bytes;
        let start = bytes.saturating_sub(self.footer_hint as u64);
        self.tail = self.get_bytes(start..bytes).await?;
        if self.tail.len() as u64 != bytes - start {
            return Err(ParquetError::EOF(format!("it should have {bytes} bytes")));
        }
        Ok(())
    }

    /// Parses the footer, after the end of the file is read.
    pub(super) async fn parse_footer(
        &mut self,
        options: Option<&ArrowReaderOptions>,
    ) -> Result<Arc<ParquetMetaData>> {
        let bytes = self.bytes;
        let reader = ParquetMetaDataReader::new()
            .with_arrow_reader_options(options)
            .with_prefetch_hint(Some(self.tail.len()));
        Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
    }

    /// The bytes of the range, if it lies in the tail.
    pub(super) fn in_tail(&self, range: &Range<u64>) -> Option<Bytes> {
        let start = range.start.checked_sub(self.bytes - self.tail.len() as u64)?;
        let is_within = range.start <= range.end && range.end <= self.bytes;
        is_within.then(|| self.tail.slice(start as usize..(start + range.end - range.start) as usize))
    }
}

/// The factory of readers of a lake's files for queries.
#[derive(Debug)]
pub(super) struct LakeReaders(pub(super) Arc<dyn ObjectStore>);

impl ParquetFileReaderFactory for LakeReaders {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> datafusion::common::Result<Box<dyn AsyncFileReader + Send>> {
        let ObjectMeta { location, size, .. } = file.object_meta;
        Ok(Box::new(StoreReader::of(Arc::clone(&self.0), location, size, FOOTER_HINT_BYTES)))
    }
}

/// The content of a file's footer.
#[derive(Debug, Clone)]
pub struct Footer {
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub schema: SchemaRef,
    /// Nulls by column, if the statistics of all row groups have them.
    pub nulls: BTreeMap<String, u64>,
}

/// Opens a file: reads its footer and schema, and catches panics of the decoder.
pub(super) async fn open_parquet(
    location: &Location,
    file: &LakeFile,
) -> Result<ParquetRecordBatchStreamBuilder<StoreReader>, Error> {
    let opening = ParquetRecordBatchStreamBuilder::new(StoreReader::new(location, file));
    catch_decoder_panic(file, opening.map_err(|error| parquet_error(file, &error))).await
}

/// Like [`open_parquet`], for a file of a table whose log may list files that the store does not have any more.
pub(super) async fn open_file(
    table: &LakeTable,
    file: &LakeFile,
) -> Result<ParquetRecordBatchStreamBuilder<StoreReader>, Error> {
    match open_parquet(&table.location, file).await {
        Err(Error::Input(fault)) => Err(Error::Input(explain_missing(table, file, fault).await)),
        opened => opened,
    }
}

/// The result of reading a part of `file`. A panic of the decoder is a fault of the file.
pub(super) async fn catch_decoder_panic<T>(
    file: &LakeFile,
    reading: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    catch_panic(reading).await.unwrap_or_else(|panic| Err(file_fault(file, decoder_panic_reason(&panic))))
}

/// The reason of a fault on which a decoder panics.
pub(super) fn decoder_panic_reason(panic: &str) -> String {
    format!("can't be decoded: its decoder panicked: {panic}")
}

/// Reads a file's footer.
///
/// # Errors
/// [`Error::Input`] if the footer can't be read, [`Error::Storage`] if the store fails.
pub async fn parquet_footer(location: &Location, file: &LakeFile) -> Result<Footer, Error> {
    catch_decoder_panic(file, footer_of(location, file)).await
}

async fn footer_of(location: &Location, file: &LakeFile) -> Result<Footer, Error> {
    let builder = open_parquet(location, file).await?;
    let metadata = builder.metadata();
    let parquet_schema = metadata.file_metadata().schema_descr();
    let nulls_of = |leaf: usize| {
        let groups = metadata.row_groups().iter();
        groups.map(|group| group.column(leaf).statistics()?.null_count_opt()).sum::<Option<u64>>()
    };
    Ok(Footer {
        rows: metadata.file_metadata().num_rows().unsigned_abs(),
        schema: Arc::clone(builder.schema()),
        nulls: (0..parquet_schema.num_columns())
            .filter_map(|leaf| Some((parquet_schema.column(leaf).path().string(), nulls_of(leaf)?)))
            .collect(),
    })
}

/// Reads a file's rows: all columns, or only the named one. Without that column there are no rows.
///
/// # Errors
/// [`Error::Input`] if the file can't be read, and the errors of `each`.
pub async fn file_rows(
    location: &Location,
    file: &LakeFile,
    column: Option<&str>,
    mut each: impl FnMut(&RecordBatch) -> std::result::Result<(), Error>,
) -> std::result::Result<(), Error> {
    let failed = |error: ParquetError| parquet_error(file, &error);
    let mut builder = open_parquet(location, file).await?;
    if let Some(column) = column {
        let leaves = builder.parquet_schema().columns();
        let Some(leaf) = leaves.iter().position(|leaf| leaf.path().string() == column) else { return Ok(()) };
        let mask = ProjectionMask::leaves(builder.parquet_schema(), [leaf]);
        builder = builder.with_projection(mask);
    }
    let reading = async {
        let mut batches = builder.build().map_err(failed)?;
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            each(&batch)?;
        }
        Ok(())
    };
    catch_decoder_panic(file, reading).await
}

/// Whether all data pages of a column chunk refer to its dictionary. If a dictionary grows too large, the chunk continues with
/// plain pages, and reading those as a dictionary would build a new one.
pub(super) fn only_dictionary_pages(chunk: &ColumnChunkMetaData) -> bool {
    if let Some(mask) = chunk.page_encoding_stats_mask() {
        return mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY);
    }
    let is_data = |page_type| matches!(page_type, PageType::DATA_PAGE | PageType::DATA_PAGE_V2);
    let is_indexed = |encoding| matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    chunk.page_encoding_stats().is_some_and(|stats| {
        stats.iter().filter(|page| is_data(page.page_type)).all(|page| is_indexed(page.encoding))
    })
}

pub(super) fn parquet_error(file: &LakeFile, error: &ParquetError) -> Error {
    storage_fault(&file.path, error)
        .map(Error::Storage)
        .unwrap_or_else(|| file_fault(file, format!("is not a whole Parquet file: {error}")))
}

/// The fault of a whole file.
pub(super) fn file_fault(file: &LakeFile, reason: String) -> Error {
    Error::Input(InputFault { file: file.path.clone(), row_group: None, column: None, reason })
}

fn from_store(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for StoreReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        if let Err(outside) = self.check(&range) {
            return ready(Err(outside)).boxed();
        }
        match self.in_tail(&range) {
            Some(bytes) => ready(Ok(bytes)).boxed(),
            None => self.store.get_range(&self.path, range).map_err(from_store).boxed(),
        }
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        if let Err(outside) = ranges.iter().try_for_each(|range| self.check(range)) {
            return ready(Err(outside)).boxed();
        }
        match ranges.iter().map(|range| self.in_tail(range)).collect() {
            Some(all) => ready(Ok(all)).boxed(),
            // The store combines requests for neighbouring ranges.
            None => {
                async move { self.store.get_ranges(&self.path, &ranges).await.map_err(from_store) }.boxed()
            }
        }
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            self.read_tail().await?;
            self.parse_footer(options).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use object_store::memory::InMemory;
    use parquet::arrow::ArrowWriter;

    use super::*;

    const ROWS: i64 = 20_000;

    /// The numbers of a file that is deleted from the store once its footer is read, if `is_deleted`.
    async fn read_without_store(footer_hint: usize, is_deleted: bool) -> Result<Vec<i64>> {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
        let batch = RecordBatch::try_from_iter([("number", numbers)])?;
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
        writer.write(&batch)?;
        let (file, path) = (writer.into_inner()?, Path::from("state.parquet"));
        let (store, bytes) = (Arc::new(InMemory::new()), file.len() as u64);
        store.put(&path, file.into()).await.map_err(from_store)?;
        let reader = StoreReader::of(Arc::clone(&store) as _, path.clone(), bytes, footer_hint);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
        if is_deleted {
            store.delete(&path).await.map_err(from_store)?;
        }
        let batches: Vec<RecordBatch> = builder.build()?.try_collect().await?;
        let numbers = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        Ok(batches.iter().flat_map(numbers).collect())
    }

    #[tokio::test]
    async fn a_file_that_is_not_longer_than_the_hint_takes_one_request() {
        let all: Vec<i64> = (0..ROWS).collect();
        assert_eq!(read_without_store(1 << 20, true).await.unwrap(), all);
        read_without_store(64, true).await.unwrap_err();
        assert_eq!(read_without_store(64, false).await.unwrap(), all);
        // A part of the rows lies in the tail.
        assert_eq!(read_without_store(10_000, false).await.unwrap(), all);
    }

    #[tokio::test]
    async fn a_truncated_file_is_not_parquet() {
        let (store, path) = (Arc::new(InMemory::new()), Path::from("state.parquet"));
        store.put(&path, vec![0; 50].into()).await.unwrap();
        let mut reader = StoreReader::of(store, path, 100, 80);
        assert!(reader.get_metadata(None).await.unwrap_err().to_string().contains("100 bytes"));
    }

    /// The store would fail such a request, which would be retried in vain.
    #[tokio::test]
    async fn a_range_outside_the_file_is_the_fault_of_the_file() {
        let (store, path) = (Arc::new(InMemory::new()), Path::from("lake.parquet"));
        store.put(&path, vec![0; 50].into()).await.unwrap();
        let mut reader = StoreReader::of(store, path, 50, 8);
        assert_eq!(reader.get_bytes(10..50).await.unwrap().len(), 40);
        for range in [10..51, 60..70, Range { start: 9, end: 8 }, 7..u64::MAX] {
            let alone = reader.get_bytes(range.clone()).await.unwrap_err();
            let together = reader.get_byte_ranges(vec![0..4, range]).await.unwrap_err();
            for error in [alone, together] {
                assert!(storage_fault("lake.parquet", &error).is_none(), "{error}");
                assert!(error.to_string().contains("but has 50"), "{error}");
            }
        }
    }
}
