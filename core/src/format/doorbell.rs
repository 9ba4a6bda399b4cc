//! The doorbell: one block that askers overwrite and a quiet leader looks at.

use super::BlockError;
use crate::checksum::Checksum;
use crate::ids::{BlockNo, Rid, Term, VolumeId};

/// Who rang last. An unwritten or damaged bell means nothing: the askers ring again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Doorbell {
    /// Who rang; `None` on a volume where nobody has.
    pub rid: Option<Rid>,
    /// Counts the rings of this rid.
    pub ring: u64,
    /// The term the asker is in.
    pub term: Term,
}

impl Doorbell {
    /// Writes the bell for block `at` into `block`.
    pub fn encode(&self, at: BlockNo, volume: VolumeId, checksum: Checksum, block: &mut [u8]) {
        let _ = (at, volume, checksum, block);
        todo!()
    }

    /// Believes a bell read at `at`.
    pub fn decode(
        bytes: &[u8],
        at: BlockNo,
        volume: VolumeId,
        checksum: Checksum,
    ) -> Result<Self, BlockError> {
        let _ = (bytes, at, volume, checksum);
        todo!()
    }
}
