//! Data that is present and should have been looked at, but was not, whatever its date.

use std::fmt;
use std::sync::Arc;

use chrono::NaiveDate;
use hindcast_lake::MAIN_ROOT;
use serde::{Deserialize, Serialize};

/// A gap of the coverage.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "GapRecord", from = "GapRecord")]
pub struct Gap {
    /// The table; for a failed detection, its id, and for a root, its name.
    pub table: String,
    /// The root of that part of the table, if the lake has several.
    pub root: Option<String>,
    /// Why it was not looked at.
    pub cause: GapCause,
}

/// Why data was not looked at.
#[derive(Debug, Clone)]
pub enum GapCause {
    /// The table is present under another name.
    OtherTableName {
        /// That name.
        found: String,
    },
    /// Parquet files lie outside the layout of their table.
    Layout {
        /// The folders of the layout, for people.
        layout: String,
        /// Another layout that some of the folders seem to have.
        other_layout: Option<String>,
        /// Some of them.
        paths: Vec<String>,
        /// Number of the others.
        others: usize,
    },
    /// Columns are missing, or have other names.
    Columns {
        /// What that means for the table.
        effect: ColumnEffect,
        /// The columns.
        absent: Vec<AbsentColumn>,
        /// The preset of mappings whose schema the columns that exist have.
        preset: Option<&'static str>,
    },
    /// No row has a value that the suite looks for.
    Rows(UnusedRows),
    /// The newest rows, from which the window is counted back, could not be read.
    Newest {
        /// The date of their folder.
        date: NaiveDate,
        /// Why.
        faults: Vec<NewestFault>,
    },
    /// A user's own detection failed.
    Detection {
        /// The error, with file and line.
        error: String,
    },
    /// Nothing of a root was looked at.
    Root {
        /// Why.
        reason: String,
    },
    /// A gap of a stored scan.
    Stored(StoredGap),
}

/// What missing columns mean for a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnEffect {
    /// No analysis of the table could run.
    NoAnalysis,
    /// None of its rows has a time.
    NoTime,
    /// The table was read without the columns.
    Incomplete,
}

/// A column that a table lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentColumn {
    /// Its name.
    pub name: String,
    /// Where the mapping says that it is.
    pub source: Option<String>,
    /// The most similar name in the table, if there is one.
    pub nearest: Option<String>,
}

/// Rows of which a suite looks at none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedRows {
    /// Number of rows in the window.
    pub rows: u64,
    /// The column by which the suite chooses rows.
    pub column: String,
    /// The values that it looks for.
    pub wanted: Vec<String>,
    /// The parameter with those values, if there is one.
    pub parameter: Option<&'static str>,
    /// The most frequent values instead, with the number of their rows; none for rows without a value.
    pub counts: Vec<(Option<String>, u64)>,
    /// Number of rows with other values.
    pub others: u64,
}

/// Why a newest date could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewestFault {
    /// The file can't be read.
    Unreadable {
        /// The error, which names the file.
        error: String,
    },
    /// None of the file's rows has a readable time.
    NoTime {
        /// The file.
        file: String,
        /// Its number of rows.
        rows: usize,
    },
}

/// A gap as a stored scan has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGap {
    kind: GapKind,
    reason: String,
    looked_for: Vec<String>,
    found: Vec<String>,
}

/// The kind of a gap, in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GapKind {
    Table,
    Layout,
    Columns,
    Rows,
    Newest,
    Detection,
    Root,
}

/// A gap in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GapRecord {
    pub(super) kind: GapKind,
    pub(super) table: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) root: Option<String>,
    /// A sentence for people.
    pub(super) reason: String,
    /// What the scan looked for: names of tables or columns, or values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) looked_for: Vec<String>,
    /// What it found instead: similar names, values with the number of their rows, or paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) found: Vec<String>,
}

impl Gap {
    /// A gap of a table in the only root of its lake.
    pub(super) fn new(table: impl Into<String>, cause: GapCause) -> Self {
        Self { table: table.into(), root: None, cause }
    }

    /// The gap of a part of its table, if the lake has several roots.
    #[must_use]
    pub(super) fn in_root(self, root: Option<&Arc<str>>) -> Self {
        Self { root: root.map(|root| root.to_string()), ..self }
    }

    /// Whether the suite looks at none of the table's rows.
    pub(super) fn is_of_rows(&self) -> bool {
        match &self.cause {
            GapCause::Rows(_) => true,
            GapCause::Stored(stored) => stored.kind == GapKind::Rows,
            _ => false,
        }
    }

    /// What the scan looked for, and what it found instead.
    fn looked_for_and_found(&self) -> (Vec<String>, Vec<String>) {
        match &self.cause {
            GapCause::OtherTableName { found } => (vec![self.table.clone()], vec![found.clone()]),
            GapCause::Layout { paths, .. } => (Vec::new(), paths.clone()),
            GapCause::Columns { absent, .. } => {
                let mut found: Vec<String> =
                    absent.iter().filter_map(|column| column.nearest.clone()).collect();
                found.sort();
                found.dedup();
                (absent.iter().map(|column| column.name.clone()).collect(), found)
            }
            GapCause::Rows(unused) => (unused.wanted.clone(), unused.formatted_counts()),
            GapCause::Newest { .. } | GapCause::Detection { .. } | GapCause::Root { .. } => {
                (Vec::new(), Vec::new())
            }
            GapCause::Stored(stored) => (stored.looked_for.clone(), stored.found.clone()),
        }
    }

