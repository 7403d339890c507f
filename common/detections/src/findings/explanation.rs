//! The sentence about a finding: a minijinja template over the columns of its strongest row.
//!
//! A null column is `none`, which `or` replaces by another value. A time is RFC 3339 text, and `<column>_us` holds its microseconds
//! since the epoch. The filter `fixed(n)` writes a number with `n` decimals, like Rust's `{:.n}`; `none` counts as 0. The filter `size` writes
//! a number of bytes as people read it, and `minute` a time, in UTC without seconds.

use std::io;

use arrow::datatypes::{DataType, Schema};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error as TemplateError, ErrorKind, UndefinedBehavior, escape_formatter};

use super::row::Row;
use hindcast_base::format::format_time;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::time::format_micros;
use hindcast_base::{Error, Result};

/// The template's name in its environment. It has no file extension that enables escaping.
const TEMPLATE: &str = "explanation";
/// Most steps of a template: far more than a sentence needs, and few enough that no loop delays a scan.
const MAX_STEPS: u64 = 100_000;
/// Most characters of a template: a chain of filters or operators is a tree of the same depth.
const MAX_CHARACTERS: usize = 4_000;
/// Most bytes of the sentence, in addition to the texts of its row.
const MAX_BYTES: usize = 10_000;
/// How often a sentence may contain the texts of its row.
const MAX_REPEATS: usize = 4;
/// Filters whose result may have any size: they could use all memory.
const UNBOUNDED_FILTERS: [&str; 4] = ["indent", "format", "replace", "batch"];
/// Statements that store values: a text that is appended to itself doubles each time.
const ASSIGNING: [&str; 2] = ["set", "with"];
/// Most decimals of `fixed`: a double has no more significant ones.
const MAX_DECIMALS: usize = 17;
/// Units of the filter `size`, and their bytes.
const SIZE_UNITS: [(&str, f64); 4] = [("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)];
/// Suffix of a time column's name for its microseconds.
const MICROS_SUFFIX: &str = "_us";
/// Names that every template may call.
const GLOBALS: [&str; 4] = ["range", "dict", "namespace", "debug"];

/// A compiled template.
#[derive(Debug)]
pub struct Explanation {
    environment: Environment<'static>,
    file: &'static str,
    line: usize,
}

impl Explanation {
    /// The template `text`, which begins on `line` of `file`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line of an invalid template.
    pub fn load(text: &'static str, file: &'static str, line: usize) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(MAX_STEPS));
        environment.add_filter("fixed", fixed);
        environment.add_filter("size", size);
        environment.add_filter("minute", minute);
        environment.set_formatter(|out, state, value| match value.len() {
            // These are written element by element, even if the writer accepts no more bytes.
            Some(count) if count > MAX_BYTES && value.kind() != ValueKind::String => {
                Err(TemplateError::new(ErrorKind::InvalidOperation, format!("{count} elements are too many")))
            }
            _ => escape_formatter(out, state, value),
        });
        UNBOUNDED_FILTERS.iter().for_each(|name| environment.remove_filter(name));
        if let Some(problem) = too_large(text) {
            return Err(Error::in_file(file, line, format!("the explanation: {problem}")));
        }
        let added = environment.add_template(TEMPLATE, text);
        added.map_err(|error| located(file, line, &error))?;
        Ok(Self { environment, file, line })
    }

    /// Fails if the template names a column that is not in `schema`, or an unknown filter, test or function.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        let template = self.template()?;
        let (nulls, values) = (samples(schema, false), samples(schema, true));
        let mut named: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        named.sort();
        for name in named {
            if nulls.iter().all(|(known, _)| *known != name) && !GLOBALS.contains(&name.as_str()) {
                let near = did_you_mean(&name, nulls.iter().map(|(known, _)| known.as_str()));
                let line = self.line_of(&name);
                let message =
                    format!("the explanation names {name}, which is not a column of the result{near}");
                return Err(Error::in_file(self.file, line, message));
            }
        }
        for values in [nulls, values] {
            // An error over sample values need not be one over real values, except for unknown names.
            if let Err(error) = self.written(values)?.0
                && matches!(
                    error.kind(),
                    ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
                )
            {
                return Err(located(self.file, self.line, &error));
            }
        }
        Ok(())
    }

    /// The line of the first occurrence of a name.
    fn line_of(&self, name: &str) -> usize {
        let text = self.template().map(|template| template.source().to_owned()).unwrap_or_default();
        self.line + text.find(name).map_or(0, |place| text[..place].matches('\n').count())
    }

    /// The sentence about `row`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming file and line if the template fails for this row.
    pub fn render(&self, row: &Row<'_>) -> Result<String> {
        let mut values: Vec<(String, Value)> = Vec::new();
        for column in row.columns() {
            values.push((column.to_owned(), value_of(row, column)));
        }
        for column in row.time_columns() {
            values.push((format!("{column}{MICROS_SUFFIX}"), Value::from(row.micros(column))));
        }
        let (rendered, sentence) = self.written(values)?;
        if sentence.is_full {
            let message = format!("the explanation: it gives more than {MAX_BYTES} bytes");
            return Err(Error::in_file(self.file, self.line, message));
        }
        rendered.map_err(|error| located(self.file, self.line, &error))?;
        String::from_utf8(sentence.bytes).map_err(|error| Error::Internal(error.to_string()))
    }

    /// Renders the template with `values`.
    fn written(&self, values: Vec<(String, Value)>) -> Result<(Result<(), TemplateError>, Sentence)> {
        let of_row: usize = values.iter().filter_map(|(_, value)| value.as_str()).map(str::len).sum();
        let limit = MAX_BYTES.saturating_add(of_row.saturating_mul(MAX_REPEATS));
        let mut sentence = Sentence { bytes: Vec::new(), limit, is_full: false };
        let template = self.template()?;
        let rendered = template.render_captured_to(Value::from_iter(values), &mut sentence).map(|_| ());
        Ok((rendered, sentence))
    }

    fn template(&self) -> Result<minijinja::Template<'_, '_>> {
        let template = self.environment.get_template(TEMPLATE);
        template.map_err(|error| located(self.file, self.line, &error))
    }
}

