//! The fence records: who was silenced, by whom, why, how, and what came of it. For people: no decision rests on them.

use core::mem::offset_of;
use core::net::SocketAddr;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_mut, transmute_ref};

use super::field::{self, AddrBytes, BadField, BallotBytes, check, zero};
use super::header::{self, Header};
use super::{BlockError, Kind};
use crate::bounds::{BLOCK_BYTES, COUNTER_MAX, FENCE_METHOD_BYTES};
use crate::checksum::Checksum;
use crate::ids::{Ballot, BlockNo, HostId, Rid, Term, VolumeId};

/// What a fence was carried out with, in a few letters: the name of an agent, or how the platform knew. Text by
/// convention, zero behind it; all zero where the platform does not say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FenceMethod(pub [u8; FENCE_METHOD_BYTES]);

impl FenceMethod {
    /// The beginning of `name`, as much as there is room for.
    pub fn of(name: &str) -> Self {
        let mut bytes = [0; FENCE_METHOD_BYTES];
        let length = (0..=name.len().min(FENCE_METHOD_BYTES))
            .rev()
            .find(|&length| name.is_char_boundary(length))
            .unwrap_or(0);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        Self(bytes)
    }

    /// The text, up to the first byte that is no text.
    pub fn text(&self) -> &str {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        match core::str::from_utf8(&self.0[..end]) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&self.0[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

/// Why a mount was to be silenced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FenceReason {
    /// It was elected before, and was not known to be gone (rule R7).
    Predecessor = 1,
    /// It was evicted, and its voter's place was wanted.
    Place = 2,
    /// It was known to the server, and did not return in time.
    Absent = 3,
}

/// How a mount was, or was to be, silenced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FenceWay {
    /// By the platform's fence.
    Fence = 1,
    /// The lease that its entry promised ran out.
    Lease = 2,
    /// Its record was struck from the client table, or marked as evicted.
    Evicted = 3,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FenceResult {
    /// It is silent for good; of an evicted client: it is mounted no longer.
    Done = 1,
    /// Refused, unanswered or unsure, as often as `attempts` says.
    Failed = 2,
}

/// One fence.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FenceRecord {
    /// The victim's term; 0 for one that was never elected.
    pub term: Term,
    /// The victim.
    pub rid: Rid,
    /// Its machine.
    pub host: HostId,
    /// Where it served or would have served; `None` for a plain client.
    pub addr: Option<SocketAddr>,
    /// The ballot under which it was silenced.
    pub by: Ballot,
    /// When, in seconds since 1970 as that leader's host saw it; 0 where it has no such clock.
    pub unix_s: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// Others in the same case that have no record of their own.
    pub others: u32,
    /// Why.
    pub why: FenceReason,
    /// How.
    pub how: FenceWay,
    /// What came of it.
    pub result: FenceResult,
    /// With what.
    pub method: FenceMethod,
}

const RESERVED_FROM: usize = 176;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FenceBytes {
    header: Header,
    seq: U64,
    term: U64,
    rid: U64,
    host: U64,
    addr: AddrBytes,
    by: BallotBytes,
    unix_s: U64,
    attempts: U32,
    others: U32,
    why: u8,
    how: u8,
    result: u8,
    reserved_155: [u8; 5],
    method: [u8; FENCE_METHOD_BYTES],
    reserved_176: [u8; BLOCK_BYTES - RESERVED_FROM],
}

const _: () = assert!(size_of::<FenceBytes>() == BLOCK_BYTES);
const _: () = assert!(offset_of!(FenceBytes, seq) == 64);
const _: () = assert!(offset_of!(FenceBytes, term) == 72);
const _: () = assert!(offset_of!(FenceBytes, rid) == 80);
const _: () = assert!(offset_of!(FenceBytes, host) == 88);
const _: () = assert!(offset_of!(FenceBytes, addr) == 96);
const _: () = assert!(offset_of!(FenceBytes, by) == 120);
const _: () = assert!(offset_of!(FenceBytes, unix_s) == 136);
const _: () = assert!(offset_of!(FenceBytes, attempts) == 144);
const _: () = assert!(offset_of!(FenceBytes, others) == 148);
const _: () = assert!(offset_of!(FenceBytes, why) == 152);
const _: () = assert!(offset_of!(FenceBytes, reserved_155) == 155);
const _: () = assert!(offset_of!(FenceBytes, method) == 160);
const _: () = assert!(offset_of!(FenceBytes, reserved_176) == RESERVED_FROM);

/// Writes the record with number `seq`, from 1, for block `at` into `block`; or, without a record, the block as `format`
/// leaves it.
///
/// # Panics
/// If `block` is not one whole block long.
pub fn encode_fence(
    record: Option<(u64, &FenceRecord)>,
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
    block: &mut [u8],
) {
    let block = header::begin(block);
    let bytes: &mut FenceBytes = transmute_mut!(&mut *block);
    if let Some((seq, record)) = record {
        bytes.seq = seq.into();
        bytes.term = record.term.0.into();
        bytes.rid = record.rid.value().into();
        bytes.host = record.host.0.into();
        bytes.addr = record.addr.into();
        bytes.by = Some(record.by).into();
        bytes.unix_s = record.unix_s.into();
        bytes.attempts = record.attempts.into();
        bytes.others = record.others.into();
        bytes.why = record.why as u8;
        bytes.how = record.how as u8;
        bytes.result = record.result as u8;
        bytes.method = record.method.0;
    }
    header::finish(block, Kind::Fence, at, volume, checksum);
}

/// Believes a block of fence records read at `at`: the record's number and the record, or `None` where none was written
/// yet.
///
/// # Errors
/// The first thing that shows the bytes to be no such block.
pub fn decode_fence(
    bytes: &[u8],
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
) -> Result<Option<(u64, FenceRecord)>, BlockError> {
    let block = header::verify(bytes, at, Kind::Fence, Some(volume), checksum)?;
    let bytes: &FenceBytes = transmute_ref!(block);
    zero("reserved_155", &bytes.reserved_155)?;
    zero("reserved_176", &bytes.reserved_176)?;
    let seq = bytes.seq.get();
    if seq == 0 {
        zero("unwritten", &block[72..RESERVED_FROM])?;
        return Ok(None);
    }
    check(seq <= COUNTER_MAX, "seq", seq)?;
    Ok(Some((seq, bytes.read()?)))
}

/// The number of the record in a block of fence records, without a look at the record: a server only counts on. 0 where none
/// was written yet.
///
/// # Errors
/// As for [`decode_fence`], but of the record only its number is judged.
pub fn fence_number(
    bytes: &[u8],
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
) -> Result<u64, BlockError> {
    let block = header::verify(bytes, at, Kind::Fence, Some(volume), checksum)?;
    let bytes: &FenceBytes = transmute_ref!(block);
    let seq = bytes.seq.get();
    check(seq <= COUNTER_MAX, "seq", seq)?;
    Ok(seq)
}

impl FenceBytes {
    fn read(&self) -> Result<FenceRecord, BadField> {
        let unknown = |name, found: u8| BadField {
            name,
            found: u64::from(found),
        };
        Ok(FenceRecord {
            term: field::term("term", self.term)?,
            rid: field::rid("rid", self.rid)?,
            host: HostId(self.host.get()),
            addr: self.addr.read()?,
            by: field::ballot("by", &self.by)?.ok_or(BadField { name: "by", found: 0 })?,
            unix_s: self.unix_s.get(),
            attempts: self.attempts.get(),
            others: self.others.get(),
            why: match self.why {
                1 => FenceReason::Predecessor,
                2 => FenceReason::Place,
                3 => FenceReason::Absent,
                found => return Err(unknown("why", found)),
            },
            how: match self.how {
                1 => FenceWay::Fence,
                2 => FenceWay::Lease,
                3 => FenceWay::Evicted,
                found => return Err(unknown("how", found)),
            },
            result: match self.result {
                1 => FenceResult::Done,
                2 => FenceResult::Failed,
                found => return Err(unknown("result", found)),
            },
            method: FenceMethod(self.method),
        })
    }
}
