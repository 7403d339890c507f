//! SQL expressions of mappings: one value per row, computed from the row's own columns, by functions that always return the same.

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::functions::all_default_functions;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::ast::{self, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::path::ColumnPath;
use hindcast_functions::sql::{ArrayLiterals, register};

/// Functions of the clock and of random numbers, and those that return a text of any size.
const EXCLUDED: [&str; 10] = [
    "now",
    "current_date",
    "current_time",
    "current_timestamp",
    "today",
    "random",
    "uuid",
    "repeat",
    "lpad",
    "rpad",
];
/// Longest text of an expression, in bytes.
const MAX_BYTES: usize = 10_000;
/// Nesting of parentheses, which the parser counts.
const RECURSION_LIMIT: usize = 50;
/// Nesting of expressions: a chain of operators is a tree of the same depth.
const MAX_DEPTH: usize = 200;

/// An expression over the columns of a lake's files, before the types of these columns are known.
#[derive(Debug, Clone)]
pub struct RowExpression {
    /// The expression, in which each path is a column named by [`stand_in`].
    written: ast::Expr,
    /// The paths, in the order of the columns that stand for them.
    paths: Vec<ColumnPath>,
}

/// Checks an expression as far as it does not depend on the types of columns.
///
/// # Errors
/// What is wrong with it.
pub fn check_expression(text: &str) -> Result<(), String> {
    let expression = RowExpression::parse(text)?;
    let unknown = vec![DataType::Null; expression.paths.len()];
    expression.logical(&schema_of(&unknown).map_err(|error| message_of(&error))?).map(|_| ())
}

impl RowExpression {
    /// Parses the text of an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("the expression has more than {MAX_BYTES} characters"));
        }
        let dialect = GenericDialect {};
        let parser = DFParserBuilder::new(text).with_dialect(&dialect).with_recursion_limit(RECURSION_LIMIT);
        let parsed = parser.build().and_then(|mut parser| parser.parse_into_expr());
        let ast::ExprWithAlias { expr: mut written, alias } = parsed.map_err(|error| message_of(&error))?;
        if alias.is_some() {
            return Err("an expression for a column has no name of its own: leave out AS".into());
        }
        let mut columns = Columns { paths: Vec::new(), depth: 0 };
        match written.visit(&mut columns) {
            ControlFlow::Continue(()) => Ok(Self { written, paths: columns.paths }),
            ControlFlow::Break(reason) => Err(reason),
        }
    }

    /// The paths that it refers to.
    pub fn paths(&self) -> &[ColumnPath] {
        &self.paths
    }

    /// The expression with `values` at its paths. `file_schema` has the columns that the values refer to.
    ///
    /// # Errors
    /// If it can't be computed from values of these types.
    pub fn plan(
        &self,
        values: &[Arc<dyn PhysicalExpr>],
        file_schema: &Schema,
    ) -> Result<Arc<dyn PhysicalExpr>, String> {
        let planned = || {
            let types: Result<Vec<DataType>> =
                values.iter().map(|value| value.data_type(file_schema)).collect();
            let schema = schema_of(&types?)?;
            let expr = self.logical(&schema).map_err(DataFusionError::Plan)?;
            let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build();
            let simplifier = ExprSimplifier::new(context);
            let expr = simplifier.simplify(simplifier.coerce(expr, &schema)?)?;
            let physical = functions()?.create_physical_expr(expr, &schema)?;
            let replaced = physical.transform(|node| {
                let value = node.downcast_ref::<Column>().and_then(|column| values.get(column.index()));
                Ok(match value {
                    Some(value) => Transformed::yes(Arc::clone(value)),
                    None => Transformed::no(node),
                })
            });
            replaced.data()
        };
        planned().map_err(|error| message_of(&error))
    }

    fn logical(&self, schema: &DFSchema) -> Result<Expr, String> {
        let planned = || {
            let written = ast::ExprWithAlias { expr: self.written.clone(), alias: None };
            functions()?.create_logical_expr_from_sql_expr(written, schema)
        };
        let expr = planned().map_err(|error| message_of(&error))?;
        let is_of_rows = |expr: &Expr| {
            matches!(expr, Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Unnest(_))
        };
        match expr.exists(|part| Ok(is_of_rows(part))) {
            Ok(false) => Ok(expr),
            Ok(true) => {
                Err("the expression must give one value per row, without aggregates and windows".into())
            }
            Err(error) => Err(message_of(&error)),
        }
    }
}

