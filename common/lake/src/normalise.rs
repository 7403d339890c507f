//! Reads each column as its table's type, from any type that a file stores. Unreadable values become null and are counted.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};

use super::integers::to_integer;
use super::lake::LakeTable;
use super::mapping::TableMapping;
use super::nanos::{is_nanos, to_micros};
use super::scan::canonical_type;
use super::tables::ColumnKind;
use crate::TableSpec;
use hindcast_base::Error;
use hindcast_base::error::InputFault;
use hindcast_base::time::parse_time_us;

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

/// Creates the adapters for one table's files.
#[derive(Debug)]
pub(super) struct NormaliserFactory {
    pub(super) spec: &'static TableSpec,
    pub(super) mapping: TableMapping,
    pub(super) unreadable: UnreadableCounts,
}

impl NormaliserFactory {
    pub(super) fn new(table: &LakeTable, unreadable: UnreadableCounts) -> Self {
        Self { spec: table.spec, mapping: table.mapping.clone(), unreadable }
    }
}

impl PhysicalExprAdapterFactory for NormaliserFactory {
    fn create(&self, _: SchemaRef, file_schema: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        Ok(Arc::new(Normaliser {
            spec: self.spec,
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
    unreadable: UnreadableCounts,
    file_schema: SchemaRef,
}

impl PhysicalExprAdapter for Normaliser {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return self.read_as_canonical(column.name());
        }
        // In a predicate, which prunes row groups and pages.
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
        let Some(column) = self.spec.column(name) else {
            return Err(DataFusionError::Internal(format!("{name} is not a column of {}", self.spec.name)));
        };
        let target = canonical_type(column.kind);
        let physical_name = self.mapping.path_text(name);
        let Ok(index) = self.file_schema.index_of(physical_name) else {
            if name == self.spec.time_column {
                return Err(column_fault(
                    physical_name,
                    "the file lacks this column, which is the table's time".into(),
                ));
            }
            return Ok(Arc::new(Literal::new(ScalarValue::try_from(&target)?)));
        };
        let stored = self.file_schema.field(index).data_type();
        let source: Arc<dyn PhysicalExpr> = Arc::new(Column::new(physical_name, index));
        match reading_of(column.kind, stored) {
            Reading::AsIs => Ok(source),
            Reading::Cast => Ok(Arc::new(CastExpr::new(source, target, Some(lossless_options())))),
            Reading::Convert => Ok(Arc::new(Normalise {
                source,
                column: column.name,
                kind: column.kind,
                unreadable: self.unreadable.clone(),
            })),
            Reading::Impossible => {
                let wanted = match column.kind {
                    ColumnKind::Time => "a time",
                    ColumnKind::Text => "text",
                    ColumnKind::Integer => "a whole number",
                };
                Err(column_fault(
                    physical_name,
                    format!("is stored as {stored}, which can't be read as {wanted}"),
                ))
            }
        }
    }
}

/// A fault of a column. The caller knows the file and fills in its name.
fn column_fault(column: &str, reason: String) -> DataFusionError {
    Error::Input(InputFault { file: String::new(), row_group: None, column: Some(column.to_owned()), reason })
        .into()
}

/// The conversion of a stored type to a column's type.
pub(super) enum Reading {
    AsIs,
    Cast,
    Convert,
    Impossible,
}

pub(super) fn reading_of(kind: ColumnKind, stored: &DataType) -> Reading {
    if *stored == canonical_type(kind) && kind != ColumnKind::Integer {
        return Reading::AsIs;
    }
    let stored = match stored {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    let is_text = matches!(stored, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match kind {
        ColumnKind::Time => match stored {
            // A cast would round times before 1970 up.
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Reading::Convert,
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => Reading::Cast,
            DataType::Null => Reading::Convert,
            _ if is_text => Reading::Convert,
            _ => Reading::Impossible,
        },
        ColumnKind::Text => Reading::Convert,
        ColumnKind::Integer => match stored {
            DataType::Null => Reading::Convert,
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => Reading::Convert,
            other if other.is_numeric() || is_text => Reading::Convert,
            _ => Reading::Impossible,
        },
    }
}

pub(super) fn lossless_options() -> CastOptions<'static> {
    CastOptions { safe: true, ..CastOptions::default() }
}

/// Converts one column value by value.
#[derive(Debug)]
struct Normalise {
    source: Arc<dyn PhysicalExpr>,
    column: &'static str,
    kind: ColumnKind,
    unreadable: UnreadableCounts,
}

impl PartialEq for Normalise {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column && self.kind == other.kind && self.source.eq(&other.source)
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
        let (converted, unreadable) = convert(&stored, self.kind)?;
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
            kind: self.kind,
            unreadable: self.unreadable.clone(),
        }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The array as `kind`, and the number of values that became null.
pub fn convert(stored: &ArrayRef, kind: ColumnKind) -> Result<(ArrayRef, u64)> {
    let plain = match stored.data_type() {
        DataType::Dictionary(_, values) => cast_with_options(stored, values, &lossless_options())?,
        _ => Arc::clone(stored),
    };
    match kind {
        ColumnKind::Text => {
            let texts = to_text(&plain)?;
            // Bytes that are not UTF-8.
            let unreadable = texts.logical_null_count().saturating_sub(plain.logical_null_count());
            Ok((texts, unreadable as u64))
        }
        ColumnKind::Time if is_nanos(plain.data_type()) => Ok((to_micros(&plain)?, 0)),
        ColumnKind::Time => {
            let texts = cast_with_options(&plain, &DataType::Utf8View, &lossless_options())?;
            Ok(parse_each(texts.as_string_view(), parse_time_us, |values| {
                Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
            }))
        }
        ColumnKind::Integer => to_integer(&plain),
    }
}

/// A dictionary with one value per row: repeated text comes from its file as a real dictionary.
fn to_text(plain: &ArrayRef) -> Result<ArrayRef> {
    let texts: ArrayRef = if plain.data_type().is_nested() {
        let rows = hindcast_base::json::json_values(plain)?;
        let texts = rows.into_iter().map(|value| (!value.is_null()).then(|| value.to_string()));
        Arc::new(texts.collect::<StringArray>())
    } else {
        cast_with_options(plain, &DataType::Utf8, &lossless_options())?
    };
    let keys: PrimitiveArray<Int32Type> =
        (0..texts.len()).map(|row| texts.is_valid(row).then_some(row as i32)).collect();
    Ok(Arc::new(DictionaryArray::try_new(keys, texts)?))
}

/// Parses each text. Empty text is null; other text that can't be parsed becomes null and is counted.
pub(super) fn parse_each(
    texts: &StringViewArray,
    parse: impl Fn(&str) -> Option<i64>,
    build: impl Fn(Vec<Option<i64>>) -> ArrayRef,
) -> (ArrayRef, u64) {
    let mut unreadable = 0;
    let values: Vec<Option<i64>> = texts
        .iter()
        .map(|text| {
            let text = text.filter(|text| !text.trim().is_empty())?;
            let parsed = parse(text);
            unreadable += u64::from(parsed.is_none());
            parsed
        })
        .collect();
    (build(values), unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, StructArray};
    use arrow::datatypes::{Field, Int64Type};

    #[test]
    fn values_of_dictionaries_are_converted() {
        let ports: DictionaryArray<Int32Type> = vec!["80", "443", "80"].into_iter().collect();
        let (numbers, unreadable) = convert(&(Arc::new(ports) as ArrayRef), ColumnKind::Integer).unwrap();
        assert_eq!(numbers.as_primitive::<Int64Type>().values(), &[80, 443, 80]);
        assert_eq!(unreadable, 0);
    }

    #[test]
    fn bytes_that_are_not_text_are_counted() {
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"Allow"[..]), Some(b"Caf\xe9"), None]));
        let (texts, unreadable) = convert(&bytes, ColumnKind::Text).unwrap();
        assert_eq!((texts.logical_null_count(), unreadable), (2, 1));
    }

    #[test]
    fn nested_values_become_json_text() {
        let user: ArrayRef = Arc::new(StringArray::from(vec!["ada"]));
        let nested: ArrayRef =
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("user", DataType::Utf8, true)), user)]));
        let (text, _) = convert(&nested, ColumnKind::Text).unwrap();
        let values = text.as_dictionary::<Int32Type>().values();
        assert_eq!(values.as_string::<i32>().value(0), r#"{"user":"ada"}"#);
    }

    #[test]
    fn types_that_can_not_be_converted_are_detected() {
        assert!(matches!(reading_of(ColumnKind::Time, &DataType::Boolean), Reading::Impossible));
        assert!(matches!(reading_of(ColumnKind::Time, &DataType::Int64), Reading::Impossible));
        assert!(matches!(reading_of(ColumnKind::Integer, &DataType::Boolean), Reading::Impossible));
        assert!(matches!(reading_of(ColumnKind::Text, &DataType::Boolean), Reading::Convert));
    }
}
