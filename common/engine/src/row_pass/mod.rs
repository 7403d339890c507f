//! One pass over the rows of a unit for all its rollups: an expression that several of them have is evaluated once per batch, and no
//! row is copied before it is grouped. All groups are held in memory.
//!
//! DataFusion's plan of a rollup ([`Rollup::build`]) has the same result and needs less memory, because it spills.

mod cells;
mod gathered;
mod grouping;
mod matching_rows;
mod numbers;
mod seconds;
mod sheet;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::prelude::SessionContext;

use self::grouping::{Grouping, SharedTexts};
use self::matching_rows::MatchingRows;
use self::sheet::Sheet;
pub(super) use self::sheet::SheetRows;
use hindcast_detections::analyses::state_schema;
use hindcast_detections::config::Config;
use hindcast_detections::rollups::{Rollup, RowExpressions, Shape};

/// The expressions of all rollups of a unit.
#[derive(Debug)]
pub(super) struct RowPass {
    sheet: Arc<Sheet>,
    texts: SharedTexts,
}

/// A rollup's state while rows are read.
#[derive(Debug)]
pub(super) enum HeldState {
    Groups(Box<Grouping>),
    Rows(MatchingRows),
}

/// A rollup whose expressions can't be planned, and why.
pub(super) type RollupFault = (&'static Rollup, datafusion::error::DataFusionError);

impl RowPass {
    /// A pass without rollups: it only carries the batches.
    pub(super) fn empty(schema: &SchemaRef) -> Self {
        Self { sheet: Arc::new(Sheet::new(Arc::clone(schema))), texts: SharedTexts::default() }
    }

    /// The pass of rollups over rows of `schema`, and their states; `None` for a rollup whose groups can't be held like this.
    ///
    /// # Errors
    /// With the rollup whose expressions can't be planned.
    pub(super) fn of(
        rollups: &[&'static Rollup],
        schema: &SchemaRef,
        config: &Config,
        session: &SessionContext,
    ) -> Result<(Self, Vec<Option<HeldState>>), RollupFault> {
        let mut sheet = Sheet::new(Arc::clone(schema));
        let mut texts = SharedTexts::default();
        let mut states = Vec::new();
        for rollup in rollups {
            let state = held_state(rollup, &mut sheet, &mut texts, config, session);
            states.push(state.map_err(|error| (*rollup, error))?);
        }
        Ok((Self { sheet: Arc::new(sheet), texts }, states))
    }

    /// A batch for the rollups. Batches come in order, so that texts are always numbered in the same order.
    pub(super) fn rows(&self, batch: RecordBatch) -> Result<Arc<SheetRows>> {
        let rows = Arc::new(SheetRows::new(&self.sheet, batch));
        for (cell, texts) in &self.texts {
            // A rollup that needs a value that can't be computed reports it.
            let Ok(value) = rows.value(*cell) else { continue };
            let value = value.into_array(rows.batch().num_rows())?;
            if let Some(dictionary) = value.as_dictionary_opt::<Int32Type>() {
                texts.numbers(dictionary.values())?;
            }
        }
        Ok(rows)
    }
}

fn held_state(
    rollup: &'static Rollup,
    sheet: &mut Sheet,
    texts: &mut SharedTexts,
    config: &Config,
    session: &SessionContext,
) -> Result<Option<HeldState>> {
    let expressions = rollup.row_expressions(sheet.schema(), config)?;
    let state = state_schema(rollup, config, session)?;
    match &rollup.shape {
        Shape::Groups { keys, measures } => {
            let bucket = rollup.bucket_expression(&without_bucket(&state)?)?;
            let grouping = Grouping::new(keys, measures, &expressions, (bucket, state), sheet, texts)?;
            Ok(grouping.map(|grouping| HeldState::Groups(Box::new(grouping))))
        }
        Shape::Rows => {
            let prepared = prepared(&expressions, sheet, &state)?;
            let bucket = rollup.bucket_expression(&prepared)?;
            let rows = MatchingRows::new(&expressions, (bucket, Arc::new(prepared), state), sheet)?;
            Ok(Some(HeldState::Rows(rows)))
        }
    }
}

fn without_bucket(state: &Schema) -> Result<Schema> {
    let columns: Vec<usize> = (0..state.fields().len() - 1).collect();
    Ok(state.project(&columns)?)
}

/// The columns of a state of rows before dictionaries become texts.
fn prepared(expressions: &RowExpressions, sheet: &Sheet, state: &Schema) -> Result<Schema> {
    let columns = without_bucket(state)?;
    let typed = columns.fields().iter().zip(&expressions.columns).map(|(field, (_, expr))| {
        let kind: DataType = sheet.data_type(expr)?;
        Ok(field.as_ref().clone().with_data_type(kind))
    });
    Ok(Schema::new(typed.collect::<Result<Vec<_>>>()?))
}

impl HeldState {
    /// Whether its filter is false for all rows.
    pub(super) fn takes_nothing(&self) -> bool {
        let filter: Option<&Arc<dyn PhysicalExpr>> = match self {
            Self::Groups(grouping) => grouping.filter(),
            Self::Rows(rows) => rows.filter(),
        };
        let literal = filter.and_then(|filter| filter.downcast_ref::<Literal>());
        literal.is_some_and(|literal| *literal.value() != ScalarValue::Boolean(Some(true)))
    }

    /// Adds the rows of a batch that the rollup takes.
    pub(super) fn fold(&mut self, rows: &SheetRows) -> Result<()> {
        match self {
            Self::Groups(grouping) => grouping.fold(rows),
            Self::Rows(matching) => matching.fold(rows),
        }
    }

    /// The bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Groups(grouping) => grouping.bytes(),
            Self::Rows(rows) => rows.bytes(),
        }
    }

    /// The rows of the state.
    pub(super) fn finish(self) -> Result<Vec<RecordBatch>> {
        match self {
            Self::Groups(grouping) => Ok(vec![grouping.finish()?]),
            Self::Rows(rows) => Ok(rows.finish()),
        }
    }
}
