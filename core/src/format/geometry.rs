//! Where everything lies on the device.

use crate::ids::BlockNo;

/// Copies of the super block.
pub const SUPER_COPIES: [BlockNo; 2] = [BlockNo(16), BlockNo(32)];

/// Where everything lies on the device, in blocks. Fixed when the volume is formatted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Geometry {
    /// First block of the quorum region ([`crate::bounds::REGION_BLOCKS`] blocks).
    pub region: BlockNo,
    /// The doorbell block.
    pub doorbell: BlockNo,
    /// First block of the mounted-client table: logical block `i` has its copies at
    /// `clients + i` and `clients + clients_blocks + i`.
    pub clients: BlockNo,
    /// Logical blocks of the table (half of what it takes on the device).
    pub clients_blocks: u32,
    /// Clients that the table has room for.
    pub clients_max: u32,
    /// First block of the region reserved for later use.
    pub reserved: BlockNo,
    /// Blocks reserved for later use.
    pub reserved_blocks: u64,
}

impl Geometry {
    /// Lays out a volume of `device_blocks` for `clients_max` clients; `Err` says how many blocks it would take.
    pub fn plan(device_blocks: u64, clients_max: u32) -> Result<Self, u64> {
        let _ = (device_blocks, clients_max);
        todo!()
    }

    /// Blocks that the volume takes, from the start of the device.
    pub fn total_blocks(&self) -> u64 {
        self.reserved.0 + self.reserved_blocks
    }
}
