//! The live files of a Delta table, from the rows of its log.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, MapArray, RecordBatch, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use super::super::lake_file::{DeletionVector, LakeFile};
use super::super::location::Location;
use super::paths::object_of;
use super::times::Times;

/// Reads rows of a log as files.
#[derive(Debug)]
pub(super) struct RowReader {
    pub(super) table: Location,
    pub(super) partition: Vec<PartitionColumn>,
    pub(super) times: Times,
}

/// A partition column.
#[derive(Debug)]
pub(super) struct PartitionColumn {
    /// The name that users see.
    pub(super) name: String,
    /// The name in the log.
    pub(super) stored: String,
}

/// What a row says about a file.
#[derive(Debug)]
pub(super) struct FileRow<'a> {
    pub(super) path: &'a str,
    pub(super) bytes: i64,
    pub(super) modified_ms: i64,
    /// Values of partition columns, by their names in the log.
    pub(super) partition: &'a BTreeMap<String, Option<String>>,
    pub(super) statistics: Option<&'a str>,
    pub(super) deleted: Option<DeletionVector>,
}

/// The columns of a batch of rows.
struct Columns {
    paths: StringArray,
    sizes: Int64Array,
    modified_ms: Int64Array,
    statistics: StringArray,
    partition: PartitionValues,
    vectors: Vectors,
}

/// The partition values of a batch of rows.
struct PartitionValues {
    rows: MapArray,
    keys: StringArray,
    values: StringArray,
}

/// The deletion vectors of a batch of rows.
struct Vectors {
    rows: StructArray,
    storage_types: StringArray,
    paths: StringArray,
    offsets: Int64Array,
    sizes: Int64Array,
    cardinalities: Int64Array,
}

impl RowReader {
    /// The files of the `selected` rows; rows beyond that list are selected too.
    ///
    /// # Errors
    /// The reason, if the rows have another form.
    pub(super) fn files_of(&self, rows: &RecordBatch, selected: &[bool]) -> Result<Vec<LakeFile>, String> {
        let columns = Columns::of(rows)?;
        let is_live =
            |row: &usize| selected.get(*row).copied().unwrap_or(true) && columns.paths.is_valid(*row);
        (0..rows.num_rows()).filter(is_live).map(|row| self.file_in(&columns, row)).collect()
    }

    fn file_in(&self, columns: &Columns, row: usize) -> Result<LakeFile, String> {
        self.file(FileRow {
            path: columns.paths.value(row),
            bytes: columns.sizes.value(row),
            modified_ms: columns.modified_ms.value(row),
            partition: &columns.partition.of(row),
            statistics: columns.statistics.is_valid(row).then(|| columns.statistics.value(row)),
            deleted: columns.vectors.of(row)?,
        })
    }

    /// The file that a row describes.
    ///
    /// # Errors
    /// The reason, if the row can't be read.
    pub(super) fn file(&self, row: FileRow<'_>) -> Result<LakeFile, String> {
        let FileRow { path, bytes, modified_ms, partition, statistics, deleted } = row;
        let value = |column: &PartitionColumn| {
            // An empty text stands for null.
            let value = partition.get(&column.stored).cloned().flatten().filter(|value| !value.is_empty());
            (column.name.clone(), value)
        };
        let partition: BTreeMap<String, Option<String>> = self.partition.iter().map(value).collect();
        let times_us = self.times.of(statistics, &partition);
        let bytes = u64::try_from(bytes).map_err(|_| format!("its file {path} has no size"))?;
        let file = LakeFile::new(self.path_of(path)?, bytes, None);
        Ok(file.with(|file| {
            (file.partition, file.deleted) = (partition, deleted);
            (file.times_us, file.modified_ms) = (times_us, modified_ms);
        }))
    }

