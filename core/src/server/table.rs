//! Where the records of the client table lie: slot `i` of the server's memory is place `i` of the table.

use core::ops::Range;

use super::memory::ClientSlot;
use crate::checksum::Checksum;
use crate::format::{CLIENTS_PER_BLOCK, Geometry, SuperBlock};
use crate::ids::{BlockNo, VolumeId};

/// Where the client table of a volume lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) volume: VolumeId,
    pub(super) checksum: Checksum,
    geometry: Geometry,
}

impl Layout {
    pub(super) const fn new(state: &SuperBlock, checksum: Checksum) -> Self {
        Self {
            volume: state.volume,
            checksum,
            geometry: state.geometry,
        }
    }

    /// Places of the table.
    pub(super) const fn clients(&self) -> u32 {
        self.geometry.clients_max
    }

    /// Logical blocks that have places.
    pub(super) const fn blocks(&self) -> u32 {
        self.geometry.clients_max.div_ceil(CLIENTS_PER_BLOCK as u32)
    }

    /// Where a copy of a logical block stands.
    pub(super) const fn at(&self, block: u32, copy: usize) -> BlockNo {
        let skipped = if copy == 0 {
            0
        } else {
            self.geometry.clients_blocks as u64
        };
        BlockNo(self.geometry.clients.0 + skipped + block as u64)
    }

    /// Where a block of the fence records stands.
    pub(super) const fn fence(&self, index: u32) -> BlockNo {
        BlockNo(self.geometry.fences.0 + index as u64)
    }

    /// The slots of a logical block.
    pub(super) fn slots(&self, block: u32) -> Range<usize> {
        let first = block as usize * CLIENTS_PER_BLOCK;
        first..(first + CLIENTS_PER_BLOCK).min(self.geometry.clients_max as usize)
    }

    /// The logical block of a slot.
    pub(super) const fn block_of(slot: u32) -> u32 {
        slot / CLIENTS_PER_BLOCK as u32
    }

    /// The slot that keeps the marks of a logical block.
    pub(super) fn head<'a>(&self, clients: &'a mut [ClientSlot], block: u32) -> &'a mut ClientSlot {
        &mut clients[block as usize * CLIENTS_PER_BLOCK]
    }
}
