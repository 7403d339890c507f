//! Keys as small numbers, in order of first occurrence.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, StringArray};
use datafusion::common::{HashMap, Result};
use hindcast_functions::as_texts;

/// The number of a null. Texts and integers have numbers from 1.
pub(super) const NULL: u32 = 0;

/// Dictionaries whose numbers are remembered: the reader is at most a few batches before a rollup.
const REMEMBERED: usize = 4;
/// Slots of the smallest table of integers.
const LEAST_SLOTS: usize = 64;
/// 2⁶⁴ divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, 6.4: multiplicative hashing).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers of the texts of one column of a unit. All rollups that have the column as a key share them.
#[derive(Debug, Default)]
pub(super) struct Texts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    number_of: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// The numbers of the values of the last dictionaries.
    of_values: VecDeque<(ArrayData, Arc<Vec<u32>>)>,
    /// All texts, as of the last request.
    array: Option<ArrayRef>,
}

impl Texts {
    /// The number of each text of an array of texts, such as the values of a dictionary.
    pub(super) fn numbers(&self, texts: &ArrayRef) -> Result<Arc<Vec<u32>>> {
        let mut known = self.known();
        // Readers wrap the same buffers in a new array for each batch.
        let data = texts.to_data();
        if let Some((_, numbers)) = known.of_values.iter().find(|(of, _)| of.ptr_eq(&data)) {
            return Ok(Arc::clone(numbers));
        }
        let numbers: Vec<u32> = match texts.as_string_opt::<i32>() {
            Some(texts) => texts.iter().map(|text| known.number(text)).collect(),
            None => as_texts(texts)?.iter().map(|text| known.number(text)).collect(),
        };
        let numbers = Arc::new(numbers);
        known.of_values.truncate(REMEMBERED - 1);
        known.of_values.push_front((data, Arc::clone(&numbers)));
        Ok(numbers)
    }

    /// All texts so far: the one with number 1 first.
    pub(super) fn array(&self) -> ArrayRef {
        let mut known = self.known();
        match &known.array {
            Some(array) if array.len() == known.texts.len() => Arc::clone(array),
            _ => {
                let array: ArrayRef = Arc::new(StringArray::from_iter_values(known.texts.iter()));
                known.array = Some(Arc::clone(&array));
                array
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic elsewhere leaves the map consistent: every change is one insertion.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn number(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return NULL };
        if let Some(number) = self.number_of.get(text) {
            return *number;
        }
        let shared: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&shared));
        let number = self.texts.len() as u32;
        self.number_of.insert(shared, number);
        number
    }
}

/// Numbers of integers, from 0. The table has open addressing; integers are never removed.
#[derive(Debug, Default)]
pub(super) struct Integers {
    /// Both halves of an integer, and its number plus one; 0 if the slot is free.
    slots: Vec<[u32; 3]>,
    integers: Vec<u64>,
}

impl Integers {
    pub(super) fn number(&mut self, integer: u64) -> u32 {
        // At most half of the slots are used.
        if self.integers.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let [high, low] = halves(integer);
        let slot = self.slot(integer);
        if self.slots[slot][2] == 0 {
            self.integers.push(integer);
            self.slots[slot] = [high, low, self.integers.len() as u32];
        }
        self.slots[slot][2] - 1
    }

    /// The integers by number.
    pub(super) fn all(&self) -> &[u64] {
        &self.integers
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<[u32; 3]>() + self.integers.capacity() * size_of::<u64>()
    }

    /// The slot that has the integer, or the free one where it belongs.
    fn slot(&self, integer: u64) -> usize {
        let [high, low] = halves(integer);
        let mask = self.slots.len() - 1;
        let shift = u64::BITS - self.slots.len().trailing_zeros();
        let mut slot = (integer.wrapping_mul(GOLDEN) >> shift) as usize;
        loop {
            let [known_high, known_low, number] = self.slots[slot];
            if number == 0 || (known_low == low && known_high == high) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        self.slots = vec![[0; 3]; (self.slots.len() * 2).max(LEAST_SLOTS)];
        for number in 0..self.integers.len() {
            let integer = self.integers[number];
            let [high, low] = halves(integer);
            let slot = self.slot(integer);
            self.slots[slot] = [high, low, number as u32 + 1];
        }
    }
}

fn halves(integer: u64) -> [u32; 2] {
    [(integer >> 32) as u32, integer as u32]
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_of_any_array_have_one_number_and_null_has_none() {
        let texts = Texts::default();
        let first: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("a")]));
        let second: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("c"), None, Some("a")]));
        assert_eq!(**texts.numbers(&first).unwrap(), [1, NULL, 2]);
        assert_eq!(**texts.numbers(&second).unwrap(), [2, 3, NULL, 2]);
        assert_eq!(**texts.numbers(&first).unwrap(), [1, NULL, 2]);
        assert_eq!(texts.array().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["b", "a", "c"]);
    }

    #[test]
    fn only_the_last_dictionaries_are_remembered() {
        let texts = Texts::default();
        for number in 0..3 * REMEMBERED {
            let array: ArrayRef = Arc::new(StringArray::from(vec![number.to_string()]));
            assert_eq!(**texts.numbers(&array).unwrap(), [number as u32 + 1]);
        }
        assert_eq!(texts.known().of_values.len(), REMEMBERED);
    }

    proptest! {
        #[test]
        fn integers_are_numbered_as_by_a_map(
            integers in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..50, (0u64..50).prop_map(|high| high << 32)], 0..600),
        ) {
            let (mut numbers, mut expected) = (Integers::default(), HashMap::<u64, u32>::new());
            for integer in integers {
                let next = expected.len() as u32;
                prop_assert_eq!(numbers.number(integer), *expected.entry(integer).or_insert(next));
                prop_assert_eq!(numbers.all()[expected[&integer] as usize], integer);
            }
        }
    }
}
