//! QEMU's watchdog, an Intel 6300ESB: resets the machine unless it is fed in time.
//!
//! It has two stages of a timer each, and only the end of the second one resets; a meal begins the first anew.

use ostrakon_core::time::{Duration, Instant};

use super::mmio::Register;
use super::pci::{Function, Model};

const MODEL: Model = Model {
    vendor: 0x8086,
    device: 0x25ab,
};

/// In its configuration: how it counts and what it does.
const CONFIGURATION: usize = 0x60;
/// The first stage interrupts nobody; the second resets; a tick is [`TICK_PERIODS`].
const SILENT_THEN_RESET: u16 = 0b11;
/// In its configuration: whether it runs.
const RUNS: usize = 0x68;
const RUN: u8 = 1 << 1;

/// Its registers: both timers, and what they are begun anew by.
const TIMERS: [usize; 2] = [0x00, 0x04];
const RELOAD: usize = 0x0c;
/// Each write of a register follows these two.
const UNLOCK: [u16; 2] = [0x80, 0x86];
const RELOAD_NOW: u16 = 1 << 8;

const PCI_HZ: u64 = 33_000_000;
/// Periods of it in a tick.
const TICK_PERIODS: u64 = 1 << 15;
/// Ticks that a stage can have.
const TICKS_MAX: u64 = (1 << 20) - 1;

/// Meals within one time-out: some may come late.
const MEALS: u64 = 4;

/// A watchdog that runs. Nothing stops it but a reset: an image that ends otherwise ends the machine.
pub(crate) struct Watchdog {
    registers: usize,
    timeout: Duration,
    fed_at: Instant,
}

impl Watchdog {
    /// Starts it; `None` if the machine has none.
    pub(crate) fn start(now: Instant, timeout: Duration) -> Option<Self> {
        let function = Function::find(MODEL)?;
        let mut watchdog = Self {
            registers: function.map(),
            timeout,
            fed_at: now,
        };
        function.configuration(CONFIGURATION).write16(SILENT_THEN_RESET);
        for timer in TIMERS {
            watchdog.unlock();
            watchdog.register(timer).write(stage_ticks(timeout));
        }
        watchdog.feed(now);
        function.configuration(RUNS).write8(RUN);
        Some(watchdog)
    }

    /// Gives it a meal if it is hungry.
    pub(crate) fn turn(&mut self, now: Instant) {
        if now >= self.next_deadline() {
            self.feed(now);
        }
    }

    /// When a [`turn`](Self::turn) is due.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.fed_at + Duration(self.timeout.0 / MEALS)
    }

    fn feed(&mut self, now: Instant) {
        self.unlock();
        self.register(RELOAD).write16(RELOAD_NOW);
        self.fed_at = now;
    }

    fn unlock(&self) {
        for word in UNLOCK {
            self.register(RELOAD).write16(word);
        }
    }

    fn register(&self, at: usize) -> Register {
        // SAFETY: the watchdog's own, mapped for good; it has no way to change memory.
        unsafe { Register::at(self.registers + at) }
    }
}

/// Ticks of each stage, so that both together last no longer than this.
fn stage_ticks(timeout: Duration) -> u32 {
    let periods = u128::from(timeout.0 / 2) * u128::from(PCI_HZ) / 1_000_000;
    let ticks = periods / u128::from(TICK_PERIODS);
    u32::try_from(ticks.clamp(1, u128::from(TICKS_MAX))).unwrap_or(1)
}
