//! A block of records becomes rows of tables.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use hindcast_common::{Error, Result};

use super::blocks::Block;
use super::format::Record;
use super::framing::Span;
use super::json::{flatten, rename};
use super::rejects::Reject;
use super::rows::{Rows, TableRows};
use super::source::{Route, Source};
use super::times::{Evidence, Times};

/// What a block held.
pub(super) struct Parsed {
    /// The file, by its place among the inputs.
    pub(super) input: usize,
    /// Line of the block's first byte, counted from 0.
    pub(super) first_line: u64,
    /// Rows, by table.
    pub(super) tables: Vec<TableRows>,
    /// Records that can't be read.
    pub(super) rejects: Vec<Reject>,
    /// Records of no table, by kind.
    pub(super) set_aside: BTreeMap<String, u64>,
}

/// Reads the records of `block` as `source` says, into the table `asked` for where one is.
///
/// # Errors
/// [`Error::Config`] where no table is named, by records or by `asked`, or where the file's dates can't be read.
pub(super) fn parse(
    mut block: Block,
    source: &Arc<Source>,
    asked: Option<&str>,
    times: &Times,
) -> Result<Parsed> {
    let mut rejects = std::mem::take(&mut block.rejects);
    let mut set_aside: BTreeMap<String, u64> = BTreeMap::new();
    let tables = each_row(&block, source, asked, times, |outcome| match outcome {
        Outcome::Row(rows, record, span) => {
            if let Err(reason) = rows.push(record) {
                rejects.push(Reject::new(span.line, reason, &block.bytes[span.start..span.end]));
            }
        }
        Outcome::Unreadable(reason, span) => {
            rejects.push(Reject::new(span.line, reason, &block.bytes[span.start..span.end]));
        }
        Outcome::Nowhere(kind) => {
            *set_aside.entry(kind.chars().take(64).collect()).or_default() += 1;
        }
    })?;
    times.check()?;
    let done: Result<Vec<Option<TableRows>>> = tables.into_iter().map(Rows::finish).collect();
    rejects.sort_by_key(|reject| reject.line);
    Ok(Parsed {
        input: block.input,
        first_line: block.first_line,
        tables: done?.into_iter().flatten().collect(),
        rejects,
        set_aside,
    })
}

/// Adds to `evidence` what the dates of a block prove; `times` need not know their order.
///
/// # Errors
/// As [`parse`].
pub(super) fn gather(
    block: &Block,
    source: &Arc<Source>,
    asked: Option<&str>,
    times: &Times,
    evidence: &mut Evidence,
) -> Result<()> {
    each_row(block, source, asked, times, |outcome| {
        if let Outcome::Row(rows, record, span) = outcome {
            rows.gather(record, block.first_line + span.line + 1, evidence);
        }
    })
    .map(|_| ())
}

/// What a record of a block is.
enum Outcome<'o, 'r, 'b> {
    /// A row of a table.
    Row(&'o mut Rows<'r>, &'o Record<'b>, &'o Span),
    /// None, and why.
    Unreadable(String, &'o Span),
    /// Of no table, but of this kind.
    Nowhere(&'o str),
}

/// Calls `take` for each record of `block`; gives the tables.
fn each_row<'r>(
    block: &Block,
    source: &'r Source,
    asked: Option<&str>,
    times: &'r Times,
    mut take: impl FnMut(Outcome<'_, 'r, '_>),
) -> Result<Vec<Rows<'r>>> {
    // By rule, so that one table's rows of two rules are two batches of a run.
    let mut tables: BTreeMap<(String, usize), Rows<'r>> = BTreeMap::new();
    let mut record = Record::new();
    for span in &block.spans {
        let text = &block.bytes[span.start..span.end];
        if let Err(reason) = block.reading.read(text, &mut record) {
            take(Outcome::Unreadable(reason, span));
            continue;
        }
        flatten(&mut record, &source.flatten);
        rename(&mut record, &source.renames);
        let (rule, table) = match source.route(&record, asked) {
            Route::Row(rule, table) => (rule, table.to_owned()),
            Route::Nowhere(kind) => {
                take(Outcome::Nowhere(kind));
                continue;
            }
            Route::Unnamed(source) => {
                return Err(Error::Config(format!(
                    "nothing in the records tells their table (source {source}): name it with --table"
                )));
            }
        };
        let rows = match tables.entry((table, rule)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let rows = Rows::new(&entry.key().0, &source.tables[rule], &source.unset, times);
                entry.insert(rows)
            }
        };
        take(Outcome::Row(rows, &record, span));
    }
    Ok(tables.into_values().collect())
}
