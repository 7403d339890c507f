//! Functions of SQL that the optimiser replaces by an expression.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatchOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err, plan_datafusion_err};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, ident, lit,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::create_physical_expr;

use super::Documented;

/// How to build the expression that replaces a call from its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expansion {
    /// From any arguments.
    OfAny(fn(&[Expr]) -> Expr),
    /// Some arguments must be literals: `None` if they are not yet.
    OfLiterals(fn(&[Expr]) -> Result<Option<Expr>>),
}

/// A scalar function of SQL.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShortForm {
    pub(super) documented: Documented,
    takes: Takes,
    gives: Gives,
    volatility: Volatility,
    expansion: Expansion,
}

/// The types of its arguments.
#[derive(Debug, Clone, Copy)]
enum Takes {
    /// Any.
    Any,
    /// 64-bit integers, to which smaller ones are cast.
    Integers,
}

/// The type of its result.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gives {
    /// The type of the expression that replaces it.
    AsExpanded,
    /// True or false.
    Boolean,
    /// A 64-bit integer.
    Integer,
    /// A 64-bit float.
    Float,
    /// A time in UTC.
    Time,
}

impl ShortForm {
    pub(super) const fn new(documented: Documented, expansion: Expansion) -> Self {
        let volatility = Volatility::Immutable;
        Self { documented, takes: Takes::Any, gives: Gives::AsExpanded, volatility, expansion }
    }

    /// The same function with this result type for all arguments. Needed if some arguments must be literals: before the query is
    /// optimised, they need not be.
    pub(super) const fn giving(mut self, gives: Gives) -> Self {
        self.gives = gives;
        self
    }

    /// The same function for 64-bit integers.
    pub(super) const fn of_integers(mut self) -> Self {
        self.takes = Takes::Integers;
        self
    }

    /// The same function as one that is expensive per row: the optimiser must not copy it to several places.
    pub(super) const fn costly(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }

    pub(super) fn function(&'static self) -> ScalarUDF {
        let arguments = self.documented.arguments.len();
        let signature = match self.takes {
            Takes::Any if arguments == 0 => Signature::nullary(self.volatility),
            Takes::Any => Signature::any(arguments, self.volatility),
            Takes::Integers => Signature::exact(vec![DataType::Int64; arguments], self.volatility),
        };
        ScalarUDF::from(Call { form: self, signature })
    }

    /// The expression that replaces a call with these arguments.
    fn expanded(&self, arguments: &[Expr]) -> Result<Option<Expr>> {
        let name = self.documented.name;
        match self.expansion {
            Expansion::OfAny(expand) => Ok(Some(expand(arguments))),
            Expansion::OfLiterals(expand) => {
                expand(arguments).map_err(|error| plan_datafusion_err!("{name}: {}", error.message()))
            }
        }
    }

    /// The same at the time when all literal arguments must be known.
    fn expanded_now(&self, arguments: &[Expr]) -> Result<Expr> {
        let name = self.documented.name;
        let unknown = || {
            let all = self.documented.arguments;
            let known: Vec<&str> =
                all.iter().skip(usize::from(all.len() > 1)).map(|(name, _)| *name).collect();
            plan_datafusion_err!("{name}: {} must be known before the query runs", known.join(" and "))
        };
        self.expanded(arguments)?.ok_or_else(unknown)
    }
}

/// A short form as a function of DataFusion.
#[derive(Debug)]
struct Call {
    form: &'static ShortForm,
    signature: Signature,
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.form.documented == other.form.documented
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.form.documented.name.hash(state);
    }
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        self.form.documented.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} depends on more than the types of its arguments", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let data_type = match self.form.gives {
            Gives::AsExpanded => {
                let (schema, arguments) = stand_ins(args.arg_fields, |place| {
                    args.scalar_arguments.get(place).copied().flatten().cloned()
                })?;
                let expanded = self.form.expanded_now(&arguments)?;
                let nullable = expanded.nullable(&schema)?;
                return Ok(Arc::new(Field::new(self.name(), expanded.get_type(&schema)?, nullable)));
            }
            Gives::Boolean => DataType::Boolean,
            Gives::Integer => DataType::Int64,
            Gives::Float => DataType::Float64,
            Gives::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(expanded) = self.form.expanded(&args)? else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        // Types were coerced before the optimiser started.
        let coerced = ExprSimplifier::new(info.clone()).coerce(expanded, info.schema())?;
        Ok(ExprSimplifyResult::Simplified(coerced))
    }

    /// Evaluates the expression if no optimiser replaced the call: it is planned again for each batch.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (schema, arguments) = stand_ins(&args.arg_fields, |place| match args.args.get(place) {
            Some(ColumnarValue::Scalar(value)) => Some(value.clone()),
            _ => None,
        })?;
        let context = SimplifyContext::builder()
            .with_schema(Arc::new(schema.clone()))
            .with_config_options(args.config_options)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let expanded = simplifier.coerce(self.form.expanded_now(&arguments)?, &schema)?;
        let physical = create_physical_expr(
            &simplifier.simplify(expanded)?,
            &schema,
            &ExecutionProps::new(),
            &PhysicalPlanningContext::default(),
        )?;
        let columns = args.args.into_iter().filter_map(|argument| match argument {
            ColumnarValue::Array(column) => Some(column),
            ColumnarValue::Scalar(_) => None,
        });
        let options = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(schema.inner()), columns.collect(), &options)?;
        physical.evaluate(&batch)
    }
}

/// The arguments with these fields for an expression: literals if they are known, else columns; with the schema of the columns.
fn stand_ins(
    fields: &[FieldRef],
    known: impl Fn(usize) -> Option<ScalarValue>,
) -> Result<(DFSchema, Vec<Expr>)> {
    let (mut columns, mut arguments) = (Vec::new(), Vec::new());
    for (place, field) in fields.iter().enumerate() {
        match known(place) {
            Some(value) => arguments.push(lit(value)),
            None => {
                let name = format!("argument_{place}");
                columns.push(Field::new(&name, field.data_type().clone(), field.is_nullable()));
                arguments.push(ident(name));
            }
        }
    }
    Ok((DFSchema::try_from(Schema::new(columns))?, arguments))
}
