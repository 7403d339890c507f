//! Plans the SQL of detections and rollups: one SELECT or one expression, which can read only the tables it is given.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{
    DFSchema, Result, ScalarValue, SchemaError, TableReference, plan_datafusion_err, plan_err,
};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::functions::all_default_functions;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast::{self, VisitMut, visit_expressions_mut};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;

use super::bindings::Bindings;
use super::size::{RECURSION_LIMIT, check_expressions, check_steps, check_text};
use hindcast_base::Error;
use hindcast_base::file_fault::FileFault;
use hindcast_base::nearest::did_you_mean;
use hindcast_functions::sql::{ArrayLiterals, register};

/// Functions of the clock and of random numbers: no result may depend on them.
const NOT_REPEATABLE: [&str; 7] =
    ["now", "current_date", "current_time", "current_timestamp", "today", "random", "uuid"];

/// Returns a text of any size, which the memory budget does not count.
const UNBOUNDED: [&str; 1] = ["repeat"];

/// SQL and its place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlText {
    /// The file's path, as errors name it.
    pub file: &'static str,
    /// The line of the file on which the text starts, counted from 1.
    pub line: usize,
    /// The SQL.
    pub text: &'static str,
}

impl SqlText {
    /// The first line of the text that is not a comment, as a line of the file.
    pub fn first_line(&self) -> usize {
        let has_sql = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("--");
        self.line + self.text.lines().position(has_sql).unwrap_or_default()
    }
}

/// The functions that SQL may call: DataFusion's, except table functions, and ours.
struct Functions {
    state: SessionState,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

static FUNCTIONS: LazyLock<Result<Functions>> = LazyLock::new(|| {
    // An endless recursion would block a scan for ever.
    let config = SessionConfig::new().set_bool("datafusion.execution.enable_recursive_ctes", false);
    let mut state = SessionStateBuilder::new().with_config(config).with_default_features().build();
    // Array functions (`range`, `array_repeat`) return lists of any size, and exist only if other crates enable them in DataFusion.
    let core = all_default_functions();
    let named = |name: &String| core.iter().any(|one| one.name() == name || one.aliases().contains(name));
    let nested: Vec<String> = state.scalar_functions().keys().filter(|name| !named(name)).cloned().collect();
    for name in nested.iter().map(String::as_str).chain(NOT_REPEATABLE).chain(UNBOUNDED) {
        state.deregister_udf(name)?;
    }
    register(&mut state)?;
    let own: [Arc<dyn ExprPlanner>; 1] = [Arc::new(ArrayLiterals)];
    let planners = own.into_iter().chain(state.expr_planners().iter().map(Arc::clone)).collect();
    Ok(Functions { state, planners })
});

fn functions() -> Result<&'static Functions> {
    FUNCTIONS.as_ref().map_err(|error| DataFusionError::Internal(error.to_string()))
}

/// A query as a data frame of `session`. `tables` opens a table by its name; the query can read no other table.
///
/// # Errors
/// With file and line: if the text is not a SELECT, or names an unknown table, column, function or parameter.
pub fn query(
    sql: &SqlText,
    session: &SessionState,
    tables: OpenTable<'_>,
    bindings: &Bindings,
) -> Result<DataFrame> {
    let plan = plan(sql, tables, bindings).map_err(|error| located(sql, error))?;
    Ok(DataFrame::new(session.clone(), plan))
}

fn plan(sql: &SqlText, tables: OpenTable<'_>, bindings: &Bindings) -> Result<LogicalPlan> {
    check_text(sql.text)?;
    let mut query = parsed(sql.text)?;
    check_expressions(&query)?;
    check_steps(&query)?;
    bind(&mut query, bindings)?;
    let functions = functions()?;
    let provider = Provider { functions, tables: Some(tables) };
    let statement = Statement::Statement(Box::new(ast::Statement::Query(Box::new(query))));
    SqlToRel::new_with_options(&provider, parser_options()).statement_to_plan(statement)
}

