//! The text of a row in a detection's chart: the name of a column, or a template over the columns.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Deserialize;

use super::ColumnType;
use crate::findings::Row;
use hindcast_base::format::{decimal, instant};

/// The text for a null value or an empty text.
pub const NONE: &str = "(none)";

/// Maximum steps of a template, far more than a text needs.
const MAX_STEPS: u64 = 100_000;
/// The name of a template in its environment.
const TEMPLATE: &str = "text";

/// The name of a column, or a template (minijinja) such as `{{ source_ip }} to {{ destination_ip }}`. In a template, times are
/// texts to the second, and the filter `number` formats a number for people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RowText(String);

/// Reads a text from rows.
pub struct RowTextReader<'a>(Source<'a>);

#[expect(clippy::large_enum_variant, reason = "one reader is made a text of a chart")]
enum Source<'a> {
    Column(&'a str),
    Template {
        environment: Environment<'a>,
        /// The columns that the template names.
        columns: BTreeSet<String>,
    },
}

impl RowText {
    /// The column of the text; `None` for a template.
    pub fn column(&self) -> Option<&str> {
        let is_template = self.0.contains("{{") || self.0.contains("{%");
        (!is_template).then_some(&self.0)
    }

    /// A reader of the text from rows.
    ///
    /// # Errors
    /// A message if the template has a syntax error.
    pub fn reader(&self) -> Result<RowTextReader<'_>, String> {
        if let Some(column) = self.column() {
            return Ok(RowTextReader(Source::Column(column)));
        }
        let mut environment = environment();
        let compiled = environment.add_template(TEMPLATE, &self.0);
        compiled.map_err(|error| format!("the template {:?}: {error}", self.0))?;
        let template = environment.get_template(TEMPLATE);
        let columns = template.map(|template| template.undeclared_variables(false)).unwrap_or_default();
        Ok(RowTextReader(Source::Template { environment, columns: columns.into_iter().collect() }))
    }

    /// Checks that the columns exist and that a template can be rendered, also if its columns are null.
    ///
    /// # Errors
    /// A message that names the column or the error of the template.
    pub fn check(&self, columns: &BTreeMap<&str, ColumnType>) -> Result<(), String> {
        let reader = self.reader()?;
        if let Some(missing) = reader.columns().into_iter().find(|name| !columns.contains_key(name)) {
            return Err(format!("{:?} names {missing}, which is not a column of the result", self.0));
        }
        let sample = |kind: Option<&ColumnType>| match kind {
            Some(ColumnType::Integer) => Value::from(1),
            Some(ColumnType::Float) => Value::from(1.5),
            Some(ColumnType::Boolean) => Value::from(true),
            Some(ColumnType::Time) => Value::from(instant(0)),
            Some(ColumnType::Text) => Value::from("text"),
            None => Value::from(()),
        };
        for is_null in [false, true] {
            let render = reader.render(|name| sample(columns.get(name).filter(|_| !is_null)));
            render.map_err(|error| {
                let of = if is_null { " for a row of nulls" } else { "" };
                format!("the template {:?}{of}: {error}", self.0)
            })?;
        }
        Ok(())
    }
}

impl RowTextReader<'_> {
    /// The columns that the text reads.
    pub fn columns(&self) -> Vec<&str> {
        match &self.0 {
            Source::Column(column) => vec![column],
            Source::Template { columns, .. } => columns.iter().map(String::as_str).collect(),
        }
    }

    /// The text of `row`; `shown` rewrites the texts of columns.
    pub fn of(&self, row: &Row<'_>, shown: fn(&str) -> String) -> String {
        let value = |column: &str| value_of(row, column, shown);
        match &self.0 {
            Source::Column(column) => match row.text(column) {
                Some("") => NONE.to_owned(),
                Some(text) => shown(text),
                None => {
                    let value = value(column);
                    if value.is_none() { NONE.to_owned() } else { value.to_string() }
                }
            },
            // The template was rendered with samples when it was loaded, so an error is rare; the text shows it.
            Source::Template { .. } => self.render(value).unwrap_or_else(|error| format!("({error})")),
        }
    }

    fn render(&self, value: impl Fn(&str) -> Value) -> Result<String, Error> {
        match &self.0 {
            Source::Column(column) => Ok(value(column).to_string()),
            Source::Template { environment, columns } => {
                let values: BTreeMap<&str, Value> =
                    columns.iter().map(|name| (name.as_str(), value(name))).collect();
                environment.get_template(TEMPLATE)?.render(values)
            }
        }
    }
}

