//! `measures`: counts, sums and extremes of a group, all in one pass and side by side in memory.
//!
//! With one accumulator per measure, each keeps an array of all groups, and a row touches as many distant memory locations as there
//! are measures. Here it touches one.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, NullBufferBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

use super::rows_as_groups;

/// Rows of a block, which is folded measure by measure: the cells of its groups stay in the processor's cache.
const BLOCK_ROWS: usize = 256;
/// Groups per allocation of cells.
const PIECE_GROUPS: usize = 8_192;
/// The cells of a group begin with one whose bits say which measures have a value.
const MAX_MEASURES: usize = 63;

/// How a column's values are aggregated. Nulls are left out; a sum or an extreme of no values is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Their number.
    Count,
    /// Their sum, which wraps as DataFusion's does.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

impl Operation {
    /// The operation that merges its states: counts are summed.
    pub fn of_states(self) -> Self {
        if self == Self::Count { Self::Sum } else { self }
    }
}

/// Measures of a group by name, as a struct. Columns are 64-bit integers or times in microseconds.
pub fn measures(named: Vec<(&'static str, Operation, Expr)>) -> Expr {
    let parts = named.iter().map(|(name, operation, _)| (*name, *operation)).collect();
    let signature = Signature::any(named.len(), Volatility::Immutable);
    let columns = named.into_iter().map(|(_, _, column)| column).collect();
    AggregateUDF::from(Measures { signature, parts }).call(columns)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Measures {
    signature: Signature,
    parts: Vec<(&'static str, Operation)>,
}

impl Measures {
    fn fields(&self, types: &[DataType]) -> Fields {
        let typed = self.parts.iter().zip(types);
        let fields = typed.map(|((name, operation), column)| match operation {
            Operation::Count => Field::new(*name, DataType::Int64, false),
            _ => Field::new(*name, column.clone(), true),
        });
        fields.collect()
    }
}

impl AggregateUDFImpl for Measures {
    fn name(&self) -> &str {
        "measures"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let is_known = |column: &DataType| {
            matches!(column, DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _))
        };
        match types
            .iter()
            .zip(&self.parts)
            .find(|(column, part)| !is_known(column) && part.1 != Operation::Count)
        {
            Some((column, (name, _))) => internal_err!("{name} can't be computed from {column}"),
            None if types.len() > MAX_MEASURES => internal_err!("more than {MAX_MEASURES} measures"),
            None => Ok(DataType::Struct(self.fields(types))),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let types: Vec<DataType> = args.input_fields.iter().map(|field| field.data_type().clone()).collect();
        let named = |field: &FieldRef| {
            let name = format!("{}[{}]", args.name, field.name());
            Arc::new(field.as_ref().clone().with_name(name).with_nullable(true))
        };
        Ok(self.fields(&types).iter().map(named).collect())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        internal_err!("measures need groups")
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return internal_err!("measures are a struct");
        };
        let operations = self.parts.iter().map(|(_, operation)| *operation).collect();
        Ok(Box::new(Groups::new(operations, fields.clone())))
    }
}

/// The measures of all groups.
#[derive(Debug)]
struct Groups {
    operations: Vec<Operation>,
    fields: Fields,
    cells: Cells,
}

/// The cells of all groups, group after group, in pieces: a single array would be copied whenever it grows.
#[derive(Debug)]
struct Cells {
    /// A group's cells before its first row.
    blank: Vec<i64>,
    pieces: Vec<Vec<i64>>,
    group_count: usize,
}

impl Cells {
    fn new(blank: Vec<i64>) -> Self {
        Self { blank, pieces: Vec::new(), group_count: 0 }
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

    /// Takes the cells of the first groups out; later groups move up.
    fn take(&mut self, group_count: usize) -> Vec<Vec<i64>> {
        if group_count == self.group_count {
            self.group_count = 0;
            return std::mem::take(&mut self.pieces);
        }
        let mut leaving = std::mem::take(&mut self.pieces).concat();
        let staying = leaving.split_off(group_count * self.blank.len());
        self.group_count -= group_count;
        self.pieces = staying.chunks(PIECE_GROUPS * self.blank.len()).map(<[i64]>::to_vec).collect();
        vec![leaving]
    }

    fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.capacity() * size_of::<i64>()).sum()
    }
}

impl Groups {
    fn new(operations: Vec<Operation>, fields: Fields) -> Self {
        let start = |operation: &Operation| match operation {
            Operation::Count | Operation::Sum => 0,
            Operation::Min => i64::MAX,
            Operation::Max => i64::MIN,
        };
        let blank = std::iter::once(0).chain(operations.iter().map(start)).collect();
        Self { operations, fields, cells: Cells::new(blank) }
    }

    /// Folds columns into the groups of their rows, each by the operation that `operation_of` derives from its measure's.
    fn fold(
        &mut self,
        columns: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
        operation_of: fn(Operation) -> Operation,
    ) -> Result<()> {
        self.cells.grow(group_count);
        let taken = filter.map(|filter| match filter.nulls() {
            Some(valid) => NullBuffer::new(filter.values() & valid.inner()),
            None => NullBuffer::new(filter.values().clone()),
        });
        let mut sources = Vec::new();
        for (column, operation) in columns.iter().zip(&self.operations) {
            let operation = operation_of(*operation);
            let numbers = if operation == Operation::Count { None } else { Some(whole_numbers(column)?) };
            sources.push((
                operation,
                numbers,
                NullBuffer::union(column.logical_nulls().as_ref(), taken.as_ref()),
            ));
        }
        for start in (0..group_indices.len()).step_by(BLOCK_ROWS) {
            let groups = &group_indices[start..group_indices.len().min(start + BLOCK_ROWS)];
            for (measure, (operation, numbers, valid)) in sources.iter().enumerate() {
                let block =
                    Block { start, groups, valid: valid.as_ref(), numbers: numbers.unwrap_or_default() };
                match operation {
                    Operation::Count => self.each(measure, &block, |cell, _| cell + 1),
                    Operation::Sum => self.each(measure, &block, i64::saturating_add),
                    Operation::Min => self.each(measure, &block, i64::min),
                    Operation::Max => self.each(measure, &block, i64::max),
                }
            }
        }
        Ok(())
    }

    /// Replaces a measure by `united` of it and the value, for each row of a block that has a value.
    #[inline]
    fn each(&mut self, measure: usize, block: &Block<'_>, united: impl Fn(i64, i64) -> i64) {
        let (width, bit) = (self.cells.blank.len(), 1 << measure);
        let pieces = &mut self.cells.pieces[..];
        let mut fold = |row: usize| {
            let (piece, place) = (block.groups[row] / PIECE_GROUPS, block.groups[row] % PIECE_GROUPS);
            let group = &mut pieces[piece][place * width..][..width];
            let number = block.numbers.get(block.start + row).copied().unwrap_or_default();
            group[0] |= bit;
            group[measure + 1] = united(group[measure + 1], number);
        };
        match block.valid {
            None => (0..block.groups.len()).for_each(fold),
            Some(valid) => {
                valid.inner().slice(block.start, block.groups.len()).set_indices().for_each(&mut fold);
            }
        }
    }

    /// Takes the measures of the emitted groups; later groups move up.
    fn take(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let width = self.cells.blank.len();
        let group_count = match emit_to {
            EmitTo::All => self.cells.group_count,
            EmitTo::First(count) => count,
        };
        let leaving = self.cells.take(group_count);
        let empty = || (Vec::with_capacity(group_count), NullBufferBuilder::new(group_count));
        let mut columns: Vec<(Vec<i64>, NullBufferBuilder)> =
            self.operations.iter().map(|_| empty()).collect();
        for block in leaving.iter().flat_map(|piece| piece.chunks(BLOCK_ROWS * width)) {
            for (measure, (values, has_value)) in columns.iter_mut().enumerate() {
                values.extend(block.chunks_exact(width).map(|cells| cells[measure + 1]));
                if self.operations[measure] != Operation::Count {
                    block
                        .chunks_exact(width)
                        .for_each(|cells| has_value.append(cells[0] >> measure & 1 == 1));
                }
            }
        }
        let typed = columns.into_iter().zip(self.fields.iter()).map(|((values, mut has_value), field)| {
            Ok(cast(&Int64Array::new(values.into(), has_value.finish()), field.data_type())?)
        });
        typed.collect()
    }
}

/// A block of consecutive rows: their groups and the values of a column.
struct Block<'a> {
    start: usize,
    groups: &'a [usize],
    /// Of the whole column.
    valid: Option<&'a NullBuffer>,
    /// Of the whole column; `None` if only their number counts.
    numbers: &'a [i64],
}

