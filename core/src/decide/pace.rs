//! Timers follow the disk: time-outs scale with what its operations were measured to take.

use crate::bounds::{
    ANSWER_INTERVAL_MIN, DEAD_AFTER_MIN, DEAD_CYCLES, DEAD_REFUSED_MIN, ELECTION_TIMEOUT_CYCLES,
    ELECTION_TIMEOUT_MIN, SEAL_BLOCKS,
};
use crate::time::{Duration, Instant};

/// Time that one bucket of longest I/Os spans: what "recent" means.
const BUCKET: Duration = Duration::from_secs(10);

/// Measured times of this mount's cycles and I/Os.
///
/// No I/O is believed to take longer than W, whatever the clock says: it jumps when a machine was suspended, and a
/// time-out that was drawn from such a jump would outlast the night.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pace {
    write_time_max: Duration,
    cycle: Duration,
    longest: [Duration; 2],
    bucket: Instant,
}

/// A cycle has four I/Os one after the other, and may read some of them twice.
const IOS_PER_CYCLE: u64 = 8;

impl Pace {
    /// Nothing was measured yet.
    pub const fn new(write_time_max: Duration) -> Self {
        Self {
            write_time_max,
            cycle: Duration::ZERO,
            longest: [Duration::ZERO; 2],
            bucket: Instant(0),
        }
    }

    /// A cycle took this long, pauses not counted. Rises at once and falls slowly.
    pub fn cycle_took(&mut self, span: Duration) {
        let span = span.min(self.write_time_max.times(IOS_PER_CYCLE));
        self.cycle = span.max(Duration(self.cycle.0 / 8 * 7));
    }

    /// One I/O took this long.
    pub fn io_took(&mut self, now: Instant, span: Duration) {
        if now.since(self.bucket) > BUCKET {
            self.longest = [
                Duration::ZERO,
                if now.since(self.bucket) > BUCKET.times(2) {
                    Duration::ZERO
                } else {
                    self.longest[0]
                },
            ];
            self.bucket = now;
        }
        self.longest[0] = self.longest[0].max(span.min(self.write_time_max));
    }

    /// Time of a cycle.
    pub const fn cycle(&self) -> Duration {
        self.cycle
    }

    /// Longest recent I/O.
    pub fn longest_io(&self) -> Duration {
        self.longest[0].max(self.longest[1])
    }

    /// The slower of two cycles. What others publish is believed as far as this mount could have measured it.
    fn slower(&self, published: Duration) -> Duration {
        self.cycle
            .max(published.min(self.write_time_max.times(IOS_PER_CYCLE)))
    }

    /// An election time-out, drawn with `random`. `slowest` is the longest cycle that other voters publish.
    pub fn election_timeout(&self, slowest: Duration, random: u32) -> Duration {
        let base = ELECTION_TIMEOUT_MIN.max(self.slower(slowest).times(ELECTION_TIMEOUT_CYCLES));
        base + base.drawn(random)
    }

    /// How long a candidate that was beaten leaves the field: at least twice the expected time of a seal.
    pub fn stand_back(&self, slowest: Duration, random: u32) -> Duration {
        let seal = self.slower(slowest).times(SEAL_BLOCKS as u64);
        self.election_timeout(slowest, random) + seal.times(2) + seal.drawn(random)
    }

    /// The interval that a leader publishes with its answers.
    pub fn answer_interval(&self) -> Duration {
        ANSWER_INTERVAL_MIN.max(self.longest_io().times(4))
    }

    /// A published interval, as far as a leader on this device could have published it.
    fn believed(&self, interval: Option<Duration>) -> Duration {
        interval
            .unwrap_or(Duration::ZERO)
            .min(ANSWER_INTERVAL_MIN.max(self.write_time_max.times(4)))
    }