/// An expression over the columns of `schema`.
///
/// # Errors
/// With file and line: if the text is not an expression, or names an unknown column, function or parameter.
pub fn expression(sql: &SqlText, schema: &DFSchema, bindings: &Bindings) -> Result<Expr> {
    let planned = || {
        check_text(sql.text)?;
        let dialect = GenericDialect {};
        let parser = DFParserBuilder::new(sql.text)
            .with_dialect(&dialect)
            .with_recursion_limit(RECURSION_LIMIT)
            .build()?
            .parse_into_expr();
        let mut written = parser?;
        check_expressions(&written.expr)?;
        bind(&mut written.expr, bindings)?;
        let provider = Provider { functions: functions()?, tables: None };
        let planner = SqlToRel::new_with_options(&provider, parser_options());
        let expr = planner.sql_to_expr(written.expr, schema, &mut PlannerContext::new())?;
        Ok(match written.alias {
            Some(name) => expr.alias(name.value),
            None => expr,
        })
    };
    planned().map_err(|error| located(sql, error))
}

/// The value of an expression over parameters only.
///
/// # Errors
/// Those of [`expression`], or if the expression is not constant.
///
/// ```
/// use hindcast_detections::bindings::{Bindings, Bound};
/// use hindcast_detections::sql::{SqlText, constant};
///
/// let check = SqlText { file: "mine/detection.toml", line: 3, text: "$low <= $high" };
/// let mut bindings = Bindings::default();
/// bindings.insert("low", Bound::Integer(3));
/// bindings.insert("high", Bound::Float(2.5));
/// assert_eq!(constant(&check, &bindings)?.to_string(), "false");
/// # Ok::<(), datafusion::error::DataFusionError>(())
/// ```
pub fn constant(sql: &SqlText, bindings: &Bindings) -> Result<ScalarValue> {
    let expr = expression(sql, &DFSchema::empty(), bindings)?;
    let evaluated = || {
        let schema = Arc::new(DFSchema::empty());
        let simplifier =
            ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&schema)).build());
        match simplifier.simplify(simplifier.coerce(expr, &schema)?)? {
            Expr::Literal(value, _) => Ok(value),
            other => plan_err!("{other} depends on more than parameters"),
        }
    };
    evaluated().map_err(|error| located(sql, error))
}

/// A session with the functions that SQL may call.
///
/// # Errors
/// If the functions can't be registered.
pub fn session() -> Result<SessionContext> {
    Ok(SessionContext::new_with_state(functions()?.state.clone()))
}

/// The one query of a text.
fn parsed(text: &str) -> Result<ast::Query> {
    let dialect = GenericDialect {};
    let mut statements = DFParserBuilder::new(text)
        .with_dialect(&dialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .build()?
        .parse_statements()?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(Statement::Statement(statement)), true) => match *statement {
            ast::Statement::Query(query) => Ok(*query),
            _ => plan_err!("only SELECT is allowed here"),
        },
        _ => plan_err!("this must be one SELECT and nothing else"),
    }
}

/// Replaces the names of parameters by their values.
fn bind<V: VisitMut>(written: &mut V, bindings: &Bindings) -> Result<()> {
    let bound = visit_expressions_mut(written, |expr| {
        let ast::Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let ast::Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        let name = name.trim_start_matches('$');
        match bindings.literal(name) {
            Some(literal) => *expr = literal,
            None => {
                let near = did_you_mean(name, bindings.names().map(|known| format!("${known}")));
                let line = value.span.start.line;
                return ControlFlow::Break((line, format!("there is no parameter ${name}{near}")));
            }
        }
        ControlFlow::Continue(())
    });
    match bound {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break((line, message)) => Err(Error::in_file("", line as usize, message).into()),
    }
}

