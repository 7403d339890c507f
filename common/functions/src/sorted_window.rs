//! The numbers of a sliding window in order, for medians and quantiles.

/// Numbers in ascending order ([`f64::total_cmp`]).
#[derive(Debug, Default)]
pub(crate) struct SortedWindow(Vec<f64>);

impl SortedWindow {
    /// Adds a number.
    pub fn insert(&mut self, number: f64) {
        let place = self.0.partition_point(|other| other.total_cmp(&number).is_lt());
        self.0.insert(place, number);
    }

    /// Removes one number that is equal to `number`, if there is one.
    pub fn remove(&mut self, number: f64) {
        let place = self.0.partition_point(|other| other.total_cmp(&number).is_lt());
        if self.0.get(place).is_some_and(|found| found.total_cmp(&number).is_eq()) {
            self.0.remove(place);
        }
    }

    /// Removes all numbers.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many numbers are at least `number`.
    pub fn count_from(&self, number: f64) -> usize {
        self.0.len() - self.0.partition_point(|other| other.total_cmp(&number).is_lt())
    }

    /// The median; the mean of the two in the middle if their number is even, and 0 if there are none.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => 0.0,
            length if length % 2 == 1 => self.0[middle],
            _ => (self.0[middle - 1] + self.0[middle]) / 2.0,
        }
    }

    /// The number at this share of the others, 0 to 1, rounded down; 0 if there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let place = (last as f64 * share.clamp(0.0, 1.0)) as usize;
        self.0.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn medians_and_quantiles() {
        let mut window = SortedWindow::default();
        assert_eq!((window.median(), window.quantile(0.9), window.len()), (0.0, 0.0, 0));
        [5.0, 1.0, 3.0].into_iter().for_each(|number| window.insert(number));
        assert_eq!((window.median(), window.quantile(0.0), window.quantile(1.0)), (3.0, 1.0, 5.0));
        window.insert(4.0);
        assert_eq!((window.median(), window.count_from(3.0), window.count_from(6.0)), (3.5, 3, 0));
        // A number that is not there changes nothing.
        window.remove(2.0);
        assert_eq!(window.len(), 4);
    }

    proptest! {
        /// Sliding equals sorting every window.
        #[test]
        fn sliding_equals_sorting(numbers in prop::collection::vec(-9i32..9, 1..60), half in 0usize..9) {
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let mut window = SortedWindow::default();
            for end in 0..numbers.len() {
                window.insert(numbers[end]);
                if end > half {
                    window.remove(numbers[end - half - 1]);
                }
                let mut sorted = numbers[end.saturating_sub(half)..=end].to_vec();
                sorted.sort_by(f64::total_cmp);
                prop_assert_eq!(&window.0, &sorted);
            }
        }
    }
}
