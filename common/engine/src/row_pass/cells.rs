//! The measures of groups, side by side in memory: a row touches the cells of its group and nothing else.

use std::mem::size_of;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, internal_err};
use hindcast_functions::Operation;

/// Rows that are folded measure by measure: the cells of their groups stay in the processor's cache.
const BLOCK_ROWS: usize = 256;
/// Groups per allocation: a single one would be copied whenever it grows.
const PIECE_GROUPS: usize = 8_192;

/// The most measures of a group: its first cell has one bit for each that has a value.
pub(super) const MOST_MEASURES: usize = 63;

/// The measures of all groups.
#[derive(Debug)]
pub(super) struct Cells {
    operations: Vec<Operation>,
    /// A group's cells before its first row.
    blank: Vec<i64>,
    pieces: Vec<Vec<i64>>,
    group_count: usize,
}

/// The values of a measure in a batch.
struct Values<'a> {
    operation: Operation,
    numbers: &'a [i64],
    /// Which rows have a value; all if absent.
    valid: Option<NullBuffer>,
}

/// Where the cells of a row's group are.
#[derive(Clone, Copy, Default)]
struct Place {
    piece: u32,
    first: u32,
}

impl Cells {
    pub(super) fn new(operations: Vec<Operation>) -> Self {
        let start = |operation: &Operation| match operation {
            Operation::Count | Operation::Sum => 0,
            Operation::Min => i64::MAX,
            Operation::Max => i64::MIN,
        };
        let blank = std::iter::once(0).chain(operations.iter().map(start)).collect();
        Self { operations, blank, pieces: Vec::new(), group_count: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.capacity() * size_of::<i64>()).sum()
    }

    /// Folds rows into their groups. There is one column for each measure, `None` if each row counts.
    pub(super) fn fold(
        &mut self,
        columns: &[Option<ArrayRef>],
        rows: &[u32],
        groups: &[u32],
        group_count: usize,
    ) -> Result<()> {
        self.grow(group_count);
        let (mut values, mut always) = (Vec::new(), 0);
        for (measure, (operation, column)) in self.operations.iter().zip(columns).enumerate() {
            let numbers = match (operation, column) {
                (Operation::Count, _) | (_, None) => &[],
                (_, Some(column)) => whole_numbers(column)?,
            };
            let valid = column.as_ref().and_then(|column| column.logical_nulls());
            let valid = valid.filter(|valid| valid.null_count() > 0);
            if valid.is_none() {
                always |= 1 << measure;
            }
            values.push(Values { operation: *operation, numbers, valid });
        }
        for (rows, groups) in rows.chunks(BLOCK_ROWS).zip(groups.chunks(BLOCK_ROWS)) {
            self.fold_block(&values, always, rows, groups);
        }
        Ok(())
    }

