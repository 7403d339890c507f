//! The structure of a rollup's TOML file, and the checks that need no plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::sync::OnceLock;

use serde::Deserialize;
use toml::Spanned;

use super::row_wise::{Fault, Mention, RowWise};
use super::shape::MeasureDefinition;
use super::{BUCKET_COLUMN, POPULATIONS, Population, Rollup, Share};
use crate::config::vendors::column_of;
use crate::sql::SqlText;
use crate::{leaked, leaked_list};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};
use hindcast_lake::{TableSpec, Tables};

/// Suffixes with which detections name other rows of a rollup.
const TABLE_ENDINGS: [&str; 2] = ["_all", "_past"];

/// A rollup as written in its file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) version: u32,
    pub(super) tables: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) uses: BTreeMap<String, Spanned<String>>,
    pub(super) filter: Option<Spanned<String>>,
    pub(super) columns: Spanned<Vec<Spanned<String>>>,
    pub(super) bucket_key: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) keys: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) measures: Vec<Spanned<MeasureDefinition>>,
    #[serde(default)]
    pub(super) populations: BTreeMap<String, Spanned<Share>>,
}

/// A file's name and text.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

/// An expression of the file, with the line on which it begins.
struct Item<'a> {
    text: &'a str,
    line: usize,
    parsed: RowWise,
}

/// The rollup `id` that the `text` of `file` defines, of some of the tables `known`. Its names and texts live as long as the process.
///
/// # Errors
/// [`Error::Invalid`] naming the file and the line of the mistake.
pub fn parse(file: &str, text: &str, id: &str, known: Tables) -> Result<Rollup> {
    let source = Source { file, text };
    let written: Definition = toml::from_str(text).map_err(|error| source.unreadable(&error))?;
    source.check_id(id)?;
    let tables = source.tables(&written, known)?;
    let filter = written.filter.as_ref().map(|filter| source.item(filter)).transpose()?;
    let items: Vec<Item<'_>> =
        written.columns.get_ref().iter().map(|column| source.item(column)).collect::<Result<_>>()?;
    let names = source.names(&written, filter.as_ref(), &items)?;
    let all: Vec<&Item<'_>> = filter.iter().chain(&items).collect();
    let columns = source.columns_read(&tables, &all, &written)?;
    source.check_parameters(&written, &all)?;
    source.check_shape(&written, &names)?;
    let populations = source.populations(&written, &tables, &columns)?;
    let own_meaning: String = tables.iter().map(|table| table.own_meaning(&columns)).collect();

    let file = leaked(file);
    let sql = |item: &Item<'_>| SqlText { file, line: item.line, text: leaked(item.text) };
    let uses = written.uses.iter().map(|(name, path)| (leaked(name), leaked(path.get_ref())));
    Ok(Rollup {
        id: leaked(id),
        file,
        version: written.version,
        tables: leaked_list(tables.iter().map(|table| table.name).collect()),
        columns: leaked_list(columns),
        bucket_key: names_of(written.bucket_key.get_ref()),
        uses: leaked_list(uses.collect()),
        filter: filter.as_ref().map(sql),
        select: leaked_list(items.iter().map(sql).collect()),
        shape: source.shape(&written),
        populations: leaked_list(populations),
        hash: leaked(&hash(id, &written, filter.as_ref(), &items, &own_meaning)),
        state_schema: OnceLock::new(),
    })
}

