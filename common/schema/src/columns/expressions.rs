//! The expressions that read a table's columns from one file.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::nested_struct::requires_nested_struct_cast;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, lit};
use datafusion::scalar::ScalarValue;

use super::follow::PathValues;
use super::narrow::narrowed;
use super::path::ColumnPath;
use super::resolve::{Ambiguous, FileColumns, Found, Place, PlaceStep};
use super::source::ColumnSource;
use super::sql::RowExpression;
use crate::convert::lossless_options;
use crate::mapping::TableMapping;

/// Reads the columns of one scan from one file. Of nested columns it reads the parts that the scan needs.
#[derive(Debug)]
pub struct FileExpressions {
    columns: FileColumns,
    /// The needed part of each nested column, by its index.
    narrow: BTreeMap<usize, DataType>,
}

impl FileExpressions {
    /// Reads `wanted`, by Hindcast's names, and what the mapping's filter refers to.
    pub fn new(columns: FileColumns, mapping: &TableMapping, wanted: &[&str]) -> Self {
        let mut paths: Vec<ColumnPath> =
            wanted.iter().flat_map(|column| mapping.source(column).paths()).collect();
        paths.extend(mapping.filter.iter().flat_map(|filter| ColumnSource::Sql(filter.clone()).paths()));
        let mut ways: BTreeMap<usize, Vec<Vec<PlaceStep>>> = BTreeMap::new();
        for path in &paths {
            // An ambiguous path is an error when its column is read.
            if let Ok(Found::Stored(place)) = columns.find(path) {
                ways.entry(place.root).or_default().push(place.steps);
            }
        }
        let narrow = ways.into_iter().filter_map(|(root, ways)| {
            let stored = columns.stored().field(root).data_type();
            let ways: Vec<&[PlaceStep]> = ways.iter().map(Vec::as_slice).collect();
            let narrow = narrowed(stored, &ways);
            (narrow != *stored && requires_nested_struct_cast(stored, &narrow)).then_some((root, narrow))
        });
        let narrow = narrow.collect();
        Self { columns, narrow }
    }

    /// The values at a path; `None` if the file has no such column, or its partition value is null.
    ///
    /// # Errors
    /// [`Ambiguous`] if two columns may be meant.
    pub fn path(&self, path: &ColumnPath) -> Result<Option<Arc<dyn PhysicalExpr>>, Ambiguous> {
        Ok(match self.columns.find(path)? {
            Found::Stored(place) => Some(self.place(place)),
            Found::Partition(value) => value.map(|value| lit(ScalarValue::Utf8(Some(value)))),
            Found::Absent => None,
        })
    }

    /// The values of an SQL expression. Columns that the file lacks are null.
    ///
    /// # Errors
    /// Why it can't be computed from the file's columns.
    pub fn sql(&self, text: &str) -> Result<Arc<dyn PhysicalExpr>, String> {
        let expression = RowExpression::parse(text)?;
        let stored = self.columns.stored();
        let mut values = Vec::new();
        for path in expression.paths() {
            let value = self.path(path).map_err(|ambiguous| ambiguous.to_string())?;
            let value = value.unwrap_or_else(|| lit(ScalarValue::Null));
            // Whether a text has a dictionary is no difference for an expression.
            values.push(match value.data_type(stored) {
                Ok(DataType::Dictionary(_, plain)) => {
                    Arc::new(CastExpr::new(value, *plain, Some(lossless_options())))
                }
                _ => value,
            });
        }
        expression.plan(&values, stored)
    }

    fn place(&self, place: Place) -> Arc<dyn PhysicalExpr> {
        let Place { root, steps, data_type } = place;
        let column = Arc::new(Column::new(self.columns.stored().field(root).name(), root));
        let source: Arc<dyn PhysicalExpr> = match self.narrow.get(&root) {
            Some(narrow) => Arc::new(CastExpr::new(column, narrow.clone(), Some(lossless_options()))),
            None => column,
        };
        match steps.is_empty() {
            true => source,
            false => Arc::new(PathValues::new(source, steps, data_type)),
        }
    }
}
