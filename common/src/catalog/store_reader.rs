//! Reads a Parquet file of an object store directly, where no query is run over it.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::lake::LakeFile;
use super::location::Location;
use crate::error::InputFault;

/// Bytes read from a file's end in the first request: most footers fit.
pub(super) const FOOTER_HINT_BYTES: usize = 512 << 10;

/// One file of a store, for the Parquet crate's readers.
pub(super) struct StoreReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
}

impl StoreReader {
    pub(super) fn new(location: &Location, file: &LakeFile) -> Self {
        Self { store: Arc::clone(location.store()), path: file.store_path(), bytes: file.bytes }
    }
}

/// Number of rows and the schema of a file, from its footer.
///
/// # Errors
/// What is wrong with the file, where its footer can't be read.
pub async fn parquet_footer(location: &Location, file: &LakeFile) -> Result<(u64, SchemaRef), InputFault> {
    let reader = StoreReader::new(location, file);
    match ParquetRecordBatchStreamBuilder::new(reader).await {
        Ok(builder) => {
            let rows: i64 = builder.metadata().file_metadata().num_rows();
            Ok((rows.unsigned_abs(), Arc::clone(builder.schema())))
        }
        Err(error) => Err(InputFault {
            file: file.path.clone(),
            row_group: None,
            column: None,
            reason: format!("is not a whole Parquet file: {error}"),
        }),
    }
}

fn from_store(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for StoreReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.store.get_range(&self.path, range).map_err(from_store).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .with_prefetch_hint(Some(FOOTER_HINT_BYTES));
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}
