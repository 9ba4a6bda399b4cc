//! What the other voters say in the region: votes, pre-votes, answers, voids.

use crate::bounds::PEERS_MAX;
use crate::format::{Answer, QuorumHead, VoteKind};
use crate::ids::{Ballot, Rid, Term, WriteNr};
use crate::time::{Duration, Instant};

/// The newest block of one rid, by write number (terms of one rid only grow with it). There is one of these for each
/// writer of the region: it is laid out to be small.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Peer {
    /// The voter.
    pub rid: Rid,
    /// Number of the write.
    pub write_nr: WriteNr,
    /// The term it is in.
    pub term: Term,
    /// Whom it votes for, or would.
    pub vote_for: Option<Rid>,
    /// Its ballots up to this term are void.
    pub void_term: Term,
    /// The term of its live ballot; 0 without one.
    own_term: Term,
    /// When it was last seen to write, if it ever was.
    advanced: Instant,
    /// Number of its pre-vote.
    pub round: u32,
    cycle_us: u32,
    answer_interval_us: u32,
    /// Voters of its answer to the doorbell; 0 without an answer.
    answer_voters: u16,
    /// What it is doing.
    pub kind: VoteKind,
    flags: u8,
}

const WON: u8 = 1;
const SEALED: u8 = 2;
const BARREN: u8 = 4;
/// A collect that has completed showed it: what is newer was written since.
const KNOWN: u8 = 8;
/// `advanced` holds a moment.
const SEEN_WRITING: u8 = 16;

const _: () = assert!(size_of::<Peer>() == 72, "firmware has room for that, 32 times");

/// Microseconds in 32 bits: 71 minutes, longer than anything that is measured here.
fn short(span: Duration) -> u32 {
    u32::try_from(span.0).unwrap_or(u32::MAX)
}

impl Peer {
    fn new(head: &QuorumHead) -> Self {
        Self {
            rid: head.writer,
            write_nr: head.write_nr,
            term: head.term,
            vote_for: head.vote_for,
            void_term: head.void_term,
            own_term: head.own.map_or(Term(0), |own| own.term),
            advanced: Instant(0),
            round: head.round,
            cycle_us: short(head.cycle),
            answer_interval_us: head.answer.map_or(0, |answer| short(answer.interval)),
            answer_voters: head.answer.map_or(0, |answer| answer.voters),
            kind: head.kind,
            flags: [(head.won, WON), (head.sealed, SEALED), (head.barren, BARREN)]
                .iter()
                .fold(0, |flags, &(set, flag)| if set { flags | flag } else { flags }),
        }
    }

    const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Its own ballot won the votes.
    pub const fn won(&self) -> bool {
        self.is(WON)
    }

    /// Its own ballot is sealed.
    pub const fn sealed(&self) -> bool {
        self.is(SEALED)
    }

    /// It yielded for want of remote clients, and has had none since.
    pub const fn barren(&self) -> bool {
        self.is(BARREN)
    }

    /// Its live ballot.
    pub fn own(&self) -> Option<Ballot> {
        (self.own_term > Term(0)).then_some(Ballot {
            term: self.own_term,
            rid: self.rid,
        })
    }

    /// Its answer to the doorbell.
    pub fn answer(&self) -> Option<Answer> {
        (self.answer_voters > 0).then_some(Answer {
            voters: self.answer_voters,
            interval: Duration(self.answer_interval_us.into()),
        })
    }

    /// Its cycle time.
    pub fn cycle(&self) -> Duration {
        Duration(self.cycle_us.into())
    }

    /// When it was last seen with a newer write number than the collect before had shown; `None` if it was only ever
    /// seen with one: it may be long dead.
    pub fn advanced(&self) -> Option<Instant> {
        self.is(SEEN_WRITING).then_some(self.advanced)
    }

    /// Whether it was seen to write at `since` or later.
    pub fn is_active(&self, since: Instant) -> bool {
        self.advanced().is_some_and(|advanced| advanced >= since)
    }

    /// Whether it is a candidate of the term it is in.
    pub fn is_candidate(&self) -> bool {
        self.kind == VoteKind::Vote && self.vote_for == Some(self.rid)
    }

    /// The ballot that it won the votes for and has not served under yet, as far as its block says.
    pub fn taking_over(&self) -> Option<Ballot> {
        self.own().filter(|_| self.won() && self.answer_voters == 0)
    }
}

/// The writers of the region.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Peers {
    peers: heapless::Vec<Peer, PEERS_MAX>,
}

impl Peers {
    /// Knows nobody.
    pub const fn new() -> Self {
        Self {
            peers: heapless::Vec::new(),
        }
    }

    /// Forgets everybody.
    pub fn clear(&mut self) {
        self.peers.clear();
    }

