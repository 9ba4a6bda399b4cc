//! A host's clock: runs at its own rate, starts anywhere, and may jump forward.

use ostrakon_core::time::{Duration, Instant};

use super::dice::MILLION;

/// Virtual time of the world in microseconds: the time that nobody in it knows.
pub type Time = u64;

/// A host's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    true_base: Time,
    local_base: u64,
    /// Parts per million that this clock runs fast (or, if negative, slow).
    drift_ppm: i64,
}

impl Clock {
    /// A clock that shows `local` at `now`.
    pub const fn new(now: Time, local: u64, drift_ppm: i64) -> Self {
        Self {
            true_base: now,
            local_base: local,
            drift_ppm,
        }
    }

    /// What it shows at `now`.
    pub fn local(&self, now: Time) -> Instant {
        let gone = i128::from(now - self.true_base);
        let rate = i128::from(MILLION) + i128::from(self.drift_ppm);
        Instant(self.local_base + (gone * rate / i128::from(MILLION)) as u64)
    }

    /// The first moment, not before `now`, at which it shows at least `deadline`. `u64::MAX` for "never".
    pub fn when(&self, now: Time, deadline: Instant) -> Time {
        let ahead = i128::from(deadline.0) - i128::from(self.local_base);
        let rate = i128::from(MILLION) + i128::from(self.drift_ppm);
        let gone = (ahead.max(0) * i128::from(MILLION) + rate - 1) / rate;
        let at = i128::from(self.true_base) + gone;
        u64::try_from(at).unwrap_or(u64::MAX).max(now)
    }

    /// How much virtual time passes while this clock counts `span`.
    pub fn true_span(&self, span: Duration) -> Time {
        let rate = i128::from(MILLION) + i128::from(self.drift_ppm);
        let ticks = (i128::from(span.0) * i128::from(MILLION) + rate - 1) / rate;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Jumps forward.
    pub fn jump(&mut self, now: Time, by: u64) {
        *self = Self {
            true_base: now,
            local_base: self.local(now).0 + by,
            drift_ppm: self.drift_ppm,
        };
    }
}
