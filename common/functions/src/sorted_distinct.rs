//! `sorted_distinct`: the sorted set of whole numbers of a group. Sets merge exactly, because the operation is a union.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

use super::packed_set::unpack;
use super::{lists_of_integers, rows_as_groups};

/// The distinct numbers of a group, ascending, as a list.
///
/// Takes 64-bit integers or sets of them, which it unites. Sets are lists or, as stored in state, three columns: packed sets and
/// their first and last numbers. Nulls are left out.
pub fn sorted_distinct(values: Vec<Expr>) -> Expr {
    sorted_distinct_function(values.len()).call(values)
}

/// The function of [`sorted_distinct`] with this number of arguments.
pub(super) fn sorted_distinct_function(arguments: usize) -> AggregateUDF {
    AggregateUDF::from(SortedDistinct { signature: Signature::any(arguments, Volatility::Immutable) })
}

fn list_item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Int64, true))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SortedDistinct {
    signature: Signature,
}

impl AggregateUDFImpl for SortedDistinct {
    fn name(&self) -> &str {
        "sorted_distinct"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(list_item()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(args.name, DataType::List(list_item()), true))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(Sets::default())))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Sets::default()))
    }
}

/// Members per piece: a single array would be copied whenever it grows.
const PIECE_MEMBERS: usize = 64 << 10;

/// Members of all groups in order of arrival: adding one is a push, and sorting waits until a group is emitted.
#[derive(Debug, Default)]
struct Sets {
    pieces: Vec<Piece>,
    group_count: usize,
}

#[derive(Debug, Default)]
struct Piece {
    group_of_member: Vec<u32>,
    members: Vec<i64>,
}

impl Piece {
    fn each(&self) -> impl Iterator<Item = (usize, i64)> {
        let groups = self.group_of_member.iter().map(|group| *group as usize);
        groups.zip(self.members.iter().copied())
    }
}

impl Sets {
    fn push(&mut self, group: usize, member: i64) {
        match self.pieces.last_mut() {
            Some(piece) if piece.members.len() < PIECE_MEMBERS => {
                piece.group_of_member.push(group as u32);
                piece.members.push(member);
            }
            _ => self.pieces.push(Piece { group_of_member: vec![group as u32], members: vec![member] }),
        }
    }

    fn append(
        &mut self,
        arguments: &[ArrayRef],
        group_of_row: impl Fn(usize) -> Option<usize>,
    ) -> Result<()> {
        let values = &arguments[0];
        match values.data_type() {
            DataType::Int64 => {
                let numbers = values.as_primitive::<Int64Type>();
                for row in 0..numbers.len() {
                    if let Some(group) = group_of_row(row).filter(|_| numbers.is_valid(row)) {
                        self.push(group, numbers.value(row));
                    }
                }
            }
            DataType::List(_) => {
                let (lists, numbers) = lists_of_integers(values, "sorted_distinct")?;
                for row in 0..lists.len() {
                    let Some(group) = group_of_row(row).filter(|_| lists.is_valid(row)) else {
                        continue;
                    };
                    let (start, end) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
                    numbers[start as usize..end as usize].iter().for_each(|number| self.push(group, *number));
                }
            }
            DataType::Binary => {
                let [_, first, last] = arguments else {
                    return exec_err!("sorted_distinct takes packed sets with their first and last");
                };
                let packed = values.as_binary::<i32>();
                let (first, last) = (first.as_primitive::<Int64Type>(), last.as_primitive::<Int64Type>());
                for row in 0..packed.len() {
                    let Some(group) = group_of_row(row).filter(|_| packed.is_valid(row)) else {
                        continue;
                    };
                    if first.is_null(row) || last.is_null(row) {
                        return exec_err!("a packed set has no first or last");
                    }
                    let each = |member| self.push(group, member);
                    unpack(first.value(row), packed.value(row), last.value(row), each)?;
                }
            }
            other => return exec_err!("sorted_distinct takes whole numbers or sets of them, not {other}"),
        }
        Ok(())
    }

