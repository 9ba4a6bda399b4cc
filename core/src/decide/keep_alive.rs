//! How often a client shows that it is there, and for how long each side believes the other is.

use crate::bounds::{PING_INTERVAL_MAX, PING_SHARE, PINGS_PER_SILENCE, RETURN_SHARE};
use crate::time::Duration;

/// The time between two pings, where few are mounted.
#[inline(never)]
const fn shortest(silence_max: Duration) -> Duration {
    silence_max.divided(PINGS_PER_SILENCE)
}

/// The time between two pings of a client, as its server tells it, in milliseconds: never 0. Those who elect find out at once
/// that their server's host is gone; the others, who only follow, the later the more of them there are, so that all of them
/// together cost the server what a few do.
#[inline(never)]
pub fn ping_ms(silence_max: Duration, crowd: u32, elector: bool) -> u16 {
    let share = PING_SHARE.times(if elector { 0 } else { u64::from(crowd) });
    let span = share.max(shortest(silence_max)).min(PING_INTERVAL_MAX);
    u16::try_from(span.as_millis_ceil()).unwrap_or(u16::MAX).max(1)
}

/// How long silence is believed to mean nothing, on either side: where pings are rare, one of them and some time more, in which
/// an answer that a crowd delays still comes.
#[inline(never)]
pub fn patience(silence_max: Duration, ping_ms: u16) -> Duration {
    // Nothing, where the shortest time is more than can be told.
    let longer = Duration::from_millis(u64::from(ping_ms)) - shortest(silence_max);
    silence_max + longer + Duration(longer.0 / 4)
}

/// How long a server waits for those who are away, of whom there may be as many as it has clients: what one of them may take to
/// notice that its server is gone, and all of them to be let in.
#[inline(never)]
pub fn return_time(recovery_time: Duration, crowd: u32) -> Duration {
    recovery_time + RETURN_SHARE.times(u64::from(crowd))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(3);
    const RECOVERY: Duration = Duration::from_secs(10);

    #[test]
    fn few_clients_ping_as_often_as_the_silence_asks_and_lose_no_time() {
        for crowd in [0, 1, 16, 400] {
            assert_eq!(ping_ms(SILENCE, crowd, false), 1_000);
        }
        assert_eq!(patience(SILENCE, 1_000), SILENCE);
        assert_eq!(ping_ms(Duration(1), 0, false), 1);
    }

    #[test]
    fn where_pings_are_rarer_silence_is_believed_for_longer_by_that_and_a_quarter() {
        let rarer = Duration::from_millis(1_000);
        assert_eq!(patience(SILENCE, 2_000), SILENCE + rarer + rarer.divided(4));
    }

    #[test]
    fn many_ping_as_often_as_few_do_all_of_them_together() {
        for crowd in [1_000, 10_000, 20_000] {
            let each = u64::from(ping_ms(SILENCE, crowd, false));
            assert_eq!(u64::from(crowd) * 1_000 / each, 500, "pings a second");
        }
        assert_eq!(
            ping_ms(SILENCE, u32::MAX, false),
            PING_INTERVAL_MAX.as_millis_ceil() as u16
        );
        assert_eq!(
            ping_ms(SILENCE, 10_000, true),
            1_000,
            "those who elect are few, and in a hurry"
        );
    }

    #[test]
    fn nobody_is_given_up_before_its_ping_is_due_and_answered() {
        for silence in [Duration(1), SILENCE, Duration::from_secs(1_000)] {
            for crowd in [0, 700, 10_000, u32::MAX] {
                let ping = ping_ms(silence, crowd, false);
                let due = Duration::from_millis(u64::from(ping));
                assert!(patience(silence, ping) >= due.max(silence), "{silence:?} {crowd}");
            }
        }
    }

    #[test]
    fn whoever_notices_last_and_comes_in_last_is_still_waited_for() {
        // Let in at 500 a second at least.
        for crowd in [0, 1_000, 10_000, 30_000] {
            let notices = patience(SILENCE, ping_ms(SILENCE, crowd, false));
            let comes_in = Duration::from_millis(2).times(u64::from(crowd));
            let waits = return_time(RECOVERY, crowd);
            assert!(waits >= notices + comes_in, "{crowd}: {waits:?}");
        }
    }
}