/// The output of a template, up to a limit in bytes.
struct Sentence {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl io::Write for Sentence {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_full |= self.bytes.len() + bytes.len() > self.limit;
        if self.is_full {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a template is refused because it could use unlimited memory or depth.
fn too_large(text: &str) -> Option<String> {
    let count = text.chars().count();
    if count > MAX_CHARACTERS {
        return Some(format!("it has {count} characters, but at most {MAX_CHARACTERS} are allowed"));
    }
    let statements = text.split("{%").skip(1).map(|rest| rest.trim_start_matches(['-', '+']).trim_start());
    let first_word = |rest: &str| rest.split(|next: char| !next.is_alphanumeric()).next().map(str::to_owned);
    let assigning = statements.filter_map(first_word).find(|word| ASSIGNING.contains(&word.as_str()));
    assigning
        .map(|word| format!("{word} is not allowed: compute the value in SQL, as a hidden column (_name)"))
}

/// A row of nulls, or of one sample value per column.
fn samples(schema: &Schema, with_values: bool) -> Vec<(String, Value)> {
    let mut samples = Vec::new();
    for field in schema.fields() {
        let value = match field.data_type() {
            _ if !with_values => Value::from(()),
            DataType::Int64 => Value::from(1),
            DataType::Float64 => Value::from(1.5),
            DataType::Boolean => Value::from(true),
            _ => Value::from("text"),
        };
        if field.data_type().is_temporal() {
            let micros = if with_values { Value::from(1) } else { Value::from(()) };
            samples.push((format!("{}{MICROS_SUFFIX}", field.name()), micros));
        }
        samples.push((field.name().clone(), value));
    }
    samples
}

fn value_of(row: &Row<'_>, column: &str) -> Value {
    if let Some(text) = row.text(column) {
        Value::from(text)
    } else if let Some(is_true) = row.boolean(column) {
        Value::from(is_true)
    } else if let Some(micros) = row.micros(column) {
        Value::from(format_micros(micros))
    } else if let Some(whole) = row.integer(column) {
        Value::from(whole)
    } else if let Some(number) = row.number(column) {
        Value::from(number)
    } else {
        Value::from(())
    }
}

/// A number with `decimals` decimals.
fn fixed(value: Value, decimals: usize) -> std::result::Result<String, TemplateError> {
    if value.is_undefined() {
        return Err(TemplateError::from(ErrorKind::UndefinedError));
    }
    if decimals > MAX_DECIMALS {
        let message = format!("fixed({decimals}): at most {MAX_DECIMALS} decimals are allowed");
        return Err(TemplateError::new(ErrorKind::InvalidOperation, message));
    }
    let number = if value.is_none() { 0.0 } else { f64::try_from(value)? };
    Ok(format!("{number:.decimals$}"))
}

/// A time to the minute; an unknown one is `?`.
fn minute(value: Value) -> std::result::Result<String, TemplateError> {
    if value.is_undefined() {
        return Err(TemplateError::from(ErrorKind::UndefinedError));
    }
    let time = format_time(value.as_str());
    let without_seconds = time.rsplit_once(':').map(|(minute, _)| minute.to_owned());
    Ok(without_seconds.unwrap_or_else(|| "?".to_owned()))
}

/// A number of bytes in the largest decimal unit that does not exceed it: `512 B`, `4.2 MB`; `none` counts as 0.
fn size(value: Value) -> std::result::Result<String, TemplateError> {
    if value.is_undefined() {
        return Err(TemplateError::from(ErrorKind::UndefinedError));
    }
    let bytes = if value.is_none() { 0.0 } else { f64::try_from(value)? };
    let unit = SIZE_UNITS.iter().take_while(|(_, least)| bytes.abs() >= *least).last();
    Ok(match unit {
        Some((name, least)) => format!("{:.1} {name}", bytes / least),
        None => format!("{bytes:.0} B"),
    })
}

/// An error in a template that begins on `line` of `file`.
fn located(file: &str, line: usize, error: &TemplateError) -> Error {
    let line = line + error.line().unwrap_or(1).max(1) - 1;
    let message = match error.detail() {
        Some(detail) => format!("the explanation: {}: {detail}", error.kind()),
        None => format!("the explanation: {}", error.kind()),
    };
    Error::in_file(file, line, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray,
        TimestampMicrosecondArray,
    };

    use super::*;
    use crate::leaked;

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 6] = [
            ("queries", Arc::new(Int64Array::from(vec![Some(120), None]))),
            ("average", Arc::new(Float64Array::from(vec![Some(2.5), None]))),
            ("share", Arc::new(Float64Array::from(vec![Some(0.01239), None]))),
            ("city", Arc::new(StringViewArray::from(vec![Some("<Milan>"), None]))),
            ("is_known", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            (
                "seen",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![Some(7_200_000_000), None]).with_timezone("UTC"),
                ),
            ),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    }

