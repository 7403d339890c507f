//! Finds rows whose record id another row of the same table and date has, in the lake or in the import. A row with the same
//! values in all columns is left out; a row that differs is imported.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;
use hindcast_base::time::date_of_us;
use hindcast_base::{Error, Result};
use hindcast_lake::{Location, Tables, date_files, file_rows};
use tokio::runtime::Handle;

use hindcast_records::source::time_column;

/// Rows whose record id another row has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Rows left out because a row with the same id has the same values.
    pub(super) duplicates: u64,
    /// Rows imported although a row with the same id exists, because other values differ.
    pub(super) changed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.duplicates += other.duplicates;
        self.changed += other.changed;
    }
}

/// The record ids seen so far, and their rows. Each row of a date takes 32 bytes as long as the import runs.
pub(super) struct Duplicates {
    lake: Location,
    column: String,
    known: Tables,
    seen: HashMap<(String, NaiveDate), Seen>,
    handle: Handle,
}

/// Ids and rows of one date of a table, as digests.
#[derive(Default)]
struct Seen {
    ids: HashSet<u128>,
    rows: HashSet<u128>,
    /// Ids of rows in the lake, until those rows are read into `rows`.
    ids_in_lake: HashSet<u128>,
}

impl Duplicates {
    /// No ids yet. The ids of a date in the lake are read with the first row of that date.
    pub(super) fn new(lake: Location, column: String, known: Tables) -> Self {
        Self { lake, column, known, seen: HashMap::new(), handle: Handle::current() }
    }

    /// Which rows to import: those without an id, and the first of each id and values.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the table has no such column; errors of reading the lake.
    pub(super) fn first_of_each(
        &mut self,
        table: &str,
        rows: &RecordBatch,
        counts: &mut Counts,
    ) -> Result<Vec<bool>> {
        if rows.column_by_name(&self.column).is_none() {
            let column = &self.column;
            return Err(Error::Invalid(format!(
                "rows of {table} have no column {column} to find duplicates by"
            )));
        }
        let digests = Digests::of(rows, &self.column)?;
        let times = rows
            .column_by_name(time_column(self.known, table))
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| Error::Internal(format!("rows of {table} without a time")))?;
        let mut keep = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let is_kept = match digests.id(row)? {
                None => true,
                Some(id) => {
                    self.is_first((table, date_of_us(times.value(row))), id, digests.row(row)?, counts)?
                }
            };
            keep.push(is_kept);
        }
        Ok(keep)
    }

    fn is_first(
        &mut self,
        (table, date): (&str, NaiveDate),
        id: u128,
        row: u128,
        counts: &mut Counts,
    ) -> Result<bool> {
        let (lake, column) = (&self.lake, self.column.as_str());
        let seen = match self.seen.entry((table.to_owned(), date)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let ids = self.handle.block_on(in_lake(lake, table, date, column, Some(column)))?;
                entry.insert(Seen { ids_in_lake: ids, ..Seen::default() })
            }
        };
        // The lake's rows are read only if one of them can be the same.
        if seen.ids_in_lake.contains(&id) {
            seen.rows.extend(self.handle.block_on(in_lake(lake, table, date, column, None))?);
            seen.ids.extend(std::mem::take(&mut seen.ids_in_lake));
        }
        if !seen.rows.insert(row) {
            counts.duplicates += 1;
            return Ok(false);
        }
        counts.changed += u64::from(!seen.ids.insert(id));
        Ok(true)
    }
}

/// Digests of a date in the lake: of the ids if only that column is `read`, otherwise of whole rows.
async fn in_lake(
    lake: &Location,
    table: &str,
    date: NaiveDate,
    column: &str,
    read: Option<&str>,
) -> Result<HashSet<u128>> {
    let folder = lake.join(table);
    let (_, files) = date_files(&folder, &[date], None).await?;
    let mut found = HashSet::new();
    for file in files.into_iter().flatten() {
        file_rows(&folder, &file, read, |rows| {
            let digests = Digests::of(rows, column)?;
            for row in 0..rows.num_rows() {
                match read {
                    Some(_) => found.extend(digests.id(row)?),
                    None => drop(found.insert(digests.row(row)?)),
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(found)
}

/// Digests of a batch's rows by their values as text. They depend neither on the order of columns nor on nulls.
struct Digests<'b> {
    /// By name.
    columns: Vec<(&'b str, &'b dyn Array, ArrayFormatter<'b>)>,
    id: Option<usize>,
}

impl<'b> Digests<'b> {
    fn of(rows: &'b RecordBatch, id: &str) -> Result<Self> {
        const FORMAT: FormatOptions<'static> = FormatOptions::new();
        let mut columns = Vec::new();
        for (field, array) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            let formatter = ArrayFormatter::try_new(array, &FORMAT).map_err(internal)?;
            columns.push((field.name().as_str(), array.as_ref(), formatter));
        }
        columns.sort_by_key(|(name, ..)| *name);
        let id = columns.iter().position(|(name, ..)| *name == id);
        Ok(Self { columns, id })
    }

    /// The digest of a row's id, if it has one.
    fn id(&self, row: usize) -> Result<Option<u128>> {
        let Some((_, array, formatter)) = self.id.map(|id| &self.columns[id]) else { return Ok(None) };
        if array.is_null(row) {
            return Ok(None);
        }
        let id = formatter.value(row).try_to_string().map_err(internal)?;
        Ok(Some(half_hash(&blake3::hash(id.as_bytes()))))
    }

    /// The digest of a whole row.
    fn row(&self, row: usize) -> Result<u128> {
        let mut hasher = blake3::Hasher::new();
        for (name, _, formatter) in self.columns.iter().filter(|(_, array, _)| array.is_valid(row)) {
            let value = formatter.value(row).try_to_string().map_err(internal)?;
            for part in [name.as_bytes(), value.as_bytes()] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
        }
        Ok(half_hash(&hasher.finalize()))
    }
}

fn internal(error: ArrowError) -> Error {
    Error::Internal(error.to_string())
}

/// Half of a BLAKE3 hash: 128 bits, too many for two ids to collide.
fn half_hash(hash: &blake3::Hash) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(half)
}

#[cfg(test)]
#[path = "duplicates_tests.rs"]
mod tests;
