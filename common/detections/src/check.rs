//! Checks the SQL of a detection over tables without rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;

use super::load::line_of;
use super::parameters::ParameterType;
use super::sql::SqlText;
use super::{ColumnAbout, ColumnType, sql};
use crate::analyses::result_columns;
use crate::analyses::{Analysis, Context, HIDDEN_PREFIX, prevalence_schema};
use crate::config::Config;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};

/// Plans all SQL of `analysis`.
///
/// # Errors
/// [`Error::Invalid`] with the file and line of a mistake.
pub(super) fn check(analysis: &'static Analysis, config: &Config) -> Result<()> {
    check_uses(analysis, config)?;
    let columns = result_columns(analysis, config).map_err(wrong)?;
    let session = sql::session()?;
    let over = |schema: &SchemaRef| session.read_table(Arc::new(EmptyTable::new(Arc::clone(schema))));
    let prevalence = over(&prevalence_schema())?;
    let whole = analysis.finished(over(&columns)?, &Context { config, prevalence }).map_err(wrong)?;
    let result = Arc::clone(whole.schema().inner());
    check_columns(analysis, &result)?;
    if let Some(companion) = &analysis.companion {
        let table = companion.compute(whole, &analysis.bindings(config)?).map_err(wrong)?;
        check_shown(&companion.query, table.schema().inner())?;
        check_charts(analysis, companion.name, table.schema().inner())?;
    }
    if let Some(rule) = &analysis.finding {
        rule.check(&DFSchema::try_from(result)?, &analysis.bindings(config)?)?;
    }
    analysis.looks_back_to(config, 0).map_err(wrong)?;
    Ok(())
}

/// Checks that a companion table has a column to show.
fn check_shown(query: &SqlText, schema: &SchemaRef) -> Result<()> {
    if schema.fields().iter().all(|field| field.name().starts_with(HIDDEN_PREFIX)) {
        let line = query.first_line();
        return Err(Error::in_file(query.file, line, "it has no column to show"));
    }
    Ok(())
}

/// Checks that the parameters it uses exist.
fn check_uses(analysis: &Analysis, config: &Config) -> Result<()> {
    let file = analysis.about.file;
    let Some((_, path)) = analysis.about.uses.iter().find(|(_, path)| config.parameter(path).is_none())
    else {
        return Ok(());
    };
    let text = config.detections.own().iter().find(|(name, _)| name == file);
    let line = text.map_or(1, |(_, text)| line_of(text, path));
    let known = config
        .parameters
        .iter()
        .flat_map(|(section, values)| values.keys().map(move |name| format!("{section}.{name}")));
    let known: Vec<String> = known.collect();
    let hint = did_you_mean(path, known.iter().map(String::as_str));
    Err(Error::in_file(file, line, format!("uses names {path}: there is no such parameter{hint}")))
}

/// Wraps an error of the planner, which names file and line.
fn wrong(error: DataFusionError) -> Error {
    sql::error_of(&error)
}

/// Checks that the result has the documented columns in their order.
fn check_columns(analysis: &Analysis, result: &SchemaRef) -> Result<()> {
    let there: Vec<&str> = result.fields().iter().map(|field| field.name().as_str()).collect();
    let problem = column_difference(&analysis.about.columns, &there).or_else(|| {
        let mut pairs = analysis.about.columns.iter().zip(result.fields());
        let (column, field) =
            pairs.find(|(column, field)| kind_of(field.data_type()) != Some(column.kind))?;
        Some((column.line, type_difference(column, field.data_type())))
    });
    match problem {
        Some((line, message)) => Err(Error::in_file(analysis.about.file, line, message)),
        None => Ok(()),
    }
}

