//! Reads each column as its table's type, from any place and type in which a file stores it.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal, lit};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};

use super::lake::LakeTable;
use super::lake_file::LakeFile;
use super::scan::KEPT;
use crate::TableSpec;
use hindcast_base::Error;
use hindcast_base::error::{InputFault, input_fault};
use hindcast_base::log_time::TimeForms;
use hindcast_schema::PhysicalNames;
use hindcast_schema::TableMapping;
use hindcast_schema::canonical_type;
use hindcast_schema::columns::{ColumnPath, ColumnSource, Computed, FileColumns, FileExpressions, MapValues};
use hindcast_schema::convert::{Reading, convert, lossless_options, read, reading_of, wanted};
use hindcast_schema::nanos::is_nanos;
use hindcast_schema::{ColumnKind, ColumnSpec};

/// Numbers of values that can't be read as their column's type, by column.
#[derive(Debug, Clone, Default)]
pub struct UnreadableCounts(Arc<BTreeMap<&'static str, AtomicU64>>);

impl UnreadableCounts {
    /// Counters for all columns of a table.
    pub fn of(spec: &TableSpec) -> Self {
        Self(Arc::new(spec.columns.iter().map(|column| (column.name, AtomicU64::new(0))).collect()))
    }

    /// The columns with unreadable values, and their numbers.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let counted = self.0.iter().map(|(name, count)| ((*name).to_owned(), count.load(Ordering::Relaxed)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    fn add(&self, column: &str, count: u64) {
        if count > 0
            && let Some(counter) = self.0.get(column)
        {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Creates the adapters for a file of a table.
#[derive(Debug)]
pub(super) struct NormaliserFactory {
    spec: &'static TableSpec,
    mapping: TableMapping,
    physical: Arc<PhysicalNames>,
    partition: BTreeMap<String, Option<String>>,
    /// The columns of the scan.
    columns: Vec<String>,
    unreadable: UnreadableCounts,
}

impl NormaliserFactory {
    /// For a scan of `columns`.
    pub(super) fn new(
        table: &LakeTable,
        file: &LakeFile,
        columns: &[&str],
        unreadable: UnreadableCounts,
    ) -> Self {
        Self {
            spec: table.spec,
            mapping: table.mapping.clone(),
            physical: Arc::clone(&table.physical),
            partition: file.partition.clone(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            unreadable,
        }
    }
}

impl PhysicalExprAdapterFactory for NormaliserFactory {
    fn create(&self, _: SchemaRef, file_schema: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let columns = FileColumns::new(Arc::clone(&file_schema), self.partition.clone())
            .named(Arc::new(self.physical.logical_schema(&file_schema)));
        let wanted: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        Ok(Arc::new(Normaliser {
            spec: self.spec,
            expressions: FileExpressions::new(columns, &self.mapping, &wanted),
            mapping: self.mapping.clone(),
            unreadable: self.unreadable.clone(),
            file_schema,
        }))
    }
}

#[derive(Debug)]
struct Normaliser {
    spec: &'static TableSpec,
    mapping: TableMapping,
    expressions: FileExpressions,
    unreadable: UnreadableCounts,
    file_schema: SchemaRef,
}

impl PhysicalExprAdapter for Normaliser {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return self.read_as_canonical(column.name());
        }
        // In a predicate, which prunes row groups and pages by statistics.
        expr.transform(|node| match node.downcast_ref::<Column>() {
            Some(column) => Ok(Transformed::yes(self.compared(column.name())?)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }
}

impl Normaliser {
    /// The column as predicates compare it: with a plain cast, unlike our own expressions, the engine prunes by statistics. The
    /// bounds allow for the rounding of a cast.
    fn compared(&self, name: &str) -> Result<Arc<dyn PhysicalExpr>> {
        if name == KEPT {
            return self.filter();
        }
        let read = self.read_as_canonical(name)?;
        match read.downcast_ref::<Normalise>() {
            Some(converted) if is_nanos(&converted.source.data_type(&self.file_schema)?) => {
                let (source, target) = (Arc::clone(&converted.source), canonical_type(converted.kind));
                Ok(Arc::new(CastExpr::new(source, target, Some(lossless_options()))))
            }
            _ => Ok(read),
        }
    }

    fn read_as_canonical(&self, name: &str) -> Result<Arc<dyn PhysicalExpr>> {
        if let (KEPT, Some(filter)) = (name, &self.mapping.filter) {
            return Ok(Arc::new(Computed::new(self.filter()?, filter)));
        }
        let Some(column) = self.spec.column(name) else {
            return Err(DataFusionError::Internal(format!("{name} is not a column of {}", self.spec.name)));
        };
        let source = self.mapping.source(name);
        match self.values(column, &source)? {
            Some(values) => self.read(values, column, column.kind, &source),
            None if name == self.spec.time_column => Err(column_fault(
                &source.to_string(),
                "the file lacks this column, which is the table's time".into(),
            )),
            None => Ok(Arc::new(Literal::new(ScalarValue::try_from(&canonical_type(column.kind))?))),
        }
    }

    /// The values of a column, before they are converted to its kind; `None` if the file has none.
    fn values(&self, column: &ColumnSpec, source: &ColumnSource) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let fault = |reason: String| column_fault(&source.to_string(), reason);
        let path =
            |path: &ColumnPath| self.expressions.path(path).map_err(|ambiguous| fault(ambiguous.to_string()));
        match source {
            ColumnSource::Path(at) => path(at),
            ColumnSource::Value(value) => Ok(Some(lit(ScalarValue::Utf8(Some(value.clone()))))),
            ColumnSource::Mapped(mapping) => {
                let Some(stored) = path(&mapping.column)? else { return Ok(None) };
                let texts = self.read(stored, column, ColumnKind::Text, source)?;
                Ok(Some(Arc::new(MapValues::new(texts, Arc::new(mapping.clone())))))
            }
            ColumnSource::Sql(sql) => {
                let failed = |reason| fault(format!("can't be computed for {}: {reason}", column.name));
                let values = self.expressions.sql(sql).map_err(failed)?;
                let is_constant = values.is::<Literal>();
                Ok(Some(if is_constant { values } else { Arc::new(Computed::new(values, sql)) }))
            }
        }
    }

    /// The values as a column of `kind`.
    fn read(
        &self,
        values: Arc<dyn PhysicalExpr>,
        column: &ColumnSpec,
        kind: ColumnKind,
        source: &ColumnSource,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let stored = values.data_type(&self.file_schema)?;
        let fault = |reason: String| column_fault(&source.to_string(), reason);
        if let Some(constant) = values.downcast_ref::<Literal>() {
            let read = read(kind, &constant.value().to_array()?, &self.mapping.time_forms());
            if let Some((read, 0)) = read.map_err(|error| named_fault(error, source))? {
                return Ok(Arc::new(Literal::new(ScalarValue::try_from_array(&read, 0)?)));
            }
        }
        match reading_of(kind, &stored) {
            Reading::AsIs => Ok(values),
            Reading::Cast => {
                Ok(Arc::new(CastExpr::new(values, canonical_type(kind), Some(lossless_options()))))
            }
            Reading::Convert => Ok(Arc::new(Normalise {
                source: values,
                column: column.name,
                from: Arc::new(source.clone()),
                kind,
                forms: self.mapping.time_forms(),
                unreadable: self.unreadable.clone(),
            })),
            Reading::Impossible => {
                Err(fault(format!("is stored as {stored}, which can't be read as {}", wanted(kind))))
            }
        }
    }

    /// Whether a row of the file is a row of the table.
    fn filter(&self) -> Result<Arc<dyn PhysicalExpr>> {
        let Some(filter) = &self.mapping.filter else { return Ok(lit(true)) };
        let fault =
            |reason| column_fault(filter, format!("can't be computed as the table's filter: {reason}"));
        let rows = self.expressions.sql(filter).map_err(fault)?;
        match rows.data_type(&self.file_schema)? {
            DataType::Boolean => Ok(rows),
            DataType::Null => Ok(lit(false)),
            other => Err(fault(format!("it is a {other} and not true or false"))),
        }
    }
}

/// A fault of a column. The caller knows the file and fills in its name.
fn column_fault(column: &str, reason: String) -> DataFusionError {
    Error::Input(InputFault { file: String::new(), row_group: None, column: Some(column.to_owned()), reason })
        .into()
}

/// The error with the column, if it is the fault of one.
fn named_fault(error: DataFusionError, source: &ColumnSource) -> DataFusionError {
    match input_fault(&error) {
        Some(fault) if fault.column.is_none() => column_fault(&source.to_string(), fault.reason.clone()),
        _ => error,
    }
}

/// Converts the values of one column.
#[derive(Debug)]
struct Normalise {
    source: Arc<dyn PhysicalExpr>,
    column: &'static str,
    /// Where the values are, for messages.
    from: Arc<ColumnSource>,
    kind: ColumnKind,
    forms: TimeForms,
    unreadable: UnreadableCounts,
}

impl PartialEq for Normalise {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column
            && self.kind == other.kind
            && self.forms == other.forms
            && self.source.eq(&other.source)
    }
}

impl Eq for Normalise {}

impl Hash for Normalise {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
        self.source.hash(state);
    }
}

impl fmt::Display for Normalise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "normalise({})", self.source)
    }
}

impl PhysicalExpr for Normalise {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(canonical_type(self.kind))
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let stored = self.source.evaluate(batch)?.into_array(batch.num_rows())?;
        let converted = convert(&stored, self.kind, &self.forms);
        let (converted, unreadable) = converted.map_err(|error| named_fault(error, &self.from))?;
        self.unreadable.add(self.column, unreadable);
        Ok(ColumnarValue::Array(converted))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.source]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let source = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.source));
        Ok(Arc::new(Self {
            source,
            column: self.column,
            from: Arc::clone(&self.from),
            kind: self.kind,
            forms: self.forms,
            unreadable: self.unreadable.clone(),
        }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