impl Source<'_> {
    pub(super) fn line(self, span: &Range<usize>) -> usize {
        self.text[..span.start.min(self.text.len())].matches('\n').count() + 1
    }

    pub(super) fn wrong(self, line: usize, message: impl Display) -> Error {
        Error::in_file(self.file, line, message)
    }

    fn unreadable(self, error: &toml::de::Error) -> Error {
        self.wrong(error.span().map_or(1, |span| self.line(&span)), error.message())
    }

    fn check_id(self, id: &str) -> Result<()> {
        match TABLE_ENDINGS.iter().find(|ending| id.ends_with(**ending)) {
            Some(ending) => {
                let message = format!(
                    "a rollup's name can't end in {ending}, which detections append to read other rows of it"
                );
                Err(Error::of_file(self.file, message))
            }
            None => Ok(()),
        }
    }

    /// The tables: at least one.
    fn tables(self, written: &Definition, known: Tables) -> Result<Vec<&'static TableSpec>> {
        if written.tables.get_ref().is_empty() {
            return Err(self.wrong(self.line(&written.tables.span()), "`tables` is empty"));
        }
        let table = |name: &Spanned<String>| {
            known.by_name(name.get_ref()).ok_or_else(|| {
                let hint = did_you_mean(name.get_ref(), known.names());
                let message = format!("there is no table {}{hint}", name.get_ref());
                self.wrong(self.line(&name.span()), message)
            })
        };
        written.tables.get_ref().iter().map(table).collect()
    }

    fn item<'w>(self, written: &'w Spanned<String>) -> Result<Item<'w>> {
        let span = written.span();
        // The text of a string of several lines begins on the line after its quotes.
        let quotes = self.text.get(span.start..).unwrap_or_default();
        let is_below =
            ["\"\"\"\n", "\"\"\"\r\n", "'''\n", "'''\r\n"].iter().any(|open| quotes.starts_with(open));
        let line = self.line(&span) + usize::from(is_below);
        let parsed = RowWise::parse(written.get_ref())
            .map_err(|Fault { line: own, message }| self.wrong(line + own - 1, message))?;
        Ok(Item { text: written.get_ref(), line, parsed })
    }

    /// The names of the selected columns.
    fn names<'i>(
        self,
        written: &Definition,
        filter: Option<&Item<'_>>,
        items: &'i [Item<'_>],
    ) -> Result<BTreeSet<&'i str>> {
        if items.is_empty() {
            return Err(self.wrong(self.line(&written.columns.span()), "`columns` is empty"));
        }
        if let Some(filter) = filter.filter(|filter| filter.parsed.name.is_some()) {
            return Err(self.wrong(filter.line, "the filter is a condition: remove its name"));
        }
        let mut names = BTreeSet::new();
        for item in items {
            let Some(name) = item.parsed.name.as_deref() else {
                let message = format!("{} needs a name: write {0} AS name", item.parsed.normal);
                return Err(self.wrong(item.line, message));
            };
            self.check_name(item.line, name)?;
            if !names.insert(name) {
                return Err(self.wrong(item.line, format!("there are two columns {name}")));
            }
        }
        Ok(names)
    }

    pub(super) fn check_name(self, line: usize, name: &str) -> Result<()> {
        if name == BUCKET_COLUMN || name.starts_with('_') {
            return Err(self.wrong(line, format!("{name} is reserved for state: choose another name")));
        }
        Ok(())
    }

    /// The columns to read, in the order of the first table: those that expressions name, those of parameters that are expressions,
    /// and its time column.
    fn columns_read(
        self,
        tables: &[&'static TableSpec],
        items: &[&Item<'_>],
        written: &Definition,
    ) -> Result<Vec<&'static str>> {
        let mut named: BTreeSet<&str> = BTreeSet::new();
        for path in written.uses.values() {
            let Some(column) = column_of(path.get_ref()) else { continue };
            if let Some(lacking) = tables.iter().find(|table| table.column(column).is_none()) {
                let message =
                    format!("{} is computed from {column}, which {} lacks", path.get_ref(), lacking.name);
                return Err(self.wrong(self.line(&path.span()), message));
            }
            named.insert(column);
        }
        for item in items {
            for Mention { name, line } in &item.parsed.columns {
                if let Some(lacking) = tables.iter().find(|table| table.column(name).is_none()) {
                    let near = did_you_mean(name, lacking.columns.iter().map(|column| column.name));
                    let message = format!("{} has no column {name}{near}", lacking.name);
                    return Err(self.wrong(item.line + line - 1, message));
                }
                named.insert(name);
            }
        }
        let first = tables[0];
        let is_read = |name: &&str| named.contains(name) || *name == first.time_column;
        Ok(first.columns.iter().map(|column| column.name).filter(is_read).collect())
    }

    /// Checks that expressions name exactly the parameters of `uses`, which are part of the key of state.
    fn check_parameters(self, written: &Definition, items: &[&Item<'_>]) -> Result<()> {
        let mut named: BTreeSet<&str> = BTreeSet::new();
        for item in items {
            for Mention { name, line } in &item.parsed.parameters {
                if !written.uses.contains_key(name) {
                    let near = did_you_mean(name, written.uses.keys().map(|known| format!("${known}")));
                    let message = format!("${name} is not in `uses`{near}");
                    return Err(self.wrong(item.line + line - 1, message));
                }
                named.insert(name);
            }
        }
        match written.uses.iter().find(|(name, _)| !named.contains(name.as_str())) {
            Some((name, path)) => {
                let message = format!("no expression has ${name}: remove it from `uses`");
                Err(self.wrong(self.line(&path.span()), message))
            }
            None => Ok(()),
        }
    }

    fn populations(
        self,
        written: &Definition,
        tables: &[&'static TableSpec],
        columns: &[&'static str],
    ) -> Result<Vec<(&'static Population, Share)>> {
        let population = |(name, share): (&String, &Spanned<Share>)| {
            let line = self.line(&share.span());
            let known = POPULATIONS.iter().find(|population| population.name == name);
            let known = known.ok_or_else(|| {
                let near = did_you_mean(name, POPULATIONS.iter().map(|population| population.name));
                self.wrong(line, format!("there is no population {name}{near}"))
            })?;
            let is_of_table = tables.iter().any(|table| table.name == known.table);
            if !is_of_table || !columns.contains(&known.column) {
                let message = format!(
                    "{name} depends on {} of {}, and no expression reads it",
                    known.column, known.table
                );
                return Err(self.wrong(line, message));
            }
            Ok((known, *share.get_ref()))
        };
        written.populations.iter().map(population).collect()
    }
}

pub(super) fn names_of(names: &[Spanned<String>]) -> &'static [&'static str] {
    leaked_list(names.iter().map(|name| leaked(name.get_ref())).collect())
}

/// Hash of everything that determines the state, without the version.
fn hash(
    id: &str,
    written: &Definition,
    filter: Option<&Item<'_>>,
    items: &[Item<'_>],
    own_meaning: &str,
) -> String {
    let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.get_ref().clone()).collect::<Vec<_>>();
    let uses: Vec<(&String, &String)> =
        written.uses.iter().map(|(name, path)| (name, path.get_ref())).collect();
    let filter = filter.map(|filter| &filter.parsed.normal);
    let select: Vec<&String> = items.iter().map(|item| &item.parsed.normal).collect();
    let measures: Vec<&MeasureDefinition> = written.measures.iter().map(Spanned::get_ref).collect();
    let parts = (
        (id, texts(written.tables.get_ref()), uses, filter, select),
        (texts(written.bucket_key.get_ref()), texts(&written.keys), measures),
    );
    blake3::hash(format!("{parts:?}{own_meaning}").as_bytes()).to_hex()[..32].to_owned()
}

#[cfg(test)]
#[path = "definition_tests.rs"]
mod tests;
