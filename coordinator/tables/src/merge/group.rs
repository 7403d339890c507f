//! Groups files that can be merged without loss, by their schemas and, if it depends on them, by their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use futures::TryStreamExt;
use hindcast_base::{Error, Result};
use hindcast_lake::{
    ColumnKind, ColumnSource, FileColumns, Found, LakeFile, Location, PathStep, StoredFile, TableMapping,
    TableSpec, reads_alike, reads_as_absent,
};
use serde::Serialize;

use super::fields::{own_schema, unify_schemas};
use super::types::widen_dictionary_keys;
use super::widen::{is_exact, widen};

/// A file that is not merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmergedFile {
    /// Its path.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// How Hindcast reads the columns of a table. It reads none of a table that it does not know.
#[derive(Debug, Clone)]
pub struct Columns {
    spec: Option<&'static TableSpec>,
    mapping: TableMapping,
    /// By the name of the stored column in lower case.
    readings: BTreeMap<String, Readings>,
}

/// How a stored column is read.
#[derive(Debug, Clone, Default)]
struct Readings {
    /// The kinds of columns that its values are read as.
    kinds: Vec<ColumnKind>,
    /// Whether the mapping computes values from it or from a part of it.
    is_input: bool,
}

impl Columns {
    /// The columns of a table, with the names in `mapping`; `spec` is absent for a table that Hindcast does not know.
    pub fn of(spec: Option<&'static TableSpec>, mapping: &TableMapping) -> Self {
        let mut readings: BTreeMap<String, Readings> = BTreeMap::new();
        let add_inputs = |readings: &mut BTreeMap<String, Readings>, source: &ColumnSource| {
            for path in source.paths() {
                if let Some(PathStep::Name(name)) = path.steps().first() {
                    readings.entry(name.to_lowercase()).or_default().is_input = true;
                }
            }
        };
        for column in spec.iter().flat_map(|spec| spec.columns) {
            match mapping.source(column.name) {
                ColumnSource::Path(path) => {
                    readings.entry(path.text().to_lowercase()).or_default().kinds.push(column.kind);
                    if path.steps().len() > 1 {
                        add_inputs(&mut readings, &path.into());
                    }
                }
                source => add_inputs(&mut readings, &source),
            }
        }
        if let Some(filter) = &mapping.filter {
            add_inputs(&mut readings, &ColumnSource::Sql(filter.clone()));
        }
        Self { spec, mapping: mapping.clone(), readings }
    }

    fn readings(&self, stored: &str) -> Option<&Readings> {
        self.readings.get(&stored.to_lowercase())
    }

    /// The name of a column in files of `schema`, if it is a whole stored column.
    fn name_in<'s>(&self, column: &str, schema: &'s SchemaRef) -> Option<&'s str> {
        let ColumnSource::Path(path) = self.mapping.source(column) else { return None };
        match FileColumns::new(Arc::clone(schema), BTreeMap::new()).find(&path) {
            Ok(Found::Stored(place)) if place.steps.is_empty() => Some(schema.field(place.root).name()),
            _ => None,
        }
    }

    fn time_column(&self) -> &'static str {
        self.spec.map_or("TimeGenerated", |spec| spec.time_column)
    }

    /// The time column of files of `schema`.
    pub fn time<'s>(&self, schema: &'s SchemaRef) -> Option<&'s str> {
        self.name_in(self.time_column(), schema)
    }

    /// The column that clusters rows, in files of `schema`.
    pub fn cluster<'s>(&self, schema: &'s SchemaRef) -> Option<&'s str> {
        self.name_in(self.spec?.shard_key?, schema)
    }
}

/// Files whose rows fit one schema.
#[derive(Debug)]
pub struct Group {
    /// The schema of all their rows.
    pub schema: SchemaRef,
    /// The files.
    pub files: Vec<StoredFile>,
}

/// Divides `files` into groups that can each become one file, and files that can't be merged with any other, with the
/// reason. Files come in the order of their paths, and each goes to the first group that accepts it.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub async fn groups(
    location: &Location,
    files: &[LakeFile],
    columns: &Columns,
) -> Result<(Vec<Group>, Vec<UnmergedFile>)> {
    let mut groups: Vec<(Group, Option<String>)> = Vec::new();
    let mut left = Vec::new();
    for file in files {
        let stored = match open(location, file).await? {
            Ok(stored) => stored,
            Err(reason) => {
                left.push(UnmergedFile { file: file.path.clone(), reason });
                continue;
            }
        };
        let mut conflict = None;
        let mut taken = false;
        for (group, _) in &mut groups {
            match group.schema_with(&stored, columns).await? {
                Ok(schema) => {
                    group.schema = schema;
                    group.files.push(stored.clone());
                    taken = true;
                    break;
                }
                Err(reason) => conflict = conflict.or(Some(reason)),
            }
        }
        if !taken {
            match own_schema(stored.schema()) {
                Ok(schema) => {
                    groups.push((Group { schema: Arc::new(schema), files: vec![stored] }, conflict));
                }
                Err(reason) => {
                    left.push(UnmergedFile { file: file.path.clone(), reason: reason.to_string() })
                }
            }
        }
    }
    let only = |group: &Group| group.files.first().map(|stored| stored.file().path.clone());
    let first_conflict = groups.iter().find_map(|(_, conflict)| conflict.clone());
    let (merged, single): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(group, _)| group.files.len() > 1);
    for (group, conflict) in single {
        // The first file has no reason, because it was compared with nothing: the reason of a later file applies.
        let (Some(file), Some(reason)) = (only(&group), conflict.or(first_conflict.clone())) else {
            continue;
        };
        left.push(UnmergedFile { file, reason });
    }
    Ok((merged.into_iter().map(|(group, _)| group).collect(), left))
}

