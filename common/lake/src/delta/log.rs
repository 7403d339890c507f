//! Reads a version of a Delta table from its log: the files, and the names of its columns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::history_manager::error::{LogHistoryError, NearestTimestamp};
use delta_kernel::history_manager::{HistoryCommitType, get_earliest_commit, latest_version_as_of};
use delta_kernel::schema::{DataType, MetadataValue, PrimitiveType, StructField, StructType};
use delta_kernel::table_features::ColumnMappingMode;
use delta_kernel::{KernelError, Snapshot as KernelSnapshot, SnapshotRef};
use hindcast_base::storage_fault::storage_fault;
use hindcast_base::time::format_micros;
use hindcast_base::{Error, Result};
use tokio::runtime::Handle;

use super::super::file_source::Snapshot;
use super::super::lake_file::LakeFile;
use super::super::location::Location;
use super::engine::{LogEngine, ROOT};
use super::rows::{PartitionColumn, RowReader};
use super::times::{DayColumns, Times};
use super::version::TableVersion;
use hindcast_schema::{PhysicalColumn, PhysicalNames};

/// Key of a column's name in the files.
const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";

/// What is read of a table's log.
#[derive(Debug, Clone)]
pub(super) struct LogRequest {
    /// The table in messages: its name and URL.
    pub(super) table: String,
    pub(super) location: Location,
    pub(super) version: TableVersion,
    /// What may be the name of the time column, after those of its parents; the first one that exists is.
    pub(super) time_columns: Vec<Vec<String>>,
    /// Names of columns that are read.
    pub(super) columns: BTreeSet<String>,
    /// Days by which a row's time may differ from the day of its partition.
    pub(super) slack_days: u32,
}

/// A version of a table.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) snapshot: Snapshot,
    pub(super) files: Vec<LakeFile>,
    pub(super) physical: PhysicalNames,
    /// The columns as users see them.
    pub(super) schema: Option<SchemaRef>,
    /// Reads other files of the table in the same way.
    pub(super) reader: RowReader,
}

/// Reads the log, on a thread of `runtime` that may block.
///
/// # Errors
/// [`Error::Invalid`] if the version does not exist or Hindcast can't read the table, [`Error::Data`] if the log is damaged,
/// [`Error::Storage`] if the store fails.
pub(super) fn read(request: &LogRequest, runtime: Handle) -> Result<Log> {
    let engine = LogEngine::new(&request.location, runtime);
    let snapshot = snapshot_of(request, &engine)?;
    let failed = |error| failure(&request.table, error);
    let schema = snapshot.schema();
    refuse_variants(request, &schema)?;
    let mode = snapshot.table_configuration().column_mapping_mode();
    let physical = physical_names(&schema, mode);
    let names = snapshot.table_configuration().metadata().partition_columns();
    let partition = |name: &String| {
        let stored = physical.columns.get(name).map_or(name, |column| &column.name);
        PartitionColumn { name: name.clone(), stored: stored.clone() }
    };
    let reader = RowReader {
        table: request.location.clone(),
        partition: names.iter().map(partition).collect(),
        times: Times {
            time_column: time_column(request, &schema, mode),
            days: DayColumns::among(names, &schema),
            slack_days: request.slack_days,
        },
    };
    let columns: Option<Schema> = schema.as_ref().try_into_arrow().ok();
    let (version, time_ms) = (snapshot.version(), snapshot.get_timestamp(&engine).ok());
    let scan = snapshot.scan_builder().without_row_transforms().build().map_err(failed)?;
    let mut files = Vec::new();
    for part in scan.scan_metadata(&engine).map_err(failed)? {
        let (rows, selected) = part.map_err(failed)?.scan_files.into_parts();
        let rows = ArrowEngineData::try_from_engine_data(rows).map_err(failed)?;
        let read = reader.files_of(rows.record_batch(), &selected);
        files.extend(read.map_err(|reason| damaged(&request.table, &reason))?);
    }
    let schema = columns.map(Arc::new);
    Ok(Log { snapshot: Snapshot { version, time_ms }, files, physical, schema, reader })
}

/// The requested version.
fn snapshot_of(request: &LogRequest, engine: &LogEngine) -> Result<SnapshotRef> {
    let LogRequest { table, version, .. } = request;
    let failed = |error| failure(table, error);
    let latest = KernelSnapshot::builder_for(ROOT).build(engine).map_err(failed)?;
    let number = match *version {
        TableVersion::Latest => return Ok(latest),
        TableVersion::Number(number) => number,
        TableVersion::AsOf(time_us) => {
            let time_ms = time_us.div_euclid(1_000);
            let found = latest_version_as_of(&latest, engine, time_ms, HistoryCommitType::Recreatable);
            found.map_err(|error| too_early(table, time_us, error))?.version
        }
    };
    if number == latest.version() {
        return Ok(latest);
    }
    if number > latest.version() {
        return Err(Error::Invalid(format!(
            "{table} has no version {number}: its latest version is {}",
            latest.version()
        )));
    }
    let log = latest.table_root().join("_delta_log/").map_err(|error| Error::Internal(error.to_string()))?;
    let first = get_earliest_commit(engine, &log, None, HistoryCommitType::Recreatable).map_err(failed)?;
    if number < first {
        return Err(Error::Invalid(format!(
            "{table} has no version {number} any more: the earliest that its log still describes is {first}"
        )));
    }
    KernelSnapshot::builder_for(ROOT).at_version(number).build(engine).map_err(failed)
}

