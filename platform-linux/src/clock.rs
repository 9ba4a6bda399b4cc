//! The time: a clock that goes on while the machine is suspended, and the wall clock for what people read.

use std::time::{SystemTime, UNIX_EPOCH};

use ostrakon_core::time::{Duration, Instant};
use rustix::time::ClockId;

/// The last second of the year 9999, which has the last date that is written with four digits.
const RFC3339_MAX: u64 = 253_402_300_799;

/// Now, on `CLOCK_BOOTTIME`. A suspended machine must find its lease run out when it wakes.
pub fn now() -> Instant {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    Instant(time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000)
}

/// Now, in milliseconds since 1970. For people only: nothing is decided by it.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as u64)
}

/// A time in seconds since 1970 as people write it, in UTC.
pub fn rfc3339(unix_s: u64) -> String {
    // Later than any calendar: what a damaged clock may have left.
    let time = UNIX_EPOCH.checked_add(std::time::Duration::from_secs(unix_s.min(RFC3339_MAX)));
    humantime::format_rfc3339_seconds(time.unwrap_or(UNIX_EPOCH)).to_string()
}

/// Core's length of time as the standard library's.
pub const fn std_duration(span: Duration) -> std::time::Duration {
    std::time::Duration::from_micros(span.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_has_a_date() {
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn time_passes_at_the_usual_rate() {
        let (before, wall) = (now(), std::time::Instant::now());
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (ours, theirs) = (std_duration(now().since(before)), wall.elapsed());
        assert!(ours >= std::time::Duration::from_millis(20) && ours.abs_diff(theirs).as_millis() < 20);
        assert!(unix_ms() > 1_700_000_000_000);
    }
}