fn parser_options() -> ParserOptions {
    // Column names of tables have capital letters.
    ParserOptions { enable_ident_normalization: false, collect_spans: true, ..ParserOptions::default() }
}

/// Adds file and line to an error.
fn located(sql: &SqlText, error: DataFusionError) -> DataFusionError {
    if FileFault::of(&error).is_some_and(|fault| !fault.file.is_empty()) {
        return error;
    }
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let message = match error.find_root() {
        DataFusionError::SQL(error, _) => match &**error {
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message.clone(),
            ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
        },
        DataFusionError::SchemaError(error, _) => schema_message(error),
        _ => error.strip_backtrace(),
    };
    let (message, own_line) = match FileFault::of(&error) {
        Some(fault) => (fault.message.as_str(), fault.line),
        None => without_line(&message),
    };
    let line = span.map(|span| span.start.line as usize).or(own_line);
    let message = message.trim_start_matches("Error during planning: ").trim_start_matches("Schema error: ");
    let place = sql.line + line.unwrap_or(1).max(1) - 1;
    // One line, as editors read messages.
    Error::in_file(sql.file, place, message.replace('\n', " ")).into()
}

/// An error of the planner, which names file and line itself.
pub(crate) fn error_of(error: &DataFusionError) -> Error {
    match FileFault::of(error) {
        Some(fault) => Error::File(fault.clone()),
        None => Error::Invalid(error_message(error)),
    }
}

/// The message of an error of the planner, with file and line if it names them.
pub(crate) fn error_message(error: &DataFusionError) -> String {
    match (FileFault::of(error), error.find_root()) {
        (Some(fault), _) => fault.to_string(),
        (None, DataFusionError::Plan(message)) => message.clone(),
        (None, _) => error.strip_backtrace(),
    }
}

/// The message for an unknown column. DataFusion's own message names a setting that detections do not have.
fn schema_message(error: &SchemaError) -> String {
    let SchemaError::FieldNotFound { field, valid_fields } = error else { return error.to_string() };
    let known: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
    let hint = did_you_mean(&field.name, known.iter().copied());
    let listed = match (known.is_empty(), hint.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!("; there are {}", known.join(", ")),
        (false, false) => format!(" There are {}", known.join(", ")),
    };
    format!("there is no column {}{hint}{listed}", field.name)
}

/// Splits a message of the parser, whose errors are texts, into the message and the line at its end.
pub(crate) fn without_line(message: &str) -> (&str, Option<usize>) {
    let Some((rest, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let digits = place.find(|c: char| !c.is_ascii_digit()).unwrap_or(place.len());
    match place[..digits].parse() {
        Ok(line) => (rest, Some(line)),
        Err(_) => (message, None),
    }
}

/// Opens a table by its name; `None` if there is no such table.
type OpenTable<'a> = &'a dyn Fn(&str) -> Result<Option<DataFrame>>;

/// The tables and functions that a query may name.
struct Provider<'a> {
    functions: &'a Functions,
    /// `None` for an expression.
    tables: Option<OpenTable<'a>>,
}

impl Provider<'_> {
    fn found<T>(of: &HashMap<String, Arc<T>>, name: &str) -> Option<Arc<T>> {
        of.get(name).or_else(|| of.get(&name.to_lowercase())).map(Arc::clone)
    }
}

impl ContextProvider for Provider<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let frame = match (&name, self.tables) {
            (TableReference::Bare { table }, Some(open)) => open(table)?,
            _ => None,
        };
        let frame = frame.ok_or_else(|| {
            plan_datafusion_err!(
                "there is no table {name}: a query reads the rollups that its detection names"
            )
        })?;
        Ok(provider_as_source(frame.into_view()))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.functions.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        Self::found(self.functions.state.scalar_functions(), name)
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        Self::found(self.functions.state.aggregate_functions(), name)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        Self::found(self.functions.state.window_functions(), name)
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.functions.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.functions.state.window_functions().keys().cloned().collect()
    }
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
