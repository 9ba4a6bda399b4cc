//! The quorum region as it stands on the device.

use std::collections::BTreeMap;

use ostrakon_core::bounds::REGION_BLOCKS;
use ostrakon_core::format::{BlockError, LogEntry, QuorumHead, RegionBlock};
use ostrakon_core::ids::{Ballot, BlockNo, Mark, Rid, Term, VolumeId};

use super::{Damage, Volume, checksum};

/// One block of the quorum region, or of anything else that may be damaged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegionState {
    /// Formatted and never written since.
    Empty,
    /// Somebody's vote and log.
    Written(QuorumHead, Vec<LogEntry>),
    /// Not to be believed, or not to be read: the reason.
    Damaged(Damage),
}

/// All blocks of the quorum region, in order.
#[derive(Clone, Debug)]
pub struct Region {
    /// Number of the first.
    pub first: BlockNo,
    /// Their states.
    pub blocks: Vec<RegionState>,
}

impl Region {
    /// Reads the region. A damaged block is one of its states, never an error.
    pub fn read(volume: &Volume) -> Self {
        let first = volume.state().geometry.region;
        let id = volume.state().volume;
        let judged = volume.read_settled(first, REGION_BLOCKS, |at, bytes| judge(bytes, at, id));
        let blocks = judged
            .into_iter()
            .map(|judged| judged.unwrap_or_else(RegionState::Damaged));
        Self {
            first,
            blocks: blocks.collect(),
        }
    }

    /// Blocks that say nothing, with the reason.
    pub fn damaged(&self) -> impl Iterator<Item = (BlockNo, &Damage)> {
        let numbered = (self.first.0..).map(BlockNo).zip(&self.blocks);
        numbered.filter_map(|(at, state)| match state {
            RegionState::Damaged(damage) => Some((at, damage)),
            _ => None,
        })
    }

    fn written(&self) -> impl Iterator<Item = (&QuorumHead, &Vec<LogEntry>)> {
        self.blocks.iter().filter_map(|state| match state {
            RegionState::Written(head, log) => Some((head, log)),
            _ => None,
        })
    }

    /// Who has written to the region, with the newest head of each. It says nothing of when that was.
    pub fn voters(&self) -> BTreeMap<Rid, QuorumHead> {
        let mut voters: BTreeMap<Rid, QuorumHead> = BTreeMap::new();
        for (head, _) in self.written() {
            let newest = voters.entry(head.writer).or_insert(*head);
            if head.write_nr > newest.write_nr {
                *newest = *head;
            }
        }
        voters
    }

    /// Blocks that carry this ballot in their log (rule R4); 0 for none.
    pub fn carriers(&self, ballot: Option<Ballot>) -> usize {
        let carries = |log: &&Vec<LogEntry>| log.iter().any(|entry| Some(entry.ballot) == ballot);
        self.written().map(|(_, log)| log).filter(carries).count()
    }

    /// The merged log (rule R1): the union of all entries that `fenced` does not cover and that are not void.
    pub fn live_entries(&self, fenced: Mark) -> BTreeMap<Ballot, LogEntry> {
        let mut voids: BTreeMap<Rid, Term> = BTreeMap::new();
        for (head, _) in self.written() {
            let void = voids.entry(head.writer).or_default();
            *void = head.void_term.max(*void);
        }
        let is_void = |ballot: Ballot| voids.get(&ballot.rid).is_some_and(|&void| void >= ballot.term);
        self.written()
            .flat_map(|(_, log)| log)
            .filter(|entry| !fenced.covers(entry.ballot) && !is_void(entry.ballot))
            .map(|entry| (entry.ballot, *entry))
            .collect()
    }
}

fn judge(bytes: &[u8], at: BlockNo, id: VolumeId) -> Result<RegionState, BlockError> {
    Ok(match RegionBlock::decode(bytes, at, id, checksum)? {
        RegionBlock::Empty => RegionState::Empty,
        RegionBlock::Written(head, entries) => RegionState::Written(head, entries.collect()),
    })
}
