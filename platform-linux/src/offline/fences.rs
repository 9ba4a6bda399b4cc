//! The fence records as they stand on the device.

use ostrakon_core::bounds::FENCE_BLOCKS;
use ostrakon_core::format::{FenceRecord, decode_fence};
use ostrakon_core::ids::BlockNo;

use super::{Damage, Volume, checksum};

/// A block of the ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FenceState {
    /// Nobody has written it since `format`.
    Empty,
    /// A record, and its number.
    Record(u64, FenceRecord),
    /// Says nothing: a record that was lost.
    Damaged(Damage),
}

/// The ring of fence records.
#[derive(Clone, Debug)]
pub struct Fences {
    /// Its first block.
    pub first: BlockNo,
    /// Its blocks.
    pub blocks: Vec<FenceState>,
}

impl Fences {
    /// Reads the ring. A damaged block is one of its states, never an error.
    pub fn read(volume: &Volume) -> Self {
        let (first, id) = (volume.state().geometry.fences, volume.state().volume);
        let judged = volume.read_settled(first, FENCE_BLOCKS, |at, bytes| {
            decode_fence(bytes, at, id, checksum)
        });
        let blocks = judged.into_iter().map(|judged| match judged {
            Ok(None) => FenceState::Empty,
            Ok(Some((seq, record))) => FenceState::Record(seq, record),
            Err(damage) => FenceState::Damaged(damage),
        });
        Self {
            first,
            blocks: blocks.collect(),
        }
    }

    /// The records with their numbers, the oldest first.
    pub fn records(&self) -> Vec<(u64, FenceRecord)> {
        let mut records: Vec<_> = self
            .blocks
            .iter()
            .filter_map(|block| match block {
                FenceState::Record(seq, record) => Some((*seq, *record)),
                FenceState::Empty | FenceState::Damaged(_) => None,
            })
            .collect();
        records.sort_by_key(|&(seq, _)| seq);
        records
    }

    /// Blocks that say nothing, with the reason.
    pub fn damaged(&self) -> impl Iterator<Item = (BlockNo, &Damage)> {
        let numbered = (self.first.0..).map(BlockNo).zip(&self.blocks);
        numbered.filter_map(|(at, block)| match block {
            FenceState::Damaged(damage) => Some((at, damage)),
            FenceState::Empty | FenceState::Record(..) => None,
        })
    }
}
