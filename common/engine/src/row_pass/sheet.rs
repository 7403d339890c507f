//! The expressions of all rollups of a unit, each evaluated at most once per batch.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{and_kleene, or_kleene};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{HashMap, Result, ScalarValue, internal_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

/// The place of an expression in a sheet.
pub(super) type Cell = usize;

/// Expressions over the columns of a batch. Equal parts of different expressions are one cell.
#[derive(Debug)]
pub(super) struct Sheet {
    schema: SchemaRef,
    parts: Vec<Part>,
    known: HashMap<Arc<dyn PhysicalExpr>, Cell>,
}

#[derive(Debug)]
enum Part {
    /// A column of the batch.
    Column(usize),
    /// Both conditions.
    And([Cell; 2]),
    /// Either condition.
    Or([Cell; 2]),
    /// An expression over the values of other cells, which are its columns.
    Of { expr: Arc<dyn PhysicalExpr>, inputs: Vec<Cell>, schema: SchemaRef },
    /// An expression over the batch: one that evaluates some of its parts for some rows only.
    Whole(Arc<dyn PhysicalExpr>),
}

impl Sheet {
    /// A sheet without expressions, over batches of `schema`.
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, parts: Vec::new(), known: HashMap::new() }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The type of a value.
    pub(super) fn data_type(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<DataType> {
        expr.data_type(&self.schema)
    }

    /// The cell of an expression over the columns of the batch.
    pub(super) fn cell(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<Cell> {
        if let Some(cell) = self.known.get(expr) {
            return Ok(*cell);
        }
        let part = self.part(expr)?;
        self.parts.push(part);
        self.known.insert(Arc::clone(expr), self.parts.len() - 1);
        Ok(self.parts.len() - 1)
    }

    fn part(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<Part> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return Ok(Part::Column(column.index()));
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            match binary.op() {
                Operator::And => {
                    return Ok(Part::And([self.cell(binary.left())?, self.cell(binary.right())?]));
                }
                Operator::Or => return Ok(Part::Or([self.cell(binary.left())?, self.cell(binary.right())?])),
                _ => {}
            }
        }
        let is_constant = |child: &Arc<dyn PhysicalExpr>| child.is::<Literal>();
        if !evaluates_all(expr) || expr.children().into_iter().all(is_constant) {
            return Ok(Part::Whole(Arc::clone(expr)));
        }
        let (mut inputs, mut fields, mut children) = (Vec::new(), Vec::new(), Vec::new());
        for child in expr.children() {
            if is_constant(child) {
                children.push(Arc::clone(child));
                continue;
            }
            let name = inputs.len().to_string();
            children.push(Arc::new(Column::new(&name, inputs.len())) as Arc<dyn PhysicalExpr>);
            fields.push(Field::new(name, child.data_type(&self.schema)?, true));
            inputs.push(self.cell(child)?);
        }
        let expr = Arc::clone(expr).with_new_children(children)?;
        Ok(Part::Of { expr, inputs, schema: Arc::new(Schema::new(fields)) })
    }
}

/// Whether an expression evaluates all its parts for all rows.
fn evaluates_all(expr: &Arc<dyn PhysicalExpr>) -> bool {
    match expr.downcast_ref::<ScalarFunctionExpr>() {
        Some(function) => !function.fun().short_circuits(),
        None => {
            expr.is::<BinaryExpr>()
                || expr.is::<CastExpr>()
                || expr.is::<IsNullExpr>()
                || expr.is::<IsNotNullExpr>()
                || expr.is::<NotExpr>()
        }
    }
}

/// A batch, and the values of a sheet's cells for it. The first use of a cell evaluates it.
#[derive(Debug)]
pub(crate) struct SheetRows {
    sheet: Arc<Sheet>,
    batch: RecordBatch,
    values: Vec<OnceLock<Result<ColumnarValue, Arc<DataFusionError>>>>,
}

impl SheetRows {
    pub(super) fn new(sheet: &Arc<Sheet>, batch: RecordBatch) -> Self {
        let values = sheet.parts.iter().map(|_| OnceLock::new()).collect();
        Self { sheet: Arc::clone(sheet), batch, values }
    }

    pub(crate) fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The value of a cell.
    ///
    /// # Errors
    /// If it has none in some row, even if no rollup takes that row.
    pub(super) fn value(&self, cell: Cell) -> Result<ColumnarValue> {
        let value =
            self.values[cell].get_or_init(|| self.evaluate(&self.sheet.parts[cell]).map_err(Arc::new));
        value.clone().map_err(DataFusionError::Shared)
    }

    /// The rows for which the condition in a cell is true, ascending.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub(super) fn rows_where(&self, cell: Cell) -> Result<Vec<u32>> {
        rows_where(&self.value(cell)?, self.batch.num_rows())
    }

    fn evaluate(&self, part: &Part) -> Result<ColumnarValue> {
        match part {
            Part::Column(index) => Ok(ColumnarValue::Array(Arc::clone(self.batch.column(*index)))),
            Part::And(cells) => self.united(*cells, false, and_kleene),
            Part::Or(cells) => self.united(*cells, true, or_kleene),
            Part::Whole(expr) => expr.evaluate(&self.batch),
            Part::Of { expr, inputs, schema } => {
                let rows = self.batch.num_rows();
                let columns = inputs.iter().map(|input| self.value(*input)?.into_array(rows));
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let columns = columns.collect::<Result<Vec<_>>>()?;
                expr.evaluate(&RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
            }
        }
    }

    /// Two conditions as one. `decides` is the value that decides, whatever the other is.
    fn united(
        &self,
        [left, right]: [Cell; 2],
        decides: bool,
        both: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, arrow::error::ArrowError>,
    ) -> Result<ColumnarValue> {
        let left = self.value(left)?;
        if constant(&left) == Some(decides) {
            return Ok(left);
        }
        let right = self.value(right)?;
        match (constant(&left), constant(&right)) {
            (Some(_), _) => Ok(right),
            (_, Some(known)) if known == decides => Ok(right),
            (_, Some(_)) => Ok(left),
            _ => {
                let rows = self.batch.num_rows();
                let (left, right) = (left.into_array(rows)?, right.into_array(rows)?);
                Ok(ColumnarValue::Array(Arc::new(both(condition(&left)?, condition(&right)?)?)))
            }
        }
    }
}

/// The value of all rows, if it is a constant that is true or false.
fn constant(value: &ColumnarValue) -> Option<bool> {
    match value {
        ColumnarValue::Scalar(ScalarValue::Boolean(value)) => *value,
        _ => None,
    }
}

fn condition(array: &dyn Array) -> Result<&BooleanArray> {
    let other = || internal_datafusion_err!("a condition is true or false, not {}", array.data_type());
    array.as_boolean_opt().ok_or_else(other)
}

/// The rows of `count` for which a condition is true, ascending.
pub(super) fn rows_where(value: &ColumnarValue, count: usize) -> Result<Vec<u32>> {
    match value {
        ColumnarValue::Scalar(_) if constant(value) == Some(true) => Ok((0..count as u32).collect()),
        ColumnarValue::Scalar(_) => Ok(Vec::new()),
        ColumnarValue::Array(array) => {
            let condition = condition(array)?;
            Ok(match condition.nulls() {
                None => condition.values().set_indices_u32().collect(),
                Some(known) => (condition.values() & known.inner()).set_indices_u32().collect(),
            })
        }
    }
}
