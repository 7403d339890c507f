//! `distinct_texts`: the set of texts of a group, as hashes of limited number. Sets merge exactly, because the operation is a union
//! followed by a choice that depends on the members alone.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

use super::hashing::text_hash;
use super::rows_as_groups;
use super::text::as_texts;

/// Most hashes of a set: the smallest are kept. Up to this number a set is complete, and its size exact; above it the size is
/// estimated, with a standard error of 1.6 % (`1 / √(MAX_HASHES - 2)`; Beyer et al., *On Synopses for Distinct-Value Estimation Under
/// Multiset Operations*, SIGMOD 2007).
pub const MAX_HASHES: usize = 4_096;

/// Bytes of a stored hash.
const HASH_BYTES: usize = size_of::<i64>();

/// The distinct texts of a group as a packed set: the hashes of `text_hash`, ascending, of 8 bytes each, the highest first.
///
/// Takes texts, or packed sets, which it unites. Nulls are left out.
pub fn distinct_texts(texts: Expr) -> Expr {
    distinct_texts_function().call(vec![texts])
}

/// The function of [`distinct_texts`].
pub(super) fn distinct_texts_function() -> AggregateUDF {
    AggregateUDF::from(DistinctTexts { signature: Signature::any(1, Volatility::Immutable) })
}

/// The members of a packed set, ascending.
pub(super) fn members(packed: &[u8]) -> impl ExactSizeIterator<Item = i64> + '_ {
    packed.as_chunks::<HASH_BYTES>().0.iter().map(|bytes| i64::from_be_bytes(*bytes))
}

/// The number of texts that a packed set stands for.
pub(super) fn size_of_set(packed: &[u8]) -> i64 {
    let count = packed.len() / HASH_BYTES;
    match members(packed).last() {
        // k - 1 of the hashes are below the k-th, and all are spread evenly over the range.
        Some(last @ 1..) if count >= MAX_HASHES => {
            ((count - 1) as f64 * (i64::MAX as f64 / last as f64)).round() as i64
        }
        _ => count as i64,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DistinctTexts {
    signature: Signature,
}

impl AggregateUDFImpl for DistinctTexts {
    fn name(&self) -> &str {
        "distinct_texts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(args.name, DataType::Binary, true))])
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

/// The smallest hashes of one group. The last ones may be unsorted and repeat others.
#[derive(Debug)]
struct Smallest {
    hashes: Vec<i64>,
    /// No larger hash is among the smallest.
    limit: i64,
}

impl Smallest {
    fn new() -> Self {
        Self { hashes: Vec::new(), limit: i64::MAX }
    }

    fn add(&mut self, hash: i64) {
        if hash > self.limit {
            return;
        }
        if self.hashes.len() == self.hashes.capacity() {
            self.tidy();
            // Sorting again waits until the set has doubled.
            if self.hashes.len() > self.hashes.capacity() / 2 {
                self.hashes.reserve_exact(self.hashes.len());
            }
        }
        self.hashes.push(hash);
    }

    fn tidy(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.hashes.truncate(MAX_HASHES);
        if let Some(last) = self.hashes.get(MAX_HASHES - 1) {
            self.limit = *last;
        }
    }

    fn heap_bytes(&self) -> usize {
        self.hashes.capacity() * HASH_BYTES
    }
}

/// The sets of all groups.
#[derive(Debug, Default)]
struct Sets {
    sets: Vec<Smallest>,
    heap_bytes: usize,
}

impl Sets {
    fn add(&mut self, group: usize, hashes: impl Iterator<Item = i64>) {
        let set = &mut self.sets[group];
        let before = set.heap_bytes();
        hashes.for_each(|hash| set.add(hash));
        self.heap_bytes += set.heap_bytes() - before;
    }

    fn append(
        &mut self,
        values: &ArrayRef,
        group_count: usize,
        group_of_row: impl Fn(usize) -> Option<usize>,
    ) -> Result<()> {
        if self.sets.len() < group_count {
            self.sets.resize_with(group_count, Smallest::new);
        }
        let rows = (0..values.len()).filter_map(|row| Some((row, group_of_row(row)?)));
        if let Some(packed) = values.as_binary_opt::<i32>() {
            for (row, group) in rows.filter(|(row, _)| packed.is_valid(*row)) {
                let bytes = packed.value(row);
                if bytes.len() % HASH_BYTES != 0 {
                    return Err(exec_datafusion_err!("a set of hashes has {} bytes", bytes.len()));
                }
                self.add(group, members(bytes));
            }
            return Ok(());
        }
        let texts = as_texts(values)?;
        for (row, group) in rows.filter(|(row, _)| texts.is_valid(*row)) {
            self.add(group, std::iter::once(text_hash(texts.value(row))));
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) -> BinaryArray {
        let leaving: Vec<Smallest> = match emit_to {
            EmitTo::All => std::mem::take(&mut self.sets),
            EmitTo::First(count) => self.sets.drain(..count).collect(),
        };
        self.heap_bytes -= leaving.iter().map(Smallest::heap_bytes).sum::<usize>();
        let mut packed = BinaryBuilder::with_capacity(leaving.len(), leaving.len() * HASH_BYTES);
        let mut bytes = Vec::new();
        for mut set in leaving {
            set.tidy();
            bytes.clear();
            bytes.extend(set.hashes.iter().flat_map(|hash| hash.to_be_bytes()));
            packed.append_value(&bytes);
        }
        packed.finish()
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
        let is_taken = |row: usize| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        self.append(&values[0], total_num_groups, |row| is_taken(row).then(|| group_indices[row]))
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.append(&values[0], total_num_groups, |row| Some(group_indices[row]))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(self.emit(emit_to)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.emit(emit_to))])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        rows_as_groups(Sets::default(), values, opt_filter)
    }

    fn size(&self) -> usize {
        self.sets.capacity() * size_of::<Smallest>() + self.heap_bytes
    }
}

/// The accumulator of a query without groups.
#[derive(Debug)]
struct OneGroup(Sets);

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.append(&values[0], 1, |_| Some(0))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.sets.resize_with(1, Smallest::new);
        ScalarValue::try_from_array(&self.0.emit(EmitTo::All), 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + GroupsAccumulator::size(&self.0)
    }
}

#[cfg(test)]
#[path = "distinct_texts_tests.rs"]
mod tests;
