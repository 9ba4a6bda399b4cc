//! The mounted-client table: the durable acknowledgement of every mount and unmount.

use core::mem::offset_of;
use core::net::SocketAddr;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_mut, transmute_ref};

use super::field::{self, AddrBytes, BadField, zero};
use super::header::{self, HEADER_BYTES, Header};
use super::{BlockError, FenceParam, Kind};
use crate::bounds::{BLOCK_BYTES, FENCE_PARAM_BYTES};
use crate::checksum::Checksum;
use crate::ids::{BlockNo, BootId, HostId, Rid, VolumeId};

/// Bytes before the first record that are not the header; the number makes the records end with the block.
const TABLE_HEAD_BYTES: usize = 36;

/// Records in one block of the table.
pub const CLIENTS_PER_BLOCK: usize =
    (BLOCK_BYTES - HEADER_BYTES - TABLE_HEAD_BYTES) / size_of::<RecordBytes>();

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

const FLAG_VOTER: u32 = 1;
const FLAG_EVICTED: u32 = 2;
const FLAGS_KNOWN: u32 = FLAG_VOTER | FLAG_EVICTED;

/// A record on the device; all zero where the place is free.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Debug)]
#[repr(C)]
struct RecordBytes {
    rid: U64,
    barrier: U64,
    host: U64,
    boot: [u8; 16],
    addr: AddrBytes,
    flags: U32,
    fence_param: [u8; FENCE_PARAM_BYTES],
}

const _: () = assert!(size_of::<RecordBytes>() == 108);
const _: () = assert!(offset_of!(RecordBytes, barrier) == 8);
const _: () = assert!(offset_of!(RecordBytes, host) == 16);
const _: () = assert!(offset_of!(RecordBytes, boot) == 24);
const _: () = assert!(offset_of!(RecordBytes, addr) == 40);
const _: () = assert!(offset_of!(RecordBytes, flags) == 64);
const _: () = assert!(offset_of!(RecordBytes, fence_param) == 68);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct TableBytes {
    header: Header,
    seq: U64,
    reserved_72: [u8; TABLE_HEAD_BYTES - 8],
    records: [RecordBytes; CLIENTS_PER_BLOCK],
}

const _: () = assert!(size_of::<TableBytes>() == BLOCK_BYTES);
const _: () = assert!(offset_of!(TableBytes, seq) == 64);
const _: () = assert!(offset_of!(TableBytes, reserved_72) == 72);
const _: () = assert!(offset_of!(TableBytes, records) == 100);
const _: () = assert!(CLIENTS_PER_BLOCK == 37);

impl From<&ClientRecord> for RecordBytes {
    fn from(record: &ClientRecord) -> Self {
        let mut flags = 0;
        if record.voter {
            flags |= FLAG_VOTER;
        }
        if record.evicted {
            flags |= FLAG_EVICTED;
        }
        Self {
            rid: record.rid.value().into(),
            barrier: record.barrier.into(),
            host: record.host.0.into(),
            boot: record.boot.0,
            addr: record.addr.into(),
            flags: flags.into(),
            fence_param: record.fence_param.0,
        }
    }
}

impl RecordBytes {
    fn read(&self) -> Result<Option<ClientRecord>, BadField> {
        let Some(rid) = Rid::new(self.rid.get()) else {
            // What a deleted record leaves behind is nothing: the place is written as zeros.
            zero("record", self.as_bytes())?;
            return Ok(None);
        };
        let flags = self.flags.get();
        field::flags("record.flags", u64::from(flags), u64::from(FLAGS_KNOWN))?;
        Ok(Some(ClientRecord {
            rid,
            barrier: self.barrier.get(),
            voter: flags & FLAG_VOTER != 0,
            evicted: flags & FLAG_EVICTED != 0,
            host: HostId(self.host.get()),
            boot: BootId(self.boot),
            addr: self.addr.read()?,
            fence_param: FenceParam(self.fence_param),
        }))
    }
}

/// A verified block of the table.
#[derive(Clone, Copy, Debug)]
pub struct TableBlock<'a> {
    /// Higher with each write of this logical block, whichever copy it goes to: the higher copy is the newer.
    pub seq: u64,
    records: &'a [RecordBytes; CLIENTS_PER_BLOCK],
}

impl<'a> TableBlock<'a> {
    /// Believes a copy read at `at`.
    ///
    /// # Errors
    /// The first thing that shows the bytes to be no such copy; every record is judged.
    pub fn decode(
        bytes: &'a [u8],
        at: BlockNo,
        volume: VolumeId,
        checksum: Checksum,
    ) -> Result<Self, BlockError> {
        let block = header::verify(bytes, at, Kind::Clients, Some(volume), checksum)?;
        let bytes: &TableBytes = transmute_ref!(block);
        zero("reserved_72", &bytes.reserved_72)?;
        for record in &bytes.records {
            record.read()?;
        }
        Ok(Self {
            seq: bytes.seq.get(),
            records: &bytes.records,
        })
    }

    /// The record at `index` (below [`CLIENTS_PER_BLOCK`]); `None` where the place is free.
    pub fn record(&self, index: usize) -> Option<ClientRecord> {
        // `decode` has read every record once without an error, so nothing is hidden here.
        self.records.get(index)?.read().ok().flatten()
    }
}

/// Writes a copy of a table block for block `at`. `records` yields at most [`CLIENTS_PER_BLOCK`] places in order;
/// those it does not reach are free.
///
/// # Panics
/// If `block` is not one whole block long or `records` yields more places than a block has.
pub fn encode_table_block(
    seq: u64,
    records: impl Iterator<Item = Option<ClientRecord>>,
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
    block: &mut [u8],
) {
    let block = header::begin(block);
    let bytes: &mut TableBytes = transmute_mut!(&mut *block);
    bytes.seq = seq.into();
    for (index, record) in records.enumerate() {
        assert!(index < CLIENTS_PER_BLOCK, "more records than places in a block");
        if let Some(record) = record {
            bytes.records[index] = (&record).into();
        }
    }
    header::finish(block, Kind::Clients, at, volume, checksum);
}
