//! What a rollup computes of each row, as physical expressions: the engine evaluates them for all rollups of a table together.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{AggregateUDF, Expr, ExprSchemable, ident};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::{Measure, MeasureKind, Rollup};
use crate::bindings::Bindings;
use crate::config::Config;
use crate::sql::expression;
use hindcast_functions::{Operation, bucket_of};

/// The expressions of a rollup over the columns of its table.
#[derive(Debug)]
pub struct RowExpressions {
    /// The condition on a row; all rows are taken without it.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// The columns that the rollup's shape refers to, with their names, in order.
    pub columns: Vec<(String, Arc<dyn PhysicalExpr>)>,
}

impl Rollup {
    /// Its expressions over rows of `schema`, simplified.
    ///
    /// # Errors
    /// If they can't be planned.
    pub fn row_expressions(&self, schema: &SchemaRef, config: &Config) -> Result<RowExpressions> {
        let bindings = Bindings::of(config, &format!("the rollup {}", self.id), self.uses)?;
        let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
        let simplifier =
            ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&schema)).build());
        let physical = |expr: Expr| {
            let simple = simplifier.simplify(simplifier.coerce(expr, &schema)?)?;
            planned(&simple, &schema)
        };
        let filter = self.filter.as_ref().map(|filter| physical(expression(filter, &schema, &bindings)?));
        let columns = self.select.iter().map(|column| {
            let expr = expression(column, &schema, &bindings)?;
            let (_, field) = expr.to_field(&schema)?;
            Ok((field.name().clone(), physical(expr.unalias())?))
        });
        Ok(RowExpressions { filter: filter.transpose()?, columns: columns.collect::<Result<_>>()? })
    }

    /// The bucket of each row of a state with these columns.
    ///
    /// # Errors
    /// If the columns of its key are not among them.
    pub fn bucket_expression(&self, state: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
        let key = self.bucket_key.iter().map(|column| ident(*column)).collect();
        planned(&bucket_of(key), &DFSchema::try_from(state.clone())?)
    }
}

fn planned(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    create_physical_expr(expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())
}

/// How a measure aggregates rows.
#[derive(Debug)]
pub enum Aggregation {
    /// An operation on numbers of a column; without a column, each row counts.
    Numbers(Operation, Option<&'static str>),
    /// The seconds of a column, stored packed.
    Seconds(&'static str),
    /// An aggregate function of a column, whose result is stored.
    Texts(&'static str, Arc<AggregateUDF>),
}

impl Measure {
    /// How it aggregates rows of a table.
    ///
    /// # Errors
    /// If it is no aggregate function.
    pub fn aggregation(&self) -> Result<Aggregation> {
        let (column, operation) = match self.kind {
            MeasureKind::Seconds { of, .. } => return Ok(Aggregation::Seconds(of)),
            MeasureKind::Distinct(of) | MeasureKind::Samples(of) => {
                return match self.gathered(vec![ident(of)]) {
                    Expr::AggregateFunction(aggregate) => Ok(Aggregation::Texts(of, aggregate.func)),
                    other => internal_err!("{other} is no aggregate function"),
                };
            }
            MeasureKind::Count => (None, Operation::Count),
            MeasureKind::CountOf(of) => (Some(of), Operation::Count),
            MeasureKind::Sum(of) => (Some(of), Operation::Sum),
            MeasureKind::Min(of) => (Some(of), Operation::Min),
            MeasureKind::Max(of) => (Some(of), Operation::Max),
        };
        Ok(Aggregation::Numbers(operation, column))
    }
}
