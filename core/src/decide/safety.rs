//! The decisions that safety rests on, one small function for each rule: the election calls them, and so does the
//! state-space search of `tests/model`, which therefore explores these very lines.

use crate::bounds::READINGS_TO_VOID;
use crate::decide::log::Log;
use crate::event::Silenced;
use crate::format::{PackedEntry, SuperBlock};
use crate::ids::{Ballot, Mark, Term};
use crate::rules::{self, Rule};
use crate::superio::{Copies, SuperView};
use crate::time::Duration;

/// R5: the higher live ballot for which `own` is given up for good, if a merged log shows one. One whose fence was
/// confirmed is not live.
pub fn aborts_for(log: &Log, own: Ballot) -> Option<Ballot> {
    log.highest()
        .filter(|&highest| highest > own && rules::holds(Rule::Abort))
}

/// R6 and R8: whether the super block has moved past `own`, so that it may never serve (any more).
pub const fn is_overtaken(view: &SuperView, own: Ballot) -> bool {
    view.state.fenced.covers(own)
}

/// R7: every lower ballot that the sealing collect merged. Each must be silent before `own` is claimed.
pub fn victims(log: &Log, own: Ballot) -> impl Iterator<Item = &PackedEntry> {
    let lower = move |entry: &&PackedEntry| entry.ballot() < own && entry.ballot().rid != own.rid;
    let only = if rules::holds(Rule::SilenceAll) {
        None
    } else {
        log.entries()
            .iter()
            .filter(lower)
            .map(|entry| entry.ballot())
            .max()
    };
    log.entries()
        .iter()
        .filter(lower)
        .filter(move |entry| only.is_none_or(|only| entry.ballot() == only))
}

/// R7: how this predecessor, whose entry promises `quiet_ms`, is known to be silent without being fenced now, if it is: its rid
/// declared it void (up to `void_term`), `trimmed` covers it, its entry says that its fence was confirmed before, or it
/// promised a lease and `waited` since the sealing collect exceeds that.
pub fn is_silent(
    victim: Ballot,
    quiet_ms: u32,
    fenced: bool,
    void_term: Term,
    trimmed: Mark,
    waited: Duration,
    clock_error_ppm: u32,
) -> Option<Silenced> {
    if void_term >= victim.term {
        Some(Silenced::Void)
    } else if trimmed.covers(victim) {
        Some(Silenced::Stopped)
    } else if fenced {
        Some(Silenced::FencedBefore)
    } else if quiet_ms > 0 && waited > quiet_time(quiet_ms, clock_error_ppm) {
        Some(Silenced::LeaseRanOut)
    } else {
        None
    }
}

/// How long a lease of `quiet_ms` is waited out by clocks that may each be wrong by `clock_error_ppm`.
pub const fn quiet_time(quiet_ms: u32, clock_error_ppm: u32) -> Duration {
    let (quiet, error) = (Duration::from_millis(quiet_ms as u64), 2 * clock_error_ppm as u64);
    Duration(quiet.0 + quiet.divided(1_000).divided(1_000).0 * error + error)
}

/// R8: what the claim makes of the super block: everything below the ballot is silent, and the ballot is server.
pub const fn claim(state: &mut SuperBlock, own: Ballot) {
    state.fenced = Mark::below(own);
    state.server = Some(own);
    state.server_addr = None;
}

/// What a reading of the super block tells a leader that stops (R9).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stopping {
    /// Nothing is left to write; `clean` says whether the ballot's own clean stop stands there.
    Over {
        /// Its own clean stop stands in both copies.
        clean: bool,
    },
    /// The super block does not name the ballot: its claim has not landed.
    Unnamed,
    /// The super block names the ballot: the clean stop is to be written.
    Named,
}

/// R9: how a leader that stops goes on.
pub fn stopping(view: &SuperView, own: Ballot) -> Stopping {
    let named = view.state.server == Some(own);
    if is_overtaken(view, own) && (!named || view.copies == Copies::Equal) {
        Stopping::Over { clean: named }
    } else if named {
        Stopping::Named
    } else {
        Stopping::Unnamed
    }
}

