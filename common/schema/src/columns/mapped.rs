//! Replaces the values of a column by those of a mapping.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, DictionaryArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Schema};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::source::MappedValues;
use crate::ColumnKind;
use crate::types::canonical_type;

/// Texts, replaced by the values of a mapping.
#[derive(Debug)]
pub struct MapValues {
    texts: Arc<dyn PhysicalExpr>,
    mapping: Arc<MappedValues>,
}

impl MapValues {
    /// Replaces `texts`, which have the type of text columns.
    pub fn new(texts: Arc<dyn PhysicalExpr>, mapping: Arc<MappedValues>) -> Self {
        Self { texts, mapping }
    }
}

impl MappedValues {
    /// The value that replaces a stored one.
    pub fn replaced<'a>(&'a self, stored: &'a str) -> &'a str {
        self.values.get(stored).or(self.otherwise.as_ref()).map_or(stored, String::as_str)
    }
}

impl PartialEq for MapValues {
    fn eq(&self, other: &Self) -> bool {
        self.mapping == other.mapping && self.texts.eq(&other.texts)
    }
}

impl Eq for MapValues {}

impl Hash for MapValues {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mapping.column.hash(state);
        self.texts.hash(state);
    }
}

impl fmt::Display for MapValues {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "mapped({})", self.texts)
    }
}

impl PhysicalExpr for MapValues {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(canonical_type(ColumnKind::Text))
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let texts = self.texts.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(replaced(&texts, &self.mapping)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.texts]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let texts = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.texts));
        Ok(Arc::new(Self::new(texts, Arc::clone(&self.mapping))))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The texts with each value of their dictionary replaced.
fn replaced(texts: &ArrayRef, mapping: &MappedValues) -> Result<ArrayRef> {
    let texts = texts.as_dictionary::<Int32Type>();
    let values = cast(texts.values(), &DataType::Utf8)?;
    let values = values.as_string::<i32>().iter().map(|value| value.map(|value| mapping.replaced(value)));
    let values: StringArray = values.collect();
    Ok(Arc::new(DictionaryArray::try_new(texts.keys().clone(), Arc::new(values))?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn mapped(otherwise: Option<&str>) -> Vec<Option<String>> {
        let values = [("1", "Allowed"), ("2", "Blocked")].map(|(from, to)| (from.to_owned(), to.to_owned()));
        let mapping = MappedValues {
            column: "action_id".parse().unwrap(),
            values: BTreeMap::from(values),
            otherwise: otherwise.map(str::to_owned),
        };
        let stored: DictionaryArray<Int32Type> =
            vec![Some("1"), Some("2"), None, Some("99"), Some("1")].into_iter().collect();
        let texts = cast(&replaced(&(Arc::new(stored) as ArrayRef), &mapping).unwrap(), &DataType::Utf8);
        texts.unwrap().as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn values_are_replaced_and_null_stays_null() {
        let wanted = |other: &str| {
            [Some("Allowed"), Some("Blocked"), None, Some(other), Some("Allowed")]
                .map(|text| text.map(str::to_owned))
                .to_vec()
        };
        assert_eq!(mapped(None), wanted("99"));
        assert_eq!(mapped(Some("Other")), wanted("Other"));
    }
}
