//! Reference pages for the SQL of detections and rollups: rollups with their columns, tables, functions.

use std::fmt::Write;

use arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;

use super::HEAD;
use super::markdown::{Table, cell, code, codes, one_line};
use crate::analyses::merged_columns;
use crate::config::Config;
use crate::rollups::{MeasureKind, Rollup, Shape};
use hindcast_base::Result;
use hindcast_functions::sql::documentation;
use hindcast_lake::Tables;

/// The page of rollups: their tables and columns.
pub(super) fn rollups(config: &Config) -> Result<String> {
    let mut text = format!(
        "{HEAD}\n\n# Rollups\n\nA rollup is the aggregated, cached state of a table. The SQL of detections reads only rollups. The name of a rollup is a table with \
         the merged rows of a shard; `<name>_all` has the rows of all shards, and `<name>_past` the rows before the window. Rows with equal values in the \
         bucket key are in the same shard.\n"
    );
    let session = SessionContext::new();
    for rollup in config.detections.rollups() {
        let _ = write!(
            text,
            "\n## {}\n\nComputed from {}",
            rollup.id,
            codes(rollup.tables.iter().copied()).replace(", ", " or ")
        );
        let _ = writeln!(text, "; bucket key: {}.", codes(rollup.bucket_key.iter().copied()));
        if let Some(filter) = &rollup.filter {
            let _ = writeln!(text, "\nFilter:\n\n```sql\n{}\n```", filter.text.trim());
        }
        if !rollup.uses.is_empty() {
            let used = rollup.uses.iter();
            let used = used.map(|(alias, path)| format!("{} is {}", code(&format!("${alias}")), code(path)));
            let _ = writeln!(text, "\n{}.", used.collect::<Vec<_>>().join(", "));
        }
        let mut table = Table::new(&["column", "type", "description"]);
        for field in merged_columns(rollup.id, config, &session)?.fields() {
            let name = field.name().as_str();
            table.row(&[code(name), type_name(field.data_type()).to_owned(), meaning_of(rollup, name)]);
        }
        let _ = write!(text, "\n{table}");
    }
    Ok(text)
}

/// The meaning of a rollup's column, in terms of its table's columns.
fn meaning_of(rollup: &Rollup, name: &str) -> String {
    let Shape::Groups { keys, measures } = &rollup.shape else { return source_of(rollup, name) };
    if keys.contains(&name) {
        return format!("key: {}", source_of(rollup, name));
    }
    let Some(measure) = measures.iter().find(|measure| measure.name == name) else { return String::new() };
    match measure.kind {
        MeasureKind::Count => "number of rows".to_owned(),
        MeasureKind::CountOf(column) => format!("number of rows with {}", source_of(rollup, column)),
        MeasureKind::Sum(column) => {
            format!("sum of {}; null if all values are null", source_of(rollup, column))
        }
        MeasureKind::Min(column) => format!("minimum of {}", source_of(rollup, column)),
        MeasureKind::Max(column) => format!("maximum of {}", source_of(rollup, column)),
        MeasureKind::Distinct(of) => {
            format!("distinct {}, packed: see `distinct_count`", source_of(rollup, of))
        }
        MeasureKind::Samples(of) => format!("three of {} or fewer, one per line", source_of(rollup, of)),
        MeasureKind::Seconds { of, .. } => {
            format!("distinct {}, ascending, packed: see `beacon_gaps`", source_of(rollup, of))
        }
    }
}

/// The expression that is computed under that name for each row.
fn source_of(rollup: &Rollup, name: &str) -> String {
    let mut items = rollup.select.iter().filter_map(|item| item.text.trim().rsplit_once(" AS "));
    let found = items.find(|(_, alias)| *alias == name);
    found.map_or_else(|| code(name), |(source_of, _)| code(&one_line(source_of)))
}

fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text",
        DataType::Dictionary(..) => "text",
        DataType::Timestamp(..) => "time",
        DataType::Boolean => "boolean",
        data_type if data_type.is_integer() => "integer",
        data_type if data_type.is_floating() => "float",
        DataType::List(_) | DataType::LargeList(_) => "array",
        _ => "packed set",
    }
}

/// The page of tables: the columns that rollups may use.
pub(super) fn tables(tables: Tables) -> String {
    let mut text = format!(
        "{HEAD}\n\n# Tables\n\nThe tables of a lake and the columns that rollups can read. Files may lack columns or store them in other types. Each column is read as the \
         type below; values that can't be converted are null.\n"
    );
    for table in tables.all() {
        let mut columns = Table::new(&["column", "type"]);
        for column in table.columns {
            let kind = column.kind.name();
            let is_time = if column.name == table.time_column { " (the time of the row)" } else { "" };
            columns.row(&[code(column.name), format!("{kind}{is_time}")]);
        }
        let _ = write!(text, "\n## {}\n\n", table.name);
        if !table.doc.is_empty() {
            let _ = write!(text, "{}\n\n", table.doc);
        }
        let _ = write!(text, "{columns}");
    }
    text
}

/// The page of functions.
pub(super) fn functions() -> String {
    let mut text = format!(
        "{HEAD}\n\n# Functions\n\nFunctions that SQL can call in addition to DataFusion's own [scalar](https://datafusion.apache.org/user-guide/sql/scalar_functions.html), \
         [aggregate](https://datafusion.apache.org/user-guide/sql/aggregate_functions.html) and \
         [window](https://datafusion.apache.org/user-guide/sql/window_functions.html) functions. Of DataFusion's functions, those of the clock and of random numbers, `repeat` and \
         array functions (`make_array`, `array_has`, `range`, …) are not available; lengths for `lpad` and `rpad` and sizes for `approx_percentile_cont` must be number literals of at most 1,000.\n\n"
    );
    let mut table = Table::new(&["function", "returns", "description"]);
    for function in documentation() {
        let arguments = function.arguments.iter().map(|(name, kind)| format!("{name}: {kind}"));
        let call = format!("{}({})", function.name, arguments.collect::<Vec<_>>().join(", "));
        table.row(&[code(&call), cell(function.result), cell(function.doc)]);
    }
    let _ = write!(text, "{table}");
    text
}
