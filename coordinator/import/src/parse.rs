//! Converts a block of records to rows of tables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hindcast_base::Result;

use super::rows::{Rows, TableRows};
use super::times::{Evidence, Times};
use hindcast_records::blocks::Block;
use hindcast_records::each::Found;
use hindcast_records::encoding::text_of;
use hindcast_records::format::{FileFormat, Record};
use hindcast_records::json::{flatten, shape};
use hindcast_records::rejects::Reject;
use hindcast_records::source::{Route, Source};
use hindcast_records::wrapped::unwrap;

/// The rows and rejects of a block.
pub(super) struct Parsed {
    /// Index of the file among the inputs.
    pub(super) input: usize,
    /// Line of the block's first byte, from 0.
    pub(super) first_line: u64,
    /// Rows, by table.
    pub(super) tables: Vec<TableRows>,
    /// Records that can't be read.
    pub(super) rejects: Vec<Reject>,
    /// Records that belong to no table, by kind.
    pub(super) set_aside: BTreeMap<String, u64>,
    /// Rows that are not the first of their record, including those that were rejected.
    pub(super) further_rows: u64,
    /// Records that were read as Windows-1252, because they are not UTF-8.
    pub(super) windows_1252: u64,
}

/// Reads the records of `block` as `source` says, into the requested table if there is one.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] if the order of day and month in the file's dates is not known.
pub(super) fn parse(
    mut block: Block,
    source: &Source,
    requested_table: Option<&str>,
    times: &Times,
) -> Result<Parsed> {
    let mut rejects = std::mem::take(&mut block.rejects);
    let mut set_aside: BTreeMap<String, u64> = BTreeMap::new();
    let mut parser = Parser::new(&block.format, source, requested_table, times);
    let mut record = Record::new();
    for span in &block.spans {
        let text = &block.bytes[span.start..span.end];
        let taken = parser.take(text, &mut record, &mut |outcome| match outcome {
            Outcome::Row(rows, record) => rows.push(record),
            Outcome::SetAside(kind) => {
                *set_aside.entry(kind.chars().take(64).collect()).or_default() += 1;
                Ok(())
            }
            Outcome::Broken(reason, element) => {
                rejects.push(Reject::new(span.line, reason, element.as_bytes()));
                Ok(())
            }
        });
        if let Err(reason) = taken {
            rejects.push(Reject::new(span.line, reason, text));
        }
    }
    times.check()?;
    rejects.sort_by_key(|reject| reject.line);
    let (further_rows, windows_1252) = (parser.further_rows, parser.windows_1252);
    let done: Result<Vec<Option<TableRows>>> = parser.tables.into_values().map(Rows::finish).collect();
    Ok(Parsed {
        input: block.input,
        first_line: block.first_line,
        tables: done?.into_iter().flatten().collect(),
        rejects,
        set_aside,
        further_rows,
        windows_1252,
    })
}

/// Adds to `evidence` what the dates of a block prove. `times` need not know their order.
pub(super) fn gather(
    block: &Block,
    source: &Source,
    requested_table: Option<&str>,
    times: &Times,
    evidence: &mut Evidence,
) {
    let mut parser = Parser::new(&block.format, source, requested_table, times);
    let mut record = Record::new();
    for span in &block.spans {
        let line = block.first_line + span.line + 1;
        let text = &block.bytes[span.start..span.end];
        // A record that can't be read proves nothing.
        let _ = parser.take(text, &mut record, &mut |outcome| {
            if let Outcome::Row(rows, record) = outcome {
                rows.gather(record, line, evidence);
            }
            Ok(())
        });
    }
}

/// Result of routing a record.
enum Outcome<'o, 'p, 'r> {
    /// A row of a table.
    Row(&'o mut Rows<'p>, &'o Record<'r>),
    /// No row: it belongs to no table, and is of this kind.
    SetAside(&'o str),
    /// No row: an element of the record can't be read, for this reason. Its text follows.
    Broken(String, &'o str),
}

/// Callback for a record.
///
/// # Errors
/// Why this failed.
type Each<'e, 'p> = &'e mut dyn FnMut(Outcome<'_, 'p, '_>) -> Result<(), String>;

