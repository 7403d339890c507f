//! Values that an expression computes: a row for which it fails is a fault of the file, with the expression.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use hindcast_base::Error;
use hindcast_base::error::InputFault;

/// The values of an expression, with its text for errors.
#[derive(Debug)]
pub struct Computed {
    values: Arc<dyn PhysicalExpr>,
    sql: Arc<str>,
}

impl Computed {
    /// The values of the expression `sql`.
    pub fn new(values: Arc<dyn PhysicalExpr>, sql: &str) -> Self {
        Self { values, sql: sql.into() }
    }

    /// The fault of a row. The caller knows the file.
    fn fault(&self, error: &DataFusionError) -> DataFusionError {
        let reason = format!("can't be computed: {}", error.strip_backtrace().replace('\n', " "));
        let column = Some(self.sql.to_string());
        Error::Input(InputFault { file: String::new(), row_group: None, column, reason }).into()
    }
}

impl PartialEq for Computed {
    fn eq(&self, other: &Self) -> bool {
        self.values.eq(&other.values)
    }
}

impl Eq for Computed {}

impl Hash for Computed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.values.hash(state);
    }
}

impl fmt::Display for Computed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.values, formatter)
    }
}

impl PhysicalExpr for Computed {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.values.data_type(schema)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.values.evaluate(batch).map_err(|error| self.fault(&error))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.values]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let values = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.values));
        Ok(Arc::new(Self { values, sql: Arc::clone(&self.sql) }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
