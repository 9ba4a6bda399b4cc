//! The merged election log (rule R1).

use crate::bounds::{LOG_ENTRIES_MAX, VOTERS_MAX};
use crate::format::{LogEntry, PackedEntry};
use crate::ids::{Ballot, Mark, Rid, Term};

/// The merged log had more live entries than a block has room for. Nothing was dropped to make them fit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LogFull;

/// Up to which term each rid declared its ballots void.
pub type Voids<'a> = &'a dyn Fn(Rid) -> Term;

/// Leaders that were elected and are not known to be gone: one entry per rid, its highest, sorted by rid.
///
/// A collect merges into what the collect before it left, so that the log of a process that takes part never
/// loses an entry but to `fenced` or a void. Rule R1 asks for the union of one collect only; more is safe.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Log {
    // As they stand in a block: this is what a voter has most of in its memory, and they come from there and go there.
    entries: heapless::Vec<PackedEntry, LOG_ENTRIES_MAX>,
    overflowed: bool,
}

impl Log {
    /// A log without entries.
    pub const fn new() -> Self {
        Self {
            entries: heapless::Vec::new(),
            overflowed: false,
        }
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.overflowed = false;
    }

    /// The entries, sorted by rid.
    pub fn entries(&self) -> &[PackedEntry] {
        &self.entries
    }

    /// Their ballots.
    pub fn ballots(&self) -> impl Iterator<Item = Ballot> {
        self.entries.iter().map(PackedEntry::ballot)
    }

    /// The entry of exactly this ballot.
    pub fn find(&self, ballot: Ballot) -> Option<LogEntry> {
        self.of_rid(ballot.rid).filter(|entry| entry.ballot == ballot)
    }

    /// The entry of this rid.
    pub fn of_rid(&self, rid: Rid) -> Option<LogEntry> {
        self.place(rid).ok().map(|at| self.entries[at].unpack())
    }

    /// The highest ballot that is live: its fence was not confirmed.
    pub fn highest(&self) -> Option<Ballot> {
        let live = self.entries.iter().filter(|entry| !entry.is_fenced());
        live.map(PackedEntry::ballot).max()
    }

    /// Whether the fence of exactly this ballot was confirmed.
    pub fn is_fenced(&self, ballot: Ballot) -> bool {
        self.find(ballot).is_some_and(|entry| entry.fenced)
    }

    /// The fence of this ballot was confirmed: everybody may know.
    pub fn mark_fenced(&mut self, ballot: Ballot) {
        if let Ok(at) = self.place(ballot.rid)
            && self.entries[at].ballot() == ballot
        {
            self.entries[at].mark_fenced();
        }
    }

    /// Whether a rid may begin a candidacy: unless it has an entry already, one must be free for each of the `active`
    /// voters, itself counted, of which there are P at most. Asking for P in any case would let twenty elections
    /// that failed, one after the other, lock out even a single voter, who could fence them all.
    pub fn has_room_for(&self, rid: Rid, active: usize) -> bool {
        self.entries.len() + active.clamp(1, VOTERS_MAX) <= LOG_ENTRIES_MAX || self.place(rid).is_ok()
    }

    /// Adds an entry unless `fenced` covers it or its rid declared it void; of one rid the higher ballot stays. That its
    /// fence was confirmed counts whoever says so.
    ///
    /// A void covers every ballot of the rid up to its term, so that keeping the highest before the voids of the
    /// same collect are known, and dropping it in [`settle`](Self::settle), gives what rule R1's order gives.
    pub fn add(&mut self, entry: &PackedEntry, trimmed: Mark, void_term: Voids<'_>) {
        let ballot = entry.ballot();
        if !is_live(ballot, trimmed, void_term) {
            return;
        }
        match self.place(ballot.rid) {
            Ok(at) if self.entries[at].ballot() < ballot => self.entries[at] = *entry,
            Ok(at) if self.entries[at].ballot() == ballot && entry.is_fenced() => {
                self.entries[at].mark_fenced()
            }
            Ok(_) => {}
            Err(_) => {
                if self.entries.is_full() {
                    self.drop_gone(trimmed, void_term);
                }
                self.overflowed |= self.entries.push(*entry).is_err();
                // Down to its place, one by one: that is less code than moving all the others at once.
                let mut at = self.entries.len().saturating_sub(1);
                while at > 0 && self.entries[at - 1].ballot().rid > self.entries[at].ballot().rid {
                    self.entries.swap(at - 1, at);
                    at -= 1;
                }
            }
        }
    }