/// The values of a column, also where they are null.
fn whole_numbers(column: &ArrayRef) -> Result<&[i64]> {
    match column.data_type() {
        DataType::Int64 => Ok(column.as_primitive::<Int64Type>().values()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(column.as_primitive::<TimestampMicrosecondType>().values())
        }
        other => exec_err!("measures take whole numbers and times, not {other}"),
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.fold(values, group_indices, opt_filter, total_num_groups, |operation| operation)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.fold(values, group_indices, None, total_num_groups, Operation::of_states)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let columns = self.take(emit_to)?;
        Ok(Arc::new(StructArray::try_new(self.fields.clone(), columns, None)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.take(emit_to)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        rows_as_groups(Self::new(self.operations.clone(), self.fields.clone()), values, opt_filter)
    }

    fn size(&self) -> usize {
        self.cells.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operation::{Count, Max, Min, Sum};

    fn groups() -> Groups {
        let fields = ["rows", "sum", "least", "most"].map(|name| Field::new(name, DataType::Int64, true));
        Groups::new(vec![Count, Sum, Min, Max], Fields::from(fields.to_vec()))
    }

    fn column(values: &[Option<i64>]) -> [ArrayRef; 4] {
        let array: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        [(); 4].map(|()| Arc::clone(&array))
    }

    fn rows(columns: Vec<ArrayRef>) -> Vec<[Option<i64>; 4]> {
        let cell = |column: &ArrayRef, row| {
            column.is_valid(row).then(|| column.as_primitive::<Int64Type>().value(row))
        };
        let count = columns[0].len();
        (0..count).map(|row| std::array::from_fn(|measure| cell(&columns[measure], row))).collect()
    }

    #[test]
    fn nulls_and_filtered_rows_are_left_out() {
        let mut all = groups();
        let keep = BooleanArray::from(vec![Some(true), Some(true), None, Some(false), Some(true)]);
        let values = column(&[Some(7), None, Some(9), Some(-9), Some(-2)]);
        all.update_batch(&values, &[0, 1, 0, 0, 0], Some(&keep), 2).unwrap();
        let expected = [[Some(2), Some(5), Some(-2), Some(7)], [Some(0), None, None, None]];
        assert_eq!(rows(all.state(EmitTo::All).unwrap()), expected);
    }

    #[test]
    fn groups_emitted_early_merge_with_the_remaining_groups() {
        let values: Vec<Option<i64>> =
            (0..5_000).map(|row| (row % 7 != 3).then_some(row * row % 1_013)).collect();
        let of_rows: Vec<usize> = (0..5_000).map(|row| row * 31 % 11).collect();
        let (mut whole, mut part, mut united) = (groups(), groups(), groups());
        whole.update_batch(&column(&values), &of_rows, None, 11).unwrap();
        part.update_batch(&column(&values[..2_000]), &of_rows[..2_000], None, 11).unwrap();
        united.update_batch(&column(&values[2_000..]), &of_rows[2_000..], None, 11).unwrap();
        let head = part.state(EmitTo::First(4)).unwrap();
        united.merge_batch(&head, &[0, 1, 2, 3], 11).unwrap();
        let tail = part.state(EmitTo::All).unwrap();
        united.merge_batch(&tail, &[4, 5, 6, 7, 8, 9, 10], 11).unwrap();
        assert_eq!(rows(united.state(EmitTo::All).unwrap()), rows(whole.state(EmitTo::All).unwrap()));
    }
}
