//! The super block: the one place where clients look.

use core::net::SocketAddr;

use super::{BlockError, Geometry};
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

impl SuperBlock {
    /// Writes the copy that belongs at block `at` into `block` (one whole block).
    pub fn encode(&self, at: BlockNo, checksum: Checksum, block: &mut [u8]) {
        let _ = (at, checksum, block);
        todo!()
    }

    /// Believes a copy read at `at`, of the volume given if it is known already.
    pub fn decode(
        bytes: &[u8],
        at: BlockNo,
        volume: Option<VolumeId>,
        checksum: Checksum,
    ) -> Result<Self, BlockError> {
        let _ = (bytes, at, volume, checksum);
        todo!()
    }
}
