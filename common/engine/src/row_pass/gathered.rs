//! Measures that gather values of their groups: sets of seconds, and whatever an aggregate function gathers.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;
use datafusion::logical_expr::{AggregateUDF, EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::Column;

use super::seconds::Seconds;

/// The gathered values of all groups.
pub(super) enum Gathered {
    Seconds(Seconds),
    Function(Box<dyn GroupsAccumulator>),
}

impl fmt::Debug for Gathered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Seconds(_) => "Seconds",
            Self::Function(_) => "Function",
        })
    }
}

impl Gathered {
    /// What `function` gathers of a column of type `kind`.
    pub(super) fn by(function: Arc<AggregateUDF>, kind: DataType) -> Result<Self> {
        let name = function.name().to_owned();
        let schema = Arc::new(Schema::new(vec![Field::new("of", kind, true)]));
        let aggregate = AggregateExprBuilder::new(function, vec![Arc::new(Column::new("of", 0))])
            .schema(schema)
            .alias(name);
        Ok(Self::Function(aggregate.build()?.create_groups_accumulator()?))
    }

    /// Adds the values of rows to their groups.
    pub(super) fn push(
        &mut self,
        column: &ArrayRef,
        rows: &[u32],
        groups: &[u32],
        group_count: usize,
    ) -> Result<()> {
        match self {
            Self::Seconds(seconds) => seconds.push(column, rows, groups),
            Self::Function(accumulator) => {
                let values = take(column, &UInt32Array::from(rows.to_vec()), None)?;
                let groups: Vec<usize> = groups.iter().map(|group| *group as usize).collect();
                accumulator.update_batch(&[values], &groups, None, group_count)
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Seconds(seconds) => seconds.bytes(),
            Self::Function(accumulator) => accumulator.size(),
        }
    }

    /// The stored form of each group's values.
    pub(super) fn stored(self, group_count: usize) -> Result<ArrayRef> {
        match self {
            Self::Seconds(seconds) => Ok(Arc::new(seconds.packed(group_count)?)),
            Self::Function(mut accumulator) => accumulator.evaluate(EmitTo::All),
        }
    }
}
