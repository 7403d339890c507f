//! `[[chart]]` of `detection.toml`: the kind of chart for a result and the columns it uses. The coordinator draws it.

use std::collections::BTreeMap;

use serde::Deserialize;

pub use super::chart_points::{Axis, Points, Preference, Scale, Shade};
use super::row_text::RowText;

/// A chart of a result table, by its kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a detection has few charts, and they are loaded once")]
pub enum ChartDefinition {
    /// Horizontal bars, the longest first: values summed by label, or by label and series.
    Bars(Bars),
    /// The first rows of the table, with a bar for each of several columns.
    Measures(Measures),
    /// Shares of a whole on two levels.
    Parts(Parts),
    /// Stacked areas over time: values by bin and series.
    Areas(Areas),
    /// One mark per row.
    Points(Points),
    /// A grid of two labels, shaded by a value.
    Matrix(Matrix),
    /// Places by longitude and latitude.
    Map(Map),
}

/// `kind = "bars"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bars {
    /// Its title.
    pub title: String,
    /// The table it shows: the companion of the detection; its own result if absent.
    pub table: Option<String>,
    /// Explanation of the chart.
    #[serde(default)]
    pub note: String,
    /// Label of a bar.
    pub label: RowText,
    /// Label of the parts of a bar.
    pub series: Option<RowText>,
    /// The column of the values; each row counts 1 if absent.
    pub value: Option<String>,
    /// How the values of a bar are combined.
    #[serde(default)]
    pub combine: Combine,
    /// Title of the axis of values.
    pub axis: String,
}

/// How several values of a label are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Their sum.
    #[default]
    Sum,
    /// The largest of them.
    Max,
}

/// `kind = "measures"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measures {
    /// Its title.
    pub title: String,
    /// The table it shows: the companion of the detection; its own result if absent.
    pub table: Option<String>,
    /// Explanation of the chart.
    #[serde(default)]
    pub note: String,
    /// Description of the shown rows if there are more; no description if empty.
    #[serde(default)]
    pub which: String,
    /// Label of a row.
    pub label: RowText,
    /// How the bars are arranged.
    pub layout: Layout,
    /// Title of the axis that the measures share; in panels, each has its own.
    #[serde(default)]
    pub axis: String,
    /// The columns.
    pub measures: Vec<Measure>,
    /// Reference lines; not in panels.
    #[serde(default)]
    pub lines: Vec<Line>,
}

/// How the bars of several measures are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Horizontal bars, one panel per measure.
    Panels,
    /// Vertical bars, those of a row next to each other.
    Groups,
}

/// A column of [`Measures`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// The column.
    pub column: String,
    /// Name.
    pub name: String,
    /// Title of its axis in panels; its name if absent.
    pub axis: Option<String>,
    /// Its colour; the next of the palette if absent.
    pub colour: Option<Colour>,
    /// Whether its values are rounded to whole ones.
    #[serde(default)]
    pub round: bool,
}

/// `kind = "parts"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Its title.
    pub title: String,
    /// The table it shows: the companion of the detection; its own result if absent.
    pub table: Option<String>,
    /// Explanation of the chart.
    #[serde(default)]
    pub note: String,
    /// Its form.
    pub shape: Shape,
    /// Label of the first level.
    pub inner: RowText,
    /// Label of the second level.
    pub outer: RowText,
    /// The column of the values; each row counts 1 if absent.
    pub value: Option<String>,
    /// What the values count.
    pub unit: String,
    /// Colours of the labels of the first level, with `*` for all others.
    #[serde(default)]
    pub colours: BTreeMap<String, Colour>,
}

/// The form of [`Parts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A ring, and around it a ring of the second level.
    Rings,
    /// Boxes, and in them boxes of the second level.
    Boxes,
}

/// `kind = "areas"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Areas {
    /// Its title.
    pub title: String,
    /// The table it shows: the companion of the detection; its own result if absent.
    pub table: Option<String>,
    /// Explanation of the chart.
    #[serde(default)]
    pub note: String,
    /// The column of the starts of bins.
    pub time: String,
    /// Width of a bin.
    pub bin_minutes: Amount,
    /// Label of an area.
    pub series: Option<RowText>,
    /// The column of the values; each row counts 1 if absent. Rows without a value above 0 are not drawn.
    pub value: Option<String>,
    /// Title of the axis of values.
    pub axis: String,
    /// Colours of series; the palette's for all others.
    #[serde(default)]
    pub colours: BTreeMap<String, Colour>,
}

