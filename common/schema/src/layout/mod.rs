//! Layouts of a table's folders: what the names of its folders say about the dates of their files.

mod pattern;

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

pub use pattern::{DateParts, Field, Pattern};

use hindcast_base::Error;

/// The name of the layout without folders by date.
const FLAT: &str = "flat";

/// How the files of a table are laid out in folders.
///
/// ```
/// use hindcast_schema::Layout;
///
/// let layout: Layout = "region=*/year=%Y/month=%m/day=%d".parse()?;
/// assert_eq!(layout.to_string(), "region=*/year=%Y/month=%m/day=%d");
/// assert!(!layout.is_standard());
/// assert!("year=%Y/month=%m".parse::<Layout>().is_err(), "it lacks the day");
/// # Ok::<(), hindcast_base::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layout {
    /// Folders by date: the names of the folders of each level. Below the last level, folders may have any name.
    Dated(Vec<Pattern>),
    /// Files in no folders by date: the dates of their rows come from statistics in their footers.
    Flat,
}

impl Layout {
    /// The layout that Hindcast writes: `date=YYYY-MM-DD`.
    pub fn standard() -> Self {
        Self::Dated(vec![Pattern::standard()])
    }

    /// Whether it is the one that Hindcast writes.
    pub fn is_standard(&self) -> bool {
        matches!(self, Self::Dated(levels) if levels.as_slice() == [Pattern::standard()])
    }

    /// The folders that it has, for people.
    pub fn folders(&self) -> String {
        match self {
            Self::Flat => "key=value".to_owned(),
            standard if standard.is_standard() => "date=YYYY-MM-DD".to_owned(),
            other => other.to_string(),
        }
    }

    /// The date of a folder of the standard layout, by its name.
    pub fn standard_date(name: &str) -> Option<NaiveDate> {
        let text = name.strip_prefix("date=")?;
        // The folder of `date=2026-1-6` would be searched under another name.
        text.parse().ok().filter(|date: &NaiveDate| date.to_string() == text)
    }

    /// The levels down to the one at which the date is known.
    pub fn levels_to_date(&self) -> &[Pattern] {
        let Self::Dated(levels) = self else { return &[] };
        let is_of_date = |level: &Pattern| level.fields().any(Field::is_of_date);
        let last = levels.iter().rposition(is_of_date).unwrap_or_default();
        levels.get(..=last).unwrap_or_default()
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flat => formatter.write_str(FLAT),
            Self::Dated(levels) => {
                let levels: Vec<String> = levels.iter().map(Pattern::to_string).collect();
                formatter.write_str(&levels.join("/"))
            }
        }
    }
}

impl From<Layout> for String {
    fn from(layout: Layout) -> Self {
        layout.to_string()
    }
}

impl TryFrom<String> for Layout {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |reason: String| {
            Error::Invalid(format!(
                "{text:?} is not a layout: {reason}. Write the name of each folder below the table, such as \
                 region=*/year=%Y/month=%m/day=%d, or {FLAT} for files in no folders by date"
            ))
        };
        let text = text.trim_matches('/');
        if text == FLAT {
            return Ok(Self::Flat);
        }
        let levels: Vec<Pattern> =
            text.split('/').map(Pattern::parse).collect::<Result<_, String>>().map_err(invalid)?;
        let fields: Vec<Field> = levels.iter().flat_map(Pattern::fields).collect();
        for field in [Field::Year, Field::Month, Field::Day] {
            if !fields.contains(&field) {
                return Err(invalid(format!("it has no {field}, so no folder is of one date")));
            }
        }
        if let Some(twice) = (1..fields.len()).find(|index| fields[..*index].contains(&fields[*index])) {
            return Err(invalid(format!("it has {} twice", fields[twice])));
        }
        Ok(Self::Dated(levels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: &str = "date=%Y-%m-%d";

    #[test]
    fn layouts_are_parsed_and_written() {
        for text in [
            STANDARD,
            "dt=%Y%m%d",
            "eventDay=%Y%m%d",
            "timestamp=%Y-%m-%dT%H",
            "year=%Y/month=%m/day=%d/hour=%H",
            "resourceId=/*/*/y=%Y/m=%m/d=%d/h=%H/m=%M",
            "%Y/%m/%d",
            "region=*/accountId=*/eventDay=%Y%m%d",
            "flat",
        ] {
            let layout: Layout = text.parse().unwrap();
            assert_eq!(layout.to_string(), text);
            assert_eq!(layout.is_standard(), text == STANDARD, "{text}");
        }
        assert_eq!("/date=%Y-%m-%d/".parse::<Layout>().unwrap(), Layout::standard());
    }

    #[test]
    fn what_is_wrong_with_a_layout_is_named() {
        for (text, reason) in [
            ("year=%Y/month=%m", "it has no day (%d)"),
            ("date=%Y-%m-%d/day=%d", "it has day (%d) twice"),
            ("date=%F", "%F is none of"),
            ("date=%Y-%m-%d%", "% is none of"),
            ("a//date=%Y-%m-%d", "the name of a folder is empty"),
            ("", "the name of a folder is empty"),
        ] {
            let error = text.parse::<Layout>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn folders_below_the_date_are_not_levels_of_it() {
        let levels = |text: &str| text.parse::<Layout>().unwrap().levels_to_date().len();
        assert_eq!(levels("year=%Y/month=%m/day=%d/hour=%H"), 3);
        assert_eq!(levels("timestamp=%Y-%m-%dT%H"), 1);
        assert_eq!(levels("region=*/date=%Y-%m-%d/hour=%H"), 2);
        assert_eq!(levels("flat"), 0);
    }
}
