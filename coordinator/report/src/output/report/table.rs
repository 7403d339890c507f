//! A table of the report: its first rows, and a note on the others.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_base::Result;
use hindcast_detections::analyses::Analysis;
use hindcast_scan::ResultTable;

use super::format;

/// Rows of a result table on the page.
pub(super) const SHOWN_ROWS: usize = 100;
/// A text column is as wide as its longest text up to this many characters. Longer texts are wrapped.
const UNBROKEN_CHARACTERS: usize = 34;
const SHORT_CHARACTERS: usize = 60;

/// A table.
#[derive(Template)]
#[template(path = "report/table.html")]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    note: String,
}

impl HtmlSafe for Table {}

struct Column {
    name: String,
    class: &'static str,
    /// Its description and unit, as a tooltip.
    about: String,
}

impl Table {
    /// A table of texts: `rows` of `all`, which the note calls `what`.
    pub(super) fn new(
        columns: &[(&str, &'static str)],
        rows: Vec<Vec<String>>,
        all: usize,
        what: &str,
    ) -> Self {
        let columns = columns.iter().map(|&(name, class)| Column {
            name: name.to_owned(),
            class,
            about: String::new(),
        });
        Self { columns: columns.collect(), note: format::shown_of(rows.len(), all, what), rows }
    }

    /// The first rows of a result table. `analysis` describes its columns.
    ///
    /// # Errors
    /// If a table on disk can't be read.
    pub(super) fn of(table: &ResultTable, analysis: Option<&Analysis>) -> Result<Self> {
        let mut rows = Vec::new();
        for part in table.parts() {
            let part = part?;
            let wanted = part.num_rows().min(SHOWN_ROWS - rows.len());
            rows.extend((0..wanted).map(|index| row(&part, index)));
            if rows.len() == SHOWN_ROWS {
                break;
            }
        }
        let schema = table.schema();
        let columns = schema.fields().iter().enumerate().map(|(column, field)| Column {
            name: field.name().clone(),
            about: analysis.map_or_else(String::new, |analysis| analysis.about.describe_column(field.name())),
            class: match field.data_type() {
                DataType::Int64 | DataType::Float64 => "number",
                DataType::Timestamp(_, _) => "time",
                _ => text_class(rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()),
            },
        });
        let columns = columns.collect();
        Ok(Self { columns, note: format::shown_of(rows.len(), table.rows(), "rows"), rows })
    }

    /// Whether it has no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The CSS class of a text column by the length of its longest text.
pub(super) fn text_class(longest: usize) -> &'static str {
    if longest <= UNBROKEN_CHARACTERS {
        "keep"
    } else if longest <= SHORT_CHARACTERS {
        "text"
    } else {
        "long"
    }
}

fn row(batch: &RecordBatch, index: usize) -> Vec<String> {
    let schema = batch.schema();
    let cells = batch.columns().iter().zip(schema.fields());
    cells.map(|(column, field)| cell(column, index, field.name())).collect()
}

fn cell(column: &dyn Array, index: usize, name: &str) -> String {
    if column.is_null(index) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8View => format::text(column.as_string_view().value(index)),
        DataType::Utf8 => format::text(column.as_string::<i32>().value(index)),
        DataType::Int64 => {
            let value = column.as_primitive::<Int64Type>().value(index);
            // A port is an identifier, so it has no thousands separator.
            if name.ends_with("port") { value.to_string() } else { format::integer(value) }
        }
        DataType::Float64 => format::decimal(column.as_primitive::<Float64Type>().value(index)),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            format::instant(column.as_primitive::<TimestampMicrosecondType>().value(index))
        }
        _ => format::text(&array_value_to_string(column, index).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn table(texts: Vec<&str>) -> ResultTable {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from_iter_values((0..texts.len() as i64).map(|n| n * 1_000)));
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        let batch = RecordBatch::try_from_iter([("what", texts), ("bytes", numbers)]).unwrap();
        ResultTable::held("t", &[batch.clone(), batch]).unwrap()
    }

    #[test]
    fn the_table_shows_the_first_rows_of_several_batches() {
        let html = Table::of(&table(vec!["a"; 70]), None).unwrap().render().unwrap();
        assert_eq!(html.matches("<tr>").count(), 1 + SHOWN_ROWS);
        assert!(html.contains("showing 100 of 140 rows") && html.contains(">69,000<"), "{html}");
    }

    #[test]
    fn texts_are_escaped() {
        let html = Table::of(&table(vec!["<script>alert(1)</script>\" onload=\"x"]), None)
            .unwrap()
            .render()
            .unwrap();
        assert!(!html.contains("<script>") && !html.contains("\" onload"), "{html}");
        assert!(html.contains("&#60;script&#62;"), "{html}");
    }
}