/// Renders a template over one number, called `value`: the text of a reference line.
///
/// # Errors
/// A message if the template is wrong.
pub fn text_of_number(template: &str, value: f64) -> Result<String, String> {
    let rendered = environment().render_str(template, BTreeMap::from([("value", value)]));
    rendered.map_err(|error| format!("the template {template:?}: {error}"))
}

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(MAX_STEPS));
    environment.add_filter("number", number);
    environment.set_formatter(|out, _, value| {
        let is_absent = value.is_none() || value.as_str().is_some_and(str::is_empty);
        let written = if is_absent { out.write_str(NONE) } else { out.write_fmt(format_args!("{value}")) };
        written.map_err(|_| Error::new(ErrorKind::WriteFailure, "a text could not be written"))
    });
    environment
}

/// A number in readable form; 0 for null.
fn number(value: &Value) -> Result<String, Error> {
    if value.is_none() {
        return Ok(decimal(0.0));
    }
    f64::try_from(value.clone()).map(decimal)
}

fn value_of(row: &Row<'_>, column: &str, shown: fn(&str) -> String) -> Value {
    if let Some(text) = row.text(column) {
        Value::from(shown(text))
    } else if let Some(micros) = row.micros(column) {
        Value::from(instant(micros))
    } else if let Some(whole) = row.integer(column) {
        Value::from(whole)
    } else {
        row.number(column).map_or(Value::from(()), Value::from)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([
            ("city", Arc::new(StringArray::from(vec![Some("Gdansk"), Some(""), None])) as ArrayRef),
            ("country_code", Arc::new(StringArray::from(vec![Some("PL"), Some("FR"), None]))),
            ("port", Arc::new(Int64Array::from(vec![Some(0), Some(1_234), None]))),
            ("ratio", Arc::new(Float64Array::from(vec![Some(1_234.5), Some(2.0), None]))),
        ])
        .unwrap()
    }

    fn texts(text: &str) -> Vec<String> {
        let (text, batch) = (RowText(text.to_owned()), batch());
        let reader = text.reader().unwrap();
        (0..batch.num_rows()).map(|row| reader.of(&Row::new(&batch, row), str::to_owned)).collect()
    }

    #[test]
    fn a_text_is_a_column_or_a_template() {
        assert_eq!(texts("city"), ["Gdansk", NONE, NONE]);
        assert_eq!(texts("port"), ["0", "1234", NONE]);
        let place = "{{ [city, country_code] | select | join(', ') or 'somewhere' }}";
        assert_eq!(texts(place), ["Gdansk, PL", "FR", "somewhere"]);
        let port = "{{ 'no port' if port is none else port }}, {{ ratio | number }}";
        assert_eq!(texts(port), ["0, 1,234.5", "1234, 2", "no port, 0"]);
        assert_eq!(texts("{{ city }} in {{ country_code }}")[2], "(none) in (none)");
    }

    #[test]
    fn wrong_templates_are_refused() {
        let columns = BTreeMap::from([("city", ColumnType::Text), ("ratio", ColumnType::Float)]);
        let problem = |text: &str| RowText(text.to_owned()).check(&columns).err().unwrap_or_default();
        assert_eq!(problem("city"), "");
        assert_eq!(problem("{{ city }} {{ ratio | number }}"), "");
        assert_eq!(problem("town"), "\"town\" names town, which is not a column of the result");
        assert!(problem("{{ town }}").contains("names town"));
        assert!(problem("{{ city").contains("syntax error"));
        assert!(problem("{{ ratio | money }}").contains("money"));
        assert!(problem("{{ ratio | round }}").contains("for a row of nulls"));
    }

    #[test]
    fn the_text_of_a_line_has_its_number() {
        assert_eq!(text_of_number("a finding from {{ value | number }}", 0.7).unwrap(), "a finding from 0.7");
        assert!(text_of_number("{{ limit }}", 0.7).is_err());
    }
}
