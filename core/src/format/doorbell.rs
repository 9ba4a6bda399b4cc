//! The doorbell: one block that askers overwrite and a quiet leader looks at.

use core::mem::offset_of;

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_mut, transmute_ref};

use super::field::{self, check, zero};
use super::header::{self, Header};
use super::{BlockError, Kind};
use crate::bounds::BLOCK_BYTES;
use crate::checksum::Checksum;
use crate::ids::{BlockNo, Rid, Term, VolumeId};

/// Who rang last. An unwritten or damaged bell means nothing: the askers ring again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Doorbell {
    /// Who rang; `None` on a volume where nobody has.
    pub rid: Option<Rid>,
    /// Counts the rings of this rid; 0 where nobody rang.
    pub ring: u64,
    /// The term the asker is in; 0 where nobody rang.
    pub term: Term,
}

const RESERVED_FROM: usize = 88;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct DoorbellBytes {
    header: Header,
    rid: U64,
    ring: U64,
    term: U64,
    reserved_88: [u8; BLOCK_BYTES - RESERVED_FROM],
}

const _: () = assert!(size_of::<DoorbellBytes>() == BLOCK_BYTES);
const _: () = assert!(offset_of!(DoorbellBytes, rid) == 64);
const _: () = assert!(offset_of!(DoorbellBytes, ring) == 72);
const _: () = assert!(offset_of!(DoorbellBytes, term) == 80);
const _: () = assert!(offset_of!(DoorbellBytes, reserved_88) == RESERVED_FROM);

impl Doorbell {
    /// A bell that nobody has rung.
    pub const SILENT: Self = Self {
        rid: None,
        ring: 0,
        term: Term(0),
    };

    /// Writes the bell for block `at` into `block`.
    ///
    /// # Panics
    /// If `block` is not one whole block long.
    pub fn encode(&self, at: BlockNo, volume: VolumeId, checksum: Checksum, block: &mut [u8]) {
        let block = header::begin(block);
        let bytes: &mut DoorbellBytes = transmute_mut!(&mut *block);
        if let Some(rid) = self.rid {
            bytes.rid = rid.value().into();
            bytes.ring = self.ring.into();
            bytes.term = self.term.0.into();
        }
        header::finish(block, Kind::Doorbell, at, volume, checksum);
    }

    /// Believes a bell read at `at`.
    ///
    /// # Errors
    /// The first thing that shows the bytes to be no doorbell of this volume.
    pub fn decode(
        bytes: &[u8],
        at: BlockNo,
        volume: VolumeId,
        checksum: Checksum,
    ) -> Result<Self, BlockError> {
        let block = header::verify(bytes, at, Kind::Doorbell, Some(volume), checksum)?;
        let bytes: &DoorbellBytes = transmute_ref!(block);
        zero("reserved_88", &bytes.reserved_88)?;
        let bell = Self {
            rid: Rid::new(bytes.rid.get()),
            ring: bytes.ring.get(),
            term: field::term("term", bytes.term)?,
        };
        if bell.rid.is_none() {
            check(bell.ring == 0, "ring", bell.ring)?;
            check(bell.term == Term(0), "term", bell.term.0)?;
        }
        Ok(bell)
    }
}
