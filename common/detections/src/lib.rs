//! Detections as data: folders of TOML and SQL. One loader reads the built-in ones and the users' own. The crate also has rollups,
//! analyses, the rules of findings, and the configuration with all parameters.

pub mod analyses;
pub mod bindings;
pub mod chart;
mod chart_check;
mod chart_points;
mod check;
pub mod config;
mod definition;
pub mod docs;
mod embedded;
pub mod findings;
mod load;
mod metadata;
pub mod parameters;
pub mod rollups;
pub mod row_text;
pub mod size;
pub mod sql;
#[cfg(test)]
mod test_texts;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::{fmt, ptr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use definition::ColumnType;
pub(crate) use load::{leaked, leaked_list};

use self::chart::ChartDefinition;
use self::load::{Existing, Parts};
use self::parameters::{ParameterDefinition, ParameterType};
use self::sql::SqlText;
use crate::analyses::{Analysis, Suite};
use crate::config::Config;
use crate::rollups::Rollup;
use hindcast_base::{Error, Result};
use hindcast_lake::Tables;

/// The metadata of an analysis, apart from how it is computed.
#[derive(Debug)]
pub struct About {
    /// Its `detection.toml`, as errors name it.
    pub file: &'static str,
    /// Path and text of its `cases.toml`.
    pub cases: Option<(&'static str, &'static str)>,
    /// Description in a sentence or two.
    pub shows: &'static str,
    /// Whether it is a user's own.
    pub is_own: bool,
    /// Position in reports.
    pub position: u32,
    /// Its parameters by name.
    pub parameters: BTreeMap<String, ParameterDefinition>,
    /// Parameters of other sections that its SQL uses: alias and path.
    pub uses: &'static [(&'static str, &'static str)],
    /// Checks for parameters that contradict each other.
    pub checks: Vec<Check>,
    /// The columns of its result, in order.
    pub columns: Vec<ColumnAbout>,
    /// Charts of the result.
    pub charts: Vec<ChartDefinition>,
    /// Guide for the analyst.
    pub guide: Guide,
}

/// A condition over parameters.
#[derive(Debug)]
pub struct Check {
    /// SQL that is true if they agree.
    pub holds: SqlText,
    /// Error message if they do not: a template over the parameters.
    pub message: &'static str,
}

/// A column of a result.
#[derive(Debug)]
pub struct ColumnAbout {
    /// Its name.
    pub name: &'static str,
    /// The line of `detection.toml` that names it, counted from 1.
    pub line: usize,
    /// Its type.
    pub kind: ColumnType,
    /// Its unit; empty if it has none.
    pub unit: &'static str,
    /// Its description.
    pub doc: &'static str,
}

impl About {
    /// The description of a result column with its unit; empty if the column is not documented.
    pub fn describe_column(&self, column: &str) -> String {
        match self.columns.iter().find(|about| about.name == column) {
            Some(about) if about.unit.is_empty() => about.doc.to_owned(),
            Some(about) => format!("{} ({})", about.doc, about.unit),
            None => String::new(),
        }
    }
}

/// Advice for the reader of a finding.
#[derive(Debug)]
pub struct Guide {
    /// Harmless causes.
    pub benign: Vec<String>,
    /// How to rule the harmless causes out.
    pub confirm: Vec<String>,
    /// What to do next.
    pub next: Vec<String>,
}

impl Guide {
    /// Whether it has no advice.
    pub fn is_empty(&self) -> bool {
        self.benign.is_empty() && self.confirm.is_empty() && self.next.is_empty()
    }
}

/// The detections and rollups of a run. Copies are cheap: each content is loaded once and stays in memory.
///
/// ```
/// use hindcast_detections::config::Config;
/// use hindcast_detections::Detections;
///
/// let definition = "version = 1\nsuite = 'firewall'\ntitle = 'Sources'\nshows = 'All sources.'\n\
///     rollups = ['external_pairs']\n[[columns]]\nname = 'source_ip'\ntype = 'text'\ndoc = 'Source.'";
/// let query = "SELECT DISTINCT source_ip FROM external_pairs";
/// let files = [("mine/sources/detection.toml", definition), ("mine/sources/query.sql", query)];
/// let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec();
///
/// let detections = Detections::with_own(files)?;
/// assert_eq!(detections.by_id("sources").map(|found| found.title), Some("Sources"));
/// assert!(detections.by_id("beaconing").is_some(), "the built-in ones are there too");
/// // The SQL is planned over tables without rows.
/// detections.check_own(&Config::load_with("default", &[], detections)?)?;
/// # Ok::<(), hindcast_base::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Detections(&'static Loaded);

/// Paths, as errors name them, and texts.
type Files = Vec<(String, String)>;

/// The content of a set of files.
struct Loaded {
    /// The users' own files.
    own: Files,
    /// Every analysis in order of position.
    all: Vec<&'static Analysis>,
    /// Those of the suites that a scan can run.
    analyses: Vec<&'static Analysis>,
    /// Those of an investigation.
    investigation: Vec<&'static Analysis>,
    /// Every rollup in order of id.
    rollups: Vec<&'static Rollup>,
    /// Every table of the lake that they can read.
    tables: Tables,
}

static BUILT_IN: LazyLock<&'static Loaded> = LazyLock::new(|| {
    let files: Vec<(String, String)> =
        embedded::FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    match load::load(&files, None) {
        Ok(parts) => Box::leak(Box::new(Loaded::new(Vec::new(), parts))),
        // The tests load them, so a binary that passed the tests has no broken ones.
        Err(error) => panic!("a built-in detection is broken: {error}"),
    }
});

