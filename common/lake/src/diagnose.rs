//! Locates the fault of a file: reads it row group by row group and column by column until a part fails.

use futures::TryStreamExt;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;

use super::lake::LakeTable;
use super::lake_file::LakeFile;
use super::store_reader::{StoreReader, decoder_panic_reason, open_parquet};
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::error::{Error, InputFault};
use hindcast_schema::columns::{ColumnPath, Found, leaves_of};

/// The row group and column of the first part of `file` that can't be decoded; `None` if all of `columns` can.
pub async fn locate_fault(table: &LakeTable, file: &LakeFile, columns: &[&str]) -> Option<InputFault> {
    let (row_groups, read) = match open_parquet(&table.location, file).await {
        Ok(builder) => (builder.metadata().num_row_groups(), columns_read(table, file, columns, &builder)),
        Err(Error::Input(fault)) => return Some(fault),
        Err(error) => {
            let reason = format!("is not a whole Parquet file: {error}");
            return Some(InputFault { file: file.path.clone(), row_group: None, column: None, reason });
        }
    };
    for row_group in 0..row_groups {
        for (column, leaves) in &read {
            let reason = match catch_panic(read_part(table, file, row_group, leaves)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => decoder_panic_reason(&panic),
            };
            let column = Some(column.clone());
            return Some(InputFault { file: file.path.clone(), row_group: Some(row_group), column, reason });
        }
    }
    None
}

/// The leaves that each of `columns` is read from, with what the mapping says about it.
fn columns_read(
    table: &LakeTable,
    file: &LakeFile,
    columns: &[&str],
    builder: &ParquetRecordBatchStreamBuilder<StoreReader>,
) -> Vec<(String, Vec<usize>)> {
    let file_columns = table.columns_in(builder.schema(), file);
    let leaves = |path: &ColumnPath| match file_columns.find(path) {
        Ok(Found::Stored(place)) => leaves_of(&place, builder.parquet_schema()),
        _ => Vec::new(),
    };
    let read = columns.iter().map(|column| {
        let source = table.mapping.source(column);
        (source.to_string(), source.paths().iter().flat_map(leaves).collect())
    });
    read.collect()
}

async fn read_part(
    table: &LakeTable,
    file: &LakeFile,
    row_group: usize,
    leaves: &[usize],
) -> Result<(), ParquetError> {
    let Ok(builder) = open_parquet(&table.location, file).await else { return Ok(()) };
    let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves.iter().copied());
    let rows = builder.with_row_groups(vec![row_group]).with_projection(mask).build()?;
    rows.try_for_each(|_| async { Ok(()) }).await
}