    /// The path of a file as [`LakeFile`] has it, from the one in the log.
    ///
    /// # Errors
    /// The reason, if it lies outside the table.
    pub(super) fn path_of(&self, path: &str) -> Result<String, String> {
        let object = object_of(&self.table, path).map_err(|reason| format!("its file {path} {reason}"))?;
        Ok(self.table.name_of(&object))
    }
}

impl Columns {
    fn of(rows: &RecordBatch) -> Result<Self, String> {
        let column = |name: &str| rows.column_by_name(name).ok_or_else(|| lacks(name));
        let constants = structs(column("fileConstantValues")?)?;
        Ok(Self {
            paths: texts(column("path")?)?,
            sizes: numbers(column("size")?)?,
            modified_ms: numbers(column("modificationTime")?)?,
            statistics: texts(column("stats")?)?,
            partition: PartitionValues::in_column(field(constants, "partitionValues")?)?,
            vectors: Vectors::in_column(structs(column("deletionVector")?)?)?,
        })
    }
}

impl PartitionValues {
    fn in_column(column: &ArrayRef) -> Result<Self, String> {
        let rows = column.as_map_opt().ok_or_else(|| lacks("partitionValues"))?.clone();
        Ok(Self { keys: texts(rows.keys())?, values: texts(rows.values())?, rows })
    }

    /// Those of a row, by their names in the log.
    fn of(&self, row: usize) -> BTreeMap<String, Option<String>> {
        if self.rows.is_null(row) {
            return BTreeMap::new();
        }
        let offsets = self.rows.value_offsets();
        let entries = offsets[row] as usize..offsets[row + 1] as usize;
        let value = |entry: usize| self.values.is_valid(entry).then(|| self.values.value(entry).to_owned());
        entries.map(|entry| (self.keys.value(entry).to_owned(), value(entry))).collect()
    }
}

impl Vectors {
    fn in_column(vectors: &StructArray) -> Result<Self, String> {
        Ok(Self {
            rows: vectors.clone(),
            storage_types: texts(field(vectors, "storageType")?)?,
            paths: texts(field(vectors, "pathOrInlineDv")?)?,
            offsets: numbers(field(vectors, "offset")?)?,
            sizes: numbers(field(vectors, "sizeInBytes")?)?,
            cardinalities: numbers(field(vectors, "cardinality")?)?,
        })
    }

    fn of(&self, row: usize) -> Result<Option<DeletionVector>, String> {
        if self.rows.is_null(row) || self.storage_types.is_null(row) {
            return Ok(None);
        }
        let number =
            |value: i64| i32::try_from(value).map_err(|_| "a deletion vector is too large".to_owned());
        let offset = self.offsets.is_valid(row).then(|| number(self.offsets.value(row))).transpose()?;
        Ok(Some(DeletionVector {
            storage_type: self.storage_types.value(row).to_owned(),
            path_or_inline: self.paths.value(row).to_owned(),
            offset,
            size_in_bytes: number(self.sizes.value(row))?,
            cardinality: self.cardinalities.value(row),
        }))
    }
}

fn lacks(name: &str) -> String {
    format!("its rows lack {name}")
}

fn structs(column: &ArrayRef) -> Result<&StructArray, String> {
    column.as_struct_opt().ok_or_else(|| "a column is not a struct".to_owned())
}

/// A field of a struct; null where the struct is null.
fn field<'a>(of: &'a StructArray, name: &str) -> Result<&'a ArrayRef, String> {
    of.column_by_name(name).ok_or_else(|| lacks(name))
}

fn texts(column: &ArrayRef) -> Result<StringArray, String> {
    let texts = cast(column, &DataType::Utf8).map_err(|error| error.to_string())?;
    Ok(texts.as_string::<i32>().clone())
}

fn numbers(column: &ArrayRef) -> Result<Int64Array, String> {
    let numbers = cast(column, &DataType::Int64).map_err(|error| error.to_string())?;
    Ok(numbers.as_primitive::<Int64Type>().clone())
}