fn too_early(table: &str, time_us: i64, error: KernelError) -> Error {
    let time = format_micros(time_us);
    match error {
        KernelError::Backtraced { source, .. } => too_early(table, time_us, *source),
        KernelError::LogHistory(history) => match *history {
            LogHistoryError::TimestampOutOfRange { nearest_timestamp, .. } => {
                let earliest = match nearest_timestamp {
                    NearestTimestamp::Earliest(ms) => {
                        format!(
                            ": the earliest that its log still describes is of {}",
                            format_micros(ms * 1_000)
                        )
                    }
                    _ => String::new(),
                };
                Error::Invalid(format!("{table} has no version as of {time}{earliest}"))
            }
            LogHistoryError::Internal { source: Some(source), .. } => failure(table, *source),
            other => damaged(table, &other.to_string()),
        },
        other => failure(table, other),
    }
}

/// The error of reading the log of `table`.
fn failure(table: &str, error: KernelError) -> Error {
    match error {
        KernelError::Backtraced { source, .. } => failure(table, *source),
        KernelError::ObjectStore(error) => Error::reading(format!("the log of {table}"))(error),
        KernelError::Unsupported(reason) => Error::Invalid(format!(
            "{table} is a Delta table that Hindcast can't read: {reason}. Copy its rows to a table without that feature, and name \
             that one"
        )),
        other => match storage_fault(&format!("the log of {table}"), &other) {
            Some(fault) => Error::Storage(fault),
            None => damaged(table, &other.to_string()),
        },
    }
}

fn damaged(table: &str, reason: &str) -> Error {
    Error::Data(format!("the Delta log of {table} can't be read: {reason}"))
}

/// Fails if a column that is read is a variant, which only readers of its binary form understand.
fn refuse_variants(request: &LogRequest, schema: &StructType) -> Result<()> {
    let is_read =
        |field: &&StructField| request.columns.iter().any(|name| name.eq_ignore_ascii_case(&field.name));
    let variant =
        schema.fields().filter(is_read).find(|field| matches!(field.data_type, DataType::Variant(_)));
    match variant {
        Some(field) => Err(Error::Invalid(format!(
            "{}: column {} is a variant (table feature variantType), which Hindcast does not read",
            request.table, field.name
        ))),
        None => Ok(()),
    }
}

/// The names of all columns in the files, if column mapping makes them differ.
fn physical_names(schema: &StructType, mode: ColumnMappingMode) -> PhysicalNames {
    match mode {
        ColumnMappingMode::None => PhysicalNames::default(),
        _ => {
            PhysicalNames { by_id: matches!(mode, ColumnMappingMode::Id), columns: physical_columns(schema) }
        }
    }
}

fn physical_columns(schema: &StructType) -> BTreeMap<String, PhysicalColumn> {
    let column = |field: &StructField| {
        let fields = fields_in(&field.data_type).map(physical_columns).unwrap_or_default();
        PhysicalColumn { name: stored_name(field).to_owned(), id: field.column_mapping_id(), fields }
    };
    schema.fields().map(|field| (field.name.clone(), column(field))).collect()
}

fn stored_name(field: &StructField) -> &str {
    match field.metadata.get(PHYSICAL_NAME) {
        Some(MetadataValue::String(name)) => name,
        _ => &field.name,
    }
}

/// The fields of a struct, or of the structs in a list or a map.
fn fields_in(data_type: &DataType) -> Option<&StructType> {
    match data_type {
        DataType::Struct(fields) => Some(fields.as_ref()),
        DataType::Array(array) => fields_in(array.element_type()),
        DataType::Map(map) => fields_in(map.value_type()),
        _ => None,
    }
}

/// The way to the time column in a file's statistics, if its type has statistics that are times.
fn time_column(request: &LogRequest, schema: &StructType, mode: ColumnMappingMode) -> Option<Vec<String>> {
    request.time_columns.iter().find_map(|names| time_at(names, schema, mode))
}

fn time_at(names: &[String], schema: &StructType, mode: ColumnMappingMode) -> Option<Vec<String>> {
    let mut fields = Some(schema);
    let mut found: Option<&StructField> = None;
    let mut path = Vec::new();
    for name in names {
        let field = field_named(fields?, name)?;
        path.push(match mode {
            ColumnMappingMode::None => field.name.clone(),
            _ => stored_name(field).to_owned(),
        });
        fields = match &field.data_type {
            DataType::Struct(fields) => Some(fields.as_ref()),
            _ => None,
        };
        found = Some(field);
    }
    let is_time = matches!(
        found?.data_type,
        DataType::Primitive(PrimitiveType::Timestamp | PrimitiveType::TimestampNtz | PrimitiveType::Date)
    );
    is_time.then_some(path)
}

/// The field of that name, or the only one of that name in another case.
fn field_named<'a>(schema: &'a StructType, name: &str) -> Option<&'a StructField> {
    schema.field(name).or_else(|| {
        let mut alike = schema.fields().filter(|field| field.name.eq_ignore_ascii_case(name));
        alike.next().filter(|_| alike.next().is_none())
    })
}

/// The log, read on a thread of its own.
pub(super) async fn read_blocking(request: &Arc<LogRequest>) -> Result<Log> {
    let (request, runtime) = (Arc::clone(request), Handle::current());
    let table = request.table.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let read = hindcast_base::catch_panic::catch_panic_sync(|| read(&request, runtime));
        read.unwrap_or_else(|panic| Err(damaged(&request.table, &format!("its reader panicked: {panic}"))))
    });
    reading.await.map_err(|error| Error::Internal(format!("reading the log of {table}: {error}")))?
}
