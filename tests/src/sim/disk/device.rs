//! The bytes of the device, and which of them are what.

use std::collections::BTreeSet;

use ostrakon_core::bounds::{BLOCK_BYTES, FENCE_BLOCKS, REGION_BLOCKS, SECTOR_BYTES};
use ostrakon_core::format::{Geometry, SUPER_COPIES};

use crate::sim::dice::Dice;

/// What a block is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Area {
    /// A copy of the super block.
    Super(usize),
    /// A block of the quorum region.
    Region(usize),
    /// The doorbell.
    Doorbell,
    /// A copy of a block of the client table.
    Table {
        /// Logical block.
        block: usize,
        /// 0 or 1.
        copy: usize,
    },
    /// A block of the fence records.
    Fences(usize),
    /// Nothing that anybody may write to.
    Outside,
}

/// The medium.
#[derive(Clone, Debug)]
pub struct Device {
    bytes: Vec<u8>,
    geometry: Geometry,
    bad: BTreeSet<u64>,
}

impl Device {
    /// A device that holds these bytes.
    pub const fn new(bytes: Vec<u8>, geometry: Geometry) -> Self {
        Self {
            bytes,
            geometry,
            bad: BTreeSet::new(),
        }
    }

    /// Where everything lies.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Whether these blocks exist, as far as anybody has to look at them.
    pub fn holds(&self, first: u64, count: u32) -> bool {
        count > 0 && (first + u64::from(count)) as usize * BLOCK_BYTES <= self.bytes.len()
    }

    /// What these blocks are for; [`Area::Outside`] if they are not one kind of block only.
    pub fn area(&self, first: u64, count: u32) -> Area {
        let last = first + u64::from(count.max(1)) - 1;
        let (kind, end) = (self.kind(first), self.kind(last));
        let one_kind = match (kind, end) {
            (Area::Region(_), Area::Region(_)) => true,
            (Area::Table { copy: a, .. }, Area::Table { copy: b, .. }) => a == b,
            _ => first == last,
        };
        if one_kind { kind } else { Area::Outside }
    }

    fn kind(&self, block: u64) -> Area {
        if let Some(copy) = SUPER_COPIES.iter().position(|copy| copy.0 == block) {
            return Area::Super(copy);
        }
        let layout = &self.geometry;
        let within = |first: u64, blocks: u64| block >= first && block < first + blocks;
        if within(layout.region.0, REGION_BLOCKS as u64) {
            return Area::Region((block - layout.region.0) as usize);
        }
        if block == layout.doorbell.0 {
            return Area::Doorbell;
        }
        let blocks = u64::from(layout.clients_blocks);
        if within(layout.clients.0, 2 * blocks) {
            let index = block - layout.clients.0;
            return Area::Table {
                block: (index % blocks) as usize,
                copy: (index / blocks) as usize,
            };
        }
        if within(layout.fences.0, FENCE_BLOCKS as u64) {
            return Area::Fences((block - layout.fences.0) as usize);
        }
        Area::Outside
    }

    /// A block of the region.
    pub fn random_region_block(&self, dice: &mut Dice) -> u64 {
        self.geometry.region.0 + dice.below(REGION_BLOCKS as u64)
    }

    /// The bytes of these blocks.
    pub fn blocks(&self, first: u64, count: u32) -> &[u8] {
        &self.bytes[first as usize * BLOCK_BYTES..][..count as usize * BLOCK_BYTES]
    }

    /// Bytes of sectors `from` to `to`, counted from block `first`.
    pub fn sectors(&self, first: u64, from: usize, to: usize) -> &[u8] {
        &self.bytes[first as usize * BLOCK_BYTES..][from * SECTOR_BYTES..to * SECTOR_BYTES]
    }

    /// Overwrites sectors, counted from block `first`. Heals the medium.
    pub fn write_sectors(&mut self, first: u64, from: usize, bytes: &[u8]) {
        let start = first as usize * BLOCK_BYTES + from * SECTOR_BYTES;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        if !self.bad.is_empty() {
            let blocks = start / BLOCK_BYTES..=(start + bytes.len() - 1) / BLOCK_BYTES;
            self.bad.retain(|&block| !blocks.contains(&(block as usize)));
        }
    }

    /// Changes a few bits of a block, or a whole sector of it.
    pub fn rot(&mut self, block: u64, dice: &mut Dice) {
        let start = block as usize * BLOCK_BYTES;
        if dice.one_in(3) {
            let sector = start + dice.below(super::SECTORS as u64) as usize * SECTOR_BYTES;
            dice.fill(&mut self.bytes[sector..sector + SECTOR_BYTES]);
        } else {
            let byte = start + dice.below(BLOCK_BYTES as u64) as usize;
            self.bytes[byte] ^= dice.between(1, 255) as u8;
        }
    }

    /// From now on, until it is written again, the medium of this block is bad.
    pub fn spoil(&mut self, block: u64) {
        self.bad.insert(block);
    }

    /// Whether a read of these blocks meets bad medium.
    pub fn is_bad(&self, first: u64, count: u32) -> bool {
        self.bad.range(first..first + u64::from(count)).next().is_some()
    }
}