/// `kind = "matrix"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Its title.
    pub title: String,
    /// The table it shows: the companion of the detection; its own result if absent.
    pub table: Option<String>,
    /// Explanation of the chart.
    #[serde(default)]
    pub note: String,
    /// Label of a row of the grid.
    pub row: RowText,
    /// Label of a column of the grid.
    pub column: RowText,
    /// The column of the values; each row counts 1 if absent.
    pub value: Option<String>,
    /// What the values count.
    pub unit: String,
}

/// `kind = "map"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Its title.
    pub title: String,
    /// The table it shows: the companion of the detection; its own result if absent.
    pub table: Option<String>,
    /// Explanation of the chart.
    #[serde(default)]
    pub note: String,
    /// The column of degrees to the east.
    pub longitude: String,
    /// The column of degrees to the north.
    pub latitude: String,
    /// Name of a place.
    pub name: RowText,
    /// The column of the values; each row counts 1 if absent.
    pub value: Option<String>,
    /// What the values count.
    pub unit: String,
}

/// A line across the chart at a value of its upward axis.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The value.
    pub at: Amount,
    /// Text: a template over its `value`, such as `a finding from {{ value | number }}`.
    pub text: String,
}

/// A number, or a parameter: `$name`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// The number.
    Number(f64),
    /// The parameter, with its `$`.
    Parameter(String),
}

/// A colour that can be distinguished from the others on a light and on a dark background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are clear")]
pub enum Colour {
    Blue,
    Red,
    Green,
    Orange,
    Violet,
    Cyan,
    Pink,
    Lime,
    Brown,
    Grey,
    PaleBlue,
}

impl Amount {
    /// The number; `parameter` returns the value of a parameter by its name.
    pub fn value(&self, parameter: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        match self {
            Amount::Number(number) => Some(*number),
            Amount::Parameter(name) => parameter(name.strip_prefix('$')?),
        }
    }
}

/// Reads a field that every kind of chart has.
macro_rules! of_each {
    ($definition:expr, |$chart:ident| $field:expr) => {
        match $definition {
            ChartDefinition::Bars($chart) => $field,
            ChartDefinition::Measures($chart) => $field,
            ChartDefinition::Parts($chart) => $field,
            ChartDefinition::Areas($chart) => $field,
            ChartDefinition::Points($chart) => $field,
            ChartDefinition::Matrix($chart) => $field,
            ChartDefinition::Map($chart) => $field,
        }
    };
}

impl ChartDefinition {
    /// Its title.
    pub fn title(&self) -> &str {
        of_each!(self, |chart| &chart.title)
    }

    /// Its explanation; may be empty.
    pub fn note(&self) -> &str {
        of_each!(self, |chart| &chart.note)
    }

    /// The companion table that it shows; `None` for the detection's own result.
    pub fn table(&self) -> Option<&str> {
        of_each!(self, |chart| chart.table.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_or_a_parameter() {
        let parameter = |name: &str| (name == "min_score").then_some(0.5);
        let value = |text: &str| {
            let line: Line = toml::from_str(&format!("at = {text}\ntext = ''")).unwrap();
            line.at.value(parameter)
        };
        assert_eq!(value("3"), Some(3.0));
        assert_eq!(value("'$min_score'"), Some(0.5));
        assert_eq!((value("'min_score'"), value("'$other'")), (None, None));
    }

    #[test]
    fn every_kind_has_a_title_and_may_have_a_note_and_a_table() {
        let head = "title = 'T'\nnote = 'N'\ntable = 'other'\n";
        for kind in [
            "kind = 'bars'\nlabel = 'a'\naxis = 'x'",
            "kind = 'measures'\nlabel = 'a'\nlayout = 'panels'\nmeasures = [{ column = 'b', name = 'B' }]",
            "kind = 'parts'\nshape = 'rings'\ninner = 'a'\nouter = 'b'\nunit = 'rows'",
            "kind = 'areas'\ntime = 't'\nbin_minutes = 15\naxis = 'x'",
            "kind = 'points'\nx = { column = 'a' }\ny = { column = 'b' }\nhover = []\nwhich = 'rows'",
            "kind = 'matrix'\nrow = 'a'\ncolumn = 'b'\nunit = 'rows'",
            "kind = 'map'\nlongitude = 'a'\nlatitude = 'b'\nname = 'c'\nunit = 'rows'",
        ] {
            let chart: ChartDefinition = toml::from_str(&format!("{head}{kind}")).unwrap();
            assert_eq!((chart.title(), chart.note(), chart.table()), ("T", "N", Some("other")), "{kind}");
            let plain: ChartDefinition = toml::from_str(&format!("title = 'T'\n{kind}")).unwrap();
            assert_eq!((plain.note(), plain.table()), ("", None), "{kind}");
        }
    }
}