/// R9: what the clean stop makes of the super block.
pub fn stop(state: &mut SuperBlock, own: Ballot) {
    state.fenced = state.fenced.max(Mark::at(own));
    state.server_addr = None;
}

/// R3: readings of both copies in a row that do not name a ballot whose claim failed, this one counted.
pub const fn unnamed_readings(copies: Copies, before: u8) -> u8 {
    match copies {
        Copies::Equal => before.saturating_add(1),
        Copies::Newer(_) | Copies::Only(_) => 0,
    }
}

/// R3: whether a ballot may be declared void: its claim was never issued, or failed, and after W so many readings
/// in a row of both copies do not name it.
pub fn may_void(claimed: bool, unnamed: u8) -> bool {
    !claimed || unnamed >= READINGS_TO_VOID || !rules::holds(Rule::NoVoidAfterClaim)
}

/// Read lease: whether a look gives `own` the right to act: a collect that showed no higher live ballot, and the
/// super block read after it, that has not moved past it.
pub fn look_gives_right(log: &Log, view: &SuperView, own: Ballot) -> bool {
    // On a new volume no ballot was named yet.
    let named = view.state.server.is_none_or(|server| server <= own);
    aborts_for(log, own).is_none() && named && !is_overtaken(view, own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{FenceParam, Geometry, LogEntry};
    use crate::ids::{BootId, HostId, Rid, VolumeId, VolumeKey};

    fn ballot(term: u64, rid: u64) -> Ballot {
        Ballot {
            term: Term(term),
            rid: Rid::new(rid).unwrap(),
        }
    }

    fn entry(term: u64, rid: u64, quiet_ms: u32) -> PackedEntry {
        PackedEntry::from(&LogEntry {
            ballot: ballot(term, rid),
            host: HostId(0),
            boot: BootId::default(),
            addr: core::net::SocketAddr::from(([10, 0, 0, 1], 1)),
            quiet_ms,
            fenced: false,
            fence_param: FenceParam::default(),
        })
    }

    fn log(ballots: &[(u64, u64)]) -> Log {
        let mut log = Log::new();
        ballots
            .iter()
            .for_each(|&(term, rid)| log.add(&entry(term, rid, 0), Mark::NONE, &|_| Term(0)));
        log
    }

    fn view(server: Option<Ballot>, fenced: Mark, copies: Copies) -> SuperView {
        let state = SuperBlock {
            volume: VolumeId([3; 16]),
            seq: 4,
            quorum_count: 2,
            fenced,
            server,
            server_addr: None,
            unmount_barrier: 0,
            geometry: Geometry::plan(4096, 64).unwrap(),
            key: VolumeKey([9; 32]),
        };
        SuperView { state, copies }
    }

    #[test]
    fn r5_only_a_higher_ballot_aborts_and_of_one_term_the_higher_rid_is_higher() {
        let own = ballot(4, 5);
        assert_eq!(aborts_for(&log(&[(4, 5), (4, 4), (3, 9)]), own), None);
        assert_eq!(
            aborts_for(&log(&[(4, 5), (4, 6), (5, 1)]), own),
            Some(ballot(5, 1))
        );
    }

    #[test]
    fn r5_a_higher_ballot_whose_fence_was_confirmed_aborts_nobody() {
        let (own, mut log) = (ballot(4, 5), log(&[(4, 5), (4, 6), (5, 1)]));
        log.mark_fenced(ballot(5, 1));
        assert_eq!(aborts_for(&log, own), Some(ballot(4, 6)));
        log.mark_fenced(ballot(4, 6));
        assert_eq!(aborts_for(&log, own), None);
    }

    #[test]
    fn r7_every_lower_ballot_of_others_is_a_victim() {
        let log = log(&[(4, 5), (4, 4), (3, 9), (4, 6)]);
        let mut found: heapless::Vec<Ballot, 4> =
            victims(&log, ballot(4, 5)).map(PackedEntry::ballot).collect();
        found.sort_unstable();
        assert_eq!(found, [ballot(3, 9), ballot(4, 4)]);
    }

    #[test]
    fn r7_void_stopped_marked_or_a_lease_that_ran_out_is_silent_and_nothing_else() {
        let (at, below) = (Mark::at(ballot(4, 5)), Mark::below(ballot(4, 5)));
        let second = Duration::from_secs(1);
        for ((quiet_ms, fenced), void_term, trimmed, waited, silent) in [
            ((0, false), 3, below, second.times(99), None),
            ((0, false), 4, below, Duration::ZERO, Some(Silenced::Void)),
            ((0, false), 3, at, Duration::ZERO, Some(Silenced::Stopped)),
            ((0, true), 3, below, Duration::ZERO, Some(Silenced::FencedBefore)),
            ((1_000, false), 3, below, second, None),
            ((1_000, false), 3, below, second + Duration(200), None),
            (
                (1_000, false),
                3,
                below,
                second + Duration(201),
                Some(Silenced::LeaseRanOut),
            ),
        ] {
            let victim = ballot(4, 5);
            assert_eq!(
                is_silent(victim, quiet_ms, fenced, Term(void_term), trimmed, waited, 50),
                silent
            );
        }
    }

    #[test]
    fn a_lease_is_waited_out_for_twice_the_error_of_a_clock_longer() {
        assert_eq!(quiet_time(10_000, 0), Duration::from_secs(10));
        assert_eq!(quiet_time(10_000, 100), Duration(10_000_000 + 2_000 + 200));
    }

    #[test]
    fn r9_a_stop_is_written_while_the_super_block_names_the_ballot_and_over_when_both_copies_say_so() {
        let own = ballot(4, 5);
        let (at, below, other) = (Mark::at(own), Mark::below(own), Some(ballot(5, 1)));
        for (server, fenced, copies, expected) in [
            (Some(own), below, Copies::Equal, Stopping::Named),
            (Some(own), at, Copies::Newer(1), Stopping::Named),
            (Some(own), at, Copies::Equal, Stopping::Over { clean: true }),
            (None, Mark::NONE, Copies::Equal, Stopping::Unnamed),
            (other, at, Copies::Only(0), Stopping::Over { clean: false }),
        ] {
            assert_eq!(stopping(&view(server, fenced, copies), own), expected);
        }
    }

    #[test]
    fn r3_void_before_the_claim_or_after_two_readings_of_both_copies_without_it() {
        assert!(may_void(false, 0));
        let mut unnamed = 0;
        for (copies, may) in [
            (Copies::Equal, false),
            (Copies::Only(0), false),
            (Copies::Equal, false),
            (Copies::Equal, true),
        ] {
            unnamed = unnamed_readings(copies, unnamed);
            assert_eq!(may_void(true, unnamed), may);
        }
    }

    #[test]
    fn a_look_gives_the_right_only_without_a_higher_ballot_and_unless_overtaken() {
        let own = ballot(4, 5);
        let named = view(Some(own), Mark::below(own), Copies::Equal);
        assert!(look_gives_right(&log(&[(4, 5), (3, 1)]), &named, own));
        assert!(!look_gives_right(&log(&[(4, 5), (5, 1)]), &named, own));
        let stopped = view(Some(own), Mark::at(own), Copies::Equal);
        assert!(!look_gives_right(&log(&[(4, 5)]), &stopped, own));
        let succeeded = view(Some(ballot(5, 1)), Mark::below(own), Copies::Equal);
        assert!(!look_gives_right(&log(&[(4, 5)]), &succeeded, own));
    }

    #[test]
    fn r8_and_r9_set_fenced_below_the_ballot_and_then_at_it() {
        let own = ballot(4, 5);
        let mut state = view(None, Mark::NONE, Copies::Equal).state;
        claim(&mut state, own);
        assert_eq!((state.server, state.fenced), (Some(own), Mark::below(own)));
        stop(&mut state, own);
        assert_eq!((state.server, state.fenced), (Some(own), Mark::at(own)));
    }
}
