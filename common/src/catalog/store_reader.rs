//! Reads a Parquet file of an object store directly, where no query is run over it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::{Encoding, PageType};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};

use super::lake::{LakeFile, LakeTable};
use super::location::Location;
use super::scan::canonical_type;
use super::tables::ColumnKind;
use crate::Error;
use crate::error::{InputFault, store_failure};

/// Bytes read from a file's end in the first request: most footers fit.
pub(super) const FOOTER_HINT_BYTES: usize = 512 << 10;
/// The same of a state file, which each shard of a merge reads: they have few columns and row groups.
pub(super) const STATE_FOOTER_HINT_BYTES: usize = 128 << 10;

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

/// What a file's footer tells.
#[derive(Debug, Clone)]
pub struct Footer {
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub schema: SchemaRef,
    /// Nulls by column, where every row group's statistics tell them.
    pub nulls: BTreeMap<String, u64>,
}

/// A file's footer.
///
/// # Errors
/// [`Error::Input`] where the footer can't be read, [`Error::Storage`] where the store fails.
pub async fn parquet_footer(location: &Location, file: &LakeFile) -> Result<Footer, Error> {
    let reader = StoreReader::new(location, file);
    let builder =
        ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|error| no_parquet(file, &error))?;
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

/// Calls `each` with the values of one column of a file, read as text; with none where the file lacks it.
///
/// # Errors
/// [`Error::Input`] where the file can't be read, [`Error::Storage`] where the store fails.
pub async fn column_texts(
    location: &Location,
    file: &LakeFile,
    column: &str,
    mut each: impl FnMut(&str),
) -> Result<(), Error> {
    let failed = |error: ParquetError| no_parquet(file, &error);
    let builder =
        ParquetRecordBatchStreamBuilder::new(StoreReader::new(location, file)).await.map_err(failed)?;
    let leaves = builder.parquet_schema().columns();
    let Some(leaf) = leaves.iter().position(|leaf| leaf.path().string() == column) else { return Ok(()) };
    let mask = ProjectionMask::leaves(builder.parquet_schema(), [leaf]);
    let mut batches = builder.with_projection(mask).build().map_err(failed)?;
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        let texts = cast(batch.column(0), &DataType::Utf8).map_err(|error| failed(error.into()))?;
        texts.as_string::<i32>().iter().flatten().for_each(&mut each);
    }
    Ok(())
}

/// The Arrow schema to read `file` with: as stored, with text that is a dictionary throughout read as such.
pub(super) async fn stored_schema(table: &LakeTable, file: &LakeFile) -> Result<SchemaRef, Error> {
    let reader = StoreReader::new(&table.location, file);
    let builder =
        ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|error| no_parquet(file, &error))?;
    let metadata = builder.metadata();
    let is_dictionary = |name: &str| {
        let parquet_schema = metadata.file_metadata().schema_descr();
        let leaf = (0..parquet_schema.num_columns())
            .find(|leaf| parquet_schema.column(*leaf).path().string() == name);
        leaf.is_some_and(|leaf| {
            metadata.row_groups().iter().all(|group| only_dictionary_pages(group.column(leaf)))
        })
    };
    let texts: Vec<&str> = table
        .spec
        .columns
        .iter()
        .filter(|column| column.kind == ColumnKind::Text)
        .map(|column| table.physical_name(column.name))
        .collect();
    let fields: Vec<FieldRef> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let is_text =
                matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            if is_text && texts.contains(&field.name().as_str()) && is_dictionary(field.name()) {
                Arc::new(field.as_ref().clone().with_data_type(canonical_type(ColumnKind::Text)))
            } else {
                Arc::clone(field)
            }
        })
        .collect();
    Ok(Arc::new(Schema::new_with_metadata(fields, builder.schema().metadata().clone())))
}

/// Whether every data page of a column chunk refers to its dictionary. A chunk whose dictionary grew too large goes on
/// in plain pages, and reading that as a dictionary would build one anew.
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

pub(super) fn no_parquet(file: &LakeFile, error: &ParquetError) -> Error {
    store_failure(&file.path, error).unwrap_or_else(|| {
        Error::Input(InputFault {
            file: file.path.clone(),
            row_group: None,
            column: None,
            reason: format!("is not a whole Parquet file: {error}"),
        })
    })
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