    /// Takes note of a block. Where there is no room, those that were never seen to write make room first.
    pub fn note(&mut self, now: Instant, head: &QuorumHead) {
        let mut peer = Peer::new(head);
        let Some(before) = self.peers.iter_mut().find(|peer| peer.rid == head.writer) else {
            return self.meet(peer);
        };
        if before.write_nr >= head.write_nr {
            return;
        }
        // Older blocks of one writer stand beside its newest: two numbers in one collect do not say that it lives.
        peer.flags |= before.flags & (KNOWN | SEEN_WRITING);
        peer.advanced = before.advanced;
        if before.is(KNOWN) {
            peer.flags |= SEEN_WRITING;
            peer.advanced = now;
        }
        *before = peer;
    }

    fn meet(&mut self, peer: Peer) {
        if self.peers.is_full()
            && let Some(at) = (0..self.peers.len()).min_by_key(|&at| self.peers[at].advanced())
        {
            self.peers.swap_remove(at);
        }
        // Cannot fail: one was removed if it was full.
        let _ = self.peers.push(peer);
    }

    /// A collect has completed: whoever shows a newer write from now on is alive.
    pub fn settle(&mut self) {
        for peer in &mut self.peers {
            peer.flags |= KNOWN;
        }
    }

    /// Everybody known.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    /// What is known of one rid.
    pub fn find(&self, rid: Rid) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.rid == rid)
    }

    /// Up to which term this rid declared its ballots void.
    pub fn void_term(&self, rid: Rid) -> Term {
        self.find(rid).map_or(Term(0), |peer| peer.void_term)
    }

    /// Those seen to write at `since` or later.
    pub fn active(&self, since: Instant) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(move |peer| peer.is_active(since))
    }

    /// The slowest cycle that an active voter publishes.
    pub fn slowest_cycle(&self, since: Instant) -> Duration {
        self.active(since)
            .map(Peer::cycle)
            .max()
            .unwrap_or(Duration::ZERO)
    }

    /// Votes for `candidate` in `term`, its own not counted. A vote counts in its own term only.
    pub fn votes(&self, term: Term, candidate: Rid) -> u16 {
        let votes = self.peers.iter().filter(|peer| {
            peer.rid != candidate
                && peer.kind == VoteKind::Vote
                && peer.term == term
                && peer.vote_for == Some(candidate)
        });
        votes.count() as u16
    }

    /// Voters that would vote for `asker` in its `round`, itself not counted: those who say so, and those who have
    /// asked since: whoever asks reaches no server, and votes for the first candidate of a new term.
    pub fn supporters(&self, asker: Rid, round: u32, since: Instant) -> u16 {
        let supporters = self.peers.iter().filter(|peer| {
            peer.rid != asker
                && match peer.kind {
                    VoteKind::Yes => peer.vote_for == Some(asker) && peer.round == round,
                    VoteKind::Ask => peer.is_active(since),
                    VoteKind::Vote | VoteKind::Leader => false,
                }
        });
        supporters.count() as u16
    }

    /// The candidate of the highest term above `term`, and of these the highest rid: whose term is adopted.
    pub fn newest_candidate(&self, term: Term) -> Option<&Peer> {
        self.peers
            .iter()
            .filter(|peer| peer.is_candidate() && peer.term > term)
            .max_by_key(|peer| (peer.term, peer.rid))
    }

    /// The highest term anybody is in or was a candidate of.
    pub fn highest_term(&self) -> Term {
        let terms = self
            .peers
            .iter()
            .map(|peer| peer.term.max(peer.void_term).max(peer.own_term));
        terms.max().unwrap_or(Term(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rid(n: u64) -> Rid {
        Rid::new(n).unwrap()
    }

    fn head(writer: u64, write_nr: u64, term: u64, kind: VoteKind, vote_for: u64) -> QuorumHead {
        QuorumHead {
            write_nr: WriteNr(write_nr),
            term: Term(term),
            kind,
            vote_for: Rid::new(vote_for),
            round: 4,
            cycle: Duration::ZERO,
            ..QuorumHead::first_of(rid(writer))
        }
    }

    #[test]
    fn blocks_of_the_dead_do_not_look_alive_however_many_there_are() {
        let mut peers = Peers::new();
        for time in 0..3 {
            for write_nr in [3, 9, 5] {
                peers.note(Instant(time), &head(1, write_nr, 1, VoteKind::Vote, 0));
            }
            peers.settle();
            assert_eq!(peers.active(Instant(0)).count(), 0);
        }
        peers.note(Instant(7), &head(1, 10, 1, VoteKind::Vote, 0));
        assert_eq!(peers.active(Instant(7)).count(), 1);
        assert_eq!(peers.active(Instant(8)).count(), 0);
    }

    #[test]
    fn hole_07_the_newest_write_counts_and_hole_08_a_vote_counts_in_its_own_term_only() {
        let mut peers = Peers::new();
        peers.note(Instant(0), &head(1, 9, 5, VoteKind::Vote, 3));
        peers.note(Instant(0), &head(1, 4, 4, VoteKind::Vote, 2));
        peers.note(Instant(0), &head(2, 1, 5, VoteKind::Vote, 3));
        peers.note(Instant(0), &head(3, 1, 5, VoteKind::Vote, 3));
        assert_eq!(peers.votes(Term(5), rid(3)), 2, "its own vote is not among them");
        assert_eq!(
            peers.votes(Term(4), rid(2)),
            0,
            "an older write of rid 1 does not count"
        );
        assert_eq!(peers.votes(Term(6), rid(3)), 0);
        assert_eq!(peers.newest_candidate(Term(4)).map(|peer| peer.rid), Some(rid(3)));
        assert_eq!(
            peers.newest_candidate(Term(5)),
            None,
            "terms are adopted from higher ones only"
        );
    }

    #[test]
    fn a_yes_counts_for_its_round_and_an_ask_while_it_goes_on() {
        let mut peers = Peers::new();
        peers.note(Instant(0), &head(1, 1, 5, VoteKind::Yes, 9));
        peers.note(Instant(0), &head(2, 1, 5, VoteKind::Ask, 2));
        peers.note(Instant(0), &head(3, 1, 5, VoteKind::Vote, 9));
        peers.settle();
        peers.note(Instant(5), &head(2, 2, 5, VoteKind::Ask, 2));
        assert_eq!(peers.supporters(rid(9), 4, Instant(5)), 2);
        assert_eq!(peers.supporters(rid(9), 5, Instant(6)), 0);
    }

    #[test]
    fn nobody_supports_itself() {
        let mut peers = Peers::new();
        peers.note(Instant(0), &head(9, 1, 5, VoteKind::Yes, 9));
        assert_eq!(peers.supporters(rid(9), 4, Instant(0)), 0);
        assert_eq!(
            peers.supporters(rid(8), 4, Instant(0)),
            0,
            "it says yes to another"
        );
    }

    #[test]
    fn a_peer_is_what_its_newest_block_says() {
        let ballot = Ballot {
            term: Term(5),
            rid: rid(1),
        };
        let answer = Answer {
            voters: 3,
            interval: Duration(70),
        };
        let mut peers = Peers::new();
        assert_eq!(peers.void_term(rid(1)), Term(0));
        let mut newest = QuorumHead {
            own: Some(ballot),
            void_term: Term(4),
            cycle: Duration(1_234),
            ..head(1, 1, 5, VoteKind::Vote, 1)
        };
        peers.note(Instant(0), &newest);
        let peer = *peers.find(rid(1)).unwrap();
        assert_eq!(peers.find(rid(2)), None);
        assert_eq!(
            (peer.own(), peer.cycle(), peer.answer()),
            (Some(ballot), Duration(1_234), None)
        );
        assert!(peer.is_candidate() && !peer.won() && !peer.sealed() && !peer.barren());
        assert_eq!((peer.taking_over(), peers.void_term(rid(1))), (None, Term(4)));
        assert_eq!(
            (peers.highest_term(), peers.slowest_cycle(Instant(0))),
            (Term(5), Duration::ZERO)
        );

        peers.settle();
        (newest.write_nr, newest.kind) = (WriteNr(2), VoteKind::Leader);
        (newest.won, newest.sealed, newest.barren) = (true, true, true);
        peers.note(Instant(1), &newest);
        let peer = *peers.find(rid(1)).unwrap();
        assert!(!peer.is_candidate() && peer.won() && peer.sealed() && peer.barren());
        assert_eq!(peer.taking_over(), Some(ballot), "until it answers");
        assert_eq!(
            peers.slowest_cycle(Instant(1)),
            Duration(1_234),
            "it was seen to write"
        );
        assert_eq!(peers.slowest_cycle(Instant(2)), Duration::ZERO);

        (newest.write_nr, newest.answer) = (WriteNr(3), Some(answer));
        peers.note(Instant(2), &newest);
        let peer = *peers.find(rid(1)).unwrap();
        assert_eq!((peer.answer(), peer.taking_over()), (Some(answer), None));

        newest.write_nr = WriteNr(4);
        (newest.own, newest.won, newest.answer, newest.kind) = (None, false, None, VoteKind::Vote);
        newest.cycle = Duration(u64::MAX);
        peers.note(Instant(3), &newest);
        let peer = *peers.find(rid(1)).unwrap();
        assert_eq!(
            (peer.own(), peer.taking_over()),
            (None, None),
            "it gave its ballot up"
        );
        assert_eq!(
            peer.cycle(),
            Duration(u32::MAX.into()),
            "as long as there is room for"
        );
        peers.clear();
        assert_eq!(peers.iter().count(), 0);
    }

    #[test]
    fn where_there_is_no_room_those_never_seen_to_write_make_room() {
        let mut peers = Peers::new();
        peers.note(Instant(0), &head(1, 1, 1, VoteKind::Vote, 0));
        peers.settle();
        peers.note(Instant(1), &head(1, 2, 1, VoteKind::Vote, 0));
        (2..200).for_each(|writer| peers.note(Instant(1), &head(writer, 1, 1, VoteKind::Vote, 0)));
        assert!(peers.find(rid(1)).is_some());
        assert_eq!(peers.iter().count(), PEERS_MAX);
    }
}
