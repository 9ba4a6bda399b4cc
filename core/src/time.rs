//! Time as plain values: the platform passes `now` in, and is told the next deadline. There is no clock trait.

use core::ops::{Add, AddAssign, Sub};

/// A moment on the host's monotonic clock, in microseconds since any fixed start.
/// The clock must go on running while the machine is suspended (`CLOCK_BOOTTIME` on Linux).
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Instant(pub u64);

/// A length of time in microseconds.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Duration(pub u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// From seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// Whole milliseconds, rounded up, so that a promise is never shortened by rounding.
    pub const fn as_millis_ceil(self) -> u64 {
        Self(self.0.saturating_add(999)).divided(1_000).0
    }

    /// This many times as long; saturates.
    #[must_use]
    #[inline(never)]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// The part of it that `random` is of 2^32: spread evenly, and never the whole.
    #[must_use]
    pub const fn drawn(self, random: u32) -> Self {
        let (high, low) = (self.0 >> 32, self.0 & 0xffff_ffff);
        Self(high * random as u64 + ((low * random as u64) >> 32))
    }

    /// One of `parts` equal parts, rounded down.
    #[must_use]
    #[inline(never)]
    pub const fn divided(self, parts: u16) -> Self {
        Self(if cfg!(target_pointer_width = "64") {
            self.0 / parts as u64
        } else {
            divided_by_digits(self.0, parts)
        })
    }
}

/// Digit by digit: a general division of 64 bits is a kilobyte of code where the processor has none.
const fn divided_by_digits(value: u64, parts: u16) -> u64 {
    let (mut quotient, mut rest, mut shift) = (0, 0, 64);
    while shift > 0 {
        shift -= 16;
        rest = (rest << 16) | (value >> shift) as u32 & 0xffff;
        quotient = (quotient << 16) | (rest / parts as u32) as u64;
        rest %= parts as u32;
    }
    quotient
}

impl Instant {
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Time since `earlier`; zero if `earlier` lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

/// The earliest of these moments, if there is any.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub fn earliest(moments: &[Option<Instant>]) -> Option<Instant> {
    moments.iter().copied().flatten().min()
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divided_is_a_division() {
        for span in [0, 1, 999, 1_000, 123_456_789_012_345, u64::MAX - 1, u64::MAX] {
            for parts in [1, 2, 3, 1_000, u16::MAX] {
                assert_eq!(
                    Duration(span).divided(parts).0,
                    span / u64::from(parts),
                    "{span} / {parts}"
                );
                assert_eq!(
                    divided_by_digits(span, parts),
                    span / u64::from(parts),
                    "{span} / {parts}, where 64 bits cannot be divided at once"
                );
            }
        }
    }

    #[test]
    fn milliseconds_are_rounded_up() {
        for (us, ms) in [
            (0, 0),
            (1, 1),
            (1_000, 1),
            (1_001, 2),
            (u64::MAX, u64::MAX / 1_000),
        ] {
            assert_eq!(Duration(us).as_millis_ceil(), ms);
        }
    }

    #[test]
    fn what_is_drawn_is_spread_over_the_whole_and_never_all_of_it() {
        for span in [1, 5_000, 1 << 32, (1 << 40) + 12_345] {
            let drawn = |random| Duration(span).drawn(random).0;
            assert_eq!(drawn(0), 0);
            assert_eq!(drawn(1 << 31), span / 2);
            assert!(drawn(u32::MAX) < span && drawn(u32::MAX) >= span - 1 - span / (1 << 32));
        }
    }
}
