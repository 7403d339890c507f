//! Tests of sets of texts: any split merges to the same set, also above the limit.

use arrow::array::StringViewArray;
use proptest::prelude::*;

use super::*;

fn texts(texts: &[Option<String>]) -> ArrayRef {
    Arc::new(texts.iter().cloned().collect::<StringViewArray>())
}

fn numbered(numbers: impl Iterator<Item = usize>) -> Vec<Option<String>> {
    numbers.map(|number| Some(format!("n{number}"))).collect()
}

/// The sets of rows that are in one of two groups each.
fn sets_of(rows: &[Option<String>]) -> Sets {
    let mut sets = Sets::default();
    let groups: Vec<usize> = (0..rows.len()).map(|row| row % 2).collect();
    for (rows, groups) in rows.chunks(1_000).zip(groups.chunks(1_000)) {
        sets.update_batch(&[texts(rows)], groups, None, 2).unwrap();
    }
    sets.sets.resize_with(2, Smallest::new);
    sets
}

#[test]
fn a_set_up_to_the_limit_is_exact_and_ignores_nulls_and_repetitions() {
    let mut sets = Sets::default();
    let rows = [Some("a"), Some("b"), Some("a"), None, Some("c")].map(|text| text.map(str::to_owned));
    let keep = BooleanArray::from(vec![true, true, true, true, false]);
    sets.update_batch(&[texts(&rows)], &[0, 0, 0, 0, 0], Some(&keep), 2).unwrap();
    let packed = sets.emit(EmitTo::All);
    assert_eq!((size_of_set(packed.value(0)), size_of_set(packed.value(1))), (2, 0));
    let mut expected = [text_hash("a"), text_hash("b")];
    expected.sort_unstable();
    assert_eq!(members(packed.value(0)).collect::<Vec<_>>(), expected);
    assert_eq!(sets.heap_bytes, 0);

    let mut full = sets_of(&numbered((0..MAX_HASHES * 2).flat_map(|number| [number, number])));
    let packed = full.emit(EmitTo::All);
    assert_eq!(size_of_set(packed.value(0)), estimated(packed.value(0)));
    let mut below = sets_of(&numbered((0..MAX_HASHES * 2 - 2).chain(0..MAX_HASHES)));
    assert_eq!(size_of_set(below.emit(EmitTo::All).value(0)), MAX_HASHES as i64 - 1);
}

fn estimated(packed: &[u8]) -> i64 {
    let last = members(packed).last().unwrap();
    ((MAX_HASHES - 1) as f64 * (i64::MAX as f64 / last as f64)).round() as i64
}

#[test]
fn a_larger_set_is_estimated_within_five_percent_and_takes_limited_memory() {
    for count in [10_000, 50_000, 200_000] {
        let mut sets = sets_of(&numbered(0..2 * count));
        assert!(sets.heap_bytes <= 2 * 2 * MAX_HASHES * HASH_BYTES, "{}", sets.heap_bytes);
        let packed = sets.emit(EmitTo::All);
        let size = size_of_set(packed.value(0));
        assert_eq!(packed.value(0).len(), MAX_HASHES * HASH_BYTES);
        assert!((size - count as i64).abs() < count as i64 / 20, "{size} of {count}");
    }
}

#[test]
fn a_query_without_groups_and_without_rows_has_an_empty_set() {
    let mut one = OneGroup(Sets::default());
    assert_eq!(one.evaluate().unwrap(), ScalarValue::Binary(Some(vec![])));
    one.update_batch(&[texts(&[Some("a".to_owned()), None])]).unwrap();
    let ScalarValue::Binary(Some(packed)) = one.evaluate().unwrap() else { panic!("no set") };
    assert_eq!(members(&packed).collect::<Vec<_>>(), [text_hash("a")]);
}

#[test]
fn truncated_state_is_an_error() {
    let packed: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&[1, 2, 3]]));
    let error = Sets::default().merge_batch(&[packed], &[0], 1).unwrap_err();
    assert!(error.to_string().contains("a set of hashes has 3 bytes"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any split of the rows, merged in any order and emitted in steps, gives the sets of all rows, also above the limit.
    #[test]
    fn union_is_exact_in_any_split(numbers in prop::collection::vec(0usize..40, 0..200), dense in any::<bool>(), cut in 0usize..20_000, first in 0usize..3) {
        let rows = if dense { numbered((0..3 * MAX_HASHES).chain(numbers)) } else { numbered(numbers.into_iter()) };
        // Each half of an even cut keeps its rows in their groups.
        let cut = cut.min(rows.len()) / 2 * 2;
        let whole = sets_of(&rows).emit(EmitTo::All);
        let mut merged = Sets::default();
        for part in [&rows[cut..], &rows[..cut]] {
            let mut part = sets_of(part);
            let first = first.min(2);
            let head = part.state(EmitTo::First(first)).unwrap();
            merged.merge_batch(&head, &(0..first).collect::<Vec<_>>(), 2).unwrap();
            let tail = part.state(EmitTo::All).unwrap();
            merged.merge_batch(&tail, &(first..2).collect::<Vec<_>>(), 2).unwrap();
        }
        prop_assert_eq!(merged.emit(EmitTo::All), whole);
    }
}
