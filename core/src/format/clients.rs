//! The mounted-client table: the durable acknowledgement of every mount and unmount.

use core::net::SocketAddr;

use super::{BlockError, FenceParam};
use crate::checksum::Checksum;
use crate::ids::{BlockNo, BootId, HostId, Rid, VolumeId};

/// Records in one block of the table.
pub const CLIENTS_PER_BLOCK: usize = 36;

/// One mounted client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientRecord {
    /// The client.
    pub rid: Rid,
    /// The unmount barrier it was mounted under; a higher barrier in the super block deletes the record.
    pub barrier: u64,
    /// Takes part in elections.
    pub voter: bool,
    /// Did not return in time: no longer mounted, but a voter's place stays taken until it is fenced or says farewell.
    pub evicted: bool,
    /// Its machine.
    pub host: HostId,
    /// The boot of its machine.
    pub boot: BootId,
    /// Where a voter would serve.
    pub addr: Option<SocketAddr>,
    /// How to fence it.
    pub fence_param: FenceParam,
}

/// A verified block of the table.
#[derive(Clone, Copy, Debug)]
pub struct TableBlock<'a> {
    /// One higher with each write of this logical block, whichever copy it goes to: the higher copy is the newer.
    pub seq: u64,
    bytes: &'a [u8],
}

impl<'a> TableBlock<'a> {
    /// Believes a copy read at `at`.
    pub fn decode(
        bytes: &'a [u8],
        at: BlockNo,
        volume: VolumeId,
        checksum: Checksum,
    ) -> Result<Self, BlockError> {
        let _ = (bytes, at, volume, checksum);
        todo!()
    }

    /// The record at `index` (below [`CLIENTS_PER_BLOCK`]).
    pub fn record(&self, index: usize) -> Option<ClientRecord> {
        let _ = (self.bytes, index);
        todo!()
    }
}

/// Writes a copy of a table block for block `at`. `records` yields at most [`CLIENTS_PER_BLOCK`] places in order.
pub fn encode_table_block(
    seq: u64,
    records: impl Iterator<Item = Option<ClientRecord>>,
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
    block: &mut [u8],
) {
    let _ = (seq, records, at, volume, checksum, block);
    todo!()
}
