//! Checks a detection's SQL over tables without rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;

use super::{ColumnAbout, ColumnType, sql};
use crate::analyses::{Analysis, Context, prevalence_schema};
use crate::config::Config;
use crate::engine::result_columns;
use crate::findings::judge;
use crate::{Error, Result};

/// Plans everything of `analysis`.
///
/// # Errors
/// [`Error::Config`] naming file and line of what is wrong.
pub(super) fn check(analysis: &'static Analysis, config: &Config) -> Result<()> {
    let columns = result_columns(analysis, config).map_err(wrong)?;
    let session = sql::session()?;
    let over = |schema: &SchemaRef| session.read_table(Arc::new(EmptyTable::new(Arc::clone(schema))));
    let prevalence = over(&prevalence_schema())?;
    let whole = analysis
        .finished(over(&columns)?, &Context { config, prevalence })
        .map_err(wrong)?;
    let result = Arc::clone(whole.schema().inner());
    check_columns(analysis, &result)?;
    if let Some(companion) = &analysis.companion {
        companion.compute(whole, &analysis.bindings(config)?).map_err(wrong)?;
    }
    if let Some(rule) = &analysis.finding {
        let rows = arrow::array::RecordBatch::new_empty(result);
        judge(rule, analysis, &rows, config).map_err(wrong)?;
    }
    analysis.looks_back_to(config, 0).map_err(wrong)?;
    Ok(())
}

/// The planner's errors name file and line.
fn wrong(error: DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::Plan(message) => Error::Config(message.clone()),
        _ => Error::Config(error.strip_backtrace()),
    }
}

/// That the result has the columns that are documented, in their order.
fn check_columns(analysis: &Analysis, result: &SchemaRef) -> Result<()> {
    let documented: Vec<&str> = analysis.about.columns.iter().map(|column| column.name).collect();
    let there: Vec<&str> = result.fields().iter().map(|field| field.name().as_str()).collect();
    if documented != there {
        return Err(Error::Config(format!(
            "{}: the result has the columns {}, but documented are {}",
            analysis.about.file,
            there.join(", "),
            documented.join(", ")
        )));
    }
    for (column, field) in analysis.about.columns.iter().zip(result.fields()) {
        if !is_of(column, field.data_type()) {
            return Err(Error::Config(format!(
                "{}: the column {} is documented as {:?}, but it is {}",
                analysis.about.file,
                column.name,
                column.kind,
                field.data_type()
            )));
        }
    }
    Ok(())
}

fn is_of(column: &ColumnAbout, data_type: &DataType) -> bool {
    match column.kind {
        ColumnType::Text => {
            matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
        }
        ColumnType::Integer => *data_type == DataType::Int64,
        ColumnType::Float => *data_type == DataType::Float64,
        ColumnType::Time => matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(_))),
        ColumnType::Boolean => *data_type == DataType::Boolean,
    }
}
