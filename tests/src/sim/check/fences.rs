//! Checks of the fence records: every fence leaves one, and who finds a server finds those that brought it there.

use ostrakon_core::bounds::FENCE_BLOCKS;
use ostrakon_core::format::{FenceRecord, FenceResult, decode_fence};
use ostrakon_core::ids::{Ballot, BlockNo};

use super::Landed;
use crate::sim::checksum::checksum;
use crate::sim::host::ProcId;
use crate::sim::world::{World, violate};

impl World {
    /// The records that stand in the ring.
    fn fence_records(&self) -> Vec<(u64, FenceRecord)> {
        let first = self.device.geometry().fences.0;
        let _known = self.device.lend_known();
        let blocks = (first..first + FENCE_BLOCKS as u64).map(BlockNo);
        let decode = |at: BlockNo| decode_fence(self.device.blocks(at.0, 1), at, self.volume, checksum);
        blocks.filter_map(|at| decode(at).ok().flatten()).collect()
    }

    pub(super) fn fence_landed(&mut self, index: usize, write: Landed) {
        let Landed { proc, damaged, .. } = write;
        let name = self.procs[proc].name.clone();
        let newest = self.check.server;
        if !damaged && !self.procs[proc].cut && newest.is_none_or(|ballot| ballot.rid != self.procs[proc].rid)
        {
            violate!(
                self,
                "a fence record of {name} lands, but the server is {newest:?}"
            );
        }
        let at = BlockNo(self.device.geometry().fences.0 + index as u64);
        let landed = decode_fence(self.device.blocks(at.0, 1), at, self.volume, checksum);
        let seq = landed.as_ref().ok().and_then(|record| record.map(|(seq, _)| seq));
        let before = std::mem::replace(&mut self.check.fence_seqs[index], seq.unwrap_or(0));
        if damaged {
            return;
        }
        if let Some(seq) = seq.filter(|&seq| seq < before) {
            violate!(
                self,
                "{name} writes fence record {seq} over record {before}, which is newer"
            );
        }
        let records = self.fence_records();
        let highest = records.iter().map(|(seq, _)| *seq).max();
        match landed {
            Ok(Some((seq, _))) if Some(seq) == highest => {
                let same = records.iter().filter(|(other, _)| *other == seq).count();
                if same != 1 {
                    violate!(self, "{name} wrote fence record {seq} twice");
                }
            }
            // It was reported as failed and written again in the next block, and lands after all: on record twice.
            Ok(Some(_)) if write.answered => {}
            other => violate!(
                self,
                "{name} left {other:?} at block {at}, the newest record is {highest:?}"
            ),
        }
    }

    /// It serves: whom it silenced on the way is on record, or counted as having found no room.
    pub(super) fn check_fences_recorded(&mut self, proc: ProcId) {
        let silenced = std::mem::take(&mut self.procs[proc].silenced);
        if self.procs[proc].cut {
            return;
        }
        let records = self.fence_records();
        let stands = |victim: &&Ballot| {
            records.iter().any(|(_, record)| {
                (record.term, record.rid, record.result) == (victim.term, victim.rid, FenceResult::Done)
            })
        };
        let missing: Vec<_> = silenced.iter().filter(|victim| !stands(victim)).collect();
        let uncounted: u64 = records.iter().map(|(_, record)| u64::from(record.others)).sum();
        if missing.len() as u64 > uncounted {
            let name = &self.procs[proc].name;
            violate!(
                self,
                "{name} serves, and there is no record of its fences of {missing:?}"
            );
        }
    }
}
