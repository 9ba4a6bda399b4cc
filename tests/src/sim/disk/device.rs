//! The bytes of the device, and which of them are what.

use std::collections::{BTreeSet, VecDeque};
use std::rc::{Rc, Weak};

use ostrakon_core::bounds::{BLOCK_BYTES, FENCE_BLOCKS, REGION_BLOCKS, SECTOR_BYTES};
use ostrakon_core::format::{Geometry, SUPER_COPIES};

use super::{Piece, SECTORS};
use crate::sim::checksum::{Loan, Memory};
use crate::sim::clock::Turn;
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

/// A moment in the life of a medium. What is overwritten is remembered as long as anybody keeps one.
#[derive(Clone, Debug)]
pub struct Moment {
    _kept: Rc<usize>,
}

/// A sector as it was before it was overwritten.
#[derive(Clone, Debug)]
struct Overwritten {
    sector: usize,
    turn: Turn,
    before: [u8; SECTOR_BYTES],
}

/// The medium.
#[derive(Debug)]
pub struct Device {
    bytes: Vec<u8>,
    geometry: Geometry,
    bad: BTreeSet<u64>,
    known: Memory,
    /// Whatever happens to it happens now.
    turn: Turn,
    /// Sectors that were overwritten since the oldest moment that is kept, in that order, and how many there were before.
    overwritten: VecDeque<Overwritten>,
    forgotten: usize,
    moments: VecDeque<Weak<usize>>,
}

impl Device {
    /// A device that holds these bytes.
    pub fn new(bytes: Vec<u8>, geometry: Geometry) -> Self {
        Self {
            known: Memory::new(bytes.len() / BLOCK_BYTES),
            bytes,
            geometry,
            bad: BTreeSet::new(),
            turn: Turn::default(),
            overwritten: VecDeque::new(),
            forgotten: 0,
            moments: VecDeque::new(),
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

    /// All of it, with garbage where the medium is bad.
    pub(crate) fn image(&self) -> Vec<u8> {
        let mut image = self.bytes.clone();
        for &block in &self.bad {
            image[block as usize * BLOCK_BYTES..][..BLOCK_BYTES].fill(0xee);
        }
        image.resize(self.geometry.total_blocks() as usize * BLOCK_BYTES, 0);
        image
    }

    /// While this lives, what was found out about blocks that were not written since is known.
    pub(crate) fn lend_known(&self) -> Loan<'_> {
        self.known.lend(&self.bytes)
    }

    /// Something else happens next.
    pub(crate) const fn begin_turn(&mut self, turn: Turn) {
        self.turn = turn;
    }

    /// This moment.
    pub fn now(&mut self) -> Moment {
        let at = self.forgotten + self.overwritten.len();
        // Nothing was overwritten since somebody else looked: it is the same.
        let last = self.moments.back().and_then(Weak::upgrade);
        if let Some(same) = last.filter(|last| **last == at) {
            return Moment { _kept: same };
        }
        let moment = Rc::new(at);
        self.moments.push_back(Rc::downgrade(&moment));
        Moment { _kept: moment }
    }

    /// Shows the medium to somebody, with these blocks as they were when each piece of them was looked at.
    pub fn as_seen<R>(
        &mut self,
        first: u64,
        count: u32,
        pieces: &[Piece],
        show: impl FnOnce(&Self, &[u8]) -> R,
    ) -> R {
        let start = first as usize * SECTORS;
        let was_seen = |old: &&Overwritten| {
            let seen = |piece: &Piece| {
                let looked = piece.looks.is_some_and(|turn| turn < old.turn);
                looked && (start + piece.from..start + piece.to).contains(&old.sector)
            };
            pieces.iter().any(seen)
        };
        // The newest first, so that of a sector that was overwritten twice what was seen is what stays.
        let mut changes: Vec<Overwritten> = match pieces.is_empty() {
            true => Vec::new(),
            false => self.overwritten.iter().rev().filter(was_seen).cloned().collect(),
        };
        changes.iter_mut().for_each(|change| self.swap(change));
        let shown = show(self, self.blocks(first, count));
        changes.iter_mut().rev().for_each(|change| self.swap(change));
        shown
    }

    /// Puts back what stood in a sector, and keeps what stands there now.
    fn swap(&mut self, Overwritten { sector, before, .. }: &mut Overwritten) {
        let block = *sector / SECTORS;
        self.known.forget(block..=block);
        self.bytes[*sector * SECTOR_BYTES..][..SECTOR_BYTES].swap_with_slice(before);
    }

    /// These bytes change.
    fn touch(&mut self, start: usize, length: usize) {
        self.known
            .forget(start / BLOCK_BYTES..=(start + length - 1) / BLOCK_BYTES);
        while self
            .moments
            .front()
            .is_some_and(|moment| moment.strong_count() == 0)
        {
            self.moments.pop_front();
        }
        let Some(oldest) = self.moments.front().and_then(Weak::upgrade) else {
            self.forgotten += self.overwritten.len();
            self.overwritten.clear();
            return;
        };
        self.overwritten.drain(..*oldest - self.forgotten);
        self.forgotten = *oldest;
        for sector in start / SECTOR_BYTES..=(start + length - 1) / SECTOR_BYTES {
            let before = self.bytes[sector * SECTOR_BYTES..][..SECTOR_BYTES]
                .try_into()
                .expect("a sector is that long");
            let turn = self.turn;
            self.overwritten.push_back(Overwritten { sector, turn, before });
        }
    }

    /// Overwrites sectors, counted from block `first`. Heals the medium.
    pub fn write_sectors(&mut self, first: u64, from: usize, bytes: &[u8]) {
        let start = first as usize * BLOCK_BYTES + from * SECTOR_BYTES;
        self.touch(start, bytes.len());
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        if !self.bad.is_empty() {
            let blocks = start / BLOCK_BYTES..=(start + bytes.len() - 1) / BLOCK_BYTES;
            self.bad.retain(|&block| !blocks.contains(&(block as usize)));
        }
    }

    /// Changes a few bits of a block, or a whole sector of it.
    pub fn rot(&mut self, block: u64, dice: &mut Dice) {
        let start = block as usize * BLOCK_BYTES;
        self.touch(start, BLOCK_BYTES);
        if dice.one_in(3) {
            let sector = start + dice.below(SECTORS as u64) as usize * SECTOR_BYTES;
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
