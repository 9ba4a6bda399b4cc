//! A disk in memory whose power can fail between any two writes, and that forgets what was not flushed.

extern crate std;

use std::collections::VecDeque;
use std::vec::Vec;

use crate::bounds::{BLOCK_BYTES, FENCE_BLOCKS, SECTOR_BYTES};
use crate::checksum::portable;
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::format::{
    CLIENTS_PER_BLOCK, ClientRecord, FenceRecord, Geometry, SUPER_COPIES, SuperBlock, TableBlock,
    decode_fence, encode_table_block,
};
use crate::ids::{BlockNo, Mark, VolumeId, VolumeKey};

pub(crate) const VOLUME: VolumeId = VolumeId([7; 16]);

/// What became of a request.
pub(crate) struct Done {
    pub(crate) id: IoId,
    result: Result<Option<Vec<u8>>, DiskError>,
}

impl Done {
    pub(crate) fn outcome(&self) -> DiskOutcome<'_> {
        match &self.result {
            Ok(Some(bytes)) => DiskOutcome::Read(bytes),
            Ok(None) => DiskOutcome::Done,
            Err(error) => DiskOutcome::Failed(*error),
        }
    }
}

struct Issued {
    node: usize,
    request: DiskRequest,
    bytes: Vec<u8>,
}

/// How the blocks that were written and not flushed look after the power failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loss {
    /// All of them arrived, but of the last one only the first sector.
    LastTorn,
    /// All of them arrived, but of the last one only the first half.
    LastHalved,
    /// All of them arrived, but of the last one the sector that was being written is unreadable rubbish.
    LastGarbled,
    /// None arrived.
    All,
    /// Only the last one arrived.
    AllButLast,
}

pub(crate) struct Disk {
    bytes: Vec<u8>,
    /// Writes since the last flush, with what stood there before.
    unflushed: Vec<(usize, Vec<u8>, Vec<u8>)>,
    issued: VecDeque<Issued>,
    /// Nothing completes.
    pub(crate) hung: bool,
    /// Writes fail like this.
    pub(crate) broken: Option<DiskError>,
    /// Reads fail like this.
    pub(crate) bad_reads: Option<DiskError>,
    /// Reads that touch this block fail with a medium error.
    pub(crate) bad_medium: Option<BlockNo>,
    /// A block that takes no write.
    pub(crate) bad_write: Option<BlockNo>,
    pub(crate) reads: u32,
    pub(crate) writes: u32,
    pub(crate) flushes: u32,
    /// Writes that had to be durable by themselves.
    pub(crate) durable_writes: u32,
    /// After so many writes no further one completes.
    pub(crate) writes_left: Option<u32>,
    /// After so many flushes no further one completes.
    pub(crate) flushes_left: Option<u32>,
}

impl Disk {
    pub(crate) fn format(quorum_count: u16, clients_max: u32) -> Self {
        let geometry = Geometry::plan(256, clients_max).unwrap();
        let mut disk = Self {
            bytes: std::vec![0; 256 * BLOCK_BYTES],
            unflushed: Vec::new(),
            issued: VecDeque::new(),
            hung: false,
            broken: None,
            bad_reads: None,
            bad_medium: None,
            bad_write: None,
            reads: 0,
            writes: 0,
            flushes: 0,
            durable_writes: 0,
            writes_left: None,
            flushes_left: None,
        };
        disk.put_super(&SuperBlock {
            volume: VOLUME,
            seq: 1,
            quorum_count,
            fenced: Mark::NONE,
            server: None,
            server_addr: None,
            unmount_barrier: 0,
            geometry,
            key: VolumeKey([0; 32]),
        });
        for block in 0..2 * u64::from(geometry.clients_blocks) {
            let at = BlockNo(geometry.clients.0 + block);
            encode_table_block(0, core::iter::empty(), at, VOLUME, portable, disk.block(at));
        }
        disk
    }

    pub(crate) fn block(&mut self, at: BlockNo) -> &mut [u8] {
        let from = at.0 as usize * BLOCK_BYTES;
        &mut self.bytes[from..from + BLOCK_BYTES]
    }

    pub(crate) fn put_super(&mut self, state: &SuperBlock) {
        for at in SUPER_COPIES {
            state.encode(at, portable, self.block(at));
        }
    }

    fn view(&self, at: BlockNo) -> &[u8] {
        let from = at.0 as usize * BLOCK_BYTES;
        &self.bytes[from..from + BLOCK_BYTES]
    }

    /// The newest valid copy.
    pub(crate) fn super_block(&self) -> SuperBlock {
        let copies = SUPER_COPIES.map(|at| SuperBlock::decode(self.view(at), at, None, portable).ok());
        copies
            .into_iter()
            .flatten()
            .max_by_key(|state| state.seq)
            .unwrap()
    }

    /// The fence records and their numbers, the oldest first.
    pub(crate) fn fences(&self) -> Vec<(u64, FenceRecord)> {
        let first = self.super_block().geometry.fences.0;
        let blocks = (first..first + FENCE_BLOCKS as u64).map(BlockNo);
        let decode = |at| decode_fence(self.view(at), at, VOLUME, portable).ok().flatten();
        let mut records: Vec<_> = blocks.filter_map(decode).collect();
        records.sort_by_key(|&(seq, _)| seq);
        records
    }

