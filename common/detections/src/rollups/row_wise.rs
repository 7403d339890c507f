//! SQL expressions over one row of a table: the names in them, and a check that they use no other row.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::ast::{Expr, Function, Query, Spanned, Value, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::size::{RECURSION_LIMIT, check_expressions, check_text};
use crate::sql::without_line;

/// An error in an expression.
#[derive(Debug)]
pub(super) struct Fault {
    /// The line of the expression, counted from 1.
    pub(super) line: usize,
    /// The message.
    pub(super) message: String,
}

/// A name in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    /// The name.
    pub(super) name: String,
    /// The line of the expression, counted from 1.
    pub(super) line: usize,
}

/// An expression over one row.
#[derive(Debug)]
pub(super) struct RowWise {
    /// The expression as written, without comments, line breaks and insignificant spaces.
    pub(super) normal: String,
    /// The name of its value, if the text has one (`… AS name`).
    pub(super) name: Option<String>,
    /// The columns in it.
    pub(super) columns: Vec<Mention>,
    /// The parameters in it, without their `$`.
    pub(super) parameters: Vec<Mention>,
}

impl RowWise {
    /// Reads an expression.
    ///
    /// # Errors
    /// If the text is not an expression, or uses other rows or tables.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        check_text(text).map_err(|error| unreadable(&error))?;
        let dialect = GenericDialect {};
        let parser =
            DFParserBuilder::new(text).with_dialect(&dialect).with_recursion_limit(RECURSION_LIMIT).build();
        let written =
            parser.and_then(|mut parser| parser.parse_into_expr()).map_err(|error| unreadable(&error))?;
        check_expressions(&written.expr).map_err(|error| unreadable(&error))?;
        let mut mentions = Mentions::default();
        if let ControlFlow::Break(fault) = written.visit(&mut mentions) {
            return Err(*fault);
        }
        Ok(Self {
            normal: written.to_string(),
            name: written.alias.map(|alias| alias.value),
            columns: mentions.columns,
            parameters: mentions.parameters,
        })
    }
}

/// An error of the parser: its message ends with the position.
fn unreadable(error: &DataFusionError) -> Fault {
    let message = match error.find_root() {
        DataFusionError::SQL(error, _) => match &**error {
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message.clone(),
            ParserError::RecursionLimitExceeded => "the expression is nested too deeply".to_owned(),
        },
        DataFusionError::Plan(message) => message.clone(),
        other => other.strip_backtrace(),
    };
    let (what, line) = without_line(&message);
    Fault { line: line.unwrap_or(1), message: what.to_owned() }
}

/// Collects the names in an expression.
#[derive(Default)]
struct Mentions {
    columns: Vec<Mention>,
    parameters: Vec<Mention>,
}

impl Visitor for Mentions {
    type Break = Box<Fault>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        refused(line_of(query), "a query is not allowed here: a rollup computes each row from that row alone")
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Identifier(name) => {
                self.columns.push(Mention { name: name.value.clone(), line: line_of(expr) });
            }
            Expr::CompoundIdentifier(_) => {
                return refused(line_of(expr), &format!("{expr} is not a column: write only its name"));
            }
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value {
                    let name = name.trim_start_matches('$').to_owned();
                    self.parameters.push(Mention { name, line: line_of(expr) });
                }
            }
            Expr::Function(function) if uses_other_rows(function) => {
                return refused(
                    line_of(function),
                    &format!(
                        "{} uses several rows: a rollup computes each row from that row alone, and `measures` aggregate rows",
                        function.name
                    ),
                );
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether a function is a window or aggregate function.
fn uses_other_rows(function: &Function) -> bool {
    static AGGREGATES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let functions = all_default_aggregate_functions();
        let names = functions.iter().map(|function| function.name().to_owned());
        names.chain(functions.iter().flat_map(|function| function.aliases().to_vec())).collect()
    });
    let is_aggregate = AGGREGATES.contains(&function.name.to_string().to_lowercase());
    is_aggregate || function.over.is_some() || !function.within_group.is_empty()
}

fn line_of(part: &impl Spanned) -> usize {
    usize::try_from(part.span().start.line).unwrap_or_default().max(1)
}

fn refused(line: usize, message: &str) -> ControlFlow<Box<Fault>> {
    ControlFlow::Break(Box::new(Fault { line, message: message.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mentions: &[Mention]) -> Vec<(&str, usize)> {
        mentions.iter().map(|mention| (mention.name.as_str(), mention.line)).collect()
    }

    #[test]
    fn the_names_in_an_expression_have_their_lines() {
        let text = "only_where(Bytes, -- a comment\n  is_one_of(Vendor, [$vendor])) AS sent";
        let parsed = RowWise::parse(text).unwrap();
        assert_eq!(parsed.name.as_deref(), Some("sent"));
        assert_eq!(names(&parsed.columns), [("Bytes", 1), ("Vendor", 2)]);
        assert_eq!(names(&parsed.parameters), [("vendor", 2)]);
        assert_eq!(parsed.normal, "only_where(Bytes, is_one_of(Vendor, [$vendor])) AS sent");
    }

    #[test]
    fn an_expression_over_other_rows_is_refused() {
        for (text, line, expected) in [
            ("1 +\n sum(Bytes)", 2, "sum uses several rows"),
            ("row_number() OVER (ORDER BY Bytes)", 1, "uses several rows"),
            ("COUNT(*) AS n", 1, "uses several rows"),
            ("(SELECT 1) AS n", 1, "a query is not allowed here"),
            ("Bytes IN (SELECT 1)", 1, "a query is not allowed here"),
            ("t.Bytes", 1, "t.Bytes is not a column"),
            ("Bytes +", 1, "Expected"),
            ("Bytes AS sent, 1", 1, "Expected"),
        ] {
            let fault = RowWise::parse(text).unwrap_err();
            assert!(fault.message.contains(expected), "{text}: {}", fault.message);
            assert_eq!(fault.line, line, "{text}");
        }
    }
}
