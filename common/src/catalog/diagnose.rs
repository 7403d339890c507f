//! Where in a file a fault lies: reads it row group by row group and column by column until something fails.

use futures::StreamExt;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::ProjectionMask;

use super::lake::{LakeFile, LakeTable};
use super::store_reader::StoreReader;
use crate::error::InputFault;

/// Row group and column of the first part of `file` that can't be decoded, if any of `columns` can't.
pub async fn locate_fault(table: &LakeTable, file: &LakeFile, columns: &[&str]) -> Option<InputFault> {
    let fault = |row_group, column: Option<&str>, reason: String| {
        let column = column.map(str::to_owned);
        Some(InputFault { file: file.path.clone(), row_group, column, reason })
    };
    let reader = || StoreReader::new(&table.location, file);
    let row_groups = match ParquetRecordBatchStreamBuilder::new(reader()).await {
        Ok(builder) => builder.metadata().num_row_groups(),
        Err(error) => return fault(None, None, format!("is not a whole Parquet file: {error}")),
    };
    for row_group in 0..row_groups {
        for column in columns {
            let physical_name = table.physical_name(column);
            let Ok(builder) = ParquetRecordBatchStreamBuilder::new(reader()).await else {
                continue;
            };
            let mask = ProjectionMask::columns(builder.parquet_schema(), [physical_name]);
            let stream = builder.with_row_groups(vec![row_group]).with_projection(mask).build();
            let mut stream = match stream {
                Ok(stream) => stream,
                Err(error) => return fault(Some(row_group), Some(physical_name), error.to_string()),
            };
            while let Some(batch) = stream.next().await {
                if let Err(error) = batch {
                    return fault(Some(row_group), Some(physical_name), error.to_string());
                }
            }
        }
    }
    None
}
