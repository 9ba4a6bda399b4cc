//! The 64 bytes that every block begins with.

use super::BlockError;
use crate::checksum::Checksum;
use crate::ids::{BlockNo, VolumeId};

/// Format version that this build writes and reads.
pub const VERSION: u16 = 1;

/// What a block is.
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
}

/// Reads only enough to say which volume a super block belongs to, for a mount that does not know yet.
pub fn identify(bytes: &[u8], at: BlockNo, checksum: Checksum) -> Result<VolumeId, BlockError> {
    let _ = (bytes, at, checksum);
    todo!()
}
