//! Compares calls in SQL with the Rust builders: the same plans, and the same results with and without the optimiser.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int64Array, ListArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::SessionStateBuilder;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprFunctionExt, cast, ident, lit, not, when};
use datafusion::physical_expr::create_physical_expr;
use datafusion::prelude::{DataFrame, SessionContext};

use super::*;
use crate::Patterns;
use crate::PrivateSpace;
use crate::trailing::{Trail, trailing};

const RECORDS: &str = r#"[{"name":"ntp","port":123,"factor":0.2},{"name":"other","port":123,"factor":0.5},{"name":"poll","port":9,"factor":1}]"#;

fn column(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn batch() -> RecordBatch {
    let texts = [Some("Rclone.exe copy"), Some("10.0.0.1:443"), Some("8.8.8.8"), None];
    let times = vec![Some(-1), Some(3_600_000_001), Some(90_000_000_000), None];
    RecordBatch::try_from_iter_with_nullable([
        ("text", column(StringViewArray::from(texts.to_vec())), true),
        ("named", column(texts.into_iter().collect::<DictionaryArray<Int32Type>>()), true),
        ("number", column(Int64Array::from(vec![Some(-7), Some(123), Some(9), None])), true),
        ("time", column(TimestampMicrosecondArray::from(times).with_timezone("UTC")), true),
        ("flag", column(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)])), true),
        (
            "seconds",
            column(ListArray::from_iter_primitive::<Int64Type, _, _>(
                [9, 3, 0, 6].map(|count| Some((0..count).map(|place| Some(place * 60)))),
            )),
            true,
        ),
    ])
    .unwrap()
}

/// A session with the table `t`.
fn session() -> SessionContext {
    let planners = SessionStateBuilder::new().with_expr_planners(vec![Arc::new(ArrayLiterals)]);
    let mut state = planners.with_default_features().build();
    register(&mut state).unwrap();
    let session = SessionContext::new_with_state(state);
    session.register_batch("t", batch()).unwrap();
    session
}

/// The text of an optimised plan, with columns named as in SQL.
fn plan_of(frame: &DataFrame) -> String {
    frame.clone().into_optimized_plan().unwrap().display_indent().to_string()
}

