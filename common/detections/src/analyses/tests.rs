//! Tests of analyses: the total order and the limit of results, messages of failures, and side tables.

use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray};
use arrow::datatypes::Int64Type;

use super::*;
use crate::Detections;

fn config() -> Config {
    Config::load("default", &[]).unwrap()
}

fn analysis(id: &str) -> &'static Analysis {
    Detections::built_in().by_id(id).unwrap()
}

/// Rows of `top_talkers`: source and sessions.
fn talkers(rows: &[(&str, Option<i64>)]) -> RecordBatch {
    let sources: ArrayRef = Arc::new(StringViewArray::from_iter_values(rows.iter().map(|row| row.0)));
    let sessions: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
    let bytes: ArrayRef = Arc::new((0..rows.len()).map(|row| Some(row as i64)).collect::<Int64Array>());
    let columns = [("bytes_sent", bytes), ("source_ip", sources), ("sessions", sessions)];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

#[test]
fn results_are_in_a_total_order_that_does_not_depend_on_shards() {
    let rows = talkers(&[("b", Some(5)), ("a", Some(5)), ("c", None), ("d", Some(9)), ("a", Some(5))]);
    let analysis = analysis("top_talkers");
    let ordered = |batches: Vec<RecordBatch>| analysis.ordered(&rows.schema(), batches, &config()).unwrap();
    let whole = ordered(vec![rows.clone()]);
    let sources: Vec<&str> = whole["source_ip"].as_string_view().iter().flatten().collect();
    assert_eq!(sources, ["d", "a", "a", "b", "c"], "most sessions first, nulls last");
    // Rows that tie in the columns of the order are ordered by all others.
    assert_eq!(whole["bytes_sent"].as_primitive::<Int64Type>().values()[1..3], [1, 4]);
    let shards = vec![rows.slice(3, 2), rows.slice(0, 0), rows.slice(0, 3)];
    assert_eq!(ordered(shards), whole);
    assert_eq!(analysis.leading_column(&rows.schema()), Some(("sessions".to_owned(), true)));
}

#[test]
fn results_are_cut_to_their_limit() {
    let names: Vec<String> = (10..40).map(|number| format!("10.0.0.{number}")).collect();
    let rows: Vec<(&str, Option<i64>)> = names.iter().map(|name| (name.as_str(), Some(1))).collect();
    let rows = talkers(&rows);
    let analysis = analysis("top_talkers");
    let limit = analysis.limit(&config()).unwrap();
    let ordered = analysis.ordered(&rows.schema(), vec![rows.clone()], &config()).unwrap();
    assert_eq!((limit, ordered.num_rows()), (15, 15));
    assert_eq!(ordered["source_ip"].as_string_view().value(14), "10.0.0.24");
    assert_eq!(self::analysis("egress_spikes").limit(&config()), None);
}

#[test]
fn failures_name_file_and_line_once() {
    let analysis = analysis("top_talkers");
    let Query::Sql(sql) = &analysis.query else { panic!("it is written in SQL") };
    let failed = DataFusionError::Execution("Divide by zero error".into());
    let message = |analysis: &Analysis, part, error| analysis.failure(part, error).to_string();
    let reason = cause(&failed);
    assert_eq!(
        message(analysis, None, &failed),
        format!("{}, line {}: {reason}", sql.file, sql.first_line())
    );
    let part = SqlText { file: "mine/companion.sql", line: 1, text: "-- why\nSELECT 1" };
    assert_eq!(message(analysis, Some(&part), &failed), format!("mine/companion.sql, line 2: {reason}"));
    let planned = DataFusionError::from(Error::in_file(sql.file, 7, "there is no column x"));
    let named = message(analysis, Some(&part), &planned);
    assert_eq!(named, format!("{}, line 7: there is no column x", sql.file), "it names the place itself");
    let native = self::analysis("entity_ties");
    assert_eq!(message(native, None, &failed), format!("{}: {reason}", native.about.file));
}

#[test]
fn only_analyses_of_suites_are_reported() {
    let all = Detections::built_in();
    let hidden = all.all().iter().filter(|analysis| !analysis.is_reported());
    for analysis in hidden {
        assert!(matches!(analysis.suite, Suite::Correlation | Suite::Investigation), "{}", analysis.id);
        assert!(analysis.finding.is_none(), "{} is not in the report", analysis.id);
    }
    for suite in Suite::ALL {
        assert_eq!(serde_json::to_value(suite).unwrap(), suite.name());
    }
}

#[test]
fn side_tables_are_found_by_name_and_nullable() {
    for table in SideTable::all() {
        let found = SideTable::by_name(table.name).unwrap();
        assert_eq!(found.schema(), table.schema());
        assert!(found.schema().fields().iter().all(|field| field.is_nullable()), "{}", table.name);
    }
    assert!(SideTable::by_name("other").is_none());
}
