//! Encodes a stream of state rows, sorted by bucket, as one Parquet file.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::manifest::StateData;
use super::weights::{StoredWeights, Weights};
use hindcast_detections::rollups::BUCKET_COLUMN;
use hindcast_lake::{content_hash, seal_of};

/// Rows per row group and per page: few, so that a shard reads little more than its own buckets.
const ROW_GROUP_ROWS: usize = 64 << 10;
const PAGE_ROWS: usize = 8 << 10;

/// State as a Parquet file with hashes of its pages.
#[derive(Debug, Default)]
pub struct EncodedState {
    /// The content of the file; empty if there are no rows.
    pub bytes: Vec<u8>,
    /// Bytes of its page indexes and footer.
    pub tail_bytes: u64,
    /// Number of rows.
    pub rows: u64,
    /// How the rows are spread over the buckets.
    pub weights: StoredWeights,
}

impl EncodedState {
    /// The description of the file, for its manifest.
    pub(super) fn data(&self) -> StateData {
        let tail = &self.bytes[self.bytes.len() - self.tail_bytes as usize..];
        let bytes = self.bytes.len() as u64;
        let weights = self.weights.clone();
        StateData { content: content_hash(tail), bytes, tail_bytes: self.tail_bytes, weights }
    }
}

/// The whole stream as a Parquet file; empty if it has no rows.
pub(super) async fn encode_state(mut rows: SendableRecordBatchStream) -> Result<EncodedState> {
    let schema = rows.schema();
    let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
    let mut weights = Weights::default();
    let mut count = 0;
    while let Some(batch) = rows.next().await.transpose()? {
        count += batch.num_rows() as u64;
        weights.add_rows(&batch);
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                writer.insert(ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties(&schema)?))?)
            }
        };
        writer.write(&batch)?;
    }
    let encoded = writer.map(|writer| sealed_file(writer, count)).transpose()?.unwrap_or_default();
    Ok(EncodedState { weights: weights.stored(), ..encoded })
}

/// A batch as a Parquet file, which has a schema even without rows.
pub(super) fn encode_batch(rows: &RecordBatch) -> Result<EncodedState> {
    let schema = rows.schema();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties(&schema)?))?;
    writer.write(rows)?;
    sealed_file(writer, rows.num_rows() as u64)
}

/// Finishes the file of `writer`, with hashes of its pages in the footer.
fn sealed_file(mut writer: ArrowWriter<Vec<u8>>, rows: u64) -> Result<EncodedState> {
    writer.flush()?;
    writer.sync()?;
    let pages_bytes = writer.inner().len();
    let seal = seal_of(writer.inner());
    writer.append_key_value_metadata(seal);
    let bytes = writer.into_inner()?;
    let tail_bytes = (bytes.len() - pages_bytes) as u64;
    Ok(EncodedState { bytes, tail_bytes, rows, weights: StoredWeights::default() })
}

fn properties(schema: &SchemaRef) -> Result<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        // Readers prune rows by bucket only.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from(BUCKET_COLUMN), EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS);
    for field in schema.fields() {
        // Sums and counts are unordered, but their high bytes are equal; times differ by little.
        let encoding = match field.data_type() {
            DataType::Int64 => Encoding::BYTE_STREAM_SPLIT,
            // Buckets are sorted.
            DataType::Timestamp(_, _) | DataType::UInt16 => Encoding::DELTA_BINARY_PACKED,
            // Packed sets, most of them short.
            DataType::Binary => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            _ => continue,
        };
        // Few values repeat, so a dictionary would be built and then abandoned.
        let path = ColumnPath::from(field.name().as_str());
        builder =
            builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
    }
    Ok(builder.build())
}
