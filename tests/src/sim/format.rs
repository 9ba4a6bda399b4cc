//! Formats a volume in memory, as `ostrakon format` does on a device.

use ostrakon_core::bounds::{BLOCK_BYTES, FENCE_BLOCKS, REGION_BLOCKS};
use ostrakon_core::format::{
    Doorbell, Geometry, SUPER_COPIES, SuperBlock, encode_empty, encode_fence, encode_table_block,
};
use ostrakon_core::ids::{BlockNo, Mark, Term, VolumeId, VolumeKey};

use super::checksum::checksum;
use super::dice::Dice;

/// A volume fresh from `format`.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its first blocks, up to those that are reserved for later use.
    pub bytes: Vec<u8>,
    /// What its super block says.
    pub super_block: SuperBlock,
}

/// Formats a volume.
///
/// # Panics
/// If no device is large enough for so many clients.
pub fn format(dice: &mut Dice, quorum_count: u16, clients_max: u32) -> Volume {
    let blocks = Geometry::plan(0, clients_max).expect_err("nothing fits on an empty device");
    let geometry = Geometry::plan(blocks, clients_max).expect("the size that was asked for is enough");
    let (mut volume, mut key) = ([0; 16], [0; 32]);
    dice.fill(&mut volume);
    dice.fill(&mut key);
    let super_block = SuperBlock {
        volume: VolumeId(volume),
        seq: 1,
        quorum_count,
        fenced: Mark::NONE,
        server: None,
        server_addr: None,
        unmount_barrier: 1,
        geometry,
        key: VolumeKey(key),
    };
    let mut bytes = vec![0; geometry.reserved.0 as usize * BLOCK_BYTES];
    write_all(&super_block, &mut bytes);
    Volume { bytes, super_block }
}

fn write_all(super_block: &SuperBlock, bytes: &mut [u8]) {
    let (geometry, volume) = (super_block.geometry, super_block.volume);
    let mut block = |at: BlockNo, encode: &dyn Fn(BlockNo, &mut [u8])| {
        let start = at.0 as usize * BLOCK_BYTES;
        encode(at, &mut bytes[start..start + BLOCK_BYTES]);
    };
    for copy in SUPER_COPIES {
        block(copy, &|at, out| super_block.encode(at, checksum, out));
    }
    for index in 0..REGION_BLOCKS as u64 {
        block(BlockNo(geometry.region.0 + index), &|at, out| {
            encode_empty(at, volume, checksum, out);
        });
    }
    let bell = Doorbell {
        rid: None,
        ring: 0,
        term: Term(0),
    };
    block(geometry.doorbell, &|at, out| {
        bell.encode(at, volume, checksum, out)
    });
    for index in 0..u64::from(geometry.clients_blocks) * 2 {
        block(BlockNo(geometry.clients.0 + index), &|at, out| {
            encode_table_block(0, std::iter::empty(), at, volume, checksum, out);
        });
    }
    for index in 0..FENCE_BLOCKS as u64 {
        block(BlockNo(geometry.fences.0 + index), &|at, out| {
            encode_fence(None, at, volume, checksum, out);
        });
    }
}