    fn kind(&self) -> GapKind {
        match &self.cause {
            GapCause::OtherTableName { .. } => GapKind::Table,
            GapCause::Layout { .. } => GapKind::Layout,
            GapCause::Columns { .. } => GapKind::Columns,
            GapCause::Rows(_) => GapKind::Rows,
            GapCause::Newest { .. } => GapKind::Newest,
            GapCause::Detection { .. } => GapKind::Detection,
            GapCause::Root { .. } => GapKind::Root,
            GapCause::Stored(stored) => stored.kind,
        }
    }

    /// The cause as a sentence.
    fn reason(&self) -> String {
        match &self.cause {
            GapCause::OtherTableName { found } => {
                format!("the lake has no such table, but one called {found}")
            }
            GapCause::Layout { layout, other_layout, paths, others } => {
                let more = if *others > 0 { format!(" and {others} more") } else { String::new() };
                let other = other_layout.as_ref().map(|other| {
                    format!(
                        ". Folders {other} are of another layout: name the one to read in [tables.{}] layout",
                        self.table
                    )
                });
                let other = other.unwrap_or_default();
                format!("there are Parquet files in no {layout} folder: {}{more}{other}", paths.join(", "))
            }
            GapCause::Columns { effect, absent, preset } => {
                let names: Vec<String> = absent.iter().map(ToString::to_string).collect();
                let section = match self.root.as_deref() {
                    None | Some(MAIN_ROOT) => "tables",
                    Some(_) => "roots.tables",
                };
                let advice = match preset {
                    Some(preset) => format!(
                        "Its columns are those of a preset: write preset = \"{preset}\" in [{section}.{}], docs/lakes.md",
                        self.table
                    ),
                    None => format!("Name them in [{section}.{}.columns], docs/configuration.md", self.table),
                };
                format!("{effect}: it has no column {}. {advice}", names.join(", "))
            }
            GapCause::Rows(unused) => unused.to_string(),
            GapCause::Newest { date, faults } => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                let faults = faults.join("; ");
                format!(
                    "the newest date {date} could not be read, and the window may end too early: {faults}"
                )
            }
            GapCause::Detection { error } => format!("it failed: {error}"),
            GapCause::Root { reason } => format!("nothing of this root was looked at: {reason}"),
            GapCause::Stored(stored) => stored.reason.clone(),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Some(root) => write!(formatter, "{} in root {root}: {}", self.table, self.reason()),
            None => write!(formatter, "{}: {}", self.table, self.reason()),
        }
    }
}

/// Gaps are equal if they are in JSON: one may come from a stored scan.
impl PartialEq for Gap {
    fn eq(&self, other: &Self) -> bool {
        GapRecord::from(self.clone()) == GapRecord::from(other.clone())
    }
}

impl UnusedRows {
    fn formatted_counts(&self) -> Vec<String> {
        let format_count = |(value, count): &(Option<String>, u64)| match value {
            Some(value) => format!("{value} ({count})"),
            None => format!("no value ({count})"),
        };
        self.counts.iter().map(format_count).collect()
    }
}

impl fmt::Display for UnusedRows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, column, .. } = self;
        let others = if self.others > 0 { format!(" and others ({})", self.others) } else { String::new() };
        let by = self.parameter.map(|name| format!(" ({name})")).unwrap_or_default();
        write!(
            formatter,
            "none of its {rows} rows was looked at: {column} is {}{others}, but the analyses read only {}{by}",
            self.formatted_counts().join(", "),
            self.wanted.join(" or ")
        )
    }
}

impl fmt::Display for ColumnEffect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ColumnEffect::NoAnalysis => "no analysis of it could run",
            ColumnEffect::NoTime => "none of its rows has a time",
            ColumnEffect::Incomplete => "it was read without some columns",
        })
    }
}

impl fmt::Display for AbsentColumn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(source) = &self.source {
            write!(formatter, " at {source}")?;
        }
        match &self.nearest {
            Some(nearest) => write!(formatter, " (the nearest there is {nearest})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for NewestFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NewestFault::Unreadable { error } => formatter.write_str(error),
            NewestFault::NoTime { file, rows } => {
                write!(formatter, "file {file}: none of its {rows} rows has a readable time")
            }
        }
    }
}

impl From<Gap> for GapRecord {
    fn from(gap: Gap) -> Self {
        let (kind, reason) = (gap.kind(), gap.reason());
        let (looked_for, found) = gap.looked_for_and_found();
        Self { kind, table: gap.table, root: gap.root, reason, looked_for, found }
    }
}

impl From<GapRecord> for Gap {
    fn from(record: GapRecord) -> Self {
        let GapRecord { kind, table, root, reason, looked_for, found } = record;
        Self { table, root, cause: GapCause::Stored(StoredGap { kind, reason, looked_for, found }) }
    }
}

#[cfg(test)]
#[path = "gap_tests.rs"]
mod tests;