impl Loaded {
    fn new(own: Files, parts: Parts) -> Self {
        let Parts { mut analyses, mut rollups, tables } = parts;
        analyses.sort_by_key(|analysis| (analysis.about.position, analysis.id));
        rollups.sort_by_key(|rollup| rollup.id);
        let of = |wanted: &dyn Fn(&Analysis) -> bool| {
            analyses.iter().copied().filter(|analysis| wanted(analysis)).collect()
        };
        Self {
            analyses: of(&|analysis| analysis.is_reported()),
            investigation: of(&|analysis| analysis.suite == Suite::Investigation),
            own,
            all: analyses,
            rollups,
            tables,
        }
    }
}

impl Detections {
    /// The detections that are built into the binary.
    pub fn built_in() -> Self {
        Self(*BUILT_IN)
    }

    /// The built-in detections and the users' own `files`: paths, as errors name them, and texts. A folder with a `detection.toml`
    /// is a detection, a TOML file in a folder `rollups` is a rollup, and one in a folder `tables` is a table.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file and line of a mistake, or with the file whose id exists already.
    pub fn with_own(files: Vec<(String, String)>) -> Result<Self> {
        Self::with_built_in(files, false)
    }

    /// Like [`Detections::with_own`], but a detection or rollup with a built-in id replaces the built-in one: for work on the
    /// built-in detections. Runs that write results never use this.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file and line of a mistake.
    pub fn replacing(files: Vec<(String, String)>) -> Result<Self> {
        Self::with_built_in(files, true)
    }

    fn with_built_in(mut files: Vec<(String, String)>, is_replaced: bool) -> Result<Self> {
        // Each content is loaded once and stays as long as the process.
        static KNOWN: LazyLock<Mutex<HashMap<(bool, Files), Detections>>> = LazyLock::new(Mutex::default);
        if files.is_empty() {
            return Ok(Self::built_in());
        }
        files.sort();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (is_replaced, files);
        if let Some(detections) = known.get(&key) {
            return Ok(*detections);
        }
        let built_in = Self::built_in();
        let existing = Existing { detections: built_in, is_replaced };
        let mut parts = load::load(&key.1, Some(existing))?;
        let ids: BTreeSet<&str> = parts.analyses.iter().map(|one| one.id).collect();
        let rollup_ids: BTreeSet<&str> = parts.rollups.iter().map(|one| one.id).collect();
        parts.analyses.extend(built_in.0.all.iter().filter(|one| !ids.contains(one.id)));
        parts.rollups.extend(built_in.0.rollups.iter().filter(|one| !rollup_ids.contains(one.id)));
        let loaded = Self(Box::leak(Box::new(Loaded::new(key.1.clone(), parts))));
        known.insert(key, loaded);
        Ok(loaded)
    }

