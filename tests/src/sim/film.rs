//! What a drawing of a run needs to know beyond what mounts tell: faults, votes, and what stands in the super block.
//! Recorded only if somebody wants to draw.

use ostrakon_core::format::{RegionBlock, SuperBlock, VoteKind};
use ostrakon_core::ids::{Ballot, BlockNo, Rid, Term};

use super::checksum::checksum;
use super::clock::Time;
use super::host::ProcId;
use super::world::World;

/// Something that a drawing shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shot {
    /// A process starts.
    Starts(ProcId),
    /// A process dies; silently if its machine lost power.
    Dies(ProcId, bool),
    /// A process ends by itself.
    Ends(ProcId),
    /// A process does not run any more.
    Pauses(ProcId),
    /// A process runs again.
    Resumes(ProcId),
    /// A fence acts on a process, on behalf of another one.
    Fenced {
        /// Who wanted it.
        by: ProcId,
        /// On whom.
        victim: ProcId,
    },
    /// A process votes, in a term, for somebody: told once.
    Votes {
        /// Who.
        voter: ProcId,
        /// In which term.
        term: Term,
        /// For whom.
        candidate: ProcId,
    },
    /// Nothing gets through from one host to another, or does again.
    Link(usize, usize, bool),
    /// A host's way to the disk breaks, or is mended.
    Path(usize, bool),
    /// What stands in the super block now.
    Super(Box<SuperBlock>),
    /// Faults stop.
    Calm,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub struct Film {
    /// In order.
    pub shots: Vec<(Time, Shot)>,
    last_votes: std::collections::BTreeMap<ProcId, (Term, Rid)>,
}

impl World {
    /// From now on what a drawing needs is recorded.
    pub fn record(&mut self) {
        self.film.get_or_insert_default();
    }

    /// Records something, if anybody wants it.
    pub(crate) fn shoot(&mut self, shot: impl FnOnce() -> Shot) {
        if let Some(film) = &mut self.film {
            film.shots.push((self.now, shot()));
        }
    }

    /// Records a vote that a process is about to write, unless it has been seen before.
    pub(crate) fn shoot_vote(&mut self, voter: ProcId, first: u64, bytes: &[u8]) {
        if self.film.is_none() {
            return;
        }
        let block = RegionBlock::decode(bytes, BlockNo(first), self.volume, checksum);
        let Ok(RegionBlock::Written(head, _)) = block else {
            return;
        };
        let Some(rid) = head.vote_for.filter(|_| head.kind == VoteKind::Vote) else {
            return;
        };
        let (Some(&candidate), Some(film)) = (self.by_rid.get(&rid), &mut self.film) else {
            return;
        };
        let vote = (head.term, rid);
        if film.last_votes.insert(voter, vote) != Some(vote) {
            let term = head.term;
            self.shoot(|| Shot::Votes {
                voter,
                term,
                candidate,
            });
        }
    }

    /// Records the newest state of the super block.
    pub(crate) fn shoot_super(&mut self) {
        let Some(state) = self.check.super_block().copied() else {
            return;
        };
        let known = self.film.as_ref().is_none_or(|film| {
            let last = film.shots.iter().rev().find_map(|(_, shot)| match shot {
                Shot::Super(state) => Some(state.seq),
                _ => None,
            });
            last >= Some(state.seq)
        });
        if !known {
            self.shoot(|| Shot::Super(Box::new(state)));
        }
    }

    /// Names the mount that a ballot belongs to.
    pub(crate) fn name_of(&self, ballot: Ballot) -> &str {
        let proc = self.by_rid.get(&ballot.rid);
        proc.map_or("?", |&proc| &self.procs[proc].name)
    }
}
