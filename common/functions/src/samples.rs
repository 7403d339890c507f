//! `samples`: a few texts of a group, chosen by their hashes. Which ones does not depend on the order of rows or on how they are split.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

use super::hashing::text_hash;
use super::rows_as_groups;
use super::text::as_texts;

/// Texts that a group keeps.
const MAX_SAMPLES: usize = 3;

/// Up to three distinct texts of a group, those of the smallest hashes, as lines of one text; null if there is none.
///
/// Takes texts, of which each line counts as one, so that it unites its own results.
pub fn samples(texts: Expr) -> Expr {
    AggregateUDF::from(Samples { signature: Signature::any(1, Volatility::Immutable) }).call(vec![texts])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Samples {
    signature: Signature,
}

impl AggregateUDFImpl for Samples {
    fn name(&self) -> &str {
        "samples"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(args.name, DataType::Utf8View, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        internal_err!("samples need groups")
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
    }
}

/// A text and its hash.
type Sample = (i64, Box<str>);

/// The samples of all groups, ascending by hash and text.
#[derive(Debug, Default)]
struct Groups {
    groups: Vec<Vec<Sample>>,
    heap_bytes: usize,
}

impl Groups {
    fn add(&mut self, group: usize, line: &str) {
        let kept = &mut self.groups[group];
        let hash = text_hash(line);
        let Err(place) = kept.binary_search_by(|(own, text)| (*own, &**text).cmp(&(hash, line))) else {
            return;
        };
        if place >= MAX_SAMPLES {
            return;
        }
        if kept.len() == MAX_SAMPLES {
            self.heap_bytes -= kept.pop().map_or(0, |(_, text)| text.len());
        } else {
            kept.reserve_exact(1);
            self.heap_bytes += size_of::<Sample>();
        }
        self.heap_bytes += line.len();
        kept.insert(place, (hash, line.into()));
    }

    fn fold(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        if self.groups.len() < group_count {
            self.groups.resize_with(group_count, Vec::new);
        }
        let texts = as_texts(&values[0])?;
        for (row, group) in group_indices.iter().enumerate() {
            let is_taken = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if is_taken && texts.is_valid(row) {
                texts.value(row).lines().for_each(|line| self.add(*group, line));
            }
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) -> ArrayRef {
        let leaving: Vec<Vec<Sample>> = match emit_to {
            EmitTo::All => std::mem::take(&mut self.groups),
            EmitTo::First(count) => self.groups.drain(..count).collect(),
        };
        let bytes = |(_, text): &Sample| size_of::<Sample>() + text.len();
        self.heap_bytes -= leaving.iter().flatten().map(bytes).sum::<usize>();
        let lines = |samples: &Vec<Sample>| {
            let lines: Vec<&str> = samples.iter().map(|(_, text)| &**text).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        Arc::new(leaving.iter().map(lines).collect::<StringViewArray>())
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
        self.fold(values, group_indices, opt_filter, total_num_groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.fold(values, group_indices, None, total_num_groups)
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
        rows_as_groups(Self::default(), values, opt_filter)
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Vec<Sample>>() + self.heap_bytes
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    fn emitted(groups: &mut Groups) -> Vec<Option<String>> {
        let texts = groups.emit(EmitTo::All);
        texts.as_string_view().iter().map(|text| text.map(str::to_owned)).collect()
    }

    fn of_rows(rows: &[(usize, Option<u8>)]) -> Groups {
        let mut groups = Groups::default();
        let texts: StringViewArray =
            rows.iter().map(|(_, text)| text.map(|text| format!("t{text}"))).collect();
        let of_row: Vec<usize> = rows.iter().map(|(group, _)| *group).collect();
        groups.update_batch(&[Arc::new(texts)], &of_row, None, 3).unwrap();
        groups
    }

    #[test]
    fn three_distinct_texts_are_kept_and_none_is_null() {
        let rows: Vec<(usize, Option<u8>)> = (0..50).map(|text| (0, Some(text % 25))).collect();
        let mut groups = of_rows(&[&rows[..], &[(1, None), (2, Some(7)), (2, Some(7))]].concat());
        let kept = emitted(&mut groups);
        let mut hashed: Vec<(i64, String)> =
            (0..25).map(|text| format!("t{text}")).map(|text| (text_hash(&text), text)).collect();
        hashed.sort();
        let smallest: Vec<&str> = hashed[..3].iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(kept, [Some(smallest.join("\n")), None, Some("t7".to_owned())]);
        assert_eq!(groups.heap_bytes, 0);
    }

    proptest! {
        /// Any split of the rows, merged in any order, gives the samples of all rows.
        #[test]
        fn samples_do_not_depend_on_the_split(rows in prop::collection::vec((0usize..3, prop::option::of(0u8..40)), 0..100), cut in 0usize..100) {
            let cut = cut.min(rows.len());
            let mut merged = Groups::default();
            for part in [&rows[cut..], &rows[..cut]] {
                let state = of_rows(part).state(EmitTo::All).unwrap();
                merged.merge_batch(&state, &[0, 1, 2], 3).unwrap();
            }
            prop_assert_eq!(emitted(&mut merged), emitted(&mut of_rows(&rows)));
        }
    }
}
