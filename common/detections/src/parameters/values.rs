//! Values of parameters in files, checked against type and range and converted to one form.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::{ParameterDefinition, ParameterType, rules};
use crate::config::{Layer, Span};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};
use hindcast_functions::Patterns;

/// Maximum characters of a value in an error.
const SHOWN_CHARS: usize = 60;

impl ParameterDefinition {
    /// The value at `path` of `layer`: patterns as a list of texts without their cases, durations in seconds (`3600s`) or
    /// `unlimited`, records with all their fields.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file, the line and the parameter, if the value has another type, is outside its range or not
    /// one of the choices, is a pattern that does not compile or disagrees with its cases, or a record with other fields.
    pub fn check(&self, layer: &Layer<'_>, path: &str, value: &Spanned<DeValue<'_>>) -> Result<Value> {
        if let Some(range) = self.range() {
            range.check(layer, path, value)?;
        }
        let given = Given { layer, path, value };
        match self.kind {
            ParameterType::Integer => given.integer(),
            ParameterType::Float => given.float(),
            ParameterType::Boolean => given.boolean(),
            ParameterType::Text => given.text().map(Value::from),
            ParameterType::Span => given.span(),
            ParameterType::Choice => given.choice(&self.choices),
            ParameterType::Texts => given.list("a list of texts", |item| item.text().map(Value::from)),
            ParameterType::Patterns => given.patterns(),
            ParameterType::Records => given.list("a list of tables", |item| item.record(self)),
        }
    }
}

/// A value of a file and its place.
pub(super) struct Given<'a> {
    pub(super) layer: &'a Layer<'a>,
    pub(super) path: &'a str,
    pub(super) value: &'a Spanned<DeValue<'a>>,
}

impl Given<'_> {
    /// An error at the value's line.
    pub(super) fn fault(&self, what: impl std::fmt::Display) -> Error {
        self.layer.error_at(self.value.span().start, what)
    }

    /// The error for a value that is not what is `wanted`.
    fn wrong(&self, wanted: &str) -> Error {
        self.fault(format!("{} is {}: it must be {wanted}", self.path, self.shown()))
    }

    /// The value as written, truncated if it is long.
    fn shown(&self) -> String {
        match self.value.get_ref() {
            DeValue::Array(_) => "a list".into(),
            DeValue::Table(_) => "a table".into(),
            _ => {
                let written = self.layer.text.get(self.value.span()).unwrap_or_default();
                let is_shown =
                    |(index, character): &(usize, char)| *index < SHOWN_CHARS && *character != '\n';
                let shown = written.chars().enumerate().take_while(is_shown);
                let shown: String = shown.map(|(_, character)| character).collect();
                if shown.len() == written.len() { shown } else { format!("{shown}…") }
            }
        }
    }

    fn integer(&self) -> Result<Value> {
        let number = match self.value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.map(Value::from).ok_or_else(|| self.wrong("a whole number"))
    }

    fn float(&self) -> Result<Value> {
        let number = match self.value.get_ref() {
            DeValue::Integer(number) => {
                i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
            }
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let number = number.and_then(Number::from_f64).map(Value::Number);
        number.ok_or_else(|| self.wrong("a number"))
    }

    fn boolean(&self) -> Result<Value> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Ok(Value::Bool(*value)),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub(super) fn text(&self) -> Result<&str> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong("a text")),
        }
    }

    fn span(&self) -> Result<Value> {
        let DeValue::String(text) = self.value.get_ref() else {
            return Err(self.wrong("a length of time, such as \"24h\", or \"unlimited\""));
        };
        let span =
            Span::try_from(text.to_string()).map_err(|what| self.fault(format!("{}: {what}", self.path)))?;
        Ok(Value::String(span.into()))
    }

    fn choice(&self, choices: &[String]) -> Result<Value> {
        let wanted = || format!("one of {}", choices.join(", "));
        match self.value.get_ref() {
            DeValue::String(text) if choices.iter().any(|choice| choice == text) => {
                Ok(Value::String(text.to_string()))
            }
            DeValue::String(text) => {
                let hint = did_you_mean(text, choices.iter().map(String::as_str));
                Err(self.wrong(&format!("{}{hint}", wanted())))
            }
            _ => Err(self.wrong(&wanted())),
        }
    }

    /// The elements of a list, each read by `read`.
    fn list(&self, wanted: &str, read: impl Fn(&Given<'_>) -> Result<Value>) -> Result<Value> {
        let DeValue::Array(items) = self.value.get_ref() else { return Err(self.wrong(wanted)) };
        let items = items.iter().enumerate().map(|(index, value)| {
            let path = format!("{}[{index}]", self.path);
            read(&Given { layer: self.layer, path: &path, value })
        });
        items.collect::<Result<Vec<_>>>().map(Value::Array)
    }

    fn patterns(&self) -> Result<Value> {
        let list =
            self.list("a list of patterns", |item| rules::pattern(item, self.path).map(Value::from))?;
        let patterns: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Patterns::of(&patterns).map_err(|error| self.fault(format!("{}: {error}", self.path)))?;
        Ok(list)
    }

    /// A record: a table with all fields of `definition` and no other.
    fn record(&self, definition: &ParameterDefinition) -> Result<Value> {
        let DeValue::Table(table) = self.value.get_ref() else { return Err(self.wrong("a table")) };
        let fields = &definition.fields;
        if let Some((name, _)) = table.iter().find(|(name, _)| !fields.contains_key(&**name.get_ref())) {
            let hint = did_you_mean(name.get_ref(), fields.keys().map(String::as_str));
            let what = format!("{} has no field {}{hint}", self.path, name.get_ref());
            return Err(self.layer.error_at(name.span().start, what));
        }
        let mut record = Map::new();
        for (name, field) in fields {
            let Some(value) = table.get(name.as_str()) else {
                return Err(self.fault(format!("{} lacks its field {name}", self.path)));
            };
            record.insert(name.clone(), field.check(self.layer, &format!("{}.{name}", self.path), value)?);
        }
        Ok(Value::Object(record))
    }
}