    /// How long a leader may leave the doorbell unanswered before it is taken for dead. `interval` is the one it
    /// published, if any; `refused` says that this mount was connected to that very ballot, the connection broke,
    /// and a new one is refused.
    pub fn dead_after(&self, interval: Option<Duration>, refused: bool) -> Duration {
        let cycles = self.cycle.times(DEAD_CYCLES);
        if refused {
            return DEAD_REFUSED_MIN + cycles;
        }
        (DEAD_AFTER_MIN + cycles)
            .max(self.believed(interval).times(2))
            .max(self.longest_io().times(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hole_06_time_outs_follow_a_slow_disk() {
        let mut pace = Pace::new(Duration::from_secs(4));
        let fast = pace.election_timeout(Duration::ZERO, 0);
        assert_eq!(fast, ELECTION_TIMEOUT_MIN);
        pace.cycle_took(Duration::from_millis(120));
        assert_eq!(
            pace.election_timeout(Duration::ZERO, 0),
            Duration::from_millis(720)
        );
        assert!(pace.stand_back(Duration::ZERO, 0) >= Duration::from_millis(2 * 28 * 120));
        assert_eq!(
            pace.election_timeout(Duration::from_secs(1), 0),
            Duration::from_secs(6),
            "the slowest voter counts"
        );
    }

    #[test]
    fn the_longest_recent_io_is_forgotten_in_time() {
        let mut pace = Pace::new(Duration::from_secs(4));
        pace.io_took(Instant(0), Duration::from_secs(3));
        pace.io_took(Instant(0) + Duration::from_secs(11), Duration::from_millis(1));
        assert_eq!(pace.longest_io(), Duration::from_secs(3));
        pace.io_took(Instant(0) + Duration::from_secs(22), Duration::from_millis(1));
        assert_eq!(pace.longest_io(), Duration::from_millis(1));
        assert_eq!(pace.answer_interval(), ANSWER_INTERVAL_MIN);
    }

    #[test]
    fn what_was_slow_is_remembered_for_two_buckets() {
        let (slow, quick) = (Duration::from_secs(3), Duration::from_millis(1));
        for (times, longest) in [
            (&[1][..], slow),
            (&[1, 2], slow),
            (&[2], slow),
            (&[1, 2, 4], quick),
            (&[3], quick),
        ] {
            let mut pace = Pace::new(Duration::from_secs(4));
            pace.io_took(Instant(0), slow);
            for &buckets in times {
                pace.io_took(Instant(0) + BUCKET.times(buckets), quick);
            }
            assert_eq!(pace.longest_io(), longest, "{times:?}");
        }
    }

    #[test]
    fn a_cycle_time_rises_at_once_and_falls_by_an_eighth() {
        let mut pace = Pace::new(Duration::from_secs(4));
        for (took, ms) in [(800, 800), (0, 700), (650, 650), (1, 568)] {
            pace.cycle_took(Duration::from_millis(took));
            assert_eq!(pace.cycle().0 / 1_000, ms);
        }
    }

    #[test]
    fn time_outs_are_drawn_from_their_least_to_twice_it() {
        let mut pace = Pace::new(Duration::from_secs(4));
        pace.cycle_took(Duration::from_millis(100));
        let least = pace.election_timeout(Duration::ZERO, 0);
        let most = pace.election_timeout(Duration::ZERO, u32::MAX);
        assert!(most > least + least.divided(2) && most < least.times(2));
        let seal = Duration::from_millis(100).times(SEAL_BLOCKS as u64);
        assert_eq!(pace.stand_back(Duration::ZERO, 0), least + seal.times(2));
        let longest = pace.stand_back(Duration::ZERO, u32::MAX);
        assert!(longest > most + seal.times(2) + seal.divided(2) && longest < most + seal.times(3));
    }

    #[test]
    fn only_a_broken_and_refused_connection_shortens_the_wait_for_an_answer() {
        let mut pace = Pace::new(Duration::from_secs(4));
        pace.cycle_took(Duration::from_millis(2));
        let cycles = Duration::from_millis(2).times(DEAD_CYCLES);
        assert_eq!(pace.dead_after(None, false), DEAD_AFTER_MIN + cycles);
        assert_eq!(
            pace.dead_after(Some(Duration::from_secs(3)), false),
            Duration::from_secs(6)
        );
        assert_eq!(pace.dead_after(None, true), DEAD_REFUSED_MIN + cycles);
    }

    #[test]
    fn a_clock_that_jumps_is_not_taken_for_a_slow_disk() {
        let mut pace = Pace::new(Duration::from_secs(4));
        pace.io_took(Instant(0), Duration::from_secs(3_000));
        pace.cycle_took(Duration::from_secs(3_000));
        assert_eq!(pace.longest_io(), Duration::from_secs(4));
        assert_eq!(pace.cycle(), Duration::from_secs(32));
    }

    #[test]
    fn absurd_times_in_a_block_neither_panic_nor_freeze_a_timer() {
        let mut pace = Pace::new(Duration::from_secs(4));
        pace.cycle_took(Duration::from_millis(2));
        let absurd = Duration(u64::MAX);
        assert!(pace.election_timeout(absurd, u32::MAX) <= Duration::from_secs(2 * 6 * 32));
        assert!(pace.stand_back(absurd, u32::MAX) < Duration::from_secs(4_000));
        assert_eq!(pace.dead_after(Some(absurd), false), Duration::from_secs(32));
    }
}