/// The file, or why it can't be rewritten.
async fn open(location: &Location, file: &LakeFile) -> Result<Result<StoredFile, String>> {
    let opened = async {
        let stored = StoredFile::open(location, file).await?;
        let finer = stored.finer_than_micros().await?;
        Ok((stored, finer))
    };
    match opened.await {
        Ok((stored, None)) => Ok(Ok(stored)),
        Ok((_, Some(column))) => {
            Ok(Err(format!("column {column} has INT96 times that are finer than microseconds")))
        }
        Err(Error::Input(fault)) => Ok(Err(fault.to_string())),
        Err(error) => Err(error),
    }
}

impl Group {
    /// The schema of this group with `file`, or why there is none.
    async fn schema_with(&self, file: &StoredFile, columns: &Columns) -> Result<Result<SchemaRef, String>> {
        let schema = match unify_schemas(&self.schema, file.schema()) {
            Ok(schema) => schema,
            Err(conflict) => return Ok(Err(conflict.to_string())),
        };
        if columns.time(&self.schema).is_some() != columns.time(file.schema()).is_some() {
            let time = columns.mapping.source(columns.time_column());
            return Ok(Err(format!("column {time}, the time of rows, is not in every file")));
        }
        if let Some((first, second)) = alike_in_any_case(&schema, &[&self.schema, file.schema()]) {
            return Ok(Err(format!("the names of columns {first} and {second} differ only in their case")));
        }
        if let Err(reason) = check_lossless(file, file.schema(), &schema, columns).await? {
            return Ok(Err(reason));
        }
        let members = if schema.fields() == self.schema.fields() { &[] } else { self.files.as_slice() };
        for member in members {
            // Types that members were already checked for are not checked again.
            if let Err(reason) = check_lossless(member, &self.schema, &schema, columns).await? {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(Arc::new(schema)))
    }
}

/// Checks that every value of `file` stays the same, and is read as before, in the types of `schema` that differ from
/// those of
/// `known`. Returns the reason if not.
async fn check_lossless(
    file: &StoredFile,
    known: &Schema,
    schema: &Schema,
    columns: &Columns,
) -> Result<Result<(), String>> {
    let mut changed: Vec<String> = Vec::new();
    for field in schema.fields() {
        let (name, data_type) = (field.name(), field.data_type());
        match file.schema().field_with_name(name) {
            Ok(own) => {
                let was = known.field_with_name(name).map_or(own.data_type(), |field| field.data_type());
                if widen_dictionary_keys(was) != *data_type
                    && widen_dictionary_keys(own.data_type()) != *data_type
                {
                    changed.push(name.clone());
                }
            }
            Err(_) => {
                let kinds = columns.readings(name).map(|readings| readings.kinds.as_slice());
                if kinds.unwrap_or_default().iter().any(|kind| !reads_as_absent(*kind, data_type)) {
                    return Ok(Err(format!(
                        "column {name} can't be read as {data_type}, and some files lack it"
                    )));
                }
            }
        }
    }
    if changed.is_empty() {
        return Ok(Ok(()));
    }
    let mut batches = std::pin::pin!(file.read(Some(&changed))?);
    loop {
        let batch = match batches.try_next().await {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(Ok(())),
            Err(Error::Input(fault)) => return Ok(Err(fault.to_string())),
            Err(error) => return Err(error),
        };
        if let Some(reason) = find_loss(&batch, schema, columns) {
            return Ok(Err(format!("{reason} ({})", file.file().path)));
        }
    }
}

/// Two columns that one file would have whose names differ only in their case, if no file of the group has both.
fn alike_in_any_case<'a>(schema: &'a Schema, of_files: &[&SchemaRef]) -> Option<(&'a str, &'a str)> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    schema.fields().iter().find_map(|field| {
        let first = seen.insert(field.name().to_lowercase(), field.name())?;
        let has_both =
            |file: &&SchemaRef| file.index_of(first).is_ok() && file.index_of(field.name()).is_ok();
        (!of_files.iter().any(has_both)).then_some((first, field.name().as_str()))
    })
}

/// Whether expressions make no difference between two types: all layouts of text are one.
fn is_same_for_expressions(own: &DataType, target: &DataType) -> bool {
    let plain = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    };
    let is_text =
        |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let (own, target) = (plain(own), plain(target));
    own == target || (is_text(&own) && is_text(&target))
}

/// Why a value of the rows would change in the types of `schema`; `None` if none would.
fn find_loss(batch: &RecordBatch, schema: &Schema, columns: &Columns) -> Option<String> {
    let own = batch.schema();
    own.fields().iter().zip(batch.columns()).find_map(|(field, before)| {
        let (name, own) = (field.name(), before.data_type());
        let target: &DataType = schema.field_with_name(name).ok()?.data_type();
        let Ok(after) = widen(before, target) else {
            return Some(format!("column {name}: {target} does not hold every value of type {own}"));
        };
        if !is_exact(before, &after) {
            return Some(format!("column {name}: {target} does not hold every value of type {own} exactly"));
        }
        let readings = columns.readings(name)?;
        if readings.is_input && !is_same_for_expressions(own, target) {
            let reason = "the table's mapping computes values from it, and they may depend on its type";
            return Some(format!("column {name} has the types {own} and {target}: {reason}"));
        }
        let forms = columns.mapping.time_forms();
        let reads_otherwise = |kind: &ColumnKind| !reads_alike(*kind, before, &after, &forms);
        readings
            .kinds
            .iter()
            .any(reads_otherwise)
            .then(|| format!("column {name}: values of type {own} are read differently as {target}"))
    })
}
