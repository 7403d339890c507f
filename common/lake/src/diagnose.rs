//! Locates the fault of a file: reads it row group by row group and column by column until a part fails.

use futures::TryStreamExt;
use parquet::arrow::ProjectionMask;
use parquet::errors::ParquetError;

use super::lake::LakeTable;
use super::lake_file::LakeFile;
use super::store_reader::{decoder_panic_reason, open_parquet};
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::error::{Error, InputFault};

/// The row group and column of the first part of `file` that can't be decoded; `None` if all of `columns` can.
pub async fn locate_fault(table: &LakeTable, file: &LakeFile, columns: &[&str]) -> Option<InputFault> {
    let row_groups = match open_parquet(&table.location, file).await {
        Ok(builder) => builder.metadata().num_row_groups(),
        Err(Error::Input(fault)) => return Some(fault),
        Err(error) => {
            let reason = format!("is not a whole Parquet file: {error}");
            return Some(InputFault { file: file.path.clone(), row_group: None, column: None, reason });
        }
    };
    for row_group in 0..row_groups {
        for column in columns {
            let column = table.physical_name(column);
            let reason = match catch_panic(read_part(table, file, row_group, column)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => decoder_panic_reason(&panic),
            };
            let column = Some(column.to_owned());
            return Some(InputFault { file: file.path.clone(), row_group: Some(row_group), column, reason });
        }
    }
    None
}

async fn read_part(
    table: &LakeTable,
    file: &LakeFile,
    row_group: usize,
    column: &str,
) -> Result<(), ParquetError> {
    let Ok(builder) = open_parquet(&table.location, file).await else { return Ok(()) };
    let mask = ProjectionMask::columns(builder.parquet_schema(), [column]);
    let rows = builder.with_row_groups(vec![row_group]).with_projection(mask).build()?;
    rows.try_for_each(|_| async { Ok(()) }).await
}
