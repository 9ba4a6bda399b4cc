//! The guard of a lease: a thread that sees to it that this process does not act past its right.
//!
//! - If one round of the loop has not ended when the right it began with is over, the process is aborted: what that
//!   round would write next was decided under a right that is gone.
//! - It feeds the watchdog, if there is one, while this host does not act as leader, or acts within its right. A host
//!   that acts, or may act, past its right is reset by the hardware, at most the watchdog's time-out later. That
//!   time-out is the *linger* that the mount's promise includes.
//!
//! A loop that waits for input decides nothing, and may wait as long as it likes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ostrakon_core::time::{Duration, Instant};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::watchdog::Watchdog;
use crate::clock;

/// A round that ends this much late is not taken for stalled: it may have begun a moment before the right was over.
const STALL: Duration = Duration::from_millis(20);

/// How often the guard looks at least.
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(50);

/// Nothing is to be guarded.
const NONE: u64 = 0;

/// The guard of a mount under a lease, and of those that follow it in this process.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Shared>,
}

struct Shared {
    /// Until when this host may act as leader, while it does or something of it may.
    acting_until: AtomicU64,
    /// The same, as it was when the loop's present round began.
    round_until: AtomicU64,
}

impl Guard {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's, if it grants none.
    pub fn start(lease: Duration, watchdog: Option<Arc<Mutex<Watchdog>>>) -> io::Result<Self> {
        Self::start_with(lease, watchdog, || std::process::abort())
    }

    fn start_with(
        lease: Duration,
        watchdog: Option<Arc<Mutex<Watchdog>>>,
        abort: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            acting_until: AtomicU64::new(NONE),
            round_until: AtomicU64::new(NONE),
        });
        let guarded = Arc::downgrade(&shared);
        let interval = Duration(lease.0 / 20).min(LOOK_INTERVAL_MAX);
        std::thread::Builder::new()
            .name("ostrakon-guard".to_owned())
            .spawn(move || {
                // Until the last guard is dropped.
                while let Some(seen) = guarded.upgrade() {
                    if seen.has_stalled(clock::now()) {
                        last_words();
                        abort();
                    }
                    if let Some(watchdog) = &watchdog {
                        let mut watchdog = watchdog.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.feed(&mut watchdog);
                    }
                    drop(seen);
                    std::thread::sleep(clock::std_duration(interval));
                }
            })?;
        Ok(Self { shared })
    }

    /// The loop begins a round.
    pub fn begin_round(&self) {
        let until = self.shared.acting_until.load(Ordering::SeqCst);
        self.shared.round_until.store(until, Ordering::SeqCst);
    }

    /// The loop ends its round: it waits, and decides nothing.
    pub fn end_round(&self) {
        self.shared.round_until.store(NONE, Ordering::SeqCst);
    }

    /// Until when this host may act as leader; `None` when it does not, and nothing that it ran is left.
    pub fn acting(&self, until: Option<Instant>) {
        let until = until.map_or(NONE, |until| until.0.max(1));
        self.shared.acting_until.store(until, Ordering::SeqCst);
        // What is decided from here on is decided under this right.
        if self.shared.round_until.load(Ordering::SeqCst) != NONE {
            self.shared.round_until.store(until, Ordering::SeqCst);
        }
    }

    /// Whether this host does not act as leader, and nothing that it ran is left.
    pub fn is_quiet(&self) -> bool {
        self.shared.acting_until.load(Ordering::SeqCst) == NONE
    }
}

impl Shared {
    fn has_stalled(&self, now: Instant) -> bool {
        let until = self.round_until.load(Ordering::SeqCst);
        until != NONE && now >= Instant(until) + STALL
    }

    /// Whether a watchdog may be told now that all is well.
    fn is_well(&self, now: Instant) -> bool {
        let until = self.acting_until.load(Ordering::SeqCst);
        until == NONE || now < Instant(until)
    }

    fn feed(&self, watchdog: &mut Watchdog) {
        let now = clock::now();
        if watchdog.is_hungry(now) && self.is_well(now) {
            watchdog.feed(now);
        }
    }
}

/// Says why, unless that would have to be waited for.
fn last_words() {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec::default();
    if matches!(rustix::event::poll(&mut fds, Some(&at_once)), Ok(1)) {
        let text = b"ostrakon: a step of the leader took longer than its lease: this process ends before it writes again\n";
        let _ = stderr.lock().write_all(text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn shared() -> Shared {
        Shared {
            acting_until: AtomicU64::new(NONE),
            round_until: AtomicU64::new(NONE),
        }
    }

    #[test]
    fn a_watchdog_is_fed_by_those_who_do_not_act_and_within_the_right() {
        let guard = Guard {
            shared: Arc::new(shared()),
        };
        let well = |at| guard.shared.is_well(Instant(at));
        assert!(well(5));
        guard.acting(Some(Instant(100)));
        assert!(well(99) && !well(100));
        guard.acting(None);
        assert!(well(100));
    }

    #[test]
    fn a_round_that_outlasts_its_right_ends_the_process_and_a_wait_does_not() {
        let (told, aborted) = mpsc::channel();
        let lease = Duration::from_millis(200);
        let guard = Guard::start_with(lease, None, move || {
            let _ = told.send(());
        })
        .unwrap();
        guard.acting(Some(clock::now() + Duration::from_millis(50)));
        guard.begin_round();
        guard.end_round();
        let pause = std::time::Duration::from_millis(200);
        assert!(aborted.recv_timeout(pause).is_err(), "it waits");
        let until = clock::now() + lease;
        guard.acting(Some(until));
        guard.begin_round();
        aborted
            .recv_timeout(std::time::Duration::from_secs(5))
            .expect("it is stalled");
        assert!(clock::now() >= until);
    }
}
