//! Window functions, some of whose length is an argument.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::function::{
    PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    Expr, PartitionEvaluator, Signature, Volatility, WindowFunctionDefinition, WindowUDF, WindowUDFImpl,
};

use super::Documented;
use super::literals::integer;
use crate::seasonal::seasonal;
use crate::trailing::{Trail, trailing};

const ARGUMENTS: &[(&str, &str)] =
    &[("position", "integer"), ("value", "integer"), ("length", "integer literal")];

/// The documentation of the window functions.
pub(super) const DOCUMENTED: &[Documented] = &[
    Documented {
        name: "trailing",
        arguments: ARGUMENTS,
        result: "struct of sum, count",
        doc: "Window function, ordered by position: sum and number of the values whose position is 1 to `length` below the row's own. \
              Nulls are not counted.",
    },
    Documented {
        name: "trailing_rows",
        arguments: ARGUMENTS,
        result: "struct of sum, count",
        doc: "Window function, ordered by position: sum and number of the values of `length` rows, of which the row itself is the last. \
              Nulls are not counted.",
    },
    Documented {
        name: "seasonal",
        arguments: &[("hour", "integer"), ("bytes", "integer")],
        result: "struct of usual, score, similar, period",
        doc: "Window function, ordered by hour: the bytes that are usual for the hour of the week (`period` 168, from four weeks on) or of \
              the day (24); how far the bytes are above the usual spread, in spreads; and how many other hours within two weeks are at \
              least half as far above. Null if the series has less than two weeks, or fewer than 48 hours with data around the hour.",
    },
];

pub(super) fn functions() -> Vec<WindowUDF> {
    [Unit::Positions, Unit::Rows]
        .into_iter()
        .map(|unit| WindowUDF::from(TrailingOfLength::new(unit)))
        .chain([seasonal()])
        .collect()
}

/// The unit of the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Positions,
    Rows,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Positions => "trailing",
            Unit::Rows => "trailing_rows",
        }
    }

    /// The rows of a length.
    fn trail(self, length: &Expr) -> Result<Trail> {
        let name = self.name();
        let length = integer(length).map_err(|error| plan_datafusion_err!("{name}: {}", error.message()))?;
        match (self, length) {
            (_, None) => plan_err!("{name}: length must be known before the query runs"),
            (Unit::Positions, Some(length @ 1..)) => Ok(Trail::Positions(length)),
            (Unit::Rows, Some(length @ 1..)) => Ok(Trail::Rows(length.unsigned_abs() as usize)),
            (_, Some(length)) => plan_err!("{name}: takes a length above 0, not {length}"),
        }
    }
}

/// A call in SQL, which the optimiser replaces by the function for the length.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TrailingOfLength {
    signature: Signature,
    unit: Unit,
}

impl TrailingOfLength {
    fn new(unit: Unit) -> Self {
        Self { signature: Signature::exact(vec![DataType::Int64; 3], Volatility::Immutable), unit }
    }
}

impl WindowUDFImpl for TrailingOfLength {
    fn name(&self) -> &str {
        self.unit.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        internal_err!("{} runs in optimised plans only", self.name())
    }

    fn field(&self, arguments: WindowUDFFieldArgs) -> Result<FieldRef> {
        trailing(Trail::Rows(1)).field(arguments)
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        let unit = self.unit;
        Some(Box::new(move |mut call: WindowFunction, _: &SimplifyContext| {
            let Some(length) = call.params.args.pop() else {
                return internal_err!("{} without arguments", unit.name());
            };
            call.fun = WindowFunctionDefinition::WindowUDF(Arc::new(trailing(unit.trail(&length)?)));
            Ok(call.into())
        }))
    }
}
