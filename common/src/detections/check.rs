//! Checks a detection's SQL over tables without rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;

use super::parameters::ParameterType;
use super::{ColumnAbout, ColumnType, sql};
use crate::analyses::{Analysis, Context, HIDDEN_PREFIX, prevalence_schema};
use crate::config::Config;
use crate::engine::result_columns;
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
    let whole = analysis.finished(over(&columns)?, &Context { config, prevalence }).map_err(wrong)?;
    let result = Arc::clone(whole.schema().inner());
    check_columns(analysis, &result)?;
    if let Some(companion) = &analysis.companion {
        let table = companion.compute(whole, &analysis.bindings(config)?).map_err(wrong)?;
        check_charts(analysis, companion.name, table.schema().inner())?;
    }
    if let Some(rule) = &analysis.finding {
        rule.check(&DFSchema::try_from(result)?, &analysis.bindings(config)?)?;
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

/// That charts of the companion table find their columns there.
fn check_charts(analysis: &Analysis, table: &str, schema: &SchemaRef) -> Result<()> {
    let shown = schema.fields().iter().filter(|field| !field.name().starts_with(HIDDEN_PREFIX));
    let columns =
        shown.filter_map(|field| Some((field.name().as_str(), kind_of(field.data_type())?))).collect();
    let is_number = |name: &str| {
        let own = analysis.about.parameters.get(name);
        own.map_or(analysis.about.uses.iter().any(|(alias, _)| *alias == name), |parameter| {
            matches!(parameter.kind, ParameterType::Integer | ParameterType::Float)
        })
    };
    let charts = analysis.about.charts.iter().filter(|chart| chart.table() == Some(table));
    charts.map(|chart| chart.check(&columns, is_number)).try_for_each(|checked| {
        checked.map_err(|problem| Error::Config(format!("{}: {problem}", analysis.about.file)))
    })
}

fn is_of(column: &ColumnAbout, data_type: &DataType) -> bool {
    kind_of(data_type) == Some(column.kind)
}

fn kind_of(data_type: &DataType) -> Option<ColumnType> {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Some(ColumnType::Text),
        DataType::Int64 => Some(ColumnType::Integer),
        DataType::Float64 => Some(ColumnType::Float),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Some(ColumnType::Time),
        DataType::Boolean => Some(ColumnType::Boolean),
        _ => None,
    }
}
