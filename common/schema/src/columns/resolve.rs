//! Finds the columns of a file by the paths of a mapping: exactly, then in any case, then among the file's partition values.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, Field, Fields, SchemaRef};

use super::path::{ColumnPath, PathStep};

/// The columns of one file, as paths find them.
#[derive(Debug, Clone)]
pub struct FileColumns {
    /// The columns as the file stores them.
    stored: SchemaRef,
    /// The same columns under the names of the lake. They differ where a table format stores columns under other names.
    named: SchemaRef,
    /// The values of its partition columns.
    partition: BTreeMap<String, Option<String>>,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A column of the file, or a part of one.
    Stored(Place),
    /// The value of a partition column, the same for all rows.
    Partition(Option<String>),
    /// The file has no such column.
    Absent,
}

/// A column of a file, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index of the column in the file's schema.
    pub root: usize,
    /// The way from the column to the part.
    pub steps: Vec<PlaceStep>,
    /// Type of the values.
    pub data_type: DataType,
}

/// One step into a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PlaceStep {
    /// The field of a struct, by its name in the file.
    Field(String),
    /// The value of a key of a map.
    Key(String),
    /// An element of a list, counted from 0.
    Index(usize),
    /// All elements of a list.
    Each,
}

/// Two names that differ from the wanted one only in their case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguous {
    /// The path.
    pub path: String,
    /// One of the names.
    pub first: String,
    /// The other.
    pub second: String,
}

impl std::fmt::Display for Ambiguous {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, first, second } = self;
        write!(
            formatter,
            "the file has {first} and {second}, and both may be {path}: name the right one under columns in the table's \
             section of the configuration"
        )
    }
}

/// How names are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Exact,
    Any,
}

/// Steps with the type at their end; `None` if they lead nowhere.
type Way = Option<(Vec<PlaceStep>, DataType)>;

impl FileColumns {
    /// The columns of a file with this schema and these partition values.
    pub fn new(stored: SchemaRef, partition: BTreeMap<String, Option<String>>) -> Self {
        Self { named: stored.clone(), stored, partition }
    }

    /// The same file, whose columns the lake calls as `named` says. Both schemas have the same shape.
    pub fn named(self, named: SchemaRef) -> Self {
        Self { named, ..self }
    }

    /// The columns as the file stores them.
    pub fn stored(&self) -> &SchemaRef {
        &self.stored
    }

    /// The names of its columns, and of its partition columns.
    pub fn names(&self) -> BTreeSet<String> {
        let stored = self.named.fields().iter().map(|field| field.name());
        // Columns that a table has no longer have names that no user can give.
        stored.filter(|name| !name.starts_with('\0')).chain(self.partition.keys()).cloned().collect()
    }

    /// What `path` leads to.
    ///
    /// # Errors
    /// [`Ambiguous`] if no name is the wanted one exactly, and two are in another case.
    pub fn find(&self, path: &ColumnPath) -> Result<Found, Ambiguous> {
        // A name of the lake may look like a path.
        let whole = [PathStep::Name(path.text().to_owned())];
        for case in [Case::Exact, Case::Any] {
            for steps in [whole.as_slice(), path.steps()] {
                if let Some(place) = self.place(steps, case, path)? {
                    return Ok(Found::Stored(place));
                }
            }
            let keys = self.partition.keys().map(String::as_str);
            if let Some(index) = index_of(keys, path.text(), case, path)? {
                let value = self.partition.values().nth(index).cloned().flatten();
                return Ok(Found::Partition(value));
            }
        }
        Ok(Found::Absent)
    }

    fn place(&self, steps: &[PathStep], case: Case, path: &ColumnPath) -> Result<Option<Place>, Ambiguous> {
        let way = in_fields(self.named.fields(), self.stored.fields(), steps, case, path)?;
        Ok(way.map(|(root, steps, data_type)| Place { root, steps, data_type }))
    }
}

