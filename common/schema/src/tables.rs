//! The tables that Hindcast reads: their time column, their shard key, their columns, and which columns name whom.

use std::fmt;
use std::sync::LazyLock;

use hindcast_base::{Error, Result};
use serde::Deserialize;

use super::embedded;
use super::selection::EntityColumn;
use super::table_file::read_table;

/// The column of the fields that a table has no column for: a JSON object. Every table has it.
pub const ADDITIONAL_FIELDS: &str = "AdditionalFields";

/// The kind of a column, independent of the physical type in which a file stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// A time, read as microseconds in UTC.
    Time,
    /// Text, read as a dictionary; nested values are read as JSON.
    Text,
    /// A whole number: bytes, ports, identifiers.
    Integer,
}

impl ColumnKind {
    /// Its name in the files of tables.
    pub fn name(self) -> &'static str {
        match self {
            ColumnKind::Time => "time",
            ColumnKind::Text => "text",
            ColumnKind::Integer => "integer",
        }
    }
}

/// One column of a table, by its name in the product that logs it.
#[derive(Debug, Clone, Copy)]
pub struct ColumnSpec {
    /// Name, case-sensitive.
    pub name: &'static str,
    /// Its kind.
    pub kind: ColumnKind,
    /// Whether many logs lack it, so that an import adds it only if a record has it.
    pub is_optional: bool,
}

/// One table of the lake.
///
/// ```
/// use hindcast_schema::{ColumnKind, TableSpec};
///
/// let table = TableSpec::by_name("CommonSecurityLog").unwrap();
/// assert_eq!(table.time_column, "TimeGenerated");
/// assert_eq!(table.column("SentBytes").map(|column| column.kind), Some(ColumnKind::Integer));
/// assert!(table.column("sentbytes").is_none(), "names are case-sensitive");
/// ```
#[derive(Debug)]
pub struct TableSpec {
    /// Name of the table and of its folder.
    pub name: &'static str,
    /// Its place among the tables; tables of the same place are in order of name.
    pub position: u32,
    /// Its rows, in a sentence; may be empty.
    pub doc: &'static str,
    /// Column with the row's time; a file without it can't be read.
    pub time_column: &'static str,
    /// Column whose value decides the shard, if the table has one.
    pub shard_key: Option<&'static str>,
    /// Its columns, the time column included. Only those that a query needs are read.
    pub columns: &'static [ColumnSpec],
    /// Columns that name devices, users and addresses.
    pub entity_columns: &'static [EntityColumn],
}

impl TableSpec {
    /// The built-in table of that name. The tables of a run may be more: [`Tables`] has them.
    pub fn by_name(name: &str) -> Option<&'static TableSpec> {
        Tables::built_in().by_name(name)
    }

    /// What decides the values of `columns` of a user's own table and whose rows they are, for the keys of state. It is empty for a
    /// built-in table: versions stand for that.
    pub fn own_meaning(&self, columns: &[&str]) -> String {
        if Tables::built_in().by_name(self.name).is_some() {
            return String::new();
        }
        let read = self.columns.iter().filter(|column| columns.contains(&column.name));
        let kinds: Vec<(&str, &str)> = read.map(|column| (column.name, column.kind.name())).collect();
        format!("{} {} {kinds:?} {:?}", self.name, self.time_column, self.entity_columns)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static ColumnSpec> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The tables of a run: the built-in ones and the users' own. Copies are cheap.
///
/// ```
/// use hindcast_schema::Tables;
///
/// let text = "time_column = 'Time'\n[columns]\nTime = 'time'\nHost = 'text'";
/// let tables = Tables::with_own(&[("tables/Proxy_CL.toml", text)])?;
/// assert_eq!(tables.by_name("Proxy_CL").map(|table| table.columns.len()), Some(3));
/// assert!(tables.by_name("AuditLogs").is_some(), "the built-in ones are there too");
/// # Ok::<(), hindcast_base::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Tables(&'static [&'static TableSpec]);

static BUILT_IN: LazyLock<Tables> = LazyLock::new(|| {
    let files = embedded::FILES.iter().filter(|(path, _)| path.starts_with("tables/"));
    let read = files.map(|(path, text)| read_table(path, text));
    match read.collect::<Result<Vec<_>>>() {
        Ok(tables) => Tables::of(tables),
        // The tests load them, so a binary that passed the tests has no broken ones.
        Err(error) => panic!("a built-in table is broken: {error}"),
    }
});

impl Tables {
    /// The tables that are built into the binary.
    pub fn built_in() -> Self {
        *BUILT_IN
    }

    /// The built-in tables and the users' own `files`: paths, as errors name them, and texts. They stay in memory as long as the
    /// process.
    ///
    /// # Errors
    /// [`Error::File`] with the file and line of a mistake, or with the file whose table exists already.
    pub fn with_own(files: &[(&str, &str)]) -> Result<Self> {
        let built_in = Self::built_in();
        if files.is_empty() {
            return Ok(built_in);
        }
        let mut tables = built_in.0.to_vec();
        for (path, text) in files {
            let table = read_table(path, text)?;
            if tables.iter().any(|known| known.name == table.name) {
                let message = format!("there is a table {} already; choose another name", table.name);
                return Err(Error::in_file(*path, 1, message));
            }
            tables.push(table);
        }
        Ok(Self::of(tables))
    }

    fn of(mut tables: Vec<&'static TableSpec>) -> Self {
        tables.sort_by_key(|table| (table.position, table.name));
        Self(Box::leak(tables.into_boxed_slice()))
    }

    /// Every table.
    pub fn all(self) -> &'static [&'static TableSpec] {
        self.0
    }

    /// The table of that name.
    pub fn by_name(self, name: &str) -> Option<&'static TableSpec> {
        self.0.iter().copied().find(|table| table.name == name)
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|table| table.name)
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self::built_in()
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}
