//! Parameters of detections in a configuration: the values of a preset, the changes of a file, checks for contradictions, and
//! access by path.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, Layer, SHARED_SECTIONS};
use crate::analyses::Analysis;
use crate::bindings::Bindings;
use crate::{Check, Detections, sql};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};

/// Values of parameters by section, which is a detection's id, and name.
pub(super) type Parameters = BTreeMap<String, Map<String, Value>>;

/// Every parameter of every detection, with its value in `preset`.
pub(super) fn of_preset(preset: &str, detections: Detections) -> Parameters {
    let sections = detections.all().iter().filter(|analysis| !analysis.about.parameters.is_empty());
    let values = sections.map(|analysis| {
        let parameters = analysis.about.parameters.iter();
        let values = parameters.map(|(name, parameter)| (name.clone(), parameter.value(preset)));
        (analysis.id.to_owned(), values.collect())
    });
    values.collect()
}

/// The parameters of detections in `table`, which is the whole of `layer`.
///
/// # Errors
/// [`Error::Invalid`] with the file and line of an unknown section or parameter, or of a wrong value.
pub(super) fn of_layer(layer: &Layer<'_>, table: &DeTable<'_>, detections: Detections) -> Result<Parameters> {
    let mut given = Parameters::new();
    for (name, section) in table {
        let id: &str = name.get_ref();
        if SHARED_SECTIONS.contains(&id) {
            continue;
        }
        let Some(analysis) = detections.by_id(id) else {
            let ids = detections.all().iter().map(|analysis| analysis.id);
            let hint = did_you_mean(id, SHARED_SECTIONS.into_iter().chain(ids));
            return Err(layer.error_at(name.span().start, format!("there is no section {id}{hint}")));
        };
        given.insert(id.to_owned(), of_section(layer, analysis, section)?);
    }
    Ok(given)
}

/// The parameters in the section of `analysis`.
fn of_section(
    layer: &Layer<'_>,
    analysis: &Analysis,
    section: &Spanned<DeValue<'_>>,
) -> Result<Map<String, Value>> {
    let (id, parameters) = (analysis.id, &analysis.about.parameters);
    let DeValue::Table(values) = section.get_ref() else {
        return Err(layer.error_at(section.span().start, format!("{id} must be a section, [{id}]")));
    };
    let mut given = Map::new();
    for (name, value) in values {
        let place = name.span().start;
        let name: &str = name.get_ref();
        let Some(parameter) = parameters.get(name) else {
            let known = parameters.keys().map(String::as_str);
            let mut hint = did_you_mean(name, known.clone());
            if hint.is_empty() && !parameters.is_empty() {
                hint = format!("; {id} has {}", known.collect::<Vec<_>>().join(", "));
            }
            return Err(layer.error_at(place, format!("there is no parameter {id}.{name}{hint}")));
        };
        given.insert(name.to_owned(), parameter.check(layer, &format!("{id}.{name}"), value)?);
    }
    Ok(given)
}

/// Overrides the values below with those of a file.
pub(super) fn lay_over(below: &mut Parameters, above: Parameters) {
    for (section, values) in above {
        below.entry(section).or_default().extend(values);
    }
}

/// Maximum steps of the message template of a check, so that a loop cannot block a run.
const MAX_STEPS: u64 = 100_000;

impl Config {
    /// The value at a path such as `beaconing.max_jitter` or `firewall.vendors`; `None` if there is no such parameter. The values of
    /// `firewall.kind` and `firewall.outcome` are SQL.
    pub fn parameter(&self, path: &str) -> Option<Value> {
        if let Some(expression) = self.firewall.expression(path) {
            return Some(expression.into());
        }
        let (section, rest) = path.split_once('.')?;
        if let Some(values) = self.parameters.get(section) {
            return values.get(rest).cloned();
        }
        let section = match section {
            "tables" => serde_json::to_value(&self.tables),
            "network" => serde_json::to_value(&self.network),
            "firewall" => serde_json::to_value(&self.firewall),
            "office365" => serde_json::to_value(&self.office365),
            "score" => serde_json::to_value(&self.score),
            "risk" => serde_json::to_value(&self.risk),
            "incidents" => serde_json::to_value(&self.incidents),
            "own_detections" => serde_json::to_value(&self.own_detections),
            "save" => serde_json::to_value(&self.save),
            _ => return None,
        };
        rest.split('.').try_fold(&section.ok()?, |value, name| value.get(name)).cloned()
    }

    /// The number at a path; 0 if there is none.
    pub fn number(&self, path: &str) -> f64 {
        self.parameter(path).and_then(|value| value.as_f64()).unwrap_or_default()
    }

    /// The whole number at a path; 0 if there is none.
    pub fn integer(&self, path: &str) -> i64 {
        self.parameter(path).and_then(|value| value.as_i64()).unwrap_or_default()
    }

    /// The texts of the list at a path; empty if there is none.
    pub fn texts(&self, path: &str) -> Vec<String> {
        let list = self.parameter(path).unwrap_or_default();
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Evaluates the checks of detections for parameters that contradict each other.
    pub(super) fn check_detections(&self) -> Result<()> {
        for analysis in self.detections.all() {
            for check in &analysis.about.checks {
                self.check_agrees(analysis, check)?;
            }
        }
        Ok(())
    }

    /// Fails if the condition is false. Null, for example because of an unlimited duration, passes.
    fn check_agrees(&self, analysis: &Analysis, check: &Check) -> Result<()> {
        let bindings = Bindings::of(self, analysis.id, analysis.about.uses)?;
        let holds = sql::constant(&check.holds, &bindings).map_err(|error| sql::error_of(&error))?;
        if holds != ScalarValue::Boolean(Some(false)) {
            return Ok(());
        }
        let mut templates = Environment::new();
        templates.set_fuel(Some(MAX_STEPS));
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let values = self.parameters.get(analysis.id);
        let message = templates.render_str(check.message, values).map_err(|error| {
            let (file, line) = (check.holds.file, check.holds.line);
            Error::in_file(file, line, format!("the message of this check can't be rendered: {error}"))
        })?;
        Err(Error::Invalid(message))
    }
}
