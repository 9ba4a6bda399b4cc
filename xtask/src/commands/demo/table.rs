//! What took how long.

use std::fmt;
use std::time::Duration;

/// Rows in the order in which they were measured.
#[derive(Default)]
pub(super) struct Timings(Vec<(String, Duration)>);

impl Timings {
    /// Adds a row.
    pub(super) fn add(&mut self, what: impl Into<String>, took: Duration) {
        self.0.push((what.into(), took));
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.0.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
        for (what, took) in &self.0 {
            writeln!(f, "  {what:widest$}  {:>8.1} ms", took.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut timings = Timings::default();
        timings.add("one", Duration::from_micros(1_500));
        timings.add("the other", Duration::from_secs(2));
        assert_eq!(
            timings.to_string(),
            "  one             1.5 ms\n  the other    2000.0 ms\n"
        );
    }
}
