//! Loads folders of files as analyses and rollups, with the checks that need no plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use toml::Spanned;

use super::definition::{CheckDefinition, ColumnDefinition, DetectionDefinition};
use super::metadata::check_metadata;
use super::parameters::read_values;
use super::sql::SqlText;
use super::{About, Check, ColumnAbout, Detections, Guide};
use crate::analyses::{Analysis, Companion, LookBack, NATIVE, Query, Requirement, Suite};
use crate::config::{Layer, SHARED_SECTIONS};
use crate::findings::FindingRule;
use crate::rollups::{Rollup, definition as rollup_definition};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};
use hindcast_lake::Tables;

const DEFINITION: &str = "detection.toml";
const QUERY: &str = "query.sql";
const FINISH: &str = "finish.sql";
const CASES: &str = "cases.toml";
const ROLLUPS: &str = "rollups";
const TABLES: &str = "tables";

/// The files of a detection by name, with path and text.
type Folder<'a> = BTreeMap<&'a str, (&'a str, &'a str)>;

/// The detections that exist when more files are loaded.
#[derive(Clone, Copy)]
pub(super) struct Existing {
    pub(super) detections: Detections,
    /// Whether files replace what has their id, instead of being refused.
    pub(super) is_replaced: bool,
}

/// What a set of files defines.
pub(super) struct Parts {
    pub(super) analyses: Vec<&'static Analysis>,
    pub(super) rollups: Vec<&'static Rollup>,
    /// The built-in tables, and those of the files.
    pub(super) tables: Tables,
}

/// Loads `files`. `existing` are the built-in detections that a user's files are added to.
pub(super) fn load(files: &[(String, String)], existing: Option<Existing>) -> Result<Parts> {
    let Sorted { folders, rollups: rollup_files, tables } = Sorted::of(files)?;
    let tables = Tables::with_own(&tables)?;
    let is_taken = existing.is_some_and(|existing| !existing.is_replaced);
    let existing = existing.map(|existing| existing.detections);
    let mut rollups: Vec<&'static Rollup> = Vec::new();
    for (id, (path, text)) in rollup_files {
        check_id(path, id)?;
        if is_taken && existing.is_some_and(|known| known.rollup(id).is_some()) {
            return Err(Error::in_file(
                path,
                1,
                format!("there is a rollup {id} already; choose another name"),
            ));
        }
        rollups.push(Box::leak(Box::new(rollup_definition::parse(path, text, id, tables)?)));
    }
    let known = |id: &str| {
        rollups.iter().any(|rollup| rollup.id == id)
            || existing.is_some_and(|known| known.rollup(id).is_some())
    };
    let mut analyses: Vec<&'static Analysis> = Vec::new();
    for (folder, files) in folders {
        let id = folder.rsplit('/').next().unwrap_or(folder);
        let (path, _) = files[DEFINITION];
        check_id(path, id)?;
        if id == "detections" || SHARED_SECTIONS.contains(&id) {
            return Err(Error::in_file(
                path,
                1,
                format!("{id:?} is the name of another section of configuration files; choose another name"),
            ));
        }
        let is_built_in = existing.is_none_or(|known| known.by_id(id).is_some());
        if (is_taken && is_built_in) || analyses.iter().any(|analysis| analysis.id == id) {
            return Err(Error::in_file(
                path,
                1,
                format!("there is a detection {id} already; choose another name"),
            ));
        }
        let analysis = analysis(id, &files, Origin { is_own: existing.is_some(), is_built_in, tables })?;
        let mut read = analysis.rollups.iter().chain(analysis.optional_rollups);
        if let Some(rollup) = read.find(|rollup| !known(rollup)) {
            let all = rollups.iter().map(|rollup| rollup.id);
            let others = existing.into_iter().flat_map(Detections::rollups).map(|rollup| rollup.id);
            let hint = did_you_mean(rollup, all.chain(others));
            return Err(wrong(&files, rollup, &format!("there is no rollup {rollup:?}{hint}")));
        }
        let built_in = existing.into_iter().flat_map(Detections::all).copied();
        check_tables(&analysis, &files, analyses.iter().copied().chain(built_in))?;
        analyses.push(Box::leak(Box::new(analysis)));
    }
    Ok(Parts { analyses, rollups, tables })
}

