//! A hardware watchdog: a device that resets the host unless it is written to.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ostrakon_core::time::{Duration, Instant};

use super::ioctl;

/// Meals within one time-out: some may come late.
const MEALS: u64 = 4;

/// Why a watchdog cannot be used.
#[derive(Debug)]
pub enum WatchdogError {
    /// The system's reason.
    Open(PathBuf, io::Error),
    /// It is no watchdog, or one that does not tell its time-out.
    NotAWatchdog(PathBuf, io::Error),
    /// Its shortest time-out is longer than the lease.
    TooSlow {
        /// Which.
        path: PathBuf,
        /// Its time-out.
        timeout: Duration,
        /// The lease.
        lease: Duration,
    },
}

impl fmt::Display for WatchdogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => write!(f, "watchdog {}: cannot be opened: {error}", path.display()),
            Self::NotAWatchdog(path, error) => write!(
                f,
                "{}: not a watchdog: it tells no time-out ({error}); expected a device such as /dev/watchdog0",
                path.display()
            ),
            Self::TooSlow { path, timeout, lease } => write!(
                f,
                "watchdog {}: its time-out is {} ms, longer than the lease of {} ms: a host that froze would be \
                 reset too late. Give --lease-ms {} or more",
                path.display(),
                timeout.as_millis_ceil(),
                lease.as_millis_ceil(),
                timeout.as_millis_ceil()
            ),
        }
    }
}

impl std::error::Error for WatchdogError {}

/// A watchdog that runs. If this process ends without [`disarm`](Self::disarm), the host is reset.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    timeout: Duration,
    fed_at: Instant,
}

impl Watchdog {
    /// Starts the watchdog with the longest time-out that it has within the lease.
    ///
    /// # Errors
    /// If there is none, or none that is quick enough; it does not run then.
    pub fn start(path: &Path, lease: Duration, now: Instant) -> Result<Self, WatchdogError> {
        let device = open(path)?;
        // Whole seconds; 0 would mean "for ever", or an error.
        let wanted = i32::try_from(lease.0 / 1_000_000).unwrap_or(i32::MAX).max(1);
        let set = ioctl::set_watchdog_timeout(&device, wanted);
        // One that cannot be set may still be quick enough.
        let seconds = set.or_else(|_| ioctl::watchdog_timeout(&device));
        let seconds = seconds.map_err(|error| WatchdogError::NotAWatchdog(path.to_owned(), error))?;
        let timeout = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Self::with(path, device, timeout, lease, now)
    }

    /// Something that is written to like a watchdog, for tests.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn pretend(
        path: &Path,
        timeout: Duration,
        lease: Duration,
        now: Instant,
    ) -> Result<Self, WatchdogError> {
        Self::with(path, open(path)?, timeout, lease, now)
    }

    fn with(
        path: &Path,
        device: File,
        timeout: Duration,
        lease: Duration,
        now: Instant,
    ) -> Result<Self, WatchdogError> {
        let mut watchdog = Self {
            device,
            timeout,
            fed_at: now,
        };
        if timeout == Duration::ZERO || timeout > lease {
            watchdog.disarm();
            let path = path.to_owned();
            return Err(WatchdogError::TooSlow { path, timeout, lease });
        }
        watchdog.feed(now);
        Ok(watchdog)
    }

    /// How long after the last meal it resets the host.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn is_hungry(&self, now: Instant) -> bool {
        now.since(self.fed_at).0 >= self.timeout.0 / MEALS
    }

    pub(super) fn feed(&mut self, now: Instant) {
        // One that takes nothing will bite; nothing better can be done about it.
        if self.device.write_all(b"\0").is_ok() {
            self.fed_at = now;
        }
    }

    /// Stops it: this host does not act any more. A kernel that was built to let nobody stop it will reset the host.
    pub fn disarm(&mut self) {
        let _ = self.device.write_all(b"V");
    }
}

fn open(path: &Path) -> Result<File, WatchdogError> {
    let opened = OpenOptions::new().write(true).open(path);
    opened.map_err(|error| WatchdogError::Open(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(3);

    #[test]
    fn what_is_no_watchdog_or_too_slow_is_refused_with_advice() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let now = Instant(1);
        let error = Watchdog::start(file.path(), LEASE, now).unwrap_err().to_string();
        assert!(error.contains("not a watchdog"), "{error}");
        assert_eq!(
            file.as_file().metadata().unwrap().len(),
            0,
            "nothing is written to it"
        );
        let error = Watchdog::start(Path::new("/nonexistent"), LEASE, now).unwrap_err();
        assert!(error.to_string().contains("cannot be opened"));
        let slow = Watchdog::pretend(file.path(), Duration::from_secs(4), LEASE, now).unwrap_err();
        assert!(slow.to_string().contains("--lease-ms 4000"), "{slow}");
        assert_eq!(
            std::fs::read(file.path()).unwrap(),
            b"V",
            "it does not run any more"
        );
    }

    #[test]
    fn it_is_fed_in_time_and_stopped_at_the_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut watchdog = Watchdog::pretend(file.path(), Duration::from_secs(2), LEASE, Instant(0)).unwrap();
        assert!(!watchdog.is_hungry(Instant(499_999)) && watchdog.is_hungry(Instant(500_000)));
        watchdog.feed(Instant(500_000));
        assert!(!watchdog.is_hungry(Instant(999_999)));
        watchdog.disarm();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"\0\0V");
    }
}