/// The functions that expressions may call: those of detections.
static FUNCTIONS: LazyLock<Result<SessionState>> = LazyLock::new(|| {
    let arrays: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(ArrayLiterals)];
    let mut state = SessionStateBuilder::new().with_expr_planners(arrays).with_default_features().build();
    // Array functions exist only if other crates enable them in DataFusion, and some return lists of any size.
    let core = all_default_functions();
    let named = |name: &String| core.iter().any(|one| one.name() == name || one.aliases().contains(name));
    let nested: Vec<String> = state.scalar_functions().keys().filter(|name| !named(name)).cloned().collect();
    for name in nested.iter().map(String::as_str).chain(EXCLUDED) {
        state.deregister_udf(name)?;
    }
    register(&mut state)?;
    Ok(state)
});

fn functions() -> Result<&'static SessionState> {
    FUNCTIONS.as_ref().map_err(|error| DataFusionError::Internal(error.to_string()))
}

/// Name of the column that stands for a path.
fn stand_in(index: usize) -> String {
    format!("c{index}")
}

fn schema_of(types: &[DataType]) -> Result<DFSchema> {
    let field = |(index, data_type): (usize, &DataType)| Field::new(stand_in(index), data_type.clone(), true);
    DFSchema::try_from(Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>()))
}

fn message_of(error: &DataFusionError) -> String {
    let message = error.strip_backtrace();
    let known = ["Error during planning: ", "SQL error: ", "Schema error: ", "Execution error: "];
    known.iter().fold(message.as_str(), |text, prefix| text.trim_start_matches(prefix)).replace('\n', " ")
}

/// Collects the paths of an expression, and puts columns in their places.
struct Columns {
    paths: Vec<ColumnPath>,
    depth: usize,
}

impl VisitorMut for Columns {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<String> {
        ControlFlow::Break("a query in an expression is not possible".into())
    }

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = format!("it is nested too deeply, or chains more than {MAX_DEPTH} operators");
            return ControlFlow::Break(reason);
        }
        let of_user = path_of_user(expr);
        let text = match expr {
            _ if of_user.is_some() => of_user.unwrap_or_default(),
            ast::Expr::Identifier(name) => name.value.clone(),
            ast::Expr::CompoundIdentifier(names) => {
                names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(".")
            }
            ast::Expr::CompoundFieldAccess { .. } => {
                let reason = "write a part of a column as a path: a.b for a field, \"list[0].x\" in quotation marks for \
                              an element";
                return ControlFlow::Break(reason.into());
            }
            ast::Expr::Lambda(_) => {
                return ControlFlow::Break("functions with -> are not possible here".into());
            }
            ast::Expr::Value(value) if matches!(value.value, ast::Value::Placeholder(_)) => {
                return ControlFlow::Break(format!("there are no parameters such as {} here", value.value));
            }
            _ => return ControlFlow::Continue(()),
        };
        let path: ColumnPath = match text.parse() {
            Ok(path) => path,
            Err(error) => return ControlFlow::Break(format!("{error}")),
        };
        let known = self.paths.iter().position(|known| *known == path);
        let index = known.unwrap_or_else(|| {
            self.paths.push(path);
            self.paths.len() - 1
        });
        *expr = ast::Expr::Identifier(ast::Ident::with_quote('"', stand_in(index)));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &mut ast::Expr) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// A path that begins with `user`, which the parser takes for a function without arguments.