    /// The analyses of the suites, in the order of reports.
    pub fn analyses(self) -> &'static [&'static Analysis] {
        &self.0.analyses
    }

    /// The analyses of an investigation, in the order of reports.
    pub fn investigation(self) -> &'static [&'static Analysis] {
        &self.0.investigation
    }

    /// Every analysis, including those that a scan runs for its own lookups.
    pub fn all(self) -> &'static [&'static Analysis] {
        &self.0.all
    }

    /// Every rollup, in order of id.
    pub fn rollups(self) -> &'static [&'static Rollup] {
        &self.0.rollups
    }

    /// The analysis of that id.
    pub fn by_id(self, id: &str) -> Option<&'static Analysis> {
        self.0.all.iter().copied().find(|analysis| analysis.id == id)
    }

    /// The analysis with a result table or companion table of this name.
    pub fn by_table(self, table: &str) -> Option<&'static Analysis> {
        let is_companion = |analysis: &&&'static Analysis| {
            analysis.companion.as_ref().is_some_and(|companion| companion.name == table)
        };
        self.by_id(table).or_else(|| self.0.all.iter().find(is_companion).copied())
    }

    /// The rollup of that id.
    pub fn rollup(self, id: &str) -> Option<&'static Rollup> {
        self.0.rollups.iter().copied().find(|rollup| rollup.id == id)
    }

    /// The tables of a lake that they can read.
    pub fn tables(self) -> Tables {
        self.0.tables
    }

    /// The type of the parameter at `section.name`; `None` if no detection has it.
    pub(crate) fn parameter_type(self, path: &str) -> Option<ParameterType> {
        let (section, name) = path.split_once('.')?;
        Some(self.by_id(section)?.about.parameters.get(name)?.kind)
    }

    /// Paths and texts of the users' own files.
    pub fn own(self) -> &'static [(String, String)] {
        &self.0.own
    }

    /// Whether there are only built-in ones.
    pub(crate) fn are_built_in(&self) -> bool {
        self.0.own.is_empty()
    }

    /// Checks the SQL of every rollup and detection of users, over tables without rows: names, types, and that the result has
    /// the documented columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] with file and line.
    pub fn check_own(self, config: &Config) -> Result<()> {
        self.problems(config).into_iter().next().map_or(Ok(()), Err)
    }

    /// The errors of [`Detections::check_own`]: the first of each rollup and detection, because later ones may follow from it.
    pub fn problems(self, config: &Config) -> Vec<Error> {
        let is_built_in = |rollup: &Rollup| BUILT_IN.rollups.iter().any(|known| ptr::eq(*known, rollup));
        let rollups = self.0.rollups.iter().filter(|rollup| !is_built_in(rollup));
        let rollups = rollups.filter_map(|rollup| rollup.check(config).err());
        // Those of investigations and correlation need rows that a scan looks up first.
        let own = self.0.analyses.iter().copied().filter(|analysis| analysis.about.is_own);
        rollups.chain(own.filter_map(|analysis| check::check(analysis, config).err())).collect()
    }

    /// Like [`Detections::check_own`], for one analysis.
    ///
    /// # Errors
    /// [`Error::Invalid`] with file and line.
    pub fn check(analysis: &'static Analysis, config: &Config) -> Result<()> {
        check::check(analysis, config)
    }
}

impl Default for Detections {
    fn default() -> Self {
        Self::built_in()
    }
}

impl fmt::Debug for Detections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own: Vec<&str> = self.0.own.iter().map(|(path, _)| path.as_str()).collect();
        formatter.debug_struct("Detections").field("own", &own).finish_non_exhaustive()
    }
}

/// Only the users' own files are serialised, because every process of a version has the built-in ones.
impl Serialize for Detections {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.own.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Detections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let files = Vec::<(String, String)>::deserialize(deserializer)?;
        Self::with_own(files).map_err(|error: Error| serde::de::Error::custom(error))
    }
}
