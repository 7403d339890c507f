//! Limits for the size of SQL. Larger SQL takes very long to plan, more stack than a thread has, or an unlimited amount of memory.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::{Result, plan_err};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Value, Visit, Visitor,
    visit_relations,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Nesting of parentheses and queries, which the parser counts.
pub(crate) const RECURSION_LIMIT: usize = 50;
/// Words, numbers and signs in a text.
const MAX_TOKENS: usize = 10_000;
/// Nesting of expressions, which the parser does not count: a chain of operators is a tree of the same depth.
const MAX_DEPTH: usize = 200;
/// Tables that a query reads, counted each time they are named.
const MAX_STEPS: usize = 1_000;
/// Largest size argument of the functions in [`SIZED`].
const MAX_SIZE: f64 = 1_000.0;
/// Functions whose memory depends on an argument and is not counted by the memory budget, with the positions of these arguments.
const SIZED: [(&str, &[usize]); 4] = [
    ("lpad", &[1]),
    ("rpad", &[1]),
    ("approx_percentile_cont", &[1, 2]),
    ("approx_percentile_cont_with_weight", &[2, 3]),
];

/// Fails for a text that is too long to parse: dropping the deep tree of a very long chain takes too much stack.
///
/// # Errors
/// If it is too long.
pub(crate) fn check_text(text: &str) -> Result<()> {
    // The parser reports what is wrong with a text that cannot be tokenised.
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap_or_default();
    let count = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count();
    if count > MAX_TOKENS {
        return plan_err!(
            "it has {count} words and signs, more than {MAX_TOKENS}: use a parameter for a long list"
        );
    }
    Ok(())
}

/// Fails for expressions that are nested too deeply or take an unlimited amount of memory.
///
/// # Errors
/// With the reason.
pub(crate) fn check_expressions(written: &impl Visit) -> Result<()> {
    match written.visit(&mut Depth(0)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => plan_err!("{message}"),
    }
}

/// Fails for a query with too many steps, for example a chain of queries that each name the one before twice: each name is planned
/// as often as it is used.
///
/// # Errors
/// If it has too many, or a `WITH` that is not at its beginning.
pub(super) fn check_steps(query: &Query) -> Result<()> {
    let mut steps_of: HashMap<&str, usize> = HashMap::new();
    for named in query.with.iter().flat_map(|with| &with.cte_tables) {
        let steps = steps(named.query.as_ref(), &steps_of)?;
        steps_of.insert(&named.alias.name.value, steps);
    }
    steps(query.body.as_ref(), &steps_of).map(|_| ())
}

/// The number of tables that a part of a query reads, including those of the queries it names.
fn steps(part: &impl Visit, steps_of: &HashMap<&str, usize>) -> Result<usize> {
    if part.visit(&mut InnerNames).is_break() {
        return plan_err!("WITH is only allowed at the beginning of a query");
    }
    let mut steps = 1_usize;
    let counted = visit_relations(part, |name| {
        let named = match name.0.as_slice() {
            [only] => only.as_ident().and_then(|ident| steps_of.get(ident.value.as_str())),
            _ => None,
        };
        steps = steps.saturating_add(named.copied().unwrap_or(1));
        if steps > MAX_STEPS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if counted.is_break() {
        return plan_err!("it has more than {MAX_STEPS} steps: join and unite fewer queries");
    }
    Ok(steps)
}

/// Stops at a query with a `WITH`.
struct InnerNames;

impl Visitor for InnerNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if query.with.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The current depth of the visited expression.
struct Depth(usize);

impl Visitor for Depth {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        self.0 += 1;
        if self.0 > MAX_DEPTH {
            return ControlFlow::Break(format!(
                "it is nested too deeply, or chains more than {MAX_DEPTH} operators: use a list instead, as in x IN (…), is_one_of or matches"
            ));
        }
        match expr {
            Expr::Function(function) if !is_bounded(function) => ControlFlow::Break(format!(
                "{}: its size must be a number literal of at most {MAX_SIZE}",
                function.name
            )),
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<String> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }
}

/// Whether the memory of a call is bounded by a written number.
fn is_bounded(function: &Function) -> bool {
    let name = function.name.to_string().to_lowercase();
    let sized = SIZED.iter().find(|(sized, _)| *sized == name.trim_matches(['"', '`']));
    let (Some((_, places)), FunctionArguments::List(arguments)) = (sized, &function.args) else {
        return true;
    };
    let is_written = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &value.value {
            Value::Number(digits, _) => digits.parse().is_ok_and(|size: f64| size <= MAX_SIZE),
            _ => false,
        },
        _ => false,
    };
    places.iter().filter_map(|place| arguments.args.get(*place)).all(is_written)
}

#[cfg(test)]
mod tests {
    use super::super::bindings::Bindings;
    use super::super::leaked;
    use super::super::sql::{SqlText, constant, query, session};

    fn text(sql: &str) -> SqlText {
        SqlText { file: "mine/query.sql", line: 1, text: leaked(sql) }
    }

    fn value(sql: &str) -> String {
        let value = constant(&text(sql), &Bindings::default());
        value.map_or_else(|error| error.to_string(), |value| value.to_string())
    }

    #[test]
    fn long_chains_and_texts_are_refused() {
        let chain = |count: usize| vec!["1"; count].join(" + ");
        assert_eq!(value(&chain(150)), "150");
        for sql in [chain(250), chain(2_000)] {
            let message = value(&sql);
            assert!(message.contains("mine/query.sql, line 1: it is nested too deeply"), "{message}");
        }
        let message = value(&chain(50_000));
        assert!(message.contains("it has 99999 words and signs"), "{message}");
    }

    #[test]
    fn functions_return_no_text_or_list_of_any_size() {
        assert_eq!(value("lpad('7', 2, '0')"), "07");
        for sql in [
            "lpad('7', 1001)",
            "RPAD('7', 500 + 500)",
            "\"lpad\"('7', 1e9)",
            "approx_percentile_cont(1, 0.5, 9999)",
        ] {
            let message = value(sql);
            assert!(message.contains("must be a number literal of at most 1000"), "{message}");
        }
        for sql in ["repeat('x', 9)", "range(1, 9)", "array_length(array_repeat(1, 9))", "make_array(1)"] {
            let message = value(sql);
            assert!(message.contains("Invalid function"), "{message}");
        }
    }

    #[test]
    fn queries_that_double_each_other_are_refused() {
        let doubled: Vec<String> =
            (1..40).map(|step| format!("c{step} AS (SELECT x.a FROM c{0} x, c{0} y)", step - 1)).collect();
        let sql = format!("WITH c0 AS (SELECT 1 AS a), {} SELECT a FROM c39", doubled.join(", "));
        let session = session().unwrap().state();
        let planned = query(&text(&sql), &session, &|_| Ok(None), &Bindings::default());
        let message = planned.map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("more than 1000 steps"), "{message}");
    }
}