    /// Ends a collect: drops what `fenced` covers or what is void, and adds the own live ballot.
    ///
    /// # Errors
    /// [`LogFull`] if an entry did not fit. The caller writes nothing on the strength of that collect; the log is
    /// empty then, so that the next one starts from the device alone.
    pub fn settle(
        &mut self,
        trimmed: Mark,
        void_term: Voids<'_>,
        own: Option<&LogEntry>,
    ) -> Result<(), LogFull> {
        self.drop_gone(trimmed, void_term);
        if let Some(own) = own {
            self.add(&own.into(), trimmed, &|_| Term(0));
        }
        if self.overflowed {
            self.clear();
            return Err(LogFull);
        }
        Ok(())
    }

    fn place(&self, rid: Rid) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&rid, |entry| entry.ballot().rid)
    }

    fn drop_gone(&mut self, trimmed: Mark, void_term: Voids<'_>) {
        self.entries
            .retain(|entry| is_live(entry.ballot(), trimmed, void_term));
    }
}

/// Whether neither `fenced` covers a ballot nor its rid declared it void.
fn is_live(ballot: Ballot, trimmed: Mark, void_term: Voids<'_>) -> bool {
    !trimmed.covers(ballot) && void_term(ballot.rid) < ballot.term
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::FenceParam;
    use crate::ids::{BootId, HostId};

    fn entry(term: u64, rid: u64) -> PackedEntry {
        PackedEntry::from(&LogEntry {
            ballot: Ballot {
                term: Term(term),
                rid: Rid::new(rid).unwrap(),
            },
            host: HostId(0),
            boot: BootId::default(),
            addr: core::net::SocketAddr::from(([10, 0, 0, 1], 1)),
            quiet_ms: 0,
            fenced: false,
            fence_param: FenceParam::default(),
        })
    }

    fn no_void(_: Rid) -> Term {
        Term(0)
    }

    fn ballots(log: &Log) -> heapless::Vec<(u64, u64), LOG_ENTRIES_MAX> {
        log.entries()
            .iter()
            .map(|entry| (entry.ballot().term.0, entry.ballot().rid.value()))
            .collect()
    }

    #[test]
    fn r1_keeps_the_highest_of_each_rid_whatever_the_order() {
        for order in [
            [(5, 1), (3, 1), (4, 2)],
            [(3, 1), (4, 2), (5, 1)],
            [(4, 2), (5, 1), (3, 1)],
        ] {
            let mut log = Log::new();
            order
                .iter()
                .for_each(|&(term, rid)| log.add(&entry(term, rid), Mark::NONE, &no_void));
            log.settle(Mark::NONE, &no_void, None).unwrap();
            assert_eq!(ballots(&log), [(5, 1), (4, 2)]);
        }
    }

    #[test]
    fn r1_drops_what_is_fenced_and_what_is_void_even_if_known_only_at_the_end() {
        let mut log = Log::new();
        [(1, 9), (2, 3), (2, 4), (6, 5)]
            .iter()
            .for_each(|&(t, r)| log.add(&entry(t, r), Mark::NONE, &no_void));
        let fenced = Mark {
            term: Term(2),
            rid: 3,
        };
        log.settle(fenced, &|rid| Term(if rid.value() == 5 { 6 } else { 0 }), None)
            .unwrap();
        assert_eq!(ballots(&log), [(2, 4)]);
    }

    #[test]
    fn r1_the_own_live_ballot_is_always_there() {
        let mut log = Log::new();
        log.settle(Mark::NONE, &no_void, Some(&entry(7, 7).unpack()))
            .unwrap();
        assert_eq!(ballots(&log), [(7, 7)]);
    }

    #[test]
    fn hole_09_a_log_that_does_not_fit_drops_nothing_and_says_so_and_void_entries_make_room() {
        let mut log = Log::new();
        (1..=LOG_ENTRIES_MAX as u64).for_each(|rid| log.add(&entry(1, rid), Mark::NONE, &no_void));
        assert!(!log.has_room_for(Rid::new(99).unwrap(), 1));
        assert!(log.has_room_for(Rid::new(3).unwrap(), 1));
        let void_one = |rid: Rid| Term(u64::from(rid.value() == 5));
        log.add(&entry(2, 99), Mark::NONE, &void_one);
        log.clone()
            .settle(Mark::NONE, &void_one, None)
            .expect("a void entry made room");
        log.add(&entry(2, 98), Mark::NONE, &void_one);
        assert_eq!(log.settle(Mark::NONE, &void_one, None), Err(LogFull));
        assert_eq!(log, Log::new(), "the next collect starts from the device alone");
    }

    fn fenced(term: u64, rid: u64) -> PackedEntry {
        let mut entry = entry(term, rid);
        entry.mark_fenced();
        entry
    }

    #[test]
    fn r1_a_confirmed_fence_is_believed_from_any_block_and_no_ballot_but_that_one_is_gone() {
        for order in [[entry(4, 1), fenced(4, 1)], [fenced(4, 1), entry(4, 1)]] {
            let mut log = Log::new();
            order
                .iter()
                .for_each(|entry| log.add(entry, Mark::NONE, &no_void));
            log.add(&entry(3, 2), Mark::NONE, &no_void);
            assert!(log.is_fenced(entry(4, 1).ballot()));
            assert!(!log.is_fenced(entry(3, 2).ballot()));
            assert_eq!(
                log.highest(),
                Some(entry(3, 2).ballot()),
                "the highest that lives"
            );
            log.add(&entry(5, 1), Mark::NONE, &no_void);
            assert!(!log.is_fenced(entry(4, 1).ballot()) && !log.is_fenced(entry(5, 1).ballot()));
            log.mark_fenced(entry(4, 1).ballot());
            assert!(!log.is_fenced(entry(5, 1).ballot()), "another ballot of this rid");
            log.mark_fenced(entry(5, 1).ballot());
            assert!(log.is_fenced(entry(5, 1).ballot()));
        }
    }

    #[test]
    fn r7_a_mark_on_an_older_ballot_of_a_rid_says_nothing_of_its_newer_one() {
        let mut log = Log::new();
        for entry in [entry(5, 1), fenced(4, 1), entry(5, 1)] {
            log.add(&entry, Mark::NONE, &no_void);
            assert!(!log.is_fenced(entry.ballot()));
            assert_eq!(log.highest(), Some(self::entry(5, 1).ballot()));
        }
    }

    #[test]
    fn whatever_the_order_in_which_they_come_each_rid_is_found_again() {
        let mut log = Log::new();
        [9, 5, 7, 1, 3]
            .iter()
            .for_each(|&rid| log.add(&entry(1, rid), Mark::NONE, &no_void));
        assert_eq!(ballots(&log), [(1, 1), (1, 3), (1, 5), (1, 7), (1, 9)]);
        [1, 9, 5]
            .iter()
            .for_each(|&rid| log.add(&entry(2, rid), Mark::NONE, &no_void));
        assert_eq!(ballots(&log), [(2, 1), (1, 3), (2, 5), (1, 7), (2, 9)]);
    }

    #[test]
    fn hole_09_leftover_entries_leave_room_for_those_who_can_fence_them() {
        let mut log = Log::new();
        (1..LOG_ENTRIES_MAX as u64).for_each(|rid| log.add(&entry(1, rid), Mark::NONE, &no_void));
        let newcomer = Rid::new(99).unwrap();
        assert!(log.has_room_for(newcomer, 1));
        assert!(
            !log.has_room_for(newcomer, 2),
            "the other voter may want the last entry"
        );
    }
}
