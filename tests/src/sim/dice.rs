//! The only randomness of a run. Integers only, so that a run is the same on every machine and in every build.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A million: probabilities are given in parts of it.
pub const MILLION: u64 = 1_000_000;

/// The dice of one run.
#[derive(Clone, Debug)]
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Dice that roll what this seed decides.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number below `end`, which is not 0. The bias of the method is far below anything a run could show.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "nothing is below 0");
        ((u128::from(self.any()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "{low} to {high} is no range");
        low + self.below((high - low).saturating_add(1))
    }

    /// A number from `low` to `high` of which every power of two is as likely as the next.
    pub fn scattered(&mut self, low: u64, high: u64) -> u64 {
        let (small, large) = (low.max(1).ilog2(), high.max(1).ilog2());
        let power = self.between(u64::from(small), u64::from(large));
        self.between(1 << power, (2 << power) - 1).clamp(low, high)
    }

    /// True so many times in a million.
    pub fn chance(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.below(MILLION) < u64::from(per_million)
    }

    /// True one time in `of`.
    pub fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// One of these; `None` if there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        match from.len() {
            0 => None,
            length => Some(from[self.below(length as u64) as usize]),
        }
    }

    /// Puts these into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// An index, as likely as its weight says; `None` if all are 0.
    pub fn weighted(&mut self, weights: &[u32]) -> Option<usize> {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        if total == 0 {
            return None;
        }
        let mut left = self.below(total);
        weights.iter().position(|&weight| {
            let found = left < u64::from(weight);
            left = left.wrapping_sub(u64::from(weight));
            found
        })
    }
}