/// How the documented columns differ in name and position from those of the result (`there`), and the line of the first difference.
fn column_difference(documented: &[ColumnAbout], there: &[&str]) -> Option<(usize, String)> {
    let names: Vec<&str> = documented.iter().map(|column| column.name).collect();
    let missing: Vec<&ColumnAbout> =
        documented.iter().filter(|column| !there.contains(&column.name)).collect();
    let more: Vec<&str> = there.iter().copied().filter(|name| !names.contains(name)).collect();
    let last = documented.last().map_or(1, |column| column.line);
    if missing.is_empty() && more.is_empty() {
        let moved = || names.iter().zip(there).enumerate().filter(|(_, (name, there))| name != there);
        let (first, _) = moved().next()?;
        let moves = moved()
            .map(|(index, (name, there))| format!("{there} where {name} is documented ({})", index + 1));
        let moves = moves.collect::<Vec<_>>().join(", ");
        return Some((
            documented[first].line,
            format!("columns of the result are out of place: it has {moves}"),
        ));
    }
    let mut problems = Vec::new();
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|column| column.name).collect();
        problems.push(format!("the result lacks {}", names.join(", ")));
    }
    if !more.is_empty() {
        problems.push(format!("the result has {}, which [[columns]] does not list", more.join(", ")));
    }
    Some((missing.first().map_or(last, |column| column.line), problems.join("; ")))
}

/// The message for a column whose type is not the documented one.
fn type_difference(column: &ColumnAbout, is: &DataType) -> String {
    let name = column.name;
    let is = kind_of(is).map_or_else(|| is.to_string(), |kind| kind.name().to_owned());
    let hint = match column.kind {
        ColumnType::Integer => format!("CAST({name} AS BIGINT)"),
        ColumnType::Float => format!("CAST({name} AS DOUBLE)"),
        ColumnType::Text => format!("CAST({name} AS VARCHAR)"),
        ColumnType::Boolean => format!("CAST({name} AS BOOLEAN)"),
        ColumnType::Time => format!("time_of_micros({name})"),
    };
    let wanted = column.kind.name();
    format!(
        "the column {name} is documented as {wanted}, but it is {is}: write {hint} AS {name}, or correct the type"
    )
}

/// Checks that charts of the companion table find their columns there.
fn check_charts(analysis: &Analysis, table: &str, schema: &SchemaRef) -> Result<()> {
    let shown = schema.fields().iter().filter(|field| !field.name().starts_with(HIDDEN_PREFIX));
    let columns =
        shown.filter_map(|field| Some((field.name().as_str(), kind_of(field.data_type())?))).collect();
    let is_number = |name: &str| {
        let own = analysis.about.parameters.get(name);
        own.map_or(analysis.about.uses.iter().any(|(alias, _)| *alias == name), |parameter| {
            matches!(parameter.kind, ParameterType::Integer | ParameterType::Float)
        })
    };
    let charts = analysis.about.charts.iter().filter(|chart| chart.table() == Some(table));
    charts
        .map(|chart| chart.check(&columns, is_number))
        .try_for_each(|checked| checked.map_err(|problem| Error::of_file(analysis.about.file, problem)))
}