    fn fold_block(&mut self, values: &[Values<'_>], always: i64, rows: &[u32], groups: &[u32]) {
        let width = self.blank.len();
        let mut places = [Place::default(); BLOCK_ROWS];
        for (place, group) in places.iter_mut().zip(groups) {
            let (piece, in_piece) = (*group as usize / PIECE_GROUPS, *group as usize % PIECE_GROUPS);
            *place = Place { piece: piece as u32, first: (in_piece * width) as u32 };
            self.pieces[piece][in_piece * width] |= always;
        }
        let places = &places[..rows.len()];
        for (measure, values) in values.iter().enumerate() {
            match values.operation {
                Operation::Count => self.each(measure, values, rows, places, |cell, _| cell + 1),
                Operation::Sum => self.each(measure, values, rows, places, i64::saturating_add),
                Operation::Min => self.each(measure, values, rows, places, i64::min),
                Operation::Max => self.each(measure, values, rows, places, i64::max),
            }
        }
    }

    /// Replaces a measure by `united` of it and the value, for each row that has a value.
    #[inline]
    fn each(
        &mut self,
        measure: usize,
        values: &Values<'_>,
        rows: &[u32],
        places: &[Place],
        united: impl Fn(i64, i64) -> i64,
    ) {
        let pieces = &mut self.pieces[..];
        let number = |row: u32| values.numbers.get(row as usize).copied().unwrap_or_default();
        match &values.valid {
            None => {
                for (row, place) in rows.iter().zip(places) {
                    let cell = &mut pieces[place.piece as usize][place.first as usize + measure + 1];
                    *cell = united(*cell, number(*row));
                }
            }
            Some(valid) => {
                for (row, place) in rows.iter().zip(places) {
                    if valid.is_valid(*row as usize) {
                        let piece = &mut pieces[place.piece as usize];
                        piece[place.first as usize] |= 1 << measure;
                        let cell = &mut piece[place.first as usize + measure + 1];
                        *cell = united(*cell, number(*row));
                    }
                }
            }
        }
    }

    fn grow(&mut self, group_count: usize) {
        while self.group_count < group_count {
            let place = self.group_count % PIECE_GROUPS;
            if place == 0 {
                self.pieces.push(Vec::new());
            }
            let new = (group_count - self.group_count).min(PIECE_GROUPS - place);
            if let Some(piece) = self.pieces.last_mut() {
                piece.extend(std::iter::repeat_n(&self.blank, new).flatten());
            }
            self.group_count += new;
        }
    }

    /// A measure of all groups. A sum or an extreme of no values is null.
    pub(super) fn measure(&self, measure: usize) -> Int64Array {
        let width = self.blank.len();
        let cells = || self.pieces.iter().flat_map(|piece| piece.chunks_exact(width));
        let mut values = Vec::with_capacity(self.group_count);
        values.extend(cells().map(|cells| cells[measure + 1]));
        let valid = (self.operations[measure] != Operation::Count).then(|| {
            let bits: BooleanBuffer = cells().map(|cells| cells[0] >> measure & 1 == 1).collect();
            NullBuffer::new(bits)
        });
        Int64Array::new(ScalarBuffer::from(values), valid.filter(|valid| valid.null_count() > 0))
    }
}

/// The values of a column, also where they are null.
fn whole_numbers(column: &ArrayRef) -> Result<&[i64]> {
    match column.data_type() {
        DataType::Int64 => Ok(column.as_primitive::<Int64Type>().values()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(column.as_primitive::<TimestampMicrosecondType>().values())
        }
        other => internal_err!("measures take whole numbers and times, not {other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use Operation::{Count, Max, Min, Sum};

    /// Count, sum, least and largest of the rows of a group, as by definition.
    fn expected(rows: &[(usize, Option<i64>)], group: usize) -> [Option<i64>; 5] {
        let own = || rows.iter().filter(move |(of, _)| *of == group);
        let values: Vec<i64> = own().filter_map(|(_, value)| *value).collect();
        let sum = (!values.is_empty()).then(|| values.iter().sum());
        let [all, known] = [own().count(), values.len()].map(|count| Some(count as i64));
        [all, known, sum, values.iter().min().copied(), values.iter().max().copied()]
    }

    proptest! {
        #[test]
        fn measures_are_those_of_the_taken_rows(
            rows in prop::collection::vec((0usize..9, prop::option::weighted(0.8, -50i64..50), any::<bool>()), 0..900),
            has_nulls in any::<bool>(),
        ) {
            let value = |value: Option<i64>| value.or((!has_nulls).then_some(7));
            let column: ArrayRef = Arc::new(rows.iter().map(|row| value(row.1)).collect::<Int64Array>());
            let columns = [None, Some(&column), Some(&column), Some(&column), Some(&column)].map(|one| one.cloned());
            let taken: Vec<u32> = (0..rows.len() as u32).filter(|row| rows[*row as usize].2).collect();
            let groups: Vec<u32> = taken.iter().map(|row| rows[*row as usize].0 as u32).collect();
            let mut cells = Cells::new(vec![Count, Count, Sum, Min, Max]);
            let cut = taken.len() / 3;
            cells.fold(&columns, &taken[..cut], &groups[..cut], 9).unwrap();
            cells.fold(&columns, &taken[cut..], &groups[cut..], 9).unwrap();
            let measured: Vec<Int64Array> = (0..5).map(|measure| cells.measure(measure)).collect();
            let kept: Vec<(usize, Option<i64>)> =
                rows.iter().filter(|row| row.2).map(|row| (row.0, value(row.1))).collect();
            for group in 0..9 {
                let of_group: Vec<Option<i64>> =
                    measured.iter().map(|array| array.is_valid(group).then(|| array.value(group))).collect();
                prop_assert_eq!(of_group, expected(&kept, group));
            }
        }
    }

    #[test]
    fn groups_beyond_a_piece_keep_their_cells() {
        let count = PIECE_GROUPS as u32 * 2 + 5;
        let rows: Vec<u32> = (0..count).collect();
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values((0..count).map(i64::from)));
        let mut cells = Cells::new(vec![Sum]);
        cells.fold(&[Some(column)], &rows, &rows, count as usize).unwrap();
        assert_eq!(cells.measure(0), Int64Array::from_iter_values((0..count).map(i64::from)));
    }
}
