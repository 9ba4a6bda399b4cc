//! Laying out a new volume: which blocks are written, in which order, with which bytes.

use super::{Doorbell, SUPER_COPIES, SuperBlock, encode_empty, encode_fence, encode_table_block, header};
use crate::bounds::{FENCE_BLOCKS, REGION_BLOCKS};
use crate::checksum::Checksum;
use crate::ids::{BlockNo, Term};

/// The writes that make a volume of the super block given, for a platform without a format tool of its own.
///
/// Carry out [`write`](Self::write) for each step from 0 in order until it gives nothing, each write durable
/// before the next begins. The copies of the super block are erased first and written last: a volume that was cut
/// short while it was made is none. Whether anything on the device is still wanted is the caller's question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NewVolume {
    /// What the super block will say.
    pub state: SuperBlock,
}

const SUPERS: u64 = SUPER_COPIES.len() as u64;
const REGION: u64 = REGION_BLOCKS as u64;
const FENCES: u64 = FENCE_BLOCKS as u64;

impl NewVolume {
    /// Puts the block of this step into `block` (one whole block) and says where it belongs; `None` when all are
    /// written.
    ///
    /// # Panics
    /// If `block` is not one whole block long.
    pub fn write(&self, step: u64, checksum: Checksum, block: &mut [u8]) -> Option<BlockNo> {
        let (volume, geometry) = (self.state.volume, &self.state.geometry);
        let table = u64::from(geometry.clients_blocks);
        let mut step = step;
        if step < SUPERS {
            header::begin(block);
            return Some(SUPER_COPIES[step as usize]);
        }
        step -= SUPERS;
        if step < REGION {
            let at = BlockNo(geometry.region.0 + step);
            encode_empty(at, volume, checksum, block);
            return Some(at);
        }
        step -= REGION;
        if step == 0 {
            let bell = Doorbell {
                rid: None,
                ring: 0,
                term: Term(0),
            };
            bell.encode(geometry.doorbell, volume, checksum, block);
            return Some(geometry.doorbell);
        }
        step -= 1;
        if step < 2 * table {
            let at = BlockNo(geometry.clients.0 + step);
            // Each copy gets a number of its own, so that one of them is the newer from the first moment.
            encode_table_block(1 + step / table, core::iter::empty(), at, volume, checksum, block);
            return Some(at);
        }
        step -= 2 * table;
        if step < FENCES {
            let at = BlockNo(geometry.fences.0 + step);
            encode_fence(None, at, volume, checksum, block);
            return Some(at);
        }
        let at = *SUPER_COPIES.get(usize::try_from(step - FENCES).ok()?)?;
        self.state.encode(at, checksum, block);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeMap;
    use std::vec;

    use super::*;
    use crate::bounds::BLOCK_BYTES;
    use crate::checksum::portable;
    use crate::format::{BlockError, Geometry, RegionBlock, TableBlock, decode_fence};
    use crate::ids::VolumeId;

    fn volume() -> NewVolume {
        NewVolume::sample(VolumeId([9; 16]), 1, Geometry::plan(256, 70).unwrap())
    }

    #[test]
    fn every_block_of_the_volume_is_written_and_valid_in_its_place() {
        let (new, mut device) = (volume(), BTreeMap::new());
        let mut block = vec![0xee; BLOCK_BYTES];
        for step in 0.. {
            let Some(at) = new.write(step, portable, &mut block) else {
                break;
            };
            device.insert(at, block.clone());
        }
        let geometry = new.state.geometry;
        let expected = 2 + REGION_BLOCKS + 1 + 2 * geometry.clients_blocks as usize + FENCE_BLOCKS;
        assert_eq!(device.len(), expected);
        for (at, bytes) in &device {
            let id = new.state.volume;
            match at.0 {
                16 | 32 => assert_eq!(SuperBlock::decode(bytes, *at, Some(id), portable), Ok(new.state)),
                at_region if at_region < geometry.doorbell.0 => {
                    let block = RegionBlock::decode(bytes, *at, id, portable).unwrap();
                    assert!(matches!(block, RegionBlock::Empty));
                }
                bell if bell == geometry.doorbell.0 => {
                    let bell = Doorbell::decode(bytes, *at, id, portable).unwrap();
                    assert_eq!(bell.rid, None);
                }
                table if table < geometry.fences.0 => {
                    TableBlock::decode(bytes, *at, id, portable).unwrap();
                }
                _ => assert_eq!(decode_fence(bytes, *at, id, portable), Ok(None)),
            }
        }
    }

    #[test]
    fn cut_short_at_any_step_it_is_no_volume() {
        let new = volume();
        let steps = (0..).take_while(|&step| new.write(step, portable, &mut [0; BLOCK_BYTES]).is_some());
        let last = steps.last().unwrap();
        let mut supers: BTreeMap<_, _> = BTreeMap::new();
        for step in 0..last - 1 {
            let mut block = [0xee; BLOCK_BYTES];
            let at = new.write(step, portable, &mut block).unwrap();
            if SUPER_COPIES.contains(&at) {
                supers.insert(at, block);
            }
        }
        assert_eq!(supers.len(), 2);
        for (at, block) in supers {
            let error = SuperBlock::decode(&block, at, None, portable).unwrap_err();
            assert!(matches!(error, BlockError::Magic { found: 0 }), "{error}");
        }
    }
}
