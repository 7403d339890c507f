//! Why a date of a table was not read, or not completely: facts, which become a sentence only when they are written or shown.

use std::fmt;

use hindcast_base::error::InputFault;
use serde::{Deserialize, Serialize};

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DateReason {
    /// The lake has no such table.
    NoTable,
    /// The root has no such table, but another root of the lake has.
    NoTableInRoot,
    /// The table has no folder of the date.
    NoFolder,
    /// The table lists its files, and none has rows of the date.
    NoRows,
    /// The folder has no Parquet file.
    NoFile,
    /// No row of the date can name the entity under investigation.
    CannotNameEntity,
    /// A file could not be read.
    File(InputFault),
    /// Rows have a time outside the window.
    OutsideWindow {
        /// Their number.
        rows: u64,
    },
    /// Rows have no readable time.
    WithoutTime {
        /// Their number.
        rows: u64,
    },
    /// Values could not be read and count as null.
    UnreadableValues {
        /// Their column.
        column: String,
        /// Their number.
        values: u64,
    },
    /// One or more reasons of a stored scan, as its summary has them.
    Stored(String),
}

/// The reasons of a fixed text.
const FIXED: [DateReason; 6] = [
    DateReason::NoTable,
    DateReason::NoTableInRoot,
    DateReason::NoFolder,
    DateReason::NoRows,
    DateReason::NoFile,
    DateReason::CannotNameEntity,
];

impl fmt::Display for DateReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DateReason::NoTable => formatter.write_str("the lake has no such table"),
            DateReason::NoTableInRoot => formatter.write_str("this root of the lake has no such table"),
            DateReason::NoFolder => formatter.write_str("the table has no folder of this date"),
            DateReason::NoRows => formatter.write_str("no file of the table has rows of this date"),
            DateReason::NoFile => formatter.write_str("the folder has no Parquet file"),
            DateReason::CannotNameEntity => formatter.write_str(
                "not read: no row of this date can name the entity, and nothing ties it to a name there",
            ),
            DateReason::File(fault) => write!(formatter, "{fault}"),
            DateReason::OutsideWindow { rows } => {
                write!(formatter, "{} a time outside the window", rows_have(*rows))
            }
            DateReason::WithoutTime { rows } => write!(formatter, "{} no readable time", rows_have(*rows)),
            DateReason::UnreadableValues { column, values } => {
                let (noun, verb) = if *values == 1 { ("value", "counts") } else { ("values", "count") };
                write!(formatter, "{values} {noun} of {column} could not be read and {verb} as null")
            }
            DateReason::Stored(text) => formatter.write_str(text),
        }
    }
}

/// The beginning of a sentence about rows.
fn rows_have(rows: u64) -> String {
    if rows == 1 { "1 row has".to_owned() } else { format!("{rows} rows have") }
}

/// All reasons of a date; none if it was read completely. In JSON they are one text, or null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Option<String>", from = "Option<String>")]
pub struct DateReasons(Vec<DateReason>);

impl DateReasons {
    /// Whether the date was read completely.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `reason` is among them.
    pub fn has(&self, reason: &DateReason) -> bool {
        self.0.contains(reason)
    }

    /// Whether the table has no data of the date.
    pub fn is_absent(&self) -> bool {
        self.has(&DateReason::NoFolder) || self.has(&DateReason::NoRows)
    }

    /// Whether they are `reason` alone.
    pub fn is_only(&self, reason: &DateReason) -> bool {
        matches!(self.0.as_slice(), [only] if only == reason)
    }

    /// Adds a file that could not be read, unless it is among them.
    pub(super) fn add_file(&mut self, fault: &InputFault) {
        let is_known =
            |reason: &DateReason| matches!(reason, DateReason::File(known) if known.file == fault.file);
        if !self.0.iter().any(is_known) {
            self.0.push(DateReason::File(fault.clone()));
        }
    }
}

impl From<DateReason> for DateReasons {
    fn from(reason: DateReason) -> Self {
        Self(vec![reason])
    }
}

impl FromIterator<DateReason> for DateReasons {
    fn from_iter<I: IntoIterator<Item = DateReason>>(reasons: I) -> Self {
        Self(reasons.into_iter().collect())
    }
}

impl fmt::Display for DateReasons {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            write!(formatter, "{reason}")?;
        }
        Ok(())
    }
}

impl From<DateReasons> for Option<String> {
    fn from(reasons: DateReasons) -> Self {
        (!reasons.is_empty()).then(|| reasons.to_string())
    }
}

impl From<Option<String>> for DateReasons {
    /// The reasons of a stored scan. Those of a fixed text are known again, like names.
    fn from(text: Option<String>) -> Self {
        let reason = |text: String| {
            let fixed = FIXED.into_iter().find(|reason| reason.to_string() == text);
            fixed.unwrap_or(DateReason::Stored(text))
        };
        Self(text.map(reason).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(file: &str) -> InputFault {
        InputFault {
            file: file.into(),
            row_group: Some(2),
            column: Some("a".into()),
            reason: "bad page".into(),
        }
    }

    #[test]
    fn reasons_are_one_text_or_null_in_json() {
        let json = |reasons: DateReasons| serde_json::to_string(&reasons).unwrap();
        assert_eq!(json(DateReasons::default()), "null");
        let several = [
            DateReason::File(fault("x.parquet")),
            DateReason::OutsideWindow { rows: 3 },
            DateReason::WithoutTime { rows: 4 },
            DateReason::UnreadableValues { column: "SentBytes".into(), values: 5 },
        ];
        assert_eq!(
            json(several.into_iter().collect()),
            "\"file x.parquet, row group 2, column a: bad page; 3 rows have a time outside the window; \
             4 rows have no readable time; 5 values of SentBytes could not be read and count as null\""
        );
    }

    #[test]
    fn reasons_of_a_fixed_text_are_known_again() {
        for reason in FIXED {
            let reasons = DateReasons::from(reason.clone());
            let read: DateReasons = serde_json::from_str(&serde_json::to_string(&reasons).unwrap()).unwrap();
            assert_eq!(read, reasons);
            assert!(read.has(&reason) && read.is_only(&reason));
        }
        let read: DateReasons = serde_json::from_str("\"3 rows have no readable time\"").unwrap();
        assert_eq!(read, DateReasons::from(DateReason::Stored("3 rows have no readable time".into())));
        assert_eq!(read.to_string(), "3 rows have no readable time");
        assert!(serde_json::from_str::<DateReasons>("null").unwrap().is_empty());
    }

    #[test]
    fn a_file_is_named_once() {
        let mut reasons = DateReasons::from(DateReason::CannotNameEntity);
        for file in ["x.parquet", "y.parquet", "x.parquet"] {
            reasons.add_file(&fault(file));
        }
        let files = reasons.0.iter().filter(|reason| matches!(reason, DateReason::File(_)));
        assert_eq!(files.count(), 2);
        assert!(
            reasons.has(&DateReason::CannotNameEntity) && !reasons.is_only(&DateReason::CannotNameEntity)
        );
    }
}