struct Parser<'p> {
    format: &'p FileFormat,
    source: &'p Source,
    requested_table: Option<&'p str>,
    times: &'p Times,
    /// By table and rule: rows that two rules make for one table are separate batches.
    tables: BTreeMap<(String, usize), Rows<'p>>,
    further_rows: u64,
    windows_1252: u64,
}

impl<'p> Parser<'p> {
    fn new(
        format: &'p FileFormat,
        source: &'p Source,
        requested_table: Option<&'p str>,
        times: &'p Times,
    ) -> Self {
        Self {
            format,
            source,
            requested_table,
            times,
            tables: BTreeMap::new(),
            further_rows: 0,
            windows_1252: 0,
        }
    }

    /// Reads a record into `record`, replacing its fields, and calls `each` for it, or for each message in it.
    ///
    /// # Errors
    /// Why it can't be read.
    fn take<'t>(&mut self, text: &'t [u8], record: &mut Record<'t>, each: Each<'_, 'p>) -> Result<(), String>
    where
        'p: 't,
    {
        match text_of(text)? {
            Cow::Borrowed(text) => self.take_text(text, record, each),
            Cow::Owned(text) => {
                self.windows_1252 += 1;
                self.take_text(&text, &mut Record::new(), each)
            }
        }
    }

    fn take_text<'t>(
        &mut self,
        text: &'t str,
        record: &mut Record<'t>,
        each: Each<'_, 'p>,
    ) -> Result<(), String>
    where
        'p: 't,
    {
        let format = self.format;
        format.read(text, record)?;
        if let Some(kind) = format.wrapper.and_then(|wrapper| wrapper.set_aside(record)) {
            return each(Outcome::SetAside(kind));
        }
        let Some(wrapped) = &format.messages_in else { return self.route_elements(record, each) };
        // If one of several messages can't be read, only that one is lost, and the reject names it.
        let mut all = Ok(());
        for message in unwrap(record, wrapped)? {
            let one = message.and_then(|mut message| self.route(&mut message, each));
            all = all.and(one);
        }
        all
    }

    /// Finds the table of a record, or of each record in its lists.
    fn route_elements(&mut self, record: &mut Record<'_>, each: Each<'_, 'p>) -> Result<(), String> {
        if self.source.each.is_none() {
            return self.route(record, each);
        }
        let source = self.source;
        source.elements(std::mem::take(record), &mut |found| match found {
            Found::Element(element) => self.route(element, each),
            Found::Empty(list) => each(Outcome::SetAside(&format!("no element in {list}"))),
            Found::Broken(reason, element) => each(Outcome::Broken(reason, element)),
        })
    }

    /// Finds the tables of a record. If it can't be the first row, it is none of the others.
    fn route(&mut self, record: &mut Record<'_>, each: Each<'_, 'p>) -> Result<(), String> {
        shape(record, self.source, &self.format.file_name)?;
        let (source, requested_table) = (self.source, self.requested_table);
        let first = match source.route(record, requested_table) {
            Route::Row(rule, table) => (rule, table),
            Route::SetAside(kind) => return each(Outcome::SetAside(kind)),
            Route::NoRule(source) => {
                let table = requested_table
                    .map_or(String::new(), |requested_table| format!(" into {requested_table}"));
                return Err(format!("no rule of the source {source} takes it{table}"));
            }
            Route::NoTable(source) => {
                return Err(format!("it names no table (source {source}): name it with --table"));
            }
        };
        let (mut rule, mut table) = (first.0, first.1.to_owned());
        loop {
            flatten(record, &source.tables[rule].flatten, source)?;
            each(Outcome::Row(self.rows(rule, &table), record))?;
            let Some((next, next_table)) = source.next_route((rule, &table), record, requested_table) else {
                return Ok(());
            };
            self.further_rows += 1;
            (rule, table) = (next, next_table.to_owned());
        }
    }

    /// The rows that a rule makes for a table.
    fn rows(&mut self, rule: usize, table: &str) -> &mut Rows<'p> {
        match self.tables.entry((table.to_owned(), rule)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let (rule, unset) = (&self.source.tables[rule], &self.source.unset);
                let rows = Rows::new(&entry.key().0, rule, unset, self.times, self.source.known);
                entry.insert(if self.requested_table.is_some() { rows.with_all_fields() } else { rows })
            }
        }
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
