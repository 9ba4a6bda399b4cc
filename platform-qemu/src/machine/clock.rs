//! Time: the processor's time stamp counter, calibrated once against the board's timer, whose rate is a constant.

use ostrakon_core::time::{Duration, Instant};

use super::interrupts;
use super::port::Port;

/// Ticks of the board's timer (8254) in a second.
const BOARD_TIMER_HZ: u64 = 1_193_182;
const BOARD_TIMER_2: Port = Port(0x42);
const BOARD_TIMER_COMMAND: Port = Port(0x43);
const BOARD_TIMER_GATE: Port = Port(0x61);

/// Windows that are measured; the median counts. One alone was a third off when the emulator was interrupted in it.
const WINDOWS: usize = 5;

/// Length of a window in ticks of the board's timer: 8 ms.
const WINDOW_TICKS: u16 = 9_545;

/// Readings at each end of a window, of which the quickest counts.
const READINGS: usize = 4;

/// The longest sleep: bounds what a deadline far ahead makes of the timer's 32 bits.
const SLEEP_MAX: Duration = Duration::from_secs(2);

/// Reads the calibrated counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: u64,
    /// Microseconds in a counter tick, times 2^32.
    us_per_tick: u64,
    /// Ticks of the local timer in a millisecond.
    timer_per_ms: u64,
}

/// One reading of all three counters.
#[derive(Clone, Copy)]
struct Reading {
    counter: u64,
    board: u16,
    local: u32,
}

fn counter() -> u64 {
    // SAFETY: every x86_64 has the counter, and nothing forbids this privilege level to read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

impl Clock {
    /// Measures for about 40 ms.
    pub(crate) fn calibrate() -> Self {
        // Timer 2 counts down over and over, its output not connected to the speaker.
        BOARD_TIMER_GATE.write8(BOARD_TIMER_GATE.read8() & !0b10 | 0b01);
        BOARD_TIMER_COMMAND.write8(0b1011_0100);
        BOARD_TIMER_2.write8(0);
        BOARD_TIMER_2.write8(0);
        interrupts::timer_start(u32::MAX);

        let start = counter();
        let mut counters = [0; WINDOWS];
        let mut locals = [0; WINDOWS];
        for (counter, local) in counters.iter_mut().zip(&mut locals) {
            (*counter, *local) = window();
        }
        interrupts::timer_start(0);
        counters.sort_unstable();
        locals.sort_unstable();
        let hz = counters[WINDOWS / 2].max(1_000_000);
        Self {
            start,
            us_per_tick: (1_000_000 << 32) / hz,
            timer_per_ms: (locals[WINDOWS / 2] / 1_000).max(1),
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
        let ticks = wait.min(SLEEP_MAX).0.saturating_mul(self.timer_per_ms) / 1_000;
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// Ticks in a second of the time stamp counter and of the local timer, measured over one window.
fn window() -> (u64, u64) {
    let begin = quickest();
    let mut end = begin;
    while begin.board.wrapping_sub(end.board) < WINDOW_TICKS {
        end = read().1;
    }
    let end = quickest();
    let board = u64::from(begin.board.wrapping_sub(end.board)).max(1);
    let counters = end.counter.saturating_sub(begin.counter);
    let locals = u64::from(begin.local.saturating_sub(end.local));
    (counters * BOARD_TIMER_HZ / board, locals * BOARD_TIMER_HZ / board)
}

/// Of a few readings the one that took the shortest time: its counters belong together best.
fn quickest() -> Reading {
    let mut best = read();
    for _ in 1..READINGS {
        let reading = read();
        if reading.0 < best.0 {
            best = reading;
        }
    }
    best.1
}

fn read() -> (u64, Reading) {
    let before = counter();
    // Latch timer 2.
    BOARD_TIMER_COMMAND.write8(0b1000_0000);
    let local = interrupts::timer_left();
    let after = counter();
    let board = u16::from_le_bytes([BOARD_TIMER_2.read8(), BOARD_TIMER_2.read8()]);
    let took = after.saturating_sub(before);
    (
        took,
        Reading {
            counter: before + took / 2,
            board,
            local,
        },
    )
}
