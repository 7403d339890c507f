//! The values that a number or a length of time may have, and how a value outside them is reported.

use std::borrow::Cow;
use std::fmt;

use toml::Spanned;
use toml::de::DeValue;

use super::Layer;
use crate::Result;
use crate::time::{MICROS_PER_SECOND, parse_duration};

const SECONDS_PER_DAY: f64 = 86_400.0;

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Range {
    least: f64,
    most: f64,
    excludes_least: bool,
    excludes_most: bool,
    /// Whether it is of lengths of time, in seconds, which may also be `unlimited`.
    is_span: bool,
    /// What the parameter counts.
    unit: Cow<'static, str>,
}

impl Range {
    /// From `least` to `most`.
    pub(crate) const fn closed(least: f64, most: f64, unit: &'static str) -> Self {
        let unit = Cow::Borrowed(unit);
        Self { least, most, excludes_least: false, excludes_most: false, is_span: false, unit }
    }

    /// From `least`, below `most`.
    pub(crate) const fn below(least: f64, most: f64, unit: &'static str) -> Self {
        let unit = Cow::Borrowed(unit);
        Self { least, most, excludes_least: false, excludes_most: true, is_span: false, unit }
    }

    /// A length of time from so many seconds to so many, or `unlimited`.
    pub(crate) const fn span(least: f64, most: f64) -> Self {
        let unit = Cow::Borrowed("");
        Self { least, most, excludes_least: false, excludes_most: false, is_span: true, unit }
    }

    /// A range of numbers; `excludes` says whether the first bound and the second lie outside it.
    pub(crate) fn of(bounds: [f64; 2], excludes: (bool, bool), unit: &str) -> Self {
        Self {
            least: bounds[0],
            most: bounds[1],
            excludes_least: excludes.0,
            excludes_most: excludes.1,
            is_span: false,
            unit: Cow::Owned(unit.to_owned()),
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        let is_point = self.least == self.most && !self.excludes_least && !self.excludes_most;
        !(self.least < self.most || is_point)
    }

    /// Checks the number or length of time that stands at `path` of `layer`; a value of another type passes.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the file, the line, the parameter, its value and its range.
    pub(crate) fn check(&self, layer: &Layer<'_>, path: &str, value: &Spanned<DeValue<'_>>) -> Result<()> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => {
                i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
            }
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::String(text) if self.is_span && text != "unlimited" => {
                parse_duration(text).ok().map(|micros| micros as f64 / MICROS_PER_SECOND as f64)
            }
            _ => None,
        };
        match number {
            Some(number) if !self.holds(number) => {
                let written = layer.text.get(value.span()).unwrap_or_default();
                Err(layer.error_at(value.span().start, format!("{path} is {written}: it must be {self}")))
            }
            _ => Ok(()),
        }
    }

    /// What is not a number is in no range.
    fn holds(&self, number: f64) -> bool {
        let is_above = if self.excludes_least { number > self.least } else { number >= self.least };
        let is_below = if self.excludes_most { number < self.most } else { number <= self.most };
        is_above && is_below
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, most, unit, .. } = self;
        if self.is_span {
            return write!(formatter, "from {least}s to {}d, or unlimited", most / SECONDS_PER_DAY);
        }
        match (self.excludes_least, self.excludes_most) {
            (false, false) => write!(formatter, "from {least} to {most}"),
            (true, false) => write!(formatter, "above {least} and at most {most}"),
            (false, true) => write!(formatter, "at least {least} and below {most}"),
            (true, true) => write!(formatter, "above {least} and below {most}"),
        }?;
        if unit.is_empty() { Ok(()) } else { write!(formatter, " {unit}") }
    }
}
