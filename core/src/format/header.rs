//! The 64 bytes that every block begins with.

use core::mem::offset_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_mut, transmute_ref};

use super::BlockError;
use super::field::zero_array;
use crate::bounds::BLOCK_BYTES;
use crate::checksum::{Checksum, Zeros};
use crate::ids::{BlockNo, VolumeId};

/// Format version that this build writes and reads.
pub const VERSION: u16 = 1;

/// What a block is.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum Kind {
    /// One of the two copies of the super block.
    Super = 1,
    /// A block of the quorum region.
    Quorum = 2,
    /// The doorbell.
    Doorbell = 3,
    /// A block of the mounted-client table.
    Clients = 4,
    /// A fence record.
    Fence = 5,
}

/// `OSTR` in a hex dump.
const MAGIC: u32 = u32::from_le_bytes(*b"OSTR");

/// The checksum covers everything behind itself, to the end of the block.
const CHECKSUM_BYTES: usize = 4;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    crc: U32,
    magic: U32,
    version: U16,
    kind: U16,
    reserved_12: [u8; 4],
    volume: [u8; 16],
    block: U64,
    reserved_40: [u8; 24],
}

pub(super) const HEADER_BYTES: usize = 64;

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);
const _: () = assert!(offset_of!(Header, magic) == CHECKSUM_BYTES);
const _: () = assert!(offset_of!(Header, version) == 8);
const _: () = assert!(offset_of!(Header, kind) == 10);
const _: () = assert!(offset_of!(Header, volume) == 16);
const _: () = assert!(offset_of!(Header, block) == 32);
const _: () = assert!(offset_of!(Header, reserved_40) == 40);

/// A block seen as its header and whatever follows.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct AnyBlock {
    header: Header,
    rest: [u8; BLOCK_BYTES - HEADER_BYTES],
}

/// A whole block whose header and checksum were found right.
pub(super) type VerifiedBytes<'a> = &'a [u8; BLOCK_BYTES];

/// What the checksum of a block covers.
pub(super) const fn covered(block: &[u8; BLOCK_BYTES]) -> &[u8] {
    block.split_at(CHECKSUM_BYTES).1
}

/// Judges all of a block that is the same in every kind.
///
/// The order tells the likeliest story first: what was never ours, what a newer build wrote, what is damaged,
/// and only then what is whole but stands in the wrong place.
pub(super) fn verify<'a>(
    bytes: &'a [u8],
    at: BlockNo,
    kind: Kind,
    volume: Option<VolumeId>,
    checksum: Checksum,
) -> Result<VerifiedBytes<'a>, BlockError> {
    verify_summed(bytes, at, kind, volume, checksum, None)
}

/// The same of a block whose checksum may be known.
pub(super) fn verify_summed<'a>(
    bytes: &'a [u8],
    at: BlockNo,
    kind: Kind,
    volume: Option<VolumeId>,
    checksum: Checksum,
    known: Option<u32>,
) -> Result<VerifiedBytes<'a>, BlockError> {
    let Ok(block) = <&[u8; BLOCK_BYTES]>::try_from(bytes) else {
        return Err(BlockError::Length { found: bytes.len() });
    };
    let AnyBlock { header, .. } = transmute_ref!(block);
    if header.magic.get() != MAGIC {
        return Err(BlockError::Magic {
            found: header.magic.get(),
        });
    }
    if header.version.get() != VERSION {
        return Err(BlockError::Version {
            found: header.version.get(),
        });
    }
    let computed = known.unwrap_or_else(|| checksum(covered(block)));
    if header.crc.get() != computed {
        return Err(BlockError::Checksum {
            found: header.crc.get(),
            computed,
        });
    }
    if header.kind.get() != kind as u16 {
        return Err(BlockError::Kind {
            found: header.kind.get(),
            expected: kind,
        });
    }
    if volume.is_some_and(|volume| volume.0 != header.volume) {
        return Err(BlockError::Volume {
            found: VolumeId(header.volume),
        });
    }
    if header.block.get() != at.0 {
        return Err(BlockError::Misplaced {
            found: BlockNo(header.block.get()),
            expected: at,
        });
    }
    zero_array("reserved_12", &header.reserved_12)?;
    zero_array("reserved_40", &header.reserved_40)?;
    Ok(block)
}

/// Makes a buffer of one block all zero, which is what reserved bytes must be.
///
/// # Panics
/// If `block` is not one whole block long.
pub(super) fn begin(block: &mut [u8]) -> &mut [u8; BLOCK_BYTES] {
    let bytes = block.len();
    let Ok(block) = <&mut [u8; BLOCK_BYTES]>::try_from(block) else {
        panic!("a buffer of {bytes} bytes is no block");
    };
    block.fill(0);
    block
}

/// Writes the header around the fields that stand in `block` already, the checksum last.
pub(super) fn finish(
    block: &mut [u8; BLOCK_BYTES],
    kind: Kind,
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
) {
    finish_padded(block, kind, at, volume, checksum, Zeros::NONE);
}

/// The same of a block that ends with these zeros.
pub(super) fn finish_padded(
    block: &mut [u8; BLOCK_BYTES],
    kind: Kind,
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
    zeros: Zeros,
) {
    let AnyBlock { header, .. } = transmute_mut!(&mut *block);
    header.magic = MAGIC.into();
    header.version = VERSION.into();
    header.kind = (kind as u16).into();
    header.volume = volume.0;
    header.block = at.0.into();
    let crc = zeros.behind(checksum(&block[CHECKSUM_BYTES..BLOCK_BYTES - zeros.bytes()]));
    block[..CHECKSUM_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// Volume of a block whose header was found right.
pub(super) fn volume_of(block: VerifiedBytes<'_>) -> VolumeId {
    let AnyBlock { header, .. } = transmute_ref!(block);
    VolumeId(header.volume)
}

/// Reads only enough to say which volume a super block belongs to, for a mount that does not know yet.
///
/// # Errors
/// Whatever in the header or checksum says that this is no super block that belongs at `at`.
pub fn identify(bytes: &[u8], at: BlockNo, checksum: Checksum) -> Result<VolumeId, BlockError> {
    verify(bytes, at, Kind::Super, None, checksum).map(volume_of)
}
