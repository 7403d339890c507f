//! Metadata requests of clients: the catalog, schemas, tables and capabilities.

use arrow::array::{AsArray, RecordBatch};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables, SqlInfo,
    SqlSupportedTransaction,
};
use datafusion::catalog::SchemaProvider;
use hindcast_base::{Error, Result};
use hindcast_node::error_of;
use tonic::Status;

use super::SqlApi;
use super::catalog::{CATALOG, LATEST};
use super::plain::sent_schema;

/// The only table type.
const TABLE_TYPE: &str = "TABLE";
/// Number of the latest jobs that are listed. Queries can also name older jobs by their id.
const LISTED_JOBS: usize = 50;

pub(super) fn catalogs(query: CommandGetCatalogs) -> Result<RecordBatch> {
    let mut builder = query.into_builder();
    builder.append(CATALOG);
    builder.build().map_err(failed)
}

pub(super) fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch> {
    let mut builder = query.into_builder();
    builder.append(TABLE_TYPE);
    builder.build().map_err(failed)
}

/// One schema per job that has results, and `latest`.
pub(super) fn schemas(api: &SqlApi, query: CommandGetDbSchemas) -> Result<RecordBatch> {
    let mut builder = query.into_builder();
    let jobs = api.jobs();
    if !jobs.is_empty() {
        builder.append(CATALOG, LATEST);
    }
    for id in jobs.iter().take(LISTED_JOBS) {
        builder.append(CATALOG, id);
    }
    builder.build().map_err(failed)
}

/// The tables of the requested schemas. Tables are only read if their columns are requested too.
pub(super) async fn tables(api: &SqlApi, query: CommandGetTables) -> Result<RecordBatch> {
    let of_schemas = CommandGetDbSchemas {
        catalog: query.catalog.clone(),
        db_schema_filter_pattern: query.db_schema_filter_pattern.clone(),
    };
    let schemas = schemas(api, of_schemas)?;
    let wants_columns = query.include_schema;
    let catalog = api.catalog();
    let mut builder = query.into_builder();
    let names = schemas.column(1).as_string_opt::<i32>();
    for schema in names.iter().flat_map(|names| names.iter().flatten()) {
        let tables = catalog.tables(schema);
        for name in tables.names().await? {
            let columns = match wants_columns {
                // The columns of a rollup whose state another version wrote are unknown.
                true => tables.table(&name).await.ok().flatten().map(|table| table.schema()),
                false => None,
            };
            let columns = columns.map_or_else(arrow::datatypes::Schema::empty, |columns| {
                sent_schema(&columns).as_ref().clone()
            });
            builder.append(CATALOG, schema, &name, TABLE_TYPE, &columns).map_err(failed)?;
        }
    }
    builder.build().map_err(failed)
}

/// Name, version and capabilities of the server.
pub(super) fn sql_info() -> Result<SqlInfoData> {
    let mut builder = SqlInfoDataBuilder::new();
    builder.append(SqlInfo::FlightSqlServerName, "Hindcast");
    builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    // The version of the format, not of the library.
    builder.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    builder.append(SqlInfo::FlightSqlServerReadOnly, true);
    builder.append(SqlInfo::FlightSqlServerSql, true);
    builder.append(SqlInfo::FlightSqlServerSubstrait, false);
    builder.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    builder.append(SqlInfo::FlightSqlServerCancel, false);
    builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    builder.build().map_err(failed)
}

pub(super) fn failed(error: impl Into<FlightError>) -> Error {
    match error.into() {
        FlightError::ExternalError(error) => Error::Internal(error.to_string()),
        error => error_of(&Status::from(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_describes_the_server() {
        let all = sql_info().unwrap();
        let read_only = all.record_batch([SqlInfo::FlightSqlServerReadOnly as u32]).unwrap();
        assert_eq!(read_only.num_rows(), 1);
        assert_eq!(catalogs(CommandGetCatalogs {}).unwrap().num_rows(), 1);
        assert_eq!(table_types(CommandGetTableTypes {}).unwrap().num_rows(), 1);
    }
}
