//! `kind = "points"` of a `[[chart]]`: one mark per row.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::chart::{Colour, Line};
use super::row_text::RowText;

/// `kind = "points"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// Its title.
    pub title: String,
    /// The table it shows: the companion of the detection; its own result if absent.
    pub table: Option<String>,
    /// Explanation of the chart.
    #[serde(default)]
    pub note: String,
    /// Height in pixels.
    #[serde(default = "height_of_points")]
    pub height: usize,
    /// Horizontal axis. Rows without a value are not drawn.
    pub x: Axis,
    /// Vertical axis. Rows without a value are not drawn.
    pub y: Axis,
    /// Meaning of the area of a mark.
    pub size: Option<Scale>,
    /// Meaning of the colour of a mark, as a name: the most frequent names have their own colours.
    pub series: Option<RowText>,
    /// Colours of series, with `*` for all others; the palette's if empty.
    #[serde(default)]
    pub colours: BTreeMap<String, Colour>,
    /// Meaning of the colour of a mark, as a number.
    pub shade: Option<Shade>,
    /// The colour of all marks.
    pub colour: Option<Colour>,
    /// Lines of the tooltip.
    pub hover: Vec<RowText>,
    /// Which rows are drawn if there are more: a column, descending after `-`, or `column=text` for those with this text first. The
    /// first rows of the table if empty.
    #[serde(default)]
    pub most: Vec<String>,
    /// Description of these rows.
    pub which: String,
    /// Reference lines.
    #[serde(default)]
    pub lines: Vec<Line>,
}

fn height_of_points() -> usize {
    400
}

/// An axis of [`Points`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The column: numbers, or times.
    pub column: String,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// Whether it is logarithmic.
    #[serde(default)]
    pub log: bool,
    /// Whether it starts at 0.
    #[serde(default)]
    pub from_zero: bool,
    /// Its range; the range of the values if absent.
    pub range: Option<[f64; 2]>,
    /// Replaces smaller and absent values, because a logarithmic axis has no 0.
    pub at_least: Option<f64>,
    /// Positions of its ticks; chosen from the values if empty.
    #[serde(default)]
    pub ticks: Vec<i64>,
}

/// A column for the area of marks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The column.
    pub column: String,
    /// Name.
    pub title: String,
}

/// A column for the colour of marks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shade {
    /// The column.
    pub column: String,
    /// Name.
    pub title: String,
    /// From the lowest to the highest; at least two.
    pub colours: Vec<Colour>,
}

/// An entry of [`Points::most`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference<'a> {
    /// Rows whose column has this text come first.
    Text(&'a str, &'a str),
    /// Rows come by the number of a column; null counts as 0.
    Number {
        /// The column.
        column: &'a str,
        /// Whether the largest come first.
        is_descending: bool,
    },
}

impl<'a> Preference<'a> {
    /// Reads `column=text`, `column` or `-column`.
    pub fn of(entry: &'a str) -> Self {
        match (entry.split_once('='), entry.strip_prefix('-')) {
            (Some((column, text)), _) => Preference::Text(column, text),
            (None, Some(column)) => Preference::Number { column, is_descending: true },
            (None, None) => Preference::Number { column: entry, is_descending: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_columns_or_texts() {
        assert_eq!(Preference::of("event_class=THREAT"), Preference::Text("event_class", "THREAT"));
        assert_eq!(
            Preference::of("-bytes_sent"),
            Preference::Number { column: "bytes_sent", is_descending: true }
        );
    }
}
