//! What a scan needs to know of a file before it reads rows: its schema, and which row groups may hold rows of a window.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::file::metadata::ParquetMetaData;

use super::lake::LakeTable;
use super::lake_file::LakeFile;
use super::row_groups::RowGroups;
use super::store_reader::{catch_decoder_panic, only_dictionary_pages, open_file, parquet_error};
use hindcast_base::Error;
use hindcast_base::time::Window;
use hindcast_schema::ColumnKind;
use hindcast_schema::canonical_type;
use hindcast_schema::columns::{
    ColumnSource, FileColumns, Found, GroupTimes, MappedValues, Place, PlaceStep, group_times, leaf_of,
};

/// A key of a schema's metadata. Because of it the engine never takes a file's columns for those of the table: each is read as its
/// table's type, whichever others are read with it.
const ADAPTED: &str = "hindcast.adapted";

/// What a scan needs to know of a file.
pub(super) struct ScanInput {
    /// As stored, but text that is dictionary-encoded in all pages is read as a dictionary.
    pub(super) schema: SchemaRef,
    /// Whether the engine prunes by a comparison of times.
    pub(super) prunes_times: bool,
    /// The row groups to read, if not all.
    pub(super) groups: Option<RowGroups>,
}

/// Reads the footer of `file` for a scan of `columns`, limited to `groups` and to rows of `clip`, if they are given.
///
/// # Errors
/// [`Error::Input`] if the file is not a complete Parquet file, [`Error::Storage`] if the store fails.
pub(super) async fn scan_input(
    table: &LakeTable,
    columns: &[&str],
    file: &LakeFile,
    clip: Option<&Window>,
    groups: Option<&RowGroups>,
) -> Result<ScanInput, Error> {
    let input = async {
        let builder = open_file(table, file).await?;
        let file_columns = table.columns_in(builder.schema(), file);
        let schema = with_dictionaries(table, columns, &file_columns, builder.metadata());
        let (prunes_times, clipped) = match clip {
            Some(clip) => clipped(table, &file_columns, builder.metadata(), clip)
                .map_err(|error| parquet_error(file, &error))?,
            None => (false, None),
        };
        let groups = match clipped {
            Some(is_read) => Some(RowGroups::limited(groups, file, builder.metadata(), &is_read)),
            None => groups.cloned(),
        };
        Ok(ScanInput { schema, prunes_times, groups })
    };
    catch_decoder_panic(file, input).await
}

/// Whether the engine prunes by times itself; otherwise the row groups that may hold times of `clip`, as far as statistics show it.
fn clipped(
    table: &LakeTable,
    columns: &FileColumns,
    metadata: &ParquetMetaData,
    clip: &Window,
) -> parquet::errors::Result<(bool, Option<Vec<bool>>)> {
    let ColumnSource::Path(path) = table.mapping.source(table.spec.time_column) else {
        return Ok((false, None));
    };
    let place = match columns.find(&path) {
        Ok(Found::Stored(place)) => place,
        // The scan reports a missing time column.
        Ok(Found::Absent) | Err(_) => return Ok((true, None)),
        Ok(Found::Partition(_)) => return Ok((false, None)),
    };
    if place.steps.is_empty() && !place.data_type.is_integer() {
        return Ok((true, None));
    }
    let times = group_times(&place, metadata, &table.mapping.time_forms())?;
    let may_hold = |times: GroupTimes| match times {
        GroupTimes::Between(first, last) => first < clip.to_us && last >= clip.from_us,
        GroupTimes::Absent | GroupTimes::Unknown => true,
    };
    Ok((false, times.map(|times| times.into_iter().map(may_hold).collect())))
}

/// The schema of the file, with text of the table's text columns as dictionaries where all pages have them.
fn with_dictionaries(
    table: &LakeTable,
    columns: &[&str],
    file: &FileColumns,
    metadata: &ParquetMetaData,
) -> SchemaRef {
    let leaves = metadata.file_metadata().schema_descr();
    let is_text =
        |place: &Place| matches!(place.data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_dictionary = |place: &Place| {
        leaf_of(place, leaves).is_some_and(|leaf| {
            metadata.row_groups().iter().all(|group| only_dictionary_pages(group.column(leaf)))
        })
    };
    let mut fields = file.stored().fields().to_vec();
    for column in columns.iter().filter_map(|name| table.spec.column(name)) {
        let path = match table.mapping.source(column.name) {
            ColumnSource::Path(path) | ColumnSource::Mapped(MappedValues { column: path, .. }) => path,
            ColumnSource::Value(_) | ColumnSource::Sql(_) => continue,
        };
        let Ok(Found::Stored(place)) = file.find(&path) else { continue };
        if column.kind == ColumnKind::Text && is_text(&place) && is_dictionary(&place) {
            let field = &mut fields[place.root];
            *field = Arc::new(with_dictionary(field, &place.steps));
        }
    }
    let mut described = file.stored().metadata().clone();
    described.insert(ADAPTED.to_owned(), table.spec.name.to_owned());
    Arc::new(Schema::new_with_metadata(fields, described))
}

/// The field with the text at the end of `steps` as a dictionary.
fn with_dictionary(field: &Field, steps: &[PlaceStep]) -> Field {
    let data_type = match (steps.split_first(), field.data_type()) {
        (None, _) => canonical_type(ColumnKind::Text),
        (Some((PlaceStep::Field(name), rest)), DataType::Struct(fields)) => {
            let changed = fields.iter().map(|field| match field.name() == name {
                true => Arc::new(with_dictionary(field, rest)),
                false => Arc::clone(field),
            });
            DataType::Struct(changed.collect::<Fields>())
        }
        (_, other) => other.clone(),
    };
    field.clone().with_data_type(data_type)
}

#[cfg(test)]
#[path = "scan_input_tests.rs"]
mod tests;
