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
    /// When it was last seen with a new write number; `None` if it was only ever seen with one: it may be long dead.
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
        Self { peers: heapless::Vec::new() }
    }

    /// Takes note of a block. Where there is no room, those that were never seen to write make room first.
    pub fn note(&mut self, now: Instant, head: &QuorumHead) {
        let known = self.peers.iter().position(|peer| peer.rid == head.writer);
        let advanced = match known.map(|at| &self.peers[at]) {
            Some(peer) if peer.write_nr >= head.write_nr => return,
            Some(_) => Some(now),
            None => None,
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
        self.active(since).map(|peer| peer.cycle).max().unwrap_or(Duration::ZERO)
    }

    /// Votes for `candidate` in `term`, its own not counted. A vote counts in its own term only.
    pub fn votes(&self, term: Term, candidate: Rid) -> u16 {
        let votes = self.peers.iter().filter(|peer| {
            peer.rid != candidate && peer.kind == VoteKind::Vote && peer.term == term && peer.vote_for == Some(candidate)
        });
        votes.count() as u16
    }

    /// Voters that would vote for `asker` in its `round`, itself not counted: those who say so, and those who have
    /// asked since: whoever asks reaches no server, and votes for the first candidate of a new term.
    pub fn supporters(&self, asker: Rid, round: u32, since: Instant) -> u16 {
        let supporters = self.peers.iter().filter(|peer| peer.rid != asker && match peer.kind {
            VoteKind::Yes => peer.vote_for == Some(asker) && peer.round == round,
            VoteKind::Ask => peer.is_active(since),
            VoteKind::Vote | VoteKind::Leader => false,
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
        let terms = self.peers.iter().flat_map(|peer| [peer.term, peer.void_term, peer.own.map_or(Term(0), |own| own.term)]);
        terms.max().unwrap_or(Term(0))
    }
}
