//! What one voter says in the region, from write to write: numbers and terms only grow, it votes once a term (hole 1), and
//! it has one live ballot (R3).

use ostrakon_core::format::{QuorumHead, VoteKind};
use ostrakon_core::ids::{Ballot, Rid, Term, WriteNr};

use crate::sim::world::{World, violate};

/// What a voter's newest write that landed whole said.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    /// Its number.
    pub write_nr: WriteNr,
    /// The term it was in.
    pub term: Term,
    /// Whom it voted for in that term, if it has.
    pub vote: Option<Rid>,
    /// Its live ballot.
    pub own: Option<Ballot>,
    /// Up to where its ballots are void.
    pub void_term: Term,
}

impl Said {
    /// What follows from `before`, or what is wrong with it.
    fn after(before: Option<Self>, head: &QuorumHead) -> Result<Self, &'static str> {
        let counts = matches!(head.kind, VoteKind::Vote | VoteKind::Leader);
        let now = Self {
            write_nr: head.write_nr,
            term: head.term,
            vote: head.vote_for.filter(|_| counts),
            own: head.own,
            void_term: head.void_term,
        };
        let Some(before) = before else { return Ok(now) };
        if now.write_nr <= before.write_nr {
            return Err("gives two writes one number, or a lower one (R4)");
        }
        if now.term < before.term {
            return Err("goes back to an earlier term");
        }
        if now.void_term < before.void_term {
            return Err("takes a void back (R3)");
        }
        let vote = before.vote.filter(|_| now.term == before.term);
        if vote.is_some() && now.vote.is_some() && vote != now.vote {
            return Err("votes twice in one term (hole 1)");
        }
        if now.own.is_some_and(|own| own.term <= now.void_term) {
            return Err("names a ballot that is void (R3)");
        }
        Ok(Self {
            vote: now.vote.or(vote),
            ..now
        })
    }
}

impl World {
    /// A write of the region has landed whole.
    pub(super) fn check_words(&mut self, head: &QuorumHead) {
        let before = self.check.said.get(&head.writer).copied();
        match Said::after(before, head) {
            Ok(now) => {
                self.check.said.insert(head.writer, now);
                let own = before.and_then(|before| before.own);
                if let Some(left) = own.filter(|_| own != now.own) {
                    self.check_left(left, now.void_term);
                }
            }
            Err(what) => violate!(self, "{} {what}", self.voter_named(head.writer)),
        }
    }

    /// A ballot is named until it is void, has stopped, or was overtaken.
    fn check_left(&mut self, ballot: Ballot, void_term: Term) {
        let over = void_term >= ballot.term || self.check.fenced.covers(ballot);
        if !over {
            violate!(
                self,
                "{} names {ballot} no longer, which is neither void nor covered (R3)",
                self.voter_named(ballot.rid)
            );
        }
    }

    fn voter_named(&self, rid: Rid) -> String {
        match self.by_rid.get(&rid) {
            Some(&proc) => self.procs[proc].name.clone(),
            None => rid.to_string(),
        }
    }
}
