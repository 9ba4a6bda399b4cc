//! The super block: the one place where clients look.

use core::mem::offset_of;
use core::net::SocketAddr;

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_mut, transmute_ref};

use super::field::{self, AddrBytes, BallotBytes, check, zero};
use super::geometry::GeometryBytes;
use super::header::{self, Header};
use super::{BlockError, Geometry, Kind};
use crate::bounds::BLOCK_BYTES;
use crate::bounds::COUNTER_MAX;
use crate::checksum::Checksum;
use crate::ids::{Ballot, BlockNo, Mark, VolumeId, VolumeKey};

/// What one copy of the super block says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SuperBlock {
    /// The volume.
    pub volume: VolumeId,
    /// One higher with each update (rule R8).
    pub seq: u64,
    /// Votes that elect a leader, from 1.
    pub quorum_count: u16,
    /// Every ballot up to here is silent for good.
    pub fenced: Mark,
    /// The newest ballot that came to serve; it stopped cleanly if `fenced` covers it.
    pub server: Option<Ballot>,
    /// Where it listens; `None` until it does, and after it stopped.
    pub server_addr: Option<SocketAddr>,
    /// Grows by one each time the last quorum is released; deletes every record of a lower barrier.
    pub unmount_barrier: u64,
    /// Where everything lies.
    pub geometry: Geometry,
    /// Secret of the volume.
    pub key: VolumeKey,
}

const RESERVED_FROM: usize = 232;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SuperBytes {
    header: Header,
    seq: U64,
    fenced_term: U64,
    fenced_rid: U64,
    server: BallotBytes,
    unmount_barrier: U64,
    server_addr: AddrBytes,
    quorum_count: U16,
    reserved_138: [u8; 6],
    geometry: GeometryBytes,
    key: [u8; 32],
    reserved_232: [u8; BLOCK_BYTES - RESERVED_FROM],
}

const _: () = assert!(size_of::<SuperBytes>() == BLOCK_BYTES);
const _: () = assert!(offset_of!(SuperBytes, seq) == 64);
const _: () = assert!(offset_of!(SuperBytes, fenced_term) == 72);
const _: () = assert!(offset_of!(SuperBytes, fenced_rid) == 80);
const _: () = assert!(offset_of!(SuperBytes, server) == 88);
const _: () = assert!(offset_of!(SuperBytes, unmount_barrier) == 104);
const _: () = assert!(offset_of!(SuperBytes, server_addr) == 112);
const _: () = assert!(offset_of!(SuperBytes, quorum_count) == 136);
const _: () = assert!(offset_of!(SuperBytes, geometry) == 144);
const _: () = assert!(offset_of!(SuperBytes, key) == 200);
const _: () = assert!(offset_of!(SuperBytes, reserved_232) == RESERVED_FROM);

impl SuperBlock {
    /// Writes the copy that belongs at block `at` into `block` (one whole block).
    ///
    /// # Panics
    /// If `block` is not one whole block long.
    pub fn encode(&self, at: BlockNo, checksum: Checksum, block: &mut [u8]) {
        let block = header::begin(block);
        let bytes: &mut SuperBytes = transmute_mut!(&mut *block);
        bytes.seq = self.seq.into();
        bytes.fenced_term = self.fenced.term.0.into();
        bytes.fenced_rid = self.fenced.rid.into();
        bytes.server = self.server.into();
        bytes.unmount_barrier = self.unmount_barrier.into();
        bytes.server_addr = self.server_addr.into();
        bytes.quorum_count = self.quorum_count.into();
        bytes.geometry = (&self.geometry).into();
        bytes.key = self.key.0;
        header::finish(block, Kind::Super, at, self.volume, checksum);
    }

    /// Believes a copy read at `at`, of the volume given if it is known already.
    ///
    /// # Errors
    /// The first thing that shows the bytes to be no such copy.
    pub fn decode(
        bytes: &[u8],
        at: BlockNo,
        volume: Option<VolumeId>,
        checksum: Checksum,
    ) -> Result<Self, BlockError> {
        let block = header::verify(bytes, at, Kind::Super, volume, checksum)?;
        let bytes: &SuperBytes = transmute_ref!(block);
        zero("reserved_138", &bytes.reserved_138)?;
        zero("reserved_232", &bytes.reserved_232)?;

        let fenced = Mark {
            term: field::term("fenced_term", bytes.fenced_term)?,
            rid: bytes.fenced_rid.get(),
        };
        check(fenced.term.0 > 0 || fenced.rid == 0, "fenced_rid", fenced.rid)?;
        let server = field::ballot("server", &bytes.server)?;
        let server_addr = bytes.server_addr.read()?;
        check(server.is_some() || server_addr.is_none(), "server_addr", 0)?;
        let quorum_count = bytes.quorum_count.get();
        check(quorum_count > 0, "quorum_count", 0)?;
        let (seq, barrier) = (bytes.seq.get(), bytes.unmount_barrier.get());
        check(seq <= COUNTER_MAX, "seq", seq)?;
        check(barrier <= COUNTER_MAX, "unmount_barrier", barrier)?;

        Ok(Self {
            volume: header::volume_of(block),
            seq,
            quorum_count,
            fenced,
            server,
            server_addr,
            unmount_barrier: barrier,
            geometry: bytes.geometry.read()?,
            key: VolumeKey(bytes.key),
        })
    }
}
