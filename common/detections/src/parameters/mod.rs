//! Parameters of detections: their definitions in `[parameters.<name>]` of a `detection.toml`, and their values in files.

mod rules;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{Layer, PRESETS, Range};
use hindcast_base::Result;
use hindcast_base::nearest::did_you_mean;

/// The type of a parameter, or of a field of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// A whole number of 64 bits.
    Integer,
    /// A number of double precision.
    Float,
    /// True or false.
    Boolean,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A list of regular expressions, each as text or in a table with the texts that it must and must not match.
    Patterns,
    /// A duration such as `60m`, or `unlimited`.
    Span,
    /// One of a few texts.
    Choice,
    /// A list of tables with the same fields.
    Records,
}

impl ParameterType {
    /// Its name in `detection.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Texts => "texts",
            Self::Patterns => "patterns",
            Self::Span => "span",
            Self::Choice => "choice",
            Self::Records => "records",
        }
    }

    fn has_range(self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Span)
    }
}

/// `[parameters.<name>]`, or `[parameters.<name>.fields.<field>]` of records, which has no default and no fields.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterDefinition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// Its value in the default preset, as written in the file: patterns may have their cases.
    pub default: Option<Value>,
    /// Its values in other presets, as written in the file.
    #[serde(default)]
    pub presets: BTreeMap<String, Value>,
    /// Smallest and largest value; in seconds for durations.
    range: Option<[f64; 2]>,
    /// A lower bound that is excluded, instead of the range's.
    above: Option<f64>,
    /// An upper bound that is excluded, instead of the range's.
    below: Option<f64>,
    /// Its unit.
    #[serde(default)]
    pub unit: String,
    /// Its description.
    pub doc: String,
    /// The values of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The fields of each record, all of which are required.
    #[serde(default)]
    pub fields: BTreeMap<String, ParameterDefinition>,
    /// Its values by preset, in the form that [`ParameterDefinition::check`] returns.
    #[serde(skip)]
    values: BTreeMap<String, Value>,
}

/// Checks `parameters`, which were read from `layer`, a `detection.toml`, and reads their defaults and their values in presets.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] naming the file, the line and the parameter: a range without numbers, a value outside its range or of
/// another type, a pattern that does not compile or disagrees with its cases, an unknown preset.
pub(crate) fn read_values(
    layer: &Layer<'_>,
    parameters: &mut BTreeMap<String, ParameterDefinition>,
) -> Result<()> {
    let table = DeTable::parse(layer.text).map_err(|error| layer.error(&error))?;
    let Some(DeValue::Table(written)) = table.get_ref().get("parameters").map(Spanned::get_ref) else {
        return Ok(());
    };
    for (name, parameter) in parameters {
        if let Some(value) = written.get(name.as_str()) {
            parameter.read(layer, &format!("parameters.{name}"), value)?;
        }
    }
    Ok(())
}

impl ParameterDefinition {
    /// Its value in a preset, or the default if the preset does not set it. Patterns are a list of texts, durations are in
    /// seconds (`3600s`) or `unlimited`.
    pub fn value(&self, preset: &str) -> Value {
        self.values.get(preset).or_else(|| self.values.get(PRESETS[0])).cloned().unwrap_or_default()
    }

    /// The range of its values, for people; `None` if any value of its type is allowed.
    pub fn range_text(&self) -> Option<String> {
        self.range().map(|range| range.to_string())
    }

    fn range(&self) -> Option<Range> {
        let least = self.above.or(self.range.map(|[least, _]| least))?;
        let most = self.below.or(self.range.map(|[_, most]| most))?;
        if self.kind == ParameterType::Span {
            return Some(Range::span(least, most));
        }
        let excludes = (self.above.is_some(), self.below.is_some());
        Some(Range::of([least, most], excludes, &self.unit))
    }

    /// Checks the definition and reads its values.
    fn read(&mut self, layer: &Layer<'_>, path: &str, written: &Spanned<DeValue<'_>>) -> Result<()> {
        let fault = |what: String| layer.error_at(written.span().start, format!("{path} {what}"));
        self.check_form().map_err(fault)?;
        let given = |name: &str| written.get_ref().get(name);
        let Some(default) = given("default") else { return Err(fault("has no default".into())) };
        let default = self.check(layer, &format!("{path}.default"), default)?;
        self.values.insert(PRESETS[0].to_owned(), default);
        let presets = given("presets").and_then(|presets| presets.get_ref().as_table());
        for (preset, value) in presets.into_iter().flatten() {
            let name = preset.get_ref();
            if !PRESETS.contains(&&**name) {
                let hint = did_you_mean(name, PRESETS.into_iter());
                let what = format!("{path}.presets: there is no preset {name}{hint}");
                return Err(layer.error_at(preset.span().start, what));
            }
            let value = self.check(layer, &format!("{path}.presets.{name}"), value)?;
            self.values.insert(name.to_string(), value);
        }
        Ok(())
    }

    /// Checks that the definition agrees with its type.
    fn check_form(&self) -> Result<(), String> {
        let kind = self.kind.name();
        let has_bounds = self.range.is_some() || self.above.is_some() || self.below.is_some();
        if has_bounds && !self.kind.has_range() {
            return Err(format!("has a range, although it is of type {kind}"));
        }
        let is_span = self.kind == ParameterType::Span;
        if is_span && (self.above.is_some() || self.below.is_some()) {
            return Err("is a span: its bounds are range = [least, most], in seconds".into());
        }
        if has_bounds && self.range().is_none_or(|range| range.is_empty()) {
            return Err("has no value between its bounds: give range = [least, most], and above or below \
                        where one of them is excluded"
                .into());
        }
        if (self.kind == ParameterType::Choice) == self.choices.is_empty() {
            return Err(format!("is of type {kind}: only a choice has choices, and at least one"));
        }
        if (self.kind == ParameterType::Records) == self.fields.is_empty() {
            return Err(format!("is of type {kind}: only records have fields, and at least one"));
        }
        self.fields.iter().try_for_each(|(name, field)| {
            let is_value = field.default.is_none() && field.presets.is_empty() && field.fields.is_empty();
            if !is_value {
                return Err(format!("has a field {name} with values or fields of its own"));
            }
            field.check_form().map_err(|what| format!("has a field {name} which {what}"))
        })
    }
}
