//! Where everything lies on the device.

use core::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::CLIENTS_PER_BLOCK;
use super::field::{BadField, check};
use crate::bounds::{CLIENTS_LIMIT, DEVICE_BLOCKS_LIMIT, FENCE_BLOCKS, REGION_BLOCKS};
use crate::ids::BlockNo;

/// Copies of the super block.
pub const SUPER_COPIES: [BlockNo; 2] = [BlockNo(16), BlockNo(32)];

/// Where `plan` puts the quorum region: 256 KiB from the start, well behind both super copies.
const REGION_FIRST: u64 = 64;

const _: () = assert!(REGION_FIRST > SUPER_COPIES[1].0 && SUPER_COPIES[1].0 > SUPER_COPIES[0].0);

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
    /// First block of the fence records ([`crate::bounds::FENCE_BLOCKS`] blocks).
    pub fences: BlockNo,
    /// First block of the region reserved for later use.
    pub reserved: BlockNo,
    /// Blocks reserved for later use.
    pub reserved_blocks: u64,
}

impl Geometry {
    /// Lays out a volume of `device_blocks` for `clients_max` clients.
    /// What the device has beyond its needs is reserved for later use.
    ///
    /// # Errors
    /// The blocks it would take, if the device has fewer.
    ///
    /// # Panics
    /// If `clients_max` is 0 or above [`CLIENTS_LIMIT`].
    pub fn plan(device_blocks: u64, clients_max: u32) -> Result<Self, u64> {
        assert!(clients_max >= 1, "a volume has room for one client at least");
        assert!(
            clients_max <= CLIENTS_LIMIT,
            "more clients than a volume can have"
        );
        let region = REGION_FIRST;
        let doorbell = region + REGION_BLOCKS as u64;
        let clients = doorbell + 1;
        let clients_blocks = table_blocks(clients_max);
        let fences = clients + 2 * u64::from(clients_blocks);
        let reserved = fences + FENCE_BLOCKS as u64;
        if device_blocks < reserved {
            return Err(reserved);
        }
        Ok(Self {
            region: BlockNo(region),
            doorbell: BlockNo(doorbell),
            clients: BlockNo(clients),
            clients_blocks,
            clients_max,
            fences: BlockNo(fences),
            reserved: BlockNo(reserved),
            reserved_blocks: device_blocks.min(DEVICE_BLOCKS_LIMIT) - reserved,
        })
    }

    /// Blocks that the volume takes, from the start of the device.
    pub fn total_blocks(&self) -> u64 {
        self.reserved.0.saturating_add(self.reserved_blocks)
    }
}

/// Logical blocks of a table for this many clients.
const fn table_blocks(clients_max: u32) -> u32 {
    clients_max.div_ceil(CLIENTS_PER_BLOCK as u32)
}

/// The geometry as it stands in the super block.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct GeometryBytes {
    region: U64,
    doorbell: U64,
    clients: U64,
    clients_blocks: U32,
    clients_max: U32,
    fences: U64,
    reserved: U64,
    reserved_blocks: U64,
}

const _: () = assert!(size_of::<GeometryBytes>() == 56);
const _: () = assert!(offset_of!(GeometryBytes, doorbell) == 8);
const _: () = assert!(offset_of!(GeometryBytes, clients) == 16);
const _: () = assert!(offset_of!(GeometryBytes, clients_blocks) == 24);
const _: () = assert!(offset_of!(GeometryBytes, clients_max) == 28);
const _: () = assert!(offset_of!(GeometryBytes, fences) == 32);
const _: () = assert!(offset_of!(GeometryBytes, reserved) == 40);
const _: () = assert!(offset_of!(GeometryBytes, reserved_blocks) == 48);

impl From<&Geometry> for GeometryBytes {
    fn from(geometry: &Geometry) -> Self {
        Self {
            region: geometry.region.0.into(),
            doorbell: geometry.doorbell.0.into(),
            clients: geometry.clients.0.into(),
            clients_blocks: geometry.clients_blocks.into(),
            clients_max: geometry.clients_max.into(),
            fences: geometry.fences.0.into(),
            reserved: geometry.reserved.0.into(),
            reserved_blocks: geometry.reserved_blocks.into(),
        }
    }
}

impl GeometryBytes {
    /// The geometry, if its parts follow one another in the order of the fields and fit on a device.
    pub(super) fn read(&self) -> Result<Geometry, BadField> {
        let clients_max = self.clients_max.get();
        check(
            (1..=CLIENTS_LIMIT).contains(&clients_max),
            "clients_max",
            u64::from(clients_max),
        )?;
        let clients_blocks = self.clients_blocks.get();
        check(
            (table_blocks(clients_max)..=table_blocks(CLIENTS_LIMIT)).contains(&clients_blocks),
            "clients_blocks",
            u64::from(clients_blocks),
        )?;
        let after_supers = SUPER_COPIES[1].0 + 1;
        let after_region = follows("region", after_supers, self.region, REGION_BLOCKS as u64)?;
        let after_doorbell = follows("doorbell", after_region, self.doorbell, 1)?;
        let table = 2 * u64::from(clients_blocks);
        let after_clients = follows("clients", after_doorbell, self.clients, table)?;
        let after_fences = follows("fences", after_clients, self.fences, FENCE_BLOCKS as u64)?;
        follows("reserved", after_fences, self.reserved, 0)?;
        let room = DEVICE_BLOCKS_LIMIT - self.reserved.get();
        check(
            self.reserved_blocks.get() <= room,
            "reserved_blocks",
            self.reserved_blocks.get(),
        )?;
        Ok(Geometry {
            region: BlockNo(self.region.get()),
            doorbell: BlockNo(self.doorbell.get()),
            clients: BlockNo(self.clients.get()),
            clients_blocks,
            clients_max,
            fences: BlockNo(self.fences.get()),
            reserved: BlockNo(self.reserved.get()),
            reserved_blocks: self.reserved_blocks.get(),
        })
    }
}

/// The first block behind a part of `blocks` blocks, which may not begin before `earliest` nor end past the limit.
fn follows(name: &'static str, earliest: u64, first: U64, blocks: u64) -> Result<u64, BadField> {
    let first = first.get();
    // Checked against the limit before adding, so that the sum cannot overflow.
    check(first >= earliest && first <= DEVICE_BLOCKS_LIMIT, name, first)?;
    let end = first + blocks;
    check(end <= DEVICE_BLOCKS_LIMIT, name, first)?;
    Ok(end)
}
