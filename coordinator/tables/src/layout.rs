//! Layout of the lake's files: compression, row groups, pages, and the statistics and filters that prune them.

use std::io::Write;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use hindcast_base::{Error, Result};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Target size of files. Scans cut units of about this size.
pub const TARGET_FILE_BYTES: u64 = 64 << 20;
/// Compaction on request merges files below this size.
pub const SMALL_FILE_BYTES: u64 = TARGET_FILE_BYTES / 4;
/// An import merges files below this size afterwards: opening them costs more than rewriting them.
pub const TINY_FILE_BYTES: u64 = 4 << 20;
/// Rows per row group: few enough that the rows of one device are in one or two groups of a date.
const ROW_GROUP_ROWS: usize = 128 << 10;
/// The writer that files name that Hindcast writes to a lake.
pub(crate) const WRITTEN_BY: &str = "hindcast import";
/// Distinct values for which a Bloom filter is sized, with one false positive in a hundred look-ups of absent values.
const FILTERED_VALUES: u64 = 20_000;
/// Columns by which other engines look up rows. Hindcast itself uses the dictionaries.
const FILTERED_COLUMNS: [&str; 6] =
    ["DeviceName", "SourceIP", "DestinationIP", "RemoteIP", "CallerIpAddress", "UserId"];

/// A writer of a table's file, whose rows are sorted by the columns `order`. Columns that are absent from the schema
/// are ignored.
///
/// # Errors
/// [`Error::Engine`] if the schema can't be written as Parquet.
pub fn writer<W: Write + Send>(target: W, schema: &SchemaRef, order: &[&str]) -> Result<ArrowWriter<W>> {
    let properties = properties(schema, order)?;
    ArrowWriter::try_new(target, schema.clone(), Some(properties)).map_err(as_engine)
}

fn properties(schema: &Schema, order: &[&str]) -> Result<WriterProperties> {
    let leaves = ArrowSchemaConverter::new().convert(schema).map_err(as_engine)?;
    // Sorting columns are indexed by leaf. A nested column has several leaves, and rows are not sorted by it.
    let place = |name: &str| leaves.columns().iter().position(|leaf| leaf.path().parts() == [name]);
    let sorting = |place| SortingColumn { column_idx: place as i32, descending: false, nulls_first: true };
    let order = order.iter().filter_map(|name| place(name)).map(sorting);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(as_engine)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(order.collect()))
        .set_created_by(WRITTEN_BY.to_owned());
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if FILTERED_COLUMNS.contains(&field.name().as_str()) {
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_max_ndv(path.clone(), FILTERED_VALUES);
        }
        // Times and sizes have so many values that the writer would give up a dictionary.
        if matches!(field.data_type(), DataType::Timestamp(_, _)) {
            properties = properties.set_column_dictionary_enabled(path, false);
        }
    }
    Ok(properties.build())
}

fn as_engine(error: parquet::errors::ParquetError) -> Error {
    Error::Engine(error.into())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Field;
    use parquet::file::metadata::ParquetMetaDataReader;

    use super::*;

    #[test]
    fn files_have_row_groups_sorting_and_filters_for_pruning() {
        let rows = ROW_GROUP_ROWS + 5;
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        let field = |name| Arc::new(Field::new(name, DataType::Int64, true));
        let nested =
            StructArray::from(vec![(field("a"), Arc::clone(&numbers)), (field("b"), Arc::clone(&numbers))]);
        let times = TimestampMicrosecondArray::from_iter_values(0..rows as i64).with_timezone("UTC");
        let addresses = StringArray::from_iter_values((0..rows).map(|row| format!("10.0.0.{}", row % 7)));
        let columns: [(&str, ArrayRef); 4] = [
            ("Nested", Arc::new(nested)),
            ("TimeGenerated", Arc::new(times)),
            ("SourceIP", Arc::new(addresses)),
            ("n", numbers),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let order = ["SourceIP", "Missing", "TimeGenerated"];
        let mut writer = writer(File::create(&path).unwrap(), &batch.schema(), &order).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();

        let metadata = ParquetMetaDataReader::new().parse_and_finish(&File::open(&path).unwrap()).unwrap();
        assert_eq!(metadata.file_metadata().created_by(), Some(WRITTEN_BY));
        let counts: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(counts, [ROW_GROUP_ROWS as i64, 5]);
        let group = metadata.row_group(0);
        let sorting: Vec<i32> =
            group.sorting_columns().unwrap().iter().map(|column| column.column_idx).collect();
        // The nested column has the leaves 0 and 1.
        assert_eq!(sorting, [3, 2]);
        let columns: Vec<(bool, bool)> = group
            .columns()
            .iter()
            .map(|column| (column.bloom_filter_offset().is_some(), column.dictionary_page_offset().is_some()))
            .collect();
        assert_eq!(columns[2..4], [(false, false), (true, true)]);
        assert!(group.columns().iter().all(|column| column.statistics().is_some()));
    }
}
