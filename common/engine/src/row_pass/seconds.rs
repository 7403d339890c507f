//! The whole seconds of groups: pushed in order of arrival, sorted when the state is complete.

use std::mem::size_of;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Int64Type;
use datafusion::common::{Result, internal_datafusion_err};
use hindcast_functions::pack;

/// Members per piece: a single array would be copied whenever it grows.
const PIECE_MEMBERS: usize = 64 << 10;

/// The members of all groups, with repetitions.
#[derive(Debug, Default)]
pub(super) struct Seconds {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    groups: Vec<u32>,
    members: Vec<i64>,
}

impl Seconds {
    /// Adds the values of rows to their groups; nulls are left out.
    pub(super) fn push(&mut self, column: &ArrayRef, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = || internal_datafusion_err!("seconds are whole numbers, not {}", column.data_type());
        let numbers = column.as_primitive_opt::<Int64Type>().ok_or_else(other)?;
        for (row, group) in rows.iter().zip(groups) {
            if numbers.is_valid(*row as usize) {
                self.push_one(*group, numbers.value(*row as usize));
            }
        }
        Ok(())
    }

    #[inline]
    fn push_one(&mut self, group: u32, member: i64) {
        match self.pieces.last_mut() {
            Some(piece) if piece.members.len() < PIECE_MEMBERS => {
                piece.groups.push(group);
                piece.members.push(member);
            }
            _ => {
                let (mut groups, mut members) =
                    (Vec::with_capacity(PIECE_MEMBERS), Vec::with_capacity(PIECE_MEMBERS));
                groups.push(group);
                members.push(member);
                self.pieces.push(Piece { groups, members });
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        // The sorted copy is as large as the members.
        self.pieces.len() * PIECE_MEMBERS * (size_of::<u32>() + 2 * size_of::<i64>())
    }

    /// The distinct members of each group in stored form: packed, without the first and the last.
    pub(super) fn packed(self, group_count: usize) -> Result<BinaryArray> {
        // Counting sort by group.
        let mut next = vec![0usize; group_count + 1];
        for group in self.pieces.iter().flat_map(|piece| &piece.groups) {
            next[*group as usize + 1] += 1;
        }
        for group in 0..group_count {
            next[group + 1] += next[group];
        }
        let starts = next.clone();
        let mut by_group = vec![0i64; starts[group_count]];
        for piece in self.pieces {
            for (group, member) in piece.groups.iter().zip(piece.members) {
                let slot = &mut next[*group as usize];
                by_group[*slot] = member;
                *slot += 1;
            }
        }
        let (mut bytes, mut offsets) = (Vec::new(), Vec::with_capacity(group_count + 1));
        offsets.push(0);
        let mut distinct = Vec::new();
        for ends in starts.windows(2) {
            let members = &mut by_group[ends[0]..ends[1]];
            if members.len() > 2 {
                if !members.is_sorted() {
                    members.sort_unstable();
                }
                distinct.clear();
                distinct.extend_from_slice(members);
                distinct.dedup();
                pack(&distinct, &mut bytes);
            }
            let end = i32::try_from(bytes.len());
            offsets.push(end.map_err(|_| internal_datafusion_err!("a unit's seconds take over 2 GiB"))?);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(BinaryArray::try_new(offsets, Buffer::from_vec(bytes), None)?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn groups_have_their_distinct_seconds_packed(
            rows in prop::collection::vec((0u32..6, prop::option::weighted(0.9, -20i64..300)), 0..300),
        ) {
            let column: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
            let numbers: Vec<u32> = (0..rows.len() as u32).collect();
            let groups: Vec<u32> = rows.iter().map(|row| row.0).collect();
            let mut seconds = Seconds::default();
            seconds.push(&column, &numbers, &groups).unwrap();
            let packed = seconds.packed(7).unwrap();
            for group in 0..7u32 {
                let own: BTreeSet<i64> =
                    rows.iter().filter(|row| row.0 == group).filter_map(|row| row.1).collect();
                let mut expected = Vec::new();
                pack(&own.into_iter().collect::<Vec<_>>(), &mut expected);
                prop_assert_eq!(packed.value(group as usize), expected);
            }
        }
    }

    #[test]
    fn members_of_many_pieces_stay_with_their_groups() {
        let count = 2 * PIECE_MEMBERS as u32 + 10;
        let column: ArrayRef =
            Arc::new(Int64Array::from_iter_values((0..count).map(|row| i64::from(row / 3))));
        let rows: Vec<u32> = (0..count).collect();
        let groups: Vec<u32> = rows.iter().map(|row| row % 3).collect();
        let mut seconds = Seconds::default();
        seconds.push(&column, &rows, &groups).unwrap();
        let packed = seconds.packed(3).unwrap();
        assert!(packed.iter().all(|bytes| bytes.map(<[u8]>::len) == Some(count as usize / 3 - 2)));
    }
}
