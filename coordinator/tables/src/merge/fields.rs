//! Unifies fields and schemas of several files: all columns of all files, each in a type that holds all values.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Fields, Schema};

use super::types::{common_type, widen_dictionary_keys};

/// Prefix of the field metadata of Arrow extension types.
const EXTENSION: &str = "ARROW:extension:";

/// Why two schemas can't be unified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaConflict {
    /// No type holds the values of a column in both schemas.
    Types {
        /// The column.
        column: String,
        /// Its types.
        types: [String; 2],
    },
    /// Several columns have the same name.
    SameName(String),
}

impl fmt::Display for SchemaConflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Types { column, types: [own, other] } => write!(
                formatter,
                "column {column} is stored as {own} and as {other}, and no type holds the values of both"
            ),
            Self::SameName(column) => write!(formatter, "several columns are called {column}"),
        }
    }
}

/// The schema of rows of both: the columns of `left` in their order, then the other columns of `right`.
///
/// # Errors
/// The conflicting column, with its type in `right`, then in `left`.
pub fn unify_schemas(left: &Schema, right: &Schema) -> Result<Schema, SchemaConflict> {
    let fields = common_fields(left.fields(), right.fields())?;
    // Metadata of a whole file, such as Spark's schema, holds for both only if both have it.
    let is_shared = |(key, value): &(&String, &String)| right.metadata().get(*key) == Some(*value);
    let metadata = left.metadata().iter().filter(is_shared).map(|(key, value)| (key.clone(), value.clone()));
    Ok(Schema::new_with_metadata(fields, metadata.collect()))
}

/// The schema of one file, with types that can take rows of other files.
///
/// # Errors
/// [`SchemaConflict::SameName`].
pub(crate) fn own_schema(schema: &Schema) -> Result<Schema, SchemaConflict> {
    let fields = distinct(schema.fields())?.map(|field| {
        let data_type = widen_dictionary_keys(field.data_type());
        field.as_ref().clone().with_data_type(data_type)
    });
    Ok(Schema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone()))
}

/// The fields of both. A field of only one side is nullable.
pub(super) fn common_fields(left: &Fields, right: &Fields) -> Result<Fields, SchemaConflict> {
    let mut unified: Vec<Field> = Vec::with_capacity(left.len());
    let rest: HashMap<&str, &FieldRef> =
        distinct(right)?.map(|field| (field.name().as_str(), field)).collect();
    for field in distinct(left)? {
        unified.push(match rest.get(field.name().as_str()) {
            None => absent_in_some(field),
            Some(other) => common_field(field, other).ok_or_else(|| SchemaConflict::Types {
                column: field.name().clone(),
                types: [other.data_type().to_string(), field.data_type().to_string()],
            })?,
        });
    }
    let known: HashSet<&str> = left.iter().map(|field| field.name().as_str()).collect();
    let added = right.iter().filter(|field| !known.contains(field.name().as_str()));
    unified.extend(added.map(absent_in_some));
    Ok(unified.into())
}

/// The field that holds the values of both, with the name of `left`; `None` if they have no common type.
pub(super) fn common_field(left: &Field, right: &Field) -> Option<Field> {
    let data_type = common_type(left.data_type(), right.data_type())?;
    let mut metadata = common_metadata(left.metadata(), right.metadata());
    let means_the_same =
        |key: &str| data_type == *left.data_type() && left.metadata().get(key) == right.metadata().get(key);
    metadata.retain(|key, _| !key.starts_with(EXTENSION) || means_the_same(key));
    let is_nullable = left.is_nullable() || right.is_nullable() || left.data_type().is_null();
    Some(
        Field::new(left.name(), data_type, is_nullable || right.data_type().is_null())
            .with_metadata(metadata),
    )
}

fn absent_in_some(field: &Arc<Field>) -> Field {
    field.as_ref().clone().with_data_type(widen_dictionary_keys(field.data_type())).with_nullable(true)
}

/// The fields, if all their names are distinct.
fn distinct(fields: &Fields) -> Result<impl Iterator<Item = &FieldRef>, SchemaConflict> {
    let mut seen = HashSet::new();
    match fields.iter().find(|field| !seen.insert(field.name())) {
        Some(twice) => Err(SchemaConflict::SameName(twice.name().clone())),
        None => Ok(fields.iter()),
    }
}

/// Metadata of either side that the other does not contradict.
fn common_metadata(
    left: &HashMap<String, String>,
    right: &HashMap<String, String>,
) -> HashMap<String, String> {
    let contradicts = |key: &str, value: &String, other: &HashMap<String, String>| {
        other.get(key).is_some_and(|other| other != value)
    };
    let of_left = left.iter().filter(|(key, value)| !contradicts(key, value, right));
    let of_right = right.iter().filter(|(key, value)| !contradicts(key, value, left));
    of_left.chain(of_right).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, TimeUnit};

    use super::*;

    fn schema(fields: Vec<Field>) -> Schema {
        Schema::new(fields)
    }

    #[test]
    fn columns_of_both_are_kept_and_widened() {
        let left = schema(vec![
            Field::new("n", DataType::Int8, false),
            Field::new(
                "t",
                DataType::Timestamp(TimeUnit::Millisecond, Some("America/New_York".into())),
                false,
            ),
        ]);
        let right = schema(vec![
            Field::new("more", DataType::Utf8, false),
            Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("n", DataType::Int64, false),
        ]);
        let expected = schema(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Field::new("more", DataType::Utf8, true),
        ]);
        assert_eq!(unify_schemas(&left, &right).unwrap(), expected);
    }

    #[test]
    fn the_conflicting_column_is_named() {
        let numbers = schema(vec![Field::new("x", DataType::Int64, true)]);
        let texts = schema(vec![Field::new("x", DataType::Utf8, true)]);
        let conflict = unify_schemas(&numbers, &texts).unwrap_err();
        assert!(conflict.to_string().starts_with("column x is stored as Utf8 and as Int64"), "{conflict}");
        let twice =
            schema(vec![Field::new("x", DataType::Utf8, true), Field::new("x", DataType::Utf8, true)]);
        assert_eq!(own_schema(&twice), Err(SchemaConflict::SameName("x".into())));
        assert_eq!(unify_schemas(&numbers, &twice), Err(SchemaConflict::SameName("x".into())));
    }

    #[test]
    fn metadata_is_kept_unless_files_contradict_each_other() {
        let with = |pairs: &[(&str, &str)]| {
            let metadata = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Field::new("x", DataType::Int32, true).with_metadata(metadata.collect())
        };
        let left = with(&[("unit", "bytes"), ("PARQUET:field_id", "1"), ("ARROW:extension:name", "e")]);
        let right = with(&[("PARQUET:field_id", "2"), ("note", "n")]);
        assert_eq!(common_field(&left, &right).unwrap(), with(&[("unit", "bytes"), ("note", "n")]));
        assert_eq!(common_field(&left, &left).unwrap(), left);
        let wider = left.clone().with_data_type(DataType::Int64);
        assert!(!common_field(&left, &wider).unwrap().metadata().contains_key("ARROW:extension:name"));
    }
}
