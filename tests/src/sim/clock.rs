//! A host's clock: runs at its own rate, starts anywhere, and may jump forward.

use ostrakon_core::time::{Duration, Instant};

use super::dice::MILLION;

/// Virtual time of the world in microseconds: the time that nobody in it knows.
pub type Time = u64;

/// When something happens, and after what of the same moment.
pub type Turn = (Time, u64);

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
        // A run is over long before a product with a million does not fit any more.
        Instant(self.local_base + (now - self.true_base) * self.rate() / MILLION)
    }

    /// The first moment, not before `now`, at which it shows at least `deadline`. `u64::MAX` for "never".
    pub fn when(&self, now: Time, deadline: Instant) -> Time {
        let ahead = deadline.0.saturating_sub(self.local_base);
        let at = self.true_base.saturating_add(self.gone(ahead));
        at.max(now)
    }

    /// How much virtual time passes while this clock counts `span`.
    pub fn true_span(&self, span: Duration) -> Time {
        self.gone(span.0)
    }

    /// Ticks in a million microseconds.
    const fn rate(&self) -> u64 {
        MILLION.saturating_add_signed(self.drift_ppm)
    }

    /// Microseconds until so many ticks are over; `u64::MAX` for "never".
    fn gone(&self, ticks: u64) -> Time {
        match ticks.checked_mul(MILLION) {
            Some(product) => product.div_ceil(self.rate()),
            None => {
                let gone = (u128::from(ticks) * u128::from(MILLION)).div_ceil(u128::from(self.rate()));
                u64::try_from(gone).unwrap_or(u64::MAX)
            }
        }
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