    fn rendered(text: &'static str) -> [String; 2] {
        let explanation = Explanation::load(text, "mine.toml", 7).unwrap();
        let batch = batch();
        [0, 1].map(|index| explanation.render(&Row::new(&batch, index)).unwrap())
    }

    #[test]
    fn numbers_are_formatted_as_in_rust() {
        assert_eq!(
            rendered(
                "{{ queries or 0 }} of {{ average | fixed(0) }}, {{ (100.0 * (share or 0)) | fixed(2) }} %"
            ),
            ["120 of 2, 1.24 %", "0 of 0, 0.00 %"]
        );
        assert_eq!(
            rendered(
                "{{ queries | size }} {{ ((queries or 0) * 35000) | size }} {{ 999 | size }} {{ 2e13 | size }}"
            ),
            ["120 B 4.2 MB 999 B 20.0 TB", "0 B 0 B 999 B 20.0 TB"]
        );
        assert_eq!(rendered("{{ seen | minute }}"), ["1970-01-01 02:00", "?"]);
        assert_eq!(rendered("{{ queries | fixed(1) }} {{ (queries or 0) // 50 }}"), ["120.0 2", "0.0 0"]);
    }

    #[test]
    fn nulls_are_none_and_text_is_not_escaped() {
        assert_eq!(
            rendered("{% if city is none %}nowhere{% else %}{{ city }}{% endif %}"),
            ["<Milan>", "nowhere"]
        );
        assert_eq!(rendered("{{ city or 'nowhere' }}; {{ is_known }}"), ["<Milan>; True", "nowhere; None"]);
        assert_eq!(rendered("{{ seen }} {{ seen_us }}"), ["1970-01-01T02:00:00Z 7200000000", "None None"]);
    }

    #[test]
    fn errors_in_a_template_name_its_line() {
        let error = Explanation::load("{{ queries", "mine.toml", 7).unwrap_err().to_string();
        assert!(error.starts_with("mine.toml, line 7: the explanation: syntax error"), "{error}");
        let batch = batch();
        let checked = |text| Explanation::load(text, "mine.toml", 7).unwrap().check(&batch.schema());
        let error = checked("\n{{ querys }}").unwrap_err().to_string();
        assert!(error.contains("mine.toml, line 8") && error.contains("did you mean queries?"), "{error}");
        let error = checked("{{ queries | fixd(1) }}").unwrap_err().to_string();
        assert!(error.starts_with("mine.toml, line 7: the explanation: unknown filter"), "{error}");
        checked("{{ queries + 1 }} {% for i in range(2) %}{{ seen_us }}{% endfor %}").unwrap();
        let explanation = Explanation::load("\n{{ city | fixed(1) }}", "mine.toml", 7).unwrap();
        let error = explanation.render(&Row::new(&batch, 0)).unwrap_err().to_string();
        assert!(error.starts_with("mine.toml, line 8: the explanation: "), "{error}");
        for (text, expected) in [
            ("{{ [1] * 1000000000 }}", "1000000000 elements are too many"),
            (
                "{% for i in range(9000) %}xx{% endfor %}",
                "line 7: the explanation: it gives more than 10000 bytes",
            ),
        ] {
            let large = Explanation::load(text, "mine.toml", 7).unwrap();
            let error = large.render(&Row::new(&batch, 0)).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        let doubled = "{% for i in range(99) %}{%- set x = x ~ x %}{% endfor %}";
        for (text, expected) in [
            (doubled, "set is not allowed"),
            (leaked(&format!("{{{{ 1{} }}}}", "|abs".repeat(9_000))), "36007 characters"),
        ] {
            let error = Explanation::load(text, "mine.toml", 7).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        let explanation = Explanation::load(endless, "mine.toml", 7).unwrap();
        assert!(explanation.render(&Row::new(&batch, 0)).is_err());
    }
}
