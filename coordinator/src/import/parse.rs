//! A block of records becomes rows of tables.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use hindcast_common::{Error, Result};

use super::blocks::Block;
use super::format::Record;
use super::json::{flatten, rename};
use super::rejects::Reject;
use super::rows::{Rows, TableRows};
use super::source::{Route, Source};

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
/// [`Error::Config`] where no table is named, by records or by `asked`.
pub(super) fn parse(block: Block, source: &Arc<Source>, asked: Option<&str>) -> Result<Parsed> {
    let mut rejects = block.rejects;
    let mut set_aside: BTreeMap<String, u64> = BTreeMap::new();
    // By rule, so that one table's rows of two rules are two batches of a run.
    let mut tables: BTreeMap<(String, usize), Rows<'_>> = BTreeMap::new();
    let mut record = Record::new();
    for span in &block.spans {
        let text = &block.bytes[span.start..span.end];
        if let Err(reason) = block.reading.read(text, &mut record) {
            rejects.push(Reject::new(span.line, reason, text));
            continue;
        }
        flatten(&mut record, &source.flatten);
        rename(&mut record, &source.renames);
        let (rule, table) = match source.route(&record, asked) {
            Route::Row(rule, table) => (rule, table.to_owned()),
            Route::Nowhere(kind) => {
                *set_aside.entry(kind.chars().take(64).collect()).or_default() += 1;
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
                let rows = Rows::new(&entry.key().0, &source.tables[rule], &source.unset);
                entry.insert(rows)
            }
        };
        if let Err(reason) = rows.push(&record) {
            rejects.push(Reject::new(span.line, reason, text));
        }
    }
    rejects.sort_by_key(|reject| reject.line);
    let done: Result<Vec<Option<TableRows>>> = tables.into_values().map(Rows::finish).collect();
    Ok(Parsed {
        input: block.input,
        first_line: block.first_line,
        tables: done?.into_iter().flatten().collect(),
        rejects,
        set_aside,
    })
}