    /// Takes the members of the emitted groups; those of later groups stay and are renumbered.
    fn take(&mut self, emit_to: EmitTo) -> Self {
        let group_count = match emit_to {
            EmitTo::All => self.group_count,
            EmitTo::First(count) => count,
        };
        let all = std::mem::take(self);
        if group_count == all.group_count {
            return all;
        }
        let mut leaving = Self { group_count, ..Self::default() };
        self.group_count = all.group_count - group_count;
        for (group, member) in all.pieces.iter().flat_map(Piece::each) {
            match group.checked_sub(group_count) {
                None => leaving.push(group, member),
                Some(group) => self.push(group, member),
            }
        }
        leaving
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let Self { pieces, group_count } = self.take(emit_to);
        // Counting sort by group; then each group's run is sorted and deduplicated in place.
        let mut next_slot = vec![0usize; group_count + 1];
        for (group, _) in pieces.iter().flat_map(Piece::each) {
            next_slot[group + 1] += 1;
        }
        for group in 0..group_count {
            next_slot[group + 1] += next_slot[group];
        }
        let starts = next_slot.clone();
        let mut by_group = vec![0i64; starts[group_count]];
        for piece in pieces {
            for (group, member) in piece.each() {
                by_group[next_slot[group]] = member;
                next_slot[group] += 1;
            }
        }
        let (mut unique, mut lengths) = (0, Vec::with_capacity(group_count));
        for ends in starts.windows(2) {
            by_group[ends[0]..ends[1]].sort_unstable();
            let before = unique;
            for place in ends[0]..ends[1] {
                if unique == before || by_group[unique - 1] != by_group[place] {
                    by_group[unique] = by_group[place];
                    unique += 1;
                }
            }
            lengths.push(unique - before);
        }
        by_group.truncate(unique);
        Arc::new(ListArray::new(
            list_item(),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(Int64Array::from(by_group)),
            None,
        ))
    }

    fn heap_bytes(&self) -> usize {
        let bytes = |piece: &Piece| {
            piece.group_of_member.capacity() * size_of::<u32>() + piece.members.capacity() * size_of::<i64>()
        };
        self.pieces.iter().map(bytes).sum()
    }
}

impl GroupsAccumulator for Sets {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.group_count = total_num_groups;
        self.append(values, |row| {
            opt_filter
                .is_none_or(|filter| filter.is_valid(row) && filter.value(row))
                .then(|| group_indices[row])
        })
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.emit(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        rows_as_groups(Sets::default(), values, opt_filter)
    }

    fn size(&self) -> usize {
        self.heap_bytes()
    }
}

/// The accumulator of a query without groups.
#[derive(Debug)]
struct OneGroup(Sets);

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.group_count = 1;
        self.0.append(values, |_| Some(0))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.group_count = 1;
        ScalarValue::try_from_array(&self.0.emit(EmitTo::All), 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lists(array: &ArrayRef) -> Vec<Vec<i64>> {
        array
            .as_list::<i32>()
            .iter()
            .map(|list| list.map(|l| l.as_primitive::<Int64Type>().values().to_vec()).unwrap_or_default())
            .collect()
    }

    #[test]
    fn members_of_many_pieces_are_emitted_in_two_steps() {
        let row_count = 3 * PIECE_MEMBERS as i64 + 7;
        let members: ArrayRef =
            Arc::new(Int64Array::from_iter_values((0..row_count).map(|row| row * 31 % 1_013)));
        let group_of_row: Vec<usize> = (0..row_count as usize).map(|row| row % 7).collect();
        let mut sets = Sets::default();
        sets.update_batch(&[members], &group_of_row, None, 7).unwrap();
        assert_eq!(sets.pieces.len(), 4);
        let first = lists(&sets.state(EmitTo::First(3)).unwrap()[0]);
        let rest = lists(&sets.evaluate(EmitTo::All).unwrap());
        // Neither 7 nor 31 shares a factor with 1,013: each group gets every member.
        let every: Vec<i64> = (0..1_013).collect();
        assert_eq!((first, rest), (vec![every.clone(); 3], vec![every; 4]));
        assert_eq!(sets.heap_bytes(), 0);
    }

    proptest! {
        /// Any split of the rows, merged in any order, gives the sets of all rows.
        #[test]
        fn union_is_exact_in_any_split(rows in prop::collection::vec((0usize..5, -50i64..50), 0..200), cut in 0usize..200, first in 0usize..6) {
            let mut whole = Sets::default();
            let mut parts = [Sets::default(), Sets::default()];
            for (index, (group, member)) in rows.iter().enumerate() {
                let value: ArrayRef = Arc::new(Int64Array::from(vec![*member]));
                whole.update_batch(std::slice::from_ref(&value), &[*group], None, 5).unwrap();
                parts[usize::from(index >= cut)].update_batch(&[value], &[*group], None, 5).unwrap();
            }
            whole.group_count = 5;
            let mut merged = Sets::default();
            for part in parts.iter_mut().rev() {
                part.group_count = 5;
                // State may be emitted in two steps, as when an aggregation spills.
                let head = part.state(EmitTo::First(first.min(5))).unwrap();
                let head_groups: Vec<usize> = (0..first.min(5)).collect();
                merged.merge_batch(&head, &head_groups, 5).unwrap();
                let tail = part.state(EmitTo::All).unwrap();
                let tail_groups: Vec<usize> = (first.min(5)..5).take(tail[0].len()).collect();
                merged.merge_batch(&tail, &tail_groups, 5).unwrap();
            }
            prop_assert_eq!(lists(&merged.evaluate(EmitTo::All).unwrap()), lists(&whole.evaluate(EmitTo::All).unwrap()));
        }
    }
}