    /// The copies of a block of the table that are valid, the newest last.
    fn table(&self, block: u32) -> Vec<TableBlock<'_>> {
        let geometry = self.super_block().geometry;
        let places = [0, u64::from(geometry.clients_blocks)];
        let at = places.map(|skip| BlockNo(geometry.clients.0 + skip + u64::from(block)));
        let decode = |at| TableBlock::decode(self.view(at), at, VOLUME, portable).ok();
        let mut valid: Vec<_> = at.into_iter().filter_map(decode).collect();
        valid.sort_by_key(|block| block.seq);
        valid
    }

    /// The records that the next server believes.
    pub(crate) fn records(&self) -> Vec<ClientRecord> {
        let state = self.super_block();
        let mut records = Vec::new();
        for block in 0..state.geometry.clients_blocks {
            let copies = self.table(block);
            let newest = copies.last().expect("one copy of each block is valid");
            records.extend((0..CLIENTS_PER_BLOCK).filter_map(|index| newest.record(index)));
        }
        records.retain(|record| record.barrier >= state.unmount_barrier);
        records
    }

    /// Valid copies of the first block of the table.
    pub(crate) fn good_copies(&self) -> usize {
        self.table(0).len()
    }

    pub(crate) fn issue(&mut self, node: usize, request: DiskRequest, buffer: &[u8]) {
        let bytes = match request {
            DiskRequest::Write { count, .. } => buffer[..count as usize * BLOCK_BYTES].to_vec(),
            DiskRequest::Read { .. } | DiskRequest::Flush { .. } => Vec::new(),
        };
        self.issued.push_back(Issued { node, request, bytes });
    }

    /// Requests of a mount that are under way.
    pub(crate) fn outstanding(&self, node: usize) -> usize {
        self.issued.iter().filter(|issued| issued.node == node).count()
    }

    /// The process that issued them is gone.
    pub(crate) fn forget_issued(&mut self, node: usize) {
        self.issued.retain(|issued| issued.node != node);
    }

    /// Carries out the next request of a mount.
    pub(crate) fn complete(&mut self, node: usize) -> Option<Done> {
        if self.hung {
            return None;
        }
        let index = self.issued.iter().position(|issued| issued.node == node)?;
        let left = match self.issued[index].request {
            DiskRequest::Write { .. } => &mut self.writes_left,
            DiskRequest::Flush { .. } => &mut self.flushes_left,
            DiskRequest::Read { .. } => &mut None,
        };
        if let Some(left) = left {
            if *left == 0 {
                self.hung = true;
                return None;
            }
            *left -= 1;
        }
        let Issued { request, bytes, .. } = self.issued.remove(index)?;
        let id = request.id();
        let result = match request {
            DiskRequest::Read { first, count, .. } => self.read(first, count),
            DiskRequest::Write { first, durable, .. } => self.write(first, &bytes, durable),
            DiskRequest::Flush { .. } => self.flush(),
        };
        Some(Done { id, result })
    }

    fn read(&mut self, first: BlockNo, count: u32) -> Result<Option<Vec<u8>>, DiskError> {
        self.reads += 1;
        let end = first.0 + u64::from(count);
        if let Some(error) = self.bad_reads {
            return Err(error);
        }
        if self.bad_medium.is_some_and(|bad| (first.0..end).contains(&bad.0)) {
            return Err(DiskError::Medium);
        }
        Ok(Some(
            self.bytes[first.0 as usize * BLOCK_BYTES..end as usize * BLOCK_BYTES].to_vec(),
        ))
    }

    fn write(&mut self, first: BlockNo, bytes: &[u8], durable: bool) -> Result<Option<Vec<u8>>, DiskError> {
        self.writes += 1;
        self.durable_writes += u32::from(durable);
        if let Some(error) = self.broken {
            return Err(error);
        }
        if self.bad_write == Some(first) {
            return Err(DiskError::Failed);
        }
        let from = first.0 as usize * BLOCK_BYTES;
        let place = &mut self.bytes[from..from + bytes.len()];
        if !durable {
            self.unflushed.push((from, place.to_vec(), bytes.to_vec()));
        }
        place.copy_from_slice(bytes);
        Ok(None)
    }

    fn flush(&mut self) -> Result<Option<Vec<u8>>, DiskError> {
        self.flushes += 1;
        if let Some(error) = self.broken {
            return Err(error);
        }
        self.unflushed.clear();
        Ok(None)
    }

    /// It works again, and goes on with what is under way.
    pub(crate) fn mend(&mut self) {
        self.hung = false;
        (self.writes_left, self.flushes_left) = (None, None);
    }

    /// The power fails: what was not flushed, the write under way included, is lost in this way.
    pub(crate) fn lose_power(&mut self, loss: Loss) {
        self.mend();
        if let Some(Issued { request, bytes, .. }) = self.issued.pop_front()
            && let DiskRequest::Write { first, .. } = request
        {
            let _ = self.write(first, &bytes, false);
        }
        self.issued.clear();
        let unflushed = core::mem::take(&mut self.unflushed);
        for (from, before, _) in unflushed.iter().rev() {
            self.bytes[*from..*from + before.len()].copy_from_slice(before);
        }
        let last = unflushed.len().saturating_sub(1);
        for (index, (from, _, after)) in unflushed.iter().enumerate() {
            let arrives = match loss {
                Loss::All => 0,
                Loss::AllButLast if index < last => 0,
                Loss::LastTorn if index == last => SECTOR_BYTES,
                Loss::LastHalved if index == last => after.len() / 2,
                Loss::AllButLast | Loss::LastTorn | Loss::LastHalved | Loss::LastGarbled => after.len(),
            };
            self.bytes[*from..*from + arrives].copy_from_slice(&after[..arrives]);
            if loss == Loss::LastGarbled && index == last {
                self.bytes[*from..*from + SECTOR_BYTES].fill(0x5a);
            }
        }
    }
}