fn path_of_user(expr: &ast::Expr) -> Option<String> {
    let (root, fields) = match expr {
        ast::Expr::CompoundFieldAccess { root, access_chain } => (root.as_ref(), access_chain.as_slice()),
        root => (root, &[][..]),
    };
    if fields.is_empty() && !matches!(root, ast::Expr::Function(_)) {
        return None;
    }
    let mut names = names_of(root)?;
    for field in fields {
        let ast::AccessExpr::Dot(field) = field else { return None };
        names.extend(names_of(field)?);
    }
    Some(names.join("."))
}

/// The names of a column or of a part of one, also if the parser takes the last of them for a function such as `user`.
fn names_of(expr: &ast::Expr) -> Option<Vec<String>> {
    match expr {
        ast::Expr::Identifier(name) => Some(vec![name.value.clone()]),
        ast::Expr::CompoundIdentifier(names) => Some(names.iter().map(|name| name.value.clone()).collect()),
        ast::Expr::Function(ast::Function { name, args: ast::FunctionArguments::None, .. }) => {
            let names: Option<Vec<String>> =
                name.0.iter().map(|part| part.as_ident().map(|part| part.value.clone())).collect();
            names
                .filter(|names| names.len() > 1 || names.iter().all(|name| name.eq_ignore_ascii_case("user")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
    use datafusion::physical_expr::expressions::lit;
    use datafusion::scalar::ScalarValue;

    use super::*;

    #[test]
    fn expressions_are_checked_before_any_file_is_read() {
        for sql in [
            "action",
            "lower(src_endpoint.hostname)",
            "coalesce(user.email, user)",
            "actor.user.name IS NOT NULL",
            "CASE WHEN activity_id IN (1, 2) THEN 'Allow' ELSE \"answers[0].rdata\" END",
            "coalesce(canonical_address(a.b), 'none')",
            "to_timestamp_millis(time)",
            "\"id.orig_h\"",
            "is_one_of(action, ['drop', 'deny'])",
        ] {
            assert_eq!(check_expression(sql), Ok(()), "{sql}");
        }
        for (sql, part) in [
            ("lower(", "Expected"),
            ("lowr(a)", "lowr"),
            ("a, b", ""),
            ("a AS b", "leave out AS"),
            ("now()", "now"),
            ("range(1, bytes)", "range"),
            ("random()", "random"),
            ("sum(bytes)", "one value per row"),
            ("row_number() OVER ()", "one value per row"),
            ("(SELECT 1)", "query"),
            ("a['b']", "as a path"),
            ("$x", "no parameters"),
        ] {
            let error = check_expression(sql).unwrap_err();
            assert!(error.contains(part), "{sql}: {error}");
        }
        let long_chain = vec!["a"; 400].join(" || ");
        assert!(check_expression(&long_chain).unwrap_err().contains("nested too deeply"));
    }

    #[test]
    fn each_path_is_found_once() {
        let expression = RowExpression::parse("coalesce(a.b, \"A\", a.b, lower(c))").unwrap();
        let paths: Vec<&str> = expression.paths().iter().map(ColumnPath::text).collect();
        assert_eq!(paths, ["a.b", "A", "c"]);
    }

    #[test]
    fn values_take_the_places_of_paths() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("A"), None]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("x", numbers), ("name", names)]).unwrap();
        let expression = RowExpression::parse("coalesce(lower(b), c) || 'z'").unwrap();
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("name", 1));
        let planned = expression.plan(&[column, lit(ScalarValue::Null)], &batch.schema()).unwrap();
        let array = planned.evaluate(&batch).unwrap().into_array(2).unwrap();
        let array = arrow::compute::cast(&array, &DataType::Utf8).unwrap();
        assert_eq!(array.as_string::<i32>().value(0), "az");
        assert!(array.is_null(1));
    }

    #[test]
    fn a_mismatch_of_types_is_an_error() {
        let expression = RowExpression::parse("sqrt(a)").unwrap();
        let text = expression.plan(&[lit(ScalarValue::Boolean(Some(true)))], &Schema::empty());
        assert!(text.is_err(), "{text:?}");
    }
}
