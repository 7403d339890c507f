//! Ranges of numbers and durations, and the error for a value outside its range.

use std::borrow::Cow;
use std::fmt;

use toml::Spanned;
use toml::de::DeValue;

use super::Layer;
use hindcast_base::Result;
use hindcast_base::time::{MICROS_PER_SECOND, parse_duration};

const SECONDS_PER_DAY: f64 = 86_400.0;

/// The range of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    min: f64,
    max: f64,
    excludes_min: bool,
    excludes_max: bool,
    /// Whether this is a range of durations in seconds, which may also be `unlimited`.
    is_span: bool,
    /// The unit of the parameter.
    unit: Cow<'static, str>,
}

impl Range {
    /// From `min` to `max`.
    pub const fn closed(min: f64, max: f64, unit: &'static str) -> Self {
        let unit = Cow::Borrowed(unit);
        Self { min, max, excludes_min: false, excludes_max: false, is_span: false, unit }
    }

    /// From `min`, below `max`.
    pub const fn below(min: f64, max: f64, unit: &'static str) -> Self {
        let unit = Cow::Borrowed(unit);
        Self { min, max, excludes_min: false, excludes_max: true, is_span: false, unit }
    }

    /// A duration from `min` to `max` seconds, or `unlimited`.
    pub const fn span(min: f64, max: f64) -> Self {
        let unit = Cow::Borrowed("");
        Self { min, max, excludes_min: false, excludes_max: false, is_span: true, unit }
    }

    /// A range of numbers; `excludes` says whether the lower and the upper bound are excluded.
    pub fn of(bounds: [f64; 2], excludes: (bool, bool), unit: &str) -> Self {
        Self {
            min: bounds[0],
            max: bounds[1],
            excludes_min: excludes.0,
            excludes_max: excludes.1,
            is_span: false,
            unit: Cow::Owned(unit.to_owned()),
        }
    }

    /// Whether it contains no value.
    pub fn is_empty(&self) -> bool {
        let is_point = self.min == self.max && !self.excludes_min && !self.excludes_max;
        !(self.min < self.max || is_point)
    }

    /// Checks the number or duration at `path` of `layer`; a value of another type passes.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Invalid`] naming the file, the line, the parameter, its value and its range.
    pub fn check(&self, layer: &Layer<'_>, path: &str, value: &Spanned<DeValue<'_>>) -> Result<()> {
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

    /// NaN is in no range.
    fn holds(&self, number: f64) -> bool {
        let is_above = if self.excludes_min { number > self.min } else { number >= self.min };
        let is_below = if self.excludes_max { number < self.max } else { number <= self.max };
        is_above && is_below
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max, unit, .. } = self;
        if self.is_span {
            return write!(formatter, "from {min}s to {}d, or unlimited", max / SECONDS_PER_DAY);
        }
        match (self.excludes_min, self.excludes_max) {
            (false, false) => write!(formatter, "from {min} to {max}"),
            (true, false) => write!(formatter, "above {min} and at most {max}"),
            (false, true) => write!(formatter, "at least {min} and below {max}"),
            (true, true) => write!(formatter, "above {min} and below {max}"),
        }?;
        if unit.is_empty() { Ok(()) } else { write!(formatter, " {unit}") }
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// The error for the value of `a`; empty if the range contains it.
    fn error_of(range: &Range, value: &str) -> String {
        let text = format!("# a comment\na = {value}");
        let layer = Layer { name: "mine.toml", text: &text };
        let table = DeTable::parse(&text).unwrap();
        let checked = range.check(&layer, "x.a", table.get_ref().get("a").unwrap());
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn bounds_are_included_unless_they_are_excluded() {
        let cases = [
            (Range::closed(1.0, 9.0, "rows"), ["1", "9", "0x9"], "0", "from 1 to 9 rows"),
            (Range::below(0.0, 1.0, ""), ["0", "0.5", "0.999"], "1.0", "at least 0 and below 1"),
            (Range::of([0.0, 1.0], (true, false), ""), ["0.1", "1", "1e0"], "0", "above 0 and at most 1"),
            (Range::of([0.0, 1.0], (true, true), ""), ["0.1", "0.9", "5e-1"], "1", "above 0 and below 1"),
            (
                Range::span(60.0, 86_400.0),
                ["'60s'", "'1d'", "'unlimited'"],
                "'59s'",
                "from 60s to 1d, or unlimited",
            ),
        ];
        for (range, inside, outside, text) in cases {
            for value in inside {
                assert_eq!(error_of(&range, value), "", "{value} is {range}");
            }
            let expected = format!("mine.toml, line 2: x.a is {outside}: it must be {text}");
            assert_eq!(error_of(&range, outside), expected);
        }
    }

    #[test]
    fn nan_is_in_no_range_and_other_types_are_not_checked_here() {
        let all = Range::closed(f64::MIN, f64::MAX, "");
        assert!(error_of(&all, "nan").contains("x.a is nan"));
        for other in ["true", "'text'", "[1]"] {
            assert_eq!(error_of(&all, other), "", "{other}");
        }
    }

    #[test]
    fn a_range_without_values_is_empty() {
        assert!(Range::closed(2.0, 1.0, "").is_empty());
        assert!(Range::of([1.0, 1.0], (true, false), "").is_empty());
        assert!(!Range::closed(1.0, 1.0, "").is_empty());
    }
}