fn kind_of(data_type: &DataType) -> Option<ColumnType> {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Some(ColumnType::Text),
        DataType::Int64 => Some(ColumnType::Integer),
        DataType::Float64 => Some(ColumnType::Float),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Some(ColumnType::Time),
        DataType::Boolean => Some(ColumnType::Boolean),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detections;
    use crate::test_texts::DEFINITION;

    /// What follows [`DEFINITION`].
    const FINDING: &str = r#"[[columns]]
name = "_first_seen"
type = "time"
doc = "First session."
[finding]
title = "t"
techniques = [{ id = "T1071", name = "Application Layer Protocol" }]
stage = "beacon"
period = "window"
entities = [{ kind = "ip", column = "source_ip", role = "source" }]
first_seen = "_first_seen"
last_seen = "_first_seen"
severity = "'low'"
confidence = "50"
explanation = "{{ destinations }} destinations"
"#;
    const QUERY: &str = "SELECT source_ip, count(*) AS destinations,\nmin(first_seen) AS _first_seen\nFROM external_pairs GROUP BY source_ip";

    /// The error of a detection with changed files; empty if it is correct.
    fn error_of(definition: (&str, &str), query: (&str, &str)) -> String {
        let whole = format!("{DEFINITION}{FINDING}");
        assert!(whole.contains(definition.0) && QUERY.contains(query.0), "{definition:?} {query:?}");
        let files = [
            ("mine/busy/detection.toml", whole.replace(definition.0, definition.1)),
            ("mine/busy/query.sql", QUERY.replace(query.0, query.1)),
        ];
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), text)).collect();
        let detections = Detections::with_own(files).unwrap();
        let config = Config::load_with("default", &[], detections).unwrap();
        detections.check_own(&config).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_correct_detection_has_no_error() {
        assert_eq!(error_of(("# more", ""), ("FROM", "FROM")), "");
    }

    #[test]
    fn mistakes_in_sql_have_file_and_line() {
        for (query, expected) in [
            (
                ("first_seen) AS", "first_sen) AS"),
                "mine/busy/query.sql, line 2: there is no column first_sen; did you mean first_seen?",
            ),
            (("FROM external_pairs", "FROM internal_pairs"), "there is no table internal_pairs"),
            (("count(*)", "$most"), "mine/busy/query.sql, line 1: there is no parameter $most"),
            (
                (" AS destinations", " AS places"),
                "mine/busy/detection.toml, line 12: the result lacks destinations; the result has places",
            ),
            (
                ("count(*)", "CAST(count(*) AS DOUBLE)"),
                "mine/busy/detection.toml, line 12: the column destinations is documented as integer, but it is float",
            ),
        ] {
            let error = error_of(("# more", ""), query);
            assert!(error.contains(expected), "no {expected:?} in {error:?}");
        }
    }

    #[test]
    fn mistakes_in_metadata_have_file_and_line() {
        for (definition, expected) in [
            (
                ("# more", "uses = { low = \"beaconing.max_jiter\" }"),
                "line 6: uses names beaconing.max_jiter: there is no such parameter; did you mean beaconing.max_jitter?",
            ),
            (
                ("confidence = \"50\"", "confidence = \"destination\""),
                "line 28: there is no column destination; did you mean destinations?",
            ),
            (
                ("\"50\"\n", "\"50\"\nis_finding = \"destination > 3\"\n"),
                "there is no column destination; did you mean destinations?",
            ),
            (
                ("\nfirst_seen = \"_first_seen\"", "\nfirst_seen = \"source_ip\""),
                "line 25: finding.first_seen names source_ip, which is not a time column of the result",
            ),
            (
                ("{{ destinations }}", "{{ destination }}"),
                "line 29: the explanation names destination, which is not a column of the result; did you mean destinations?",
            ),
        ] {
            let error = error_of(definition, ("FROM", "FROM"));
            assert!(
                error.starts_with("mine/busy/detection.toml, ") && error.contains(expected),
                "no {expected:?} in {error:?}"
            );
        }
    }

    fn columns(names: &[&'static str]) -> Vec<ColumnAbout> {
        let column = |(index, &name): (usize, &&'static str)| ColumnAbout {
            name,
            line: 10 + index,
            kind: ColumnType::Integer,
            unit: "",
            doc: "",
        };
        names.iter().enumerate().map(column).collect()
    }

    #[test]
    fn differing_columns_are_reported() {
        for (there, line, message) in [
            (&["a", "c"][..], 11, "the result lacks b"),
            (&["a", "b", "c", "d"], 12, "the result has d, which [[columns]] does not list"),
            (&["a", "x", "c"], 11, "the result lacks b; the result has x, which [[columns]] does not list"),
            (
                &["a", "c", "b"],
                11,
                "columns of the result are out of place: it has c where b is documented (2), b where c is documented (3)",
            ),
        ] {
            assert_eq!(
                column_difference(&columns(&["a", "b", "c"]), there),
                Some((line, message.to_owned()))
            );
        }
        assert_eq!(column_difference(&columns(&["a", "b"]), &["a", "b"]), None);
    }

    #[test]
    fn types_have_the_names_of_detection_toml() {
        let message = |is: &DataType| type_difference(&columns(&["_rank"])[0], is);
        assert_eq!(
            message(&DataType::UInt64),
            "the column _rank is documented as integer, but it is UInt64: write CAST(_rank AS BIGINT) AS _rank, or correct the type"
        );
        assert!(message(&DataType::Float64).contains("documented as integer, but it is float:"));
    }
}
