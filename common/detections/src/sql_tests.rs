//! SQL that is planned, SQL that is refused, and the values of parameters.

use super::*;
use crate::bindings::Bound;
use crate::leaked;

fn error_of(text: &'static str) -> String {
    let sql = SqlText { file: "mine/query.sql", line: 1, text };
    let session = session().unwrap();
    let table = || session.read_empty()?.select(vec![datafusion::logical_expr::lit(1i64).alias("SentBytes")]);
    let tables = |name: &str| if name == "pairs" { table().map(Some) } else { Ok(None) };
    let mut bindings = Bindings::default();
    bindings.insert("least", Bound::Integer(1));
    let error = query(&sql, &session.state(), &tables, &bindings).unwrap_err();
    error_message(&error)
}

#[test]
fn errors_name_file_and_line_once_and_no_setting() {
    for (text, message) in [
        (
            "SELECT 1,\n  SentByte\nFROM pairs",
            "mine/query.sql, line 2: there is no column SentByte; did you mean SentBytes? There are SentBytes",
        ),
        (
            "SELECT\n\nsentbytes FROM pairs",
            "mine/query.sql, line 3: there is no column sentbytes; did you mean SentBytes? There are SentBytes",
        ),
        ("SELECT q FROM pairs", "mine/query.sql, line 1: there is no column q; there are SentBytes"),
        (
            "SELECT 1 FROM pairs\nWHERE SentBytes > $last",
            "mine/query.sql, line 2: there is no parameter $last; did you mean $least?",
        ),
        ("SELECT 1 FROM pairs\nWHERE 1 = $q", "mine/query.sql, line 2: there is no parameter $q"),
    ] {
        assert_eq!(error_of(text), message, "{text}");
    }
    let error = error_of("SELECT 1\nFROM pairs WHERE )");
    assert!(error.starts_with("mine/query.sql, line 2: ") && !error.contains("Line:"), "{error}");
}

fn text(sql: &str) -> SqlText {
    SqlText { file: "mine/query.sql", line: 1, text: leaked(sql) }
}

#[test]
fn only_one_select_is_planned() {
    for sql in
        ["CREATE TABLE x AS SELECT 1", "DELETE FROM pairs", "DROP TABLE pairs", "COPY pairs TO 'x.csv'"]
    {
        let error = error_of(sql);
        assert!(error.contains("only SELECT") || error.contains("one SELECT"), "{sql}: {error}");
    }
    for sql in ["SELECT 1; SELECT 2", "", "-- nothing"] {
        let error = error_of(sql);
        assert!(error.contains("this must be one SELECT and nothing else"), "{sql}: {error}");
    }
}

#[test]
fn a_query_opens_only_its_own_tables_and_functions() {
    for (sql, expected) in [
        (
            "SELECT 1 FROM other",
            "there is no table other: a query reads the rollups that its detection names",
        ),
        ("SELECT 1 FROM information_schema.tables", "there is no table information_schema.tables"),
        ("SELECT 1 FROM 'secret.csv'", "there is no table"),
        ("SELECT now() FROM pairs", "now"),
        ("SELECT random() FROM pairs", "random"),
        ("SELECT uuid() FROM pairs", "uuid"),
        ("SELECT 1 FROM generate_series(1, 9)", "mine/query.sql, line 1"),
    ] {
        let error = error_of(sql);
        assert!(error.contains("mine/query.sql, line 1") && error.contains(expected), "{sql}: {error}");
    }
}

#[test]
fn the_first_line_of_a_text_is_that_of_its_sql() {
    let sql = SqlText { file: "mine/detection.toml", line: 7, text: "-- why\n\n  -- more\nSELECT 1" };
    assert_eq!(sql.first_line(), 10);
    assert_eq!(text("SELECT 1").first_line(), 1);
}

#[test]
fn parameters_become_literals_of_their_type() {
    let mut bindings = Bindings::default();
    for (name, value) in [
        ("number", Bound::Integer(-7)),
        ("part", Bound::Float(0.25)),
        ("flag", Bound::Boolean(true)),
        ("name", Bound::Text("O'Brien'); DROP TABLE pairs; --".to_owned())),
        ("names", Bound::Texts(vec!["a".to_owned(), "it's".to_owned()])),
        ("no_span", Bound::NoInteger),
        ("no_name", Bound::NoText),
    ] {
        bindings.insert(name, value);
    }
    for (sql, expected) in [
        ("$number + 1", "-6"),
        ("$part * 4", "1"),
        ("NOT $flag", "false"),
        ("$name = 'O''Brien''); DROP TABLE pairs; --'", "true"),
        ("is_one_of('it''s', $names)", "true"),
        ("is_one_of('b', $names)", "false"),
        ("$no_span IS NULL AND $no_name IS NULL", "true"),
        ("coalesce($no_span, 3)", "3"),
    ] {
        assert_eq!(constant(&text(sql), &bindings).unwrap().to_string(), expected, "{sql}");
    }
}

#[test]
fn a_constant_depends_on_parameters_only() {
    let error = constant(&text("1 +\nSentBytes"), &Bindings::default()).unwrap_err().to_string();
    assert!(error.contains("mine/query.sql, line 2: there is no column SentBytes"), "{error}");
}
