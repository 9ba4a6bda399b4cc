//! Time: the processor's time stamp counter, calibrated once against the local timer, whose rate under QEMU is a constant.

use ostrakon_core::time::{Duration, Instant};

use super::interrupts;

/// Ticks of the local timer in a second, with every accelerator.
const LOCAL_HZ: u64 = 1_000_000_000;

/// The shortest time to measure over, in ticks of the local timer: 10 ms.
const WINDOW_TICKS: u64 = LOCAL_HZ / 100;

/// Readings at each end, of which the quickest counts: the emulator is interrupted in some.
const READINGS: usize = 8;

/// The readings at both ends together take no more than this part of what was measured, which is what it may be wrong by: 100 parts
/// per million, a fifth of what core reckons with. The longer it is measured, the less they matter.
const READINGS_PART: u64 = 10_000;

/// The longest sleep: bounds what a deadline far ahead makes of the timer's 32 bits.
const SLEEP_MAX: Duration = Duration::from_secs(2);

/// Reads the calibrated counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: u64,
    /// Microseconds in a counter tick, times 2^32.
    us_per_tick: u64,
}

/// One reading of both counters.
#[derive(Clone, Copy)]
struct Reading {
    counter: u64,
    local: u32,
    /// Ticks of the counter that the reading took.
    took: u64,
}

fn counter() -> u64 {
    // SAFETY: every x86_64 has the counter, and nothing forbids this privilege level to read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

impl Clock {
    /// Measures for 10 ms, or longer where the emulator is interrupted a lot.
    ///
    /// An interruption in between does no harm, however long: both counters go on, and neither begins anew.
    pub(crate) fn calibrate() -> Self {
        let start = counter();
        let hz = loop {
            interrupts::timer_start(u32::MAX);
            if let Some(hz) = measure() {
                break hz;
            }
        };
        interrupts::timer_start(0);
        Self {
            start,
            us_per_tick: (1_000_000 << 32) / hz.max(1_000_000),
        }
    }

    /// Time since boot.
    pub(crate) fn now(&self) -> Instant {
        let ticks = counter().saturating_sub(self.start);
        Instant(((u128::from(ticks) * u128::from(self.us_per_tick)) >> 32) as u64)
    }

    /// Ticks of the counter in a millisecond.
    pub(crate) const fn counter_per_ms(&self) -> u64 {
        (1_000 << 32) / self.us_per_tick
    }

    /// Ticks of the local timer for a wait of at most [`SLEEP_MAX`].
    pub(super) fn timer_ticks(&self, wait: Duration) -> u32 {
        let ticks = wait.min(SLEEP_MAX).0.saturating_mul(LOCAL_HZ / 1_000_000);
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// Ticks in a second of the time stamp counter; `None` if the local timer, which was just started, has run down.
fn measure() -> Option<u64> {
    let begin = quickest();
    loop {
        let end = quickest();
        if end.local == 0 {
            return None;
        }
        let ticks = u64::from(begin.local.saturating_sub(end.local));
        let counters = end.counter.saturating_sub(begin.counter);
        if ticks >= WINDOW_TICKS && begin.took + end.took <= counters / READINGS_PART {
            let hz = u128::from(counters) * u128::from(LOCAL_HZ) / u128::from(ticks);
            return u64::try_from(hz).ok();
        }
    }
}

/// Of a few readings the one that took the shortest time: its counters belong together best.
fn quickest() -> Reading {
    let mut best = read();
    for _ in 1..READINGS {
        let reading = read();
        if reading.took < best.took {
            best = reading;
        }
    }
    best
}

fn read() -> Reading {
    let before = counter();
    let local = interrupts::timer_left();
    let took = counter().saturating_sub(before);
    Reading {
        counter: before + took / 2,
        local,
        took,
    }
}
