//! Checksums of rows that do not depend on their order. A merge is compared with the files it replaces before those are
//! deleted.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use hindcast_base::Result;

/// Any seed, but the same for both sides.
const SEED: RandomState = RandomState::with_seed(0);

/// Sums over rows: their number, and the nulls and the sum of hashes of each column and of whole rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    rows: u64,
    columns: Vec<Sum>,
    whole_rows: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    nulls: u64,
    values: u64,
}

impl Sums {
    /// Adds the rows of a batch; all batches have the same columns.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Engine`] if a type can't be hashed.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        self.columns.resize(batch.num_columns(), Sum::default());
        for (sum, column) in self.columns.iter_mut().zip(batch.columns()) {
            sum.nulls += column.logical_null_count() as u64;
            sum.values =
                sum.values.wrapping_add(sum_of_hashes(std::slice::from_ref(column), batch.num_rows())?);
        }
        self.rows += batch.num_rows() as u64;
        self.whole_rows = self.whole_rows.wrapping_add(sum_of_hashes(batch.columns(), batch.num_rows())?);
        Ok(())
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Describes the first of `columns` that differs in `other`; `None` if all rows are the same.
    pub fn difference<'a>(&self, other: &Self, columns: impl Iterator<Item = &'a str>) -> Option<String> {
        if self.rows != other.rows {
            return Some(format!("{} rows have become {}", self.rows, other.rows));
        }
        let mut sums = self.columns.iter().zip(&other.columns).zip(columns);
        match sums.find(|((own, others), _)| own != others) {
            Some((_, column)) => Some(format!("the values of column {column} have changed")),
            None if self != other => Some("values are in other rows".into()),
            None => None,
        }
    }
}

fn sum_of_hashes(columns: &[ArrayRef], rows: usize) -> Result<u64> {
    let mut hashes = vec![0; rows];
    create_hashes(columns, &SEED, &mut hashes)?;
    // Hashed once more, because DataFusion adds the hashes of columns: values could move between rows unnoticed.
    Ok(hashes.iter().fold(0, |sum: u64, hash| sum.wrapping_add(SEED.hash_one(hash))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn sums(batches: &[(&[Option<i64>], &[&str])]) -> Sums {
        let mut sums = Sums::default();
        for (numbers, texts) in batches {
            let columns: [(&str, ArrayRef); 2] = [
                ("n", Arc::new(Int64Array::from(numbers.to_vec()))),
                ("s", Arc::new(StringArray::from(texts.to_vec()))),
            ];
            sums.add(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        }
        sums
    }

    #[test]
    fn only_order_and_batches_make_no_difference() {
        let all = sums(&[(&[Some(1), None, Some(3)], &["a", "b", "a"])]);
        let difference = |other: &Sums| all.difference(other, ["n", "s"].into_iter());
        assert_eq!(difference(&sums(&[(&[None], &["b"]), (&[Some(3), Some(1)], &["a", "a"])])), None);
        let other = |numbers: &[Option<i64>], texts: &[&str]| difference(&sums(&[(numbers, texts)])).unwrap();
        assert_eq!(other(&[Some(1), None], &["a", "b"]), "3 rows have become 2");
        assert!(other(&[Some(1), None, Some(2)], &["a", "b", "a"]).contains("column n"));
        assert!(other(&[Some(1), None, Some(3)], &["a", "b", "b"]).contains("column s"));
        assert_eq!(other(&[None, Some(1), Some(3)], &["a", "b", "a"]), "values are in other rows");
    }
}