/// Checks that no two result tables have the same name.
fn check_tables(
    analysis: &Analysis,
    files: &Folder<'_>,
    others: impl Iterator<Item = &'static Analysis>,
) -> Result<()> {
    let companion = |of: &Analysis| of.companion.as_ref().map(|companion| companion.name);
    let others = others.filter(|other| other.id != analysis.id);
    let taken: BTreeSet<&str> =
        others.flat_map(|other| [Some(other.id), companion(other)]).flatten().collect();
    let own = companion(analysis);
    let is_taken = |name: &&str| taken.contains(name) || (*name == analysis.id && own == Some(analysis.id));
    match [Some(analysis.id), own].into_iter().flatten().find(is_taken) {
        Some(name) => {
            Err(wrong(files, name, &format!("there is a table {name} already; choose another name")))
        }
        None => Ok(()),
    }
}

/// Files by what they are parts of.
struct Sorted<'a> {
    /// The files of each detection's folder.
    folders: BTreeMap<&'a str, Folder<'a>>,
    /// Path and text of each rollup, by id.
    rollups: BTreeMap<&'a str, (&'a str, &'a str)>,
    /// Path and text of each table.
    tables: Vec<(&'a str, &'a str)>,
}

impl<'a> Sorted<'a> {
    fn of(files: &'a [(String, String)]) -> Result<Self> {
        let mut sorted = Self { folders: BTreeMap::new(), rollups: BTreeMap::new(), tables: Vec::new() };
        for (path, text) in files {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            match folder.rsplit('/').next() {
                Some(ROLLUPS) => {
                    let id = name.strip_suffix(".toml").ok_or_else(|| {
                        Error::in_file(path, 1, "a rollup is a TOML file; move this file out of the folder")
                    })?;
                    sorted.rollups.insert(id, (path.as_str(), text.as_str()));
                }
                Some(TABLES) => sorted.tables.push((path, text)),
                _ => {
                    sorted.folders.entry(folder).or_default().insert(name, (path, text));
                }
            }
        }
        for (folder, files) in &sorted.folders {
            if !files.contains_key(DEFINITION) {
                return Err(Error::Invalid(format!(
                    "{folder}: the folder has no {DEFINITION}, so it is not a detection"
                )));
            }
        }
        Ok(sorted)
    }
}

/// Origin of a detection's files.
#[derive(Clone, Copy)]
struct Origin {
    /// They are from a folder that a user named.
    is_own: bool,
    /// They are, or replace, a built-in detection.
    is_built_in: bool,
    /// The tables that they can name.
    tables: Tables,
}

fn analysis(id: &str, files: &Folder<'_>, origin: Origin) -> Result<Analysis> {
    let (path, text) = files[DEFINITION];
    let mut definition: DetectionDefinition = parse(path, text)?;
    read_values(&Layer { name: path, text }, &mut definition.parameters)?;
    let file = leaked(path);
    check_files(files, &definition, origin)?;
    let companion = definition.companion.as_deref().map(|name| companion(files, name)).transpose()?;
    check_metadata(&Layer { name: path, text }, &definition, origin.tables)?;
    let order = definition.order.iter().map(|column| match column.get_ref().strip_prefix('-') {
        Some(column) => (leaked(column), true),
        None => (leaked(column.get_ref()), false),
    });
    let inline = |sql: &str| SqlText { file, line: line_of(text, sql), text: leaked(sql) };
    Ok(Analysis {
        id: leaked(id),
        version: definition.version,
        suite: definition.suite,
        title: leaked(&definition.title),
        rollups: spanned(&definition.rollups),
        optional_rollups: spanned(&definition.optional_rollups),
        requires: leaked_list(
            definition
                .requires
                .iter()
                .map(|required| Requirement {
                    tables: spanned(required.tables.get_ref()),
                    columns: spanned(&required.columns),
                })
                .collect(),
        ),
        locations: definition.locations,
        is_of_all_rows: definition.of_all_rows,
        look_back: definition.look_back.as_ref().map(|look_back| LookBack {
            rollups: spanned(&look_back.rollups),
            start: inline(&look_back.start),
        }),
        query: query(id, files, origin)?,
        finish: files.get(FINISH).map(|(path, text)| whole(path, text)),
        order: leaked_list(order.collect()),
        limit: definition.limit.as_ref().map(|limit| leaked(limit.get_ref())),
        per_key: spanned(&definition.per_key),
        companion,
        finding: definition.finding.map(|finding| FindingRule::load(finding, file, text)).transpose()?,
        about: About {
            file,
            cases: files.get(CASES).map(|(path, text)| (leaked(path), leaked(text))),
            shows: leaked(&definition.shows),
            is_own: origin.is_own,
            position: definition.position,
            uses: leaked_list(
                definition.uses.iter().map(|(alias, path)| (leaked(alias), leaked(path))).collect(),
            ),
            checks: definition.checks.iter().map(|check| loaded_check(check, &inline)).collect(),
            columns: definition.columns.iter().map(|one| column(&Layer { name: path, text }, one)).collect(),
            parameters: definition.parameters,
            charts: definition.chart,
            guide: Guide {
                benign: definition.guide.benign,
                confirm: definition.guide.confirm,
                next: definition.guide.next,
            },
        },
    })
}

