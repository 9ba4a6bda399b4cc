//! A small device in memory: freshly formatted, or as a dead leader left it.

use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use ostrakon_core::bounds::{BLOCK_BYTES, FENCE_BLOCKS, REGION_BLOCKS};
use ostrakon_core::format::{Geometry, NewVolume, SUPER_COPIES, SuperBlock};
use ostrakon_core::ids::{Ballot, BlockNo, Mark, VolumeId, VolumeKey};

use crate::cluster::Cluster;
use crate::mutate::{checksum, damage, repair};

/// Clients that the volume has room for.
pub const CLIENTS: u32 = 8;

/// A device.
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// What it holds, in whole blocks or not.
    pub bytes: Vec<u8>,
    geometry: Geometry,
}

/// What was done to a device, as far as the promises of the design care.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Harm {
    /// Different blocks of the region that may be invalid.
    pub region: usize,
    /// Copies of the super block that may be invalid.
    pub supers: usize,
    /// Anything may be true now: a checksum was made right, the device was cut short, or the client table was hit.
    pub beyond: bool,
}

impl Device {
    /// As `ostrakon format` leaves it.
    ///
    /// # Panics
    /// If the volume cannot be planned, which is an error of ours.
    pub fn fresh(quorum_count: u16) -> Self {
        let blocks = Geometry::plan(0, CLIENTS).expect_err("nothing fits on an empty device");
        let geometry = Geometry::plan(blocks, CLIENTS).expect("the size that was asked for is enough");
        let state = SuperBlock {
            volume: VolumeId([7; 16]),
            seq: 1,
            quorum_count,
            fenced: Mark::NONE,
            server: None,
            server_addr: None,
            unmount_barrier: 1,
            geometry,
            key: VolumeKey([9; 32]),
        };
        let volume = NewVolume { state };
        let mut bytes = vec![0; geometry.reserved.0 as usize * BLOCK_BYTES];
        let mut block = [0; BLOCK_BYTES];
        for step in 0.. {
            let Some(at) = volume.write(step, checksum, &mut block) else {
                break;
            };
            bytes[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES].copy_from_slice(&block);
        }
        Self { bytes, geometry }
    }

    /// With a leader that served a client and then died, and the ballot of that leader.
    ///
    /// # Panics
    /// If nobody comes to serve, which is an error of ours.
    pub fn of_a_dead_leader() -> &'static (Self, Ballot) {
        static LEFT: OnceLock<(Device, Ballot)> = OnceLock::new();
        LEFT.get_or_init(|| {
            let mut cluster = Cluster::new(Self::fresh(1));
            cluster.run_well(5_000);
            let ballot = cluster.server().expect("a voter serves");
            (cluster.device, ballot)
        })
    }

    /// The blocks that are there as a whole.
    pub fn whole_blocks(&self) -> u64 {
        (self.bytes.len() / BLOCK_BYTES) as u64
    }

    /// The bytes of these blocks, if they are there.
    pub fn blocks_mut(&mut self, first: BlockNo, count: u32) -> Option<&mut [u8]> {
        let start = usize::try_from(first.0.checked_mul(BLOCK_BYTES as u64)?).ok()?;
        let end = start.checked_add(count as usize * BLOCK_BYTES)?;
        self.bytes.get_mut(start..end)
    }

    /// Harms a few blocks, and perhaps cuts the device short.
    pub fn harm(&mut self, u: &mut Unstructured<'_>) -> Result<Harm> {
        let (mut region, mut supers) = (
            std::collections::BTreeSet::new(),
            std::collections::BTreeSet::new(),
        );
        let mut harm = Harm::default();
        let forges = u.ratio(1, 2)?;
        for _ in 0..u.int_in_range(0..=10)? {
            let at = self.any_place(u)?;
            let Some(block) = self.blocks_mut(at, 1) else {
                continue;
            };
            match u.int_in_range(0..=3)? {
                0 => u.fill_buffer(block)?,
                1 => block.fill(u.arbitrary()?),
                2 => {
                    let start = u.int_in_range(0..=7)? * 512;
                    u.fill_buffer(&mut block[start..start + 512])?;
                }
                _ => damage(u, block)?,
            }
            if forges && u.ratio(3, 4)? {
                repair(block);
                harm.beyond = true;
            }
            self.count(at, &mut region, &mut supers, &mut harm);
        }
        if u.ratio(1, 16)? {
            let length = u.int_in_range(0..=self.bytes.len())?;
            self.bytes.truncate(length);
            harm.beyond = true;
        }
        (harm.region, harm.supers) = (region.len(), supers.len());
        Ok(harm)
    }

    fn count(
        &self,
        at: BlockNo,
        region: &mut std::collections::BTreeSet<u64>,
        supers: &mut std::collections::BTreeSet<u64>,
        harm: &mut Harm,
    ) {
        let first = self.geometry.region.0;
        if SUPER_COPIES.contains(&at) {
            supers.insert(at.0);
        } else if (first..first + REGION_BLOCKS as u64).contains(&at.0) {
            region.insert(at.0);
        } else if at != self.geometry.doorbell && at < self.geometry.fences {
            // Both copies of a block of the table may be hit, and more than torn writes leave behind.
            harm.beyond = true;
        }
    }

    /// A block that means something.
    fn any_place(&self, u: &mut Unstructured<'_>) -> Result<BlockNo> {
        let geometry = &self.geometry;
        Ok(match u.int_in_range(0..=8)? {
            0 | 1 => *u.choose(&SUPER_COPIES)?,
            2 => geometry.doorbell,
            4 => BlockNo(geometry.fences.0 + u.int_in_range(0..=FENCE_BLOCKS as u64 - 1)?),
            3 => {
                BlockNo(geometry.clients.0 + u.int_in_range(0..=2 * u64::from(geometry.clients_blocks) - 1)?)
            }
            _ => BlockNo(geometry.region.0 + u.int_in_range(0..=REGION_BLOCKS as u64 - 1)?),
        })
    }
}
