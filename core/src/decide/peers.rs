//! What the other voters say in the region: votes, pre-votes, answers, voids.

use crate::bounds::PEERS_MAX;
use crate::format::{Answer, QuorumHead, VoteKind};
use crate::ids::{Ballot, Rid, Term, WriteNr};
use crate::time::{Duration, Instant};

/// The newest block of one rid, by write number (terms of one rid only grow with it).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Peer {
    /// The voter.
    pub rid: Rid,
    /// Number of the write.
    pub write_nr: WriteNr,
    /// The term it is in.
    pub term: Term,
    /// What it is doing.
    pub kind: VoteKind,
    /// Whom it votes for, or would.
    pub vote_for: Option<Rid>,
    /// Its live ballot.
    pub own: Option<Ballot>,
    /// Its ballots up to this term are void.
    pub void_term: Term,
    /// Its own ballot won the votes.
    pub won: bool,
    /// Its own ballot is sealed.
    pub sealed: bool,
    /// Yielded for want of remote clients, and has had none since.
    pub barren: bool,
    /// Number of its pre-vote.
    pub round: u32,
    /// Its answer to the doorbell.
    pub answer: Option<Answer>,
    /// Its cycle time.
    pub cycle: Duration,
    /// The newest write that the last completed collect had shown.
    known: Option<WriteNr>,
    /// When it was last seen with a newer write number than the collect before had shown; `None` if it was only ever seen with one: it may be long dead.
    pub advanced: Option<Instant>,
}

impl Peer {
    /// Whether it was seen to write at `since` or later.
    pub fn is_active(&self, since: Instant) -> bool {
        self.advanced.is_some_and(|advanced| advanced >= since)
    }

    /// Whether it is a candidate of the term it is in.
    pub fn is_candidate(&self) -> bool {
        self.kind == VoteKind::Vote && self.vote_for == Some(self.rid)
    }

    /// The ballot that it won the votes for and has not served under yet, as far as its block says.
    pub fn taking_over(&self) -> Option<Ballot> {
        self.own.filter(|_| self.won && self.answer.is_none())
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

    /// Takes note of a block. Where there is no room, those that were never seen to write make room first.
    pub fn note(&mut self, now: Instant, head: &QuorumHead) {
        let known = self.peers.iter().position(|peer| peer.rid == head.writer);
        let before = known.map(|at| self.peers[at]);
        if before.is_some_and(|peer| peer.write_nr >= head.write_nr) {
            return;
        }
        // Older blocks of one writer stand beside its newest: two numbers in one collect do not say that it lives.
        let settled = before.and_then(|peer| peer.known);
        let advanced = match settled {
            Some(settled) if settled < head.write_nr => Some(now),
            _ => before.and_then(|peer| peer.advanced),
        };
        let peer = Peer {
            rid: head.writer,
            write_nr: head.write_nr,
            term: head.term,
            kind: head.kind,
            vote_for: head.vote_for,
            own: head.own,
            void_term: head.void_term,
            won: head.won,
            sealed: head.sealed,
            barren: head.barren,
            round: head.round,
            answer: head.answer,
            cycle: head.cycle,
            known: settled,
            advanced,
        };
        match known {
            Some(at) => self.peers[at] = peer,
            None => {
                if self.peers.is_full()
                    && let Some(at) = (0..self.peers.len()).min_by_key(|&at| self.peers[at].advanced)
                {
                    self.peers.swap_remove(at);
                }
                // Cannot fail: one was removed if it was full.
                let _ = self.peers.push(peer);
            }
        }
    }

    /// A collect has completed: whoever shows a newer write from now on is alive.
    pub fn settle(&mut self) {
        self.peers
            .iter_mut()
            .for_each(|peer| peer.known = Some(peer.write_nr));
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
            .map(|peer| peer.cycle)
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
        let terms = self.peers.iter().flat_map(|peer| {
            [
                peer.term,
                peer.void_term,
                peer.own.map_or(Term(0), |own| own.term),
            ]
        });
        terms.max().unwrap_or(Term(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BootId, HostId};

    fn rid(n: u64) -> Rid {
        Rid::new(n).unwrap()
    }

    fn head(writer: u64, write_nr: u64, term: u64, kind: VoteKind, vote_for: u64) -> QuorumHead {
        QuorumHead {
            writer: rid(writer),
            host: HostId(0),
            boot: BootId::default(),
            write_nr: WriteNr(write_nr),
            term: Term(term),
            kind,
            vote_for: Rid::new(vote_for),
            own: None,
            void_term: Term(0),
            won: false,
            sealed: false,
            barren: false,
            round: 4,
            answer: None,
            cycle: Duration::ZERO,
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
