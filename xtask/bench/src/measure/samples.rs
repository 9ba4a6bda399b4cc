//! Measurements of one thing, and what is said of them.

use std::time::Duration;

/// Measurements of one thing, all in the same unit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Many at once.
    pub fn from_unsorted(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// One more.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// One more length of time, in milliseconds.
    pub fn add_ms(&mut self, span: Duration) {
        self.add(span.as_secs_f64() * 1e3);
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle one; of an even number the mean of both.
    pub fn median(&self) -> Option<f64> {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => None,
            count if count % 2 == 1 => Some(self.0[middle]),
            _ => Some((self.0[middle - 1] + self.0[middle]) / 2.0),
        }
    }

    /// The smallest.
    pub fn least(&self) -> Option<f64> {
        self.0.first().copied()
    }

    /// The largest.
    pub fn most(&self) -> Option<f64> {
        self.0.last().copied()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self::from_unsorted(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_and_the_spread_what_lies_outermost() {
        assert_eq!(Samples::new().median(), None);
        let odd = Samples::from_iter([5.0, 1.0, 3.0]);
        assert_eq!(
            (odd.median(), odd.least(), odd.most()),
            (Some(3.0), Some(1.0), Some(5.0))
        );
        assert_eq!(Samples::from_iter([4.0, 1.0, 3.0, 9.0]).median(), Some(3.5));
    }
}