/// Checks the suite, and that the folder has no other files than the parts of a detection.
fn check_files(files: &Folder<'_>, definition: &DetectionDefinition, origin: Origin) -> Result<()> {
    if !origin.is_built_in && !Suite::ALL.contains(&definition.suite) {
        let names = Suite::ALL.map(Suite::name).join(", ");
        return Err(wrong(files, "suite =", &format!("a detection's suite is one of {names}")));
    }
    let allowed: BTreeSet<String> = [DEFINITION, QUERY, FINISH, CASES]
        .into_iter()
        .map(str::to_owned)
        .chain(definition.companion.as_ref().map(|name| format!("{name}.sql")))
        .collect();
    if let Some((_, (path, _))) = files.iter().find(|(name, _)| !allowed.contains(**name)) {
        return Err(Error::in_file(
            *path,
            1,
            format!(
                "this is not a file of a detection; its files are {}",
                allowed.into_iter().collect::<Vec<_>>().join(", ")
            ),
        ));
    }
    Ok(())
}

fn loaded_check(check: &CheckDefinition, inline: &dyn Fn(&str) -> SqlText) -> Check {
    Check { holds: inline(&check.holds), message: leaked(&check.message) }
}

fn column(layer: &Layer<'_>, column: &ColumnDefinition) -> ColumnAbout {
    ColumnAbout {
        name: leaked(column.name.get_ref()),
        line: layer.line_of(column.name.span().start),
        kind: column.kind,
        unit: leaked(&column.unit),
        doc: leaked(&column.doc),
    }
}

fn query(id: &str, files: &Folder<'_>, origin: Origin) -> Result<Query> {
    if let Some((path, text)) = files.get(QUERY) {
        return Ok(Query::Sql(whole(path, text)));
    }
    let native = NATIVE.iter().find(|(known, _)| *known == id && origin.is_built_in);
    native.map(|(_, run)| Query::Native(*run)).ok_or_else(|| {
        let (path, _) = files[DEFINITION];
        Error::in_file(path, 1, format!("the folder has no {QUERY}"))
    })
}

fn companion(files: &Folder<'_>, name: &str) -> Result<Companion> {
    let file = format!("{name}.sql");
    let (path, text) = files
        .get(file.as_str())
        .ok_or_else(|| wrong(files, name, &format!("the folder has no {file}, which its companion needs")))?;
    Ok(Companion { name: leaked(name), query: whole(path, text) })
}

fn check_id(path: &str, id: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_name = id.bytes().all(is_plain) && id.starts_with(|first: char| first.is_ascii_lowercase());
    if is_name && id.len() <= 64 {
        return Ok(());
    }
    Err(Error::in_file(
        path,
        1,
        format!(
            "{id:?} is not a valid id: use lower-case letters, digits and _, starting with a letter, at most 64"
        ),
    ))
}

/// Parses TOML of a known format.
fn parse<T: DeserializeOwned>(path: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        Layer { name: path, text }.error_at(start, error.message())
    })
}

/// An error of a `detection.toml`, at the first line that contains `near`.
fn wrong(files: &Folder<'_>, near: &str, message: &str) -> Error {
    let (path, text) = files[DEFINITION];
    Error::in_file(path, line_of(text, near), message)
}

/// The line, counted from 1, on which a part of a text starts; 1 if the text does not contain it literally.
pub fn line_of(text: &str, part: &str) -> usize {
    let first = part.lines().find(|line| !line.trim().is_empty()).unwrap_or(part);
    text.find(first).map_or(1, |place| text[..place].matches('\n').count() + 1)
}

fn whole(path: &str, text: &str) -> SqlText {
    // Some editors start a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    SqlText { file: leaked(path), line: 1, text: leaked(text) }
}

/// Text that lives as long as the process, as definitions do.
pub(crate) fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

pub(crate) fn leaked_list<T>(items: Vec<T>) -> &'static [T] {
    Box::leak(items.into_boxed_slice())
}

fn spanned(items: &[Spanned<String>]) -> &'static [&'static str] {
    leaked_list(items.iter().map(|item| leaked(item.get_ref())).collect())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
