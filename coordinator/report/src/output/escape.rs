//! CSV for spreadsheets: an apostrophe precedes text that a spreadsheet would evaluate as a formula, as OWASP advises.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use hindcast_base::{Error, Result};
use hindcast_scan::Parts;

/// Characters that start a formula, and white space that spreadsheets skip before one.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The parts with all text cells escaped. Numbers and times stay as they are.
pub(super) fn escaped(parts: Parts<'_>) -> Parts<'_> {
    Box::new(parts.map(|part| escaped_batch(&part?)))
}

fn escaped_batch(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(escaped_column).collect();
    RecordBatch::try_new(batch.schema(), columns).map_err(|error| Error::Engine(error.into()))
}

fn escaped_column(column: &ArrayRef) -> ArrayRef {
    let Some(texts) = column.as_string_opt::<i32>() else { return Arc::clone(column) };
    if !texts.iter().flatten().any(|text| text.starts_with(FORMULA_STARTS)) {
        return Arc::clone(column);
    }
    let escaped = texts.iter().map(|text| {
        text.map(|text| match text.starts_with(FORMULA_STARTS) {
            true => format!("'{text}"),
            false => text.to_owned(),
        })
    });
    Arc::new(escaped.collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn only_text_that_begins_like_a_formula_is_escaped() {
        let texts = ["=1+1", "+1", "-x", "@a", "\tx", "\rx", "a=1", "", "'=1"];
        let columns: [(&str, ArrayRef); 2] = [
            ("text", Arc::new(StringArray::from_iter(texts.into_iter().map(Some).chain([None])))),
            ("number", Arc::new(Int64Array::from_iter_values(-5..5))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let escaped = escaped_batch(&batch).unwrap();
        let found: Vec<Option<&str>> = escaped["text"].as_string::<i32>().iter().collect();
        let expected = ["'=1+1", "'+1", "'-x", "'@a", "'\tx", "'\rx", "a=1", "", "'=1"];
        assert_eq!(found, expected.into_iter().map(Some).chain([None]).collect::<Vec<_>>());
        assert_eq!(&escaped["number"], &batch["number"]);
    }
}
