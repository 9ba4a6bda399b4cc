//! A device with a new volume, for every test that begins with one.

extern crate std;

use std::vec;
use std::vec::Vec;

use crate::bounds::BLOCK_BYTES;
use crate::checksum::portable;
use crate::format::{Geometry, NewVolume, SuperBlock};
use crate::ids::{Mark, VolumeId, VolumeKey};

impl NewVolume {
    /// One as tests want it: nobody leads, nobody is mounted.
    pub(crate) const fn sample(volume: VolumeId, quorum_count: u16, geometry: Geometry) -> Self {
        Self {
            state: SuperBlock {
                volume,
                seq: 1,
                quorum_count,
                fenced: Mark::NONE,
                server: None,
                server_addr: None,
                unmount_barrier: 0,
                geometry,
                key: VolumeKey([1; 32]),
            },
        }
    }

    /// A device of so many blocks with this volume.
    pub(crate) fn device(&self, blocks: u64) -> Vec<u8> {
        let mut device = vec![0; blocks as usize * BLOCK_BYTES];
        let mut block = [0; BLOCK_BYTES];
        for step in 0.. {
            let Some(at) = self.write(step, portable, &mut block) else {
                break;
            };
            device[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES].copy_from_slice(&block);
        }
        device
    }
}
