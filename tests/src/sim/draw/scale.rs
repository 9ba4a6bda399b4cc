//! From times to places: what happens densely is drawn apart, and long spans without news are squeezed.

use crate::sim::clock::Time;

/// Pixels between two things that happen at different times, at least (nearly) and at most.
const STEP_MIN: f64 = 1.2;
const STEP_MAX: f64 = 60.0;

/// Where each moment lies.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    /// Moments at which something happens, and where they lie, both ascending.
    points: Vec<(Time, f64)>,
}

/// A span that was squeezed: where, and how long it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Squeezed {
    pub(super) x: f64,
    pub(super) span: Time,
}

impl Scale {
    /// A scale on which these moments fit between `left` and `right`.
    pub(super) fn new(mut moments: Vec<Time>, left: f64, right: f64) -> Self {
        moments.push(0);
        moments.sort_unstable();
        moments.dedup();
        // The square root of a span is what it is worth; then everything is stretched to fit.
        let worth = |span: Time| ((span as f64 / 1_000.0).sqrt() * 2.0).clamp(STEP_MIN, STEP_MAX);
        let mut at = 0.0;
        let mut points = vec![(moments[0], 0.0)];
        for pair in moments.windows(2) {
            at += worth(pair[1] - pair[0]);
            points.push((pair[1], at));
        }
        let stretch = if at > 0.0 { (right - left) / at } else { 1.0 };
        points.iter_mut().for_each(|(_, x)| *x = left + *x * stretch);
        Self { points }
    }

    /// Where this moment lies.
    pub(super) fn x(&self, time: Time) -> f64 {
        let after = self.points.partition_point(|&(at, _)| at < time);
        let (Some(&(to, x_to)), before) = (self.points.get(after), after.checked_sub(1)) else {
            return self.points.last().map_or(0.0, |&(_, x)| x);
        };
        let Some(&(from, x_from)) = before.map(|before| &self.points[before]) else {
            return x_to;
        };
        x_from + (x_to - x_from) * (time - from) as f64 / (to - from).max(1) as f64
    }

    /// Moments to write down, so many pixels apart at least.
    pub(super) fn ticks(&self, apart: f64) -> Vec<(Time, f64)> {
        let mut ticks: Vec<(Time, f64)> = Vec::new();
        for &(time, x) in &self.points {
            if ticks.last().is_none_or(|&(_, last)| x - last >= apart) {
                ticks.push((time, x));
            }
        }
        ticks
    }

    /// Spans drawn much shorter than they were.
    pub(super) fn squeezed(&self) -> Vec<Squeezed> {
        let long = |pair: &&[(Time, f64)]| pair[1].0 - pair[0].0 >= 3_000_000;
        let pairs = self.points.windows(2).filter(long);
        pairs
            .map(|pair| Squeezed {
                x: f64::midpoint(pair[0].1, pair[1].1),
                span: pair[1].0 - pair[0].0,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_further_right_and_everything_fits() {
        let moments = vec![0, 10, 20, 5_000_000, 90_000_000];
        let scale = Scale::new(moments.clone(), 100.0, 500.0);
        let places: Vec<f64> = moments.iter().map(|&time| scale.x(time)).collect();
        assert!(
            places.is_sorted() && places[0] >= 100.0 && places[4] <= 500.01,
            "{places:?}"
        );
        assert!(scale.x(2_000_000) > places[2] && scale.x(2_000_000) < places[3]);
        assert_eq!(scale.squeezed().len(), 2);
    }
}
