//! `trailing`: sums over the rows before each row of an ordered partition, in one pass.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};

/// Which rows count as preceding a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Trail {
    /// Those whose position is 1 to this many below the row's position.
    Positions(i64),
    /// This many rows, of which the row itself is the last.
    Rows(usize),
}

/// The sum and number of the values before each row, as a struct of `sum` and `count`, from a position and a value; nulls are not counted.
///
/// A window function of a partition ordered by the position, a whole number such as the hour.
pub(super) fn trailing(trail: Trail) -> WindowUDF {
    WindowUDF::from(Trailing { signature: Signature::any(2, Volatility::Immutable), trail })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Trailing {
    signature: Signature,
    trail: Trail,
}

fn fields() -> Fields {
    Fields::from(vec![Field::new("sum", DataType::Int64, false), Field::new("count", DataType::Int64, false)])
}

impl WindowUDFImpl for Trailing {
    fn name(&self) -> &str {
        "trailing"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(self.trail))
    }

    fn field(&self, arguments: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(arguments.name(), DataType::Struct(fields()), false)))
    }
}

impl PartitionEvaluator for Trail {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let positions = values[0].as_primitive::<Int64Type>().values();
        let amounts = values[1].as_primitive::<Int64Type>();
        // Only rows in [first, end) count; both bounds only move forward.
        let (mut first, mut end) = (0, 0);
        // Sums wrap as in SQL.
        let (mut sum, mut count) = (0_i64, 0_i64);
        let (mut sums, mut counts) = (Vec::with_capacity(num_rows), Vec::with_capacity(num_rows));
        let amount = |row: usize| amounts.is_valid(row).then(|| amounts.value(row));
        for row in 0..num_rows {
            let (from, to) = match *self {
                Trail::Rows(length) => ((row + 1).saturating_sub(length), row + 1),
                Trail::Positions(span) => {
                    let mut from = first;
                    while positions[from] < positions[row].saturating_sub(span) {
                        from += 1;
                    }
                    let mut to = end;
                    while to < row && positions[to] < positions[row] {
                        to += 1;
                    }
                    (from, to)
                }
            };
            for gained in (end..to).filter_map(amount) {
                sum = sum.wrapping_add(gained);
                count += 1;
            }
            for lost in (first..from.min(to)).filter_map(amount) {
                sum = sum.wrapping_sub(lost);
                count -= 1;
            }
            (first, end) = (from.min(to), to);
            sums.push(sum);
            counts.push(count);
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(sums)), Arc::new(Int64Array::from(counts))];
        Ok(Arc::new(StructArray::new(fields(), columns, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn evaluated(mut trail: Trail, rows: &[(i64, Option<i64>)]) -> Vec<(i64, i64)> {
        let positions: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>());
        let amounts: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
        let result = trail.evaluate_all(&[positions, amounts], rows.len()).unwrap();
        let column =
            |index: usize| result.as_struct().column(index).as_primitive::<Int64Type>().values().to_vec();
        column(0).into_iter().zip(column(1)).collect()
    }

    #[test]
    fn extremes_do_not_overflow() {
        let rows = [(i64::MIN, Some(i64::MAX)), (i64::MIN + 1, Some(i64::MAX)), (i64::MAX, None)];
        assert_eq!(evaluated(Trail::Positions(i64::MAX), &rows), [(0, 0), (i64::MAX, 1), (0, 0)]);
        assert_eq!(evaluated(Trail::Rows(2), &rows), [(i64::MAX, 1), (-2, 2), (i64::MAX, 1)]);
    }

    proptest! {
        /// One pass gives the same result as looking back from every row.
        #[test]
        fn one_pass_equals_looking_back(
            mut rows in prop::collection::vec((0i64..60, prop::option::of(0i64..100)), 0..50),
            span in 1i64..30,
        ) {
            rows.sort_by_key(|row| row.0);
            rows.dedup_by_key(|row| row.0);
            let sums = |chosen: Vec<i64>| (chosen.iter().sum::<i64>(), chosen.len() as i64);
            let by_position: Vec<_> = rows.iter().map(|(position, _)| {
                let is_before = |row: &&(i64, Option<i64>)| row.0 < *position && row.0 >= position - span;
                sums(rows.iter().filter(is_before).filter_map(|row| row.1).collect())
            }).collect();
            prop_assert_eq!(evaluated(Trail::Positions(span), &rows), by_position);
            let length = span as usize;
            let by_rows: Vec<_> = (0..rows.len()).map(|row| {
                sums(rows[(row + 1).saturating_sub(length)..=row].iter().filter_map(|row| row.1).collect())
            }).collect();
            prop_assert_eq!(evaluated(Trail::Rows(length), &rows), by_rows);
        }
    }
}
