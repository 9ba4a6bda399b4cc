//! Laying out a volume from C.

use ostrakon_core::bounds::{CLIENTS_LIMIT, VOTERS_MAX};
use ostrakon_core::format::{Geometry, NewVolume, SuperBlock};
use ostrakon_core::ids::{Mark, VolumeId, VolumeKey};

use crate::convert::{Outcome, buffer as buffer_of, put};
use crate::memory::checksum;
use crate::{OSTRAKON_BLOCK_BYTES, ostrakon_error};

/// A volume to be laid out.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ostrakon_new_volume {
    /// Its identity: random.
    pub id: [u8; 16],
    /// Its secret: random.
    pub key: [u8; 32],
    /// Blocks of the device.
    pub device_blocks: u64,
    /// Clients to make room for, from 1.
    pub clients_max: u32,
    /// Votes that elect a leader, from 1 to 16.
    pub quorum_count: u16,
    /// 0.
    pub reserved: u16,
}

/// One write of laying a volume out: for each `step` from 0 until NOTHING, write `buffer` (one block) to block
/// `*first_block`, durable before the next step. Whatever was on the device is lost; whether anybody still wants it is
/// the caller's question.
///
/// # Safety
/// `volume` is null or leads to an `ostrakon_new_volume`; `buffer` is null or leads to `length` bytes; `first_block` is
/// null or leads to a `uint64_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_format_block(
    volume: *const ostrakon_new_volume,
    step: u64,
    buffer: *mut u8,
    length: usize,
    first_block: *mut u64,
) -> ostrakon_error {
    if volume.is_null() || first_block.is_null() {
        return ostrakon_error::NullPointer;
    }
    if !volume.is_aligned() {
        return ostrakon_error::Misaligned;
    }
    // SAFETY: not null, aligned, and what its type says, as the caller promises.
    let volume = unsafe { &*volume };
    // SAFETY: passed on.
    let outcome = unsafe {
        volume.plan().and_then(|new| {
            let buffer = buffer_of(buffer, length, OSTRAKON_BLOCK_BYTES)?;
            let at = new.write(step, checksum, buffer).ok_or(ostrakon_error::Nothing)?;
            put(first_block, at.0)
        })
    };
    outcome.err().unwrap_or(ostrakon_error::None)
}

impl ostrakon_new_volume {
    fn plan(&self) -> Outcome<NewVolume> {
        if self.id == [0; _] || self.key == [0; _] {
            return Err(ostrakon_error::VolumeSecret);
        }
        if !(1..=VOTERS_MAX).contains(&usize::from(self.quorum_count))
            || !(1..=CLIENTS_LIMIT).contains(&self.clients_max)
        {
            return Err(ostrakon_error::VolumeGeometry);
        }
        let geometry = Geometry::plan(self.device_blocks, self.clients_max)
            .map_err(|_| ostrakon_error::VolumeGeometry)?;
        Ok(NewVolume {
            state: SuperBlock {
                volume: VolumeId(self.id),
                seq: 1,
                quorum_count: self.quorum_count,
                fenced: Mark::NONE,
                server: None,
                server_addr: None,
                unmount_barrier: 0,
                geometry,
                key: VolumeKey(self.key),
            },
        })
    }
}