fn time_of(micros: Expr) -> Expr {
    cast(micros, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
}

fn calls() -> Vec<(&'static str, Expr)> {
    [calls_of_texts(), calls_of_numbers()].concat()
}

fn calls_of_texts() -> Vec<(&'static str, Expr)> {
    let (text, named) = (|| ident("text"), || ident("named"));
    let space = PrivateSpace {
        private: vec!["10.0.0.0/8".parse().unwrap()],
        declared_external: vec!["10.9.0.0/16".parse().unwrap()],
    };
    vec![
        (
            "matches(text, ['^rclone', '\\d:443$'])",
            crate::matches(text(), &Patterns::of(&["^rclone", "\\d:443$"]).unwrap()),
        ),
        ("matches(named, [])", crate::matches(named(), &Patterns::default())),
        (
            "equals_any(text, ['8.8.8.8', 'x'])",
            crate::matches(text(), &Patterns::equal_to(&["8.8.8.8", "x"])),
        ),
        (
            "starts_with_any(named, ['RCLONE'])",
            crate::matches(named(), &Patterns::starting_with(&["rclone"])),
        ),
        ("contains_any(text, ['EXE'])", crate::matches(text(), &Patterns::containing_any(&["exe"]))),
        ("is_one_of(named, ['8.8.8.8'])", crate::is_one_of(named(), &["8.8.8.8"])),
        ("is_external(text, ['10.0.0.0/8'], ['10.9.0.0/16'])", crate::is_external(text(), &space)),
        ("in_networks(text, ['10.0.0.0/8'])", {
            let inside = PrivateSpace { declared_external: Vec::new(), ..space.clone() };
            let address = crate::canonical_address(text());
            address.clone().is_not_null().and(not(crate::is_external(address, &inside)))
        }),
        ("is_empty([])", lit(true)),
        ("is_empty([1, 2])", lit(false)),
        ("canonical_address(named)", crate::canonical_address(named())),
        ("address_or_text(text)", crate::address_or_text(text())),
        ("canonical_host(named)", crate::canonical_host(named())),
        ("lowered_name(text)", crate::lowered_name(text())),
        ("account_name(text)", crate::account_name(text())),
        ("initiator(text)", crate::initiator(text())),
        ("initiator_address(text)", crate::initiator_address(text())),
        ("extended_user_agent(text)", crate::extended_user_agent(text())),
        ("storage_account(text)", crate::storage_account(text())),
        ("destination_name(named)", crate::destination_name(named())),
        (
            "office_address(text, text)",
            coalesce(vec![crate::address_or_text(text()), crate::address_or_text(text())]),
        ),
        ("registered_domain(named)", crate::registered_domain(named())),
        ("subdomain(text)", crate::subdomain(text())),
        ("record_type(text)", crate::record_type(text())),
        ("response_code(named)", crate::response_code(named())),
        ("json_text(text, 'x')", crate::json_text(text(), lit("x"))),
        ("text_bits(named)", crate::text_bits(named())),
        ("duration_seconds(text)", crate::duration_seconds(text())),
    ]
}

fn calls_of_numbers() -> Vec<(&'static str, Expr)> {
    let (named, number) = (|| ident("named"), || ident("number"));
    let micros = || cast(ident("time"), DataType::Int64);
    vec![
        ("micros(time)", micros()),
        ("second_of(time)", crate::floor_div(micros(), 1_000_000)),
        ("hour_of(time)", crate::floor_div(micros(), 3_600_000_000)),
        ("day_of(time)", crate::floor_div(micros(), 86_400_000_000)),
        (
            "floor_time(time, 60 * 60000000)",
            time_of(crate::floor_div(micros(), 3_600_000_000) * lit(3_600_000_000i64)),
        ),
        ("time_of_micros(number)", time_of(number())),
        ("time_of_hour(number)", time_of(number() * lit(3_600_000_000i64))),
        ("plain(named)", cast(named(), DataType::Utf8View)),
        ("no_text()", lit(ScalarValue::Utf8View(None))),
        ("floor_div(number, 60)", crate::floor_div(number(), 60)),
        (
            "round_half_up(number / 8.0, 1)",
            crate::round_half_up(cast(number(), DataType::Float64) / lit(8.0), 1),
        ),
        ("megabytes(number)", crate::round_half_up(cast(number(), DataType::Float64) / lit(1_048_576.0), 2)),
        ("transfer_score(number, number, 0.5)", crate::transfer_score(number(), number(), lit(0.5))),
        ("size_class(number)", crate::size_class(number())),
        ("only_where(number, flag)", crate::only_where(number(), ident("flag"))),
        ("beacon_gaps(seconds)", crate::beacon_gaps(ident("seconds"))),
        (
            "seconds_near(seconds, seconds, 5)",
            crate::seconds_near(ident("seconds"), ident("seconds"), lit(5i64)),
        ),
        ("beacon_rhythm(seconds, number, 0.1)", crate::beacon_rhythm(ident("seconds"), number(), lit(0.1))),
    ]
}

#[tokio::test]
async fn a_call_in_sql_gives_the_plan_and_result_of_the_builder() {
    let session = session();
    for (call, expected) in calls() {
        let in_sql = session.sql(&format!("SELECT {call} AS x FROM t")).await.unwrap();
        let table = session.table("t").await.unwrap();
        let built = table.select(vec![expected.alias("x")]).unwrap();
        assert_eq!(in_sql.schema().field(0).data_type(), built.schema().field(0).data_type(), "{call}");
        assert_eq!(plan_of(&in_sql), plan_of(&built), "{call}");
        let (in_sql, built) = (in_sql.collect().await.unwrap(), built.collect().await.unwrap());
        assert_eq!(in_sql[0].column(0), built[0].column(0), "{call}");
    }
}

#[tokio::test]
async fn a_call_without_the_optimiser_gives_the_same_result() {
    let session = session();
    let schema = session.table("t").await.unwrap().schema().clone();
    for (call, expected) in calls() {
        let expression = session.parse_sql_expr(call, &schema).unwrap();
        let simplifier = datafusion::optimizer::simplify_expressions::ExprSimplifier::new(
            datafusion::logical_expr::simplify::SimplifyContext::default(),
        );
        let coerced = simplifier.coerce(expression, &schema).unwrap();
        let none = PhysicalPlanningContext::default();
        let physical = create_physical_expr(&coerced, &schema, &ExecutionProps::new(), &none);
        let unoptimised = physical.unwrap().evaluate(&batch()).unwrap().to_array(4).unwrap();
        let built = session.table("t").await.unwrap().select(vec![expected.alias("x")]).unwrap();
        assert_eq!(&unoptimised, built.collect().await.unwrap()[0].column(0), "{call}");
    }
}

#[tokio::test]
async fn optimised_filters_hold_no_list() {
    let session = session();
    let sql = "SELECT number FROM t WHERE is_empty([]) OR is_one_of(text, [])";
    let all = session.sql(sql).await.unwrap();
    assert!(!plan_of(&all).contains("is_"), "{}", plan_of(&all));
    let sql = "SELECT number FROM t WHERE (is_empty(['a']) OR is_one_of(text, ['a'])) AND contains_any(named, ['b'])";
    let some = session.sql(sql).await.unwrap();
    let tests = crate::is_one_of(ident("text"), &["a"])
        .and(crate::matches(ident("named"), &Patterns::containing_any(&["b"])));
    let built = session.table("t").await.unwrap().filter(tests).unwrap().select_columns(&["number"]).unwrap();
    assert_eq!(plan_of(&some), plan_of(&built));
}

/// The module documentation names these three ways.
#[tokio::test]
async fn fields_of_structs_can_be_written_in_three_ways() {
    let session = session();
    let mut plans = Vec::new();
    for field in ["get_field(gaps, 'intervals')", "gaps['intervals']", "gaps.intervals"] {
        let sql = format!("SELECT {field} AS x FROM (SELECT beacon_gaps(seconds) AS gaps FROM t)");
        plans.push(plan_of(&session.sql(&sql).await.unwrap()));
    }
    assert_eq!(plans, vec![plans[0].clone(); 3]);
}

#[tokio::test]
async fn known_services_are_the_cases_of_their_records() {
    let session = session();
    let sql = format!(
        "SELECT known_service_name(number, '{RECORDS}') AS name, known_service_factor(number, '{RECORDS}') AS factor FROM t"
    );
    let in_sql = session.sql(&sql).await.unwrap();
    let (mut name, mut factor) = (lit(ScalarValue::Utf8(None)), lit(1.0));
    for (service, port, times) in [("poll", 9i64, 1.0), ("other", 123, 0.5), ("ntp", 123, 0.2)] {
        name = when(ident("number").eq(lit(port)), lit(service)).otherwise(name).unwrap();
        factor = when(ident("number").eq(lit(port)), lit(times)).otherwise(factor).unwrap();
    }
    let table = session.table("t").await.unwrap();
    let built = table.select(vec![name.alias("name"), factor.alias("factor")]).unwrap();
    assert_eq!(in_sql.schema(), built.schema());
    assert_eq!(plan_of(&in_sql), plan_of(&built));
    let rows = in_sql.collect().await.unwrap();
    let names: Vec<Option<&str>> = rows[0].column(0).as_string::<i32>().iter().collect();
    assert_eq!(names, [None, Some("ntp"), Some("poll"), None]);
}

#[tokio::test]
async fn periodic_services_are_recognised_by_network_and_name() {
    let records = r#"[{"name":"clock","networks":"10.0.0.0/8 2001:db8::/32","hosts":"","factor":0.25},{"name":"tool","hosts":"^rclone","factor":0.5,"why":"a tool"}]"#;
    let session = session();
    let sql = format!(
        "SELECT periodic_service_name(text, named, '{records}') AS name, periodic_service_factor(text, named, '{records}') AS factor FROM t"
    );
    let rows = session.sql(&sql).await.unwrap().collect().await.unwrap();
    let names: Vec<Option<&str>> = rows[0].column(0).as_string::<i32>().iter().collect();
    assert_eq!(names, [Some("tool"), Some("clock"), None, None]);
    let factors = rows[0].column(1).as_primitive::<arrow::datatypes::Float64Type>().values().to_vec();
    assert_eq!(factors, [0.5, 0.25, 1.0, 1.0]);
}

#[tokio::test]
async fn trailing_windows_take_their_length_from_the_call() {
    let session = session();
    for (name, trail) in [("trailing", Trail::Positions(200)), ("trailing_rows", Trail::Rows(200))] {
        let sql = format!(
            "SELECT {name}(number, number, 2 * 100) OVER (PARTITION BY flag ORDER BY number) AS x FROM t"
        );
        let in_sql = session.sql(&sql).await.unwrap();
        let window = trailing(trail)
            .call(vec![ident("number"), ident("number")])
            .partition_by(vec![ident("flag")])
            .order_by(vec![ident("number").sort(true, false)])
            .build()
            .unwrap();
        let table = session.table("t").await.unwrap();
        let built = table.with_column("x", window).unwrap().select_columns(&["x"]).unwrap();
        let text = plan_of(&in_sql);
        assert!(text.contains("trailing(t.number, t.number) PARTITION BY [t.flag]"), "{text}");
        let sum = |rows: Vec<RecordBatch>| -> Vec<i64> {
            let sums = rows.iter().flat_map(|rows| {
                rows.column(0).as_struct().column(0).as_primitive::<Int64Type>().values().to_vec()
            });
            let mut sums: Vec<i64> = sums.collect();
            sums.sort_unstable();
            sums
        };
        assert_eq!(sum(in_sql.collect().await.unwrap()), sum(built.collect().await.unwrap()), "{name}");
    }
}

#[tokio::test]
async fn errors_name_the_argument_that_must_be_known_before_the_query_runs() {
    let session = session();
    for (call, reason) in [
        ("matches(text, seconds)", "matches: patterns must be known before the query runs"),
        ("is_one_of(text, text)", "is_one_of: texts must be known before the query runs"),
        ("floor_div(number, number)", "floor_div: step must be known before the query runs"),
        ("floor_div(number, 0)", "floor_div: takes a step above 0, not 0"),
        ("matches(text, ['('])", "matches: pattern `(`: "),
        ("matches(text, [1])", "matches: takes an array of texts, but 1 is not one"),
        ("matches(text, 'a')", "matches: takes an array, but a is not one"),
        ("is_external(text, ['10.0.0.0/99'], [])", "is_external: \"10.0.0.0/99\" is not a network"),
        (
            "known_service_name(number, text)",
            "known_service_name: records must be known before the query runs",
        ),
        (
            "known_service_factor(number, '{}')",
            "known_service_factor: takes records of name, port and factor",
        ),
        (
            "trailing(number, number, number) OVER (ORDER BY number)",
            "trailing: length must be known before the query runs",
        ),
        (
            "trailing_rows(number, number, 0) OVER (ORDER BY number)",
            "trailing_rows: takes a length above 0, not 0",
        ),
        ("beacon_gaps(text)", "beacon_gaps takes lists of integers, not Utf8View"),
        ("only_where(text, text)", "only_where takes a condition that is true or false, not Utf8View"),
        ("is_empty([text])", "is_empty: list must be known before the query runs"),
        ("is_external(text, [text], [])", "is_external: private and declared_external must be known"),
    ] {
        let error = match session.sql(&format!("SELECT {call} FROM t")).await {
            Ok(frame) => frame.collect().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(error.to_string().contains(reason), "{call}: {error}");
    }
}

#[test]
fn every_function_is_documented_and_none_shadows_one_of_datafusion() {
    let names: Vec<&str> = documentation().iter().map(|documented| documented.name).collect();
    let count = scalar_functions().len() + aggregate_functions().len() + window_functions().len();
    assert_eq!(names.len(), count);
    let session = SessionContext::new();
    let state = session.state();
    for name in names {
        let known = state.scalar_functions().contains_key(name)
            || state.aggregate_functions().contains_key(name)
            || state.window_functions().contains_key(name);
        assert!(!known, "{name}");
    }
}