/// The field that `steps` begin with, and the way on from it. A name with dots is tried before the fields of a struct.
fn in_fields(
    named: &Fields,
    stored: &Fields,
    steps: &[PathStep],
    case: Case,
    path: &ColumnPath,
) -> Result<Option<(usize, Vec<PlaceStep>, DataType)>, Ambiguous> {
    for count in (1..=leading_names(steps)).rev() {
        let name = joined(&steps[..count]);
        let Some(index) = index_of(named.iter().map(|field| field.name().as_str()), &name, case, path)?
        else {
            continue;
        };
        let (Some(named), Some(stored)) = (named.get(index), stored.get(index)) else { continue };
        let way = in_type(named.data_type(), stored.data_type(), &steps[count..], case, path)?;
        if let Some((way, data_type)) = way {
            return Ok(Some((index, way, data_type)));
        }
    }
    Ok(None)
}

fn in_type(
    named: &DataType,
    stored: &DataType,
    steps: &[PathStep],
    case: Case,
    path: &ColumnPath,
) -> Result<Way, Ambiguous> {
    let Some(first) = steps.first() else { return Ok(Some((Vec::new(), stored.clone()))) };
    match (first, named, stored) {
        (PathStep::Name(_), DataType::Struct(named), DataType::Struct(stored)) => {
            let found = in_fields(named, stored, steps, case, path)?;
            Ok(found.map(|(index, way, data_type)| {
                let name = stored[index].name().clone();
                ([vec![PlaceStep::Field(name)], way].concat(), data_type)
            }))
        }
        (PathStep::Name(_), DataType::Map(named, _), DataType::Map(stored, _)) => {
            in_map(named, stored, steps, case, path)
        }
        (PathStep::Index(_) | PathStep::Each, named, stored) => {
            let (Some(named), Some(stored)) = (element(named), element(stored)) else { return Ok(None) };
            let way = in_type(named.data_type(), stored.data_type(), &steps[1..], case, path)?;
            Ok(way.map(|(way, data_type)| match first {
                PathStep::Index(index) => ([vec![PlaceStep::Index(*index)], way].concat(), data_type),
                _ => ([vec![PlaceStep::Each], way].concat(), list_of(data_type)),
            }))
        }
        _ => Ok(None),
    }
}

/// A map's value by its key. A key may contain dots, unless its values have fields themselves.
fn in_map(
    named: &Field,
    stored: &Field,
    steps: &[PathStep],
    case: Case,
    path: &ColumnPath,
) -> Result<Way, Ambiguous> {
    let (DataType::Struct(named), DataType::Struct(stored)) = (named.data_type(), stored.data_type()) else {
        return Ok(None);
    };
    let (Some(named), Some(stored)) = (named.get(1), stored.get(1)) else { return Ok(None) };
    let count = if stored.data_type().is_nested() { 1 } else { leading_names(steps) };
    let key = joined(&steps[..count]);
    let way = in_type(named.data_type(), stored.data_type(), &steps[count..], case, path)?;
    Ok(way.map(|(way, data_type)| ([vec![PlaceStep::Key(key)], way].concat(), data_type)))
}

/// The field of a list's elements.
pub fn element(list: &DataType) -> Option<&Field> {
    match list {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            Some(element.as_ref())
        }
        _ => None,
    }
}

/// The type of a list that a path makes of elements.
pub fn list_of(elements: DataType) -> DataType {
    DataType::List(Field::new("item", elements, true).into())
}

fn leading_names(steps: &[PathStep]) -> usize {
    steps.iter().take_while(|step| matches!(step, PathStep::Name(_))).count()
}

fn joined(names: &[PathStep]) -> String {
    let names: Vec<&str> = names
        .iter()
        .filter_map(|step| match step {
            PathStep::Name(name) => Some(name.as_str()),
            PathStep::Index(_) | PathStep::Each => None,
        })
        .collect();
    names.join(".")
}

/// The index of a name. In any case, an exact match comes first, and only one name may match.
fn index_of<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    wanted: &str,
    case: Case,
    path: &ColumnPath,
) -> Result<Option<usize>, Ambiguous> {
    if let Some(exact) = names.clone().position(|name| name == wanted) {
        return Ok(Some(exact));
    }
    if case == Case::Exact {
        return Ok(None);
    }
    let mut alike = names.enumerate().filter(|(_, name)| name.eq_ignore_ascii_case(wanted));
    match (alike.next(), alike.next()) {
        (Some((_, first)), Some((_, second))) => Err(Ambiguous {
            path: path.text().to_owned(),
            first: first.to_owned(),
            second: second.to_owned(),
        }),
        (first, _) => Ok(first.map(|(index, _)| index)),
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
