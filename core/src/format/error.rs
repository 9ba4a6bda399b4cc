//! Why a block was not believed.

use core::fmt;

use super::Kind;
use crate::ids::{BlockNo, VolumeId};

/// Why a block was not believed: what was found, and what would have been right.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum BlockError {
    /// Not [`crate::bounds::BLOCK_BYTES`] long.
    Length {
        /// Bytes given.
        found: usize,
    },
    /// Not one of our blocks at all.
    Magic {
        /// The first bytes where the magic belongs.
        found: u32,
    },
    /// A format this build does not read.
    Version {
        /// Version in the block.
        found: u16,
    },
    /// Torn, rotten or a mixture of two writes.
    Checksum {
        /// Checksum in the block.
        found: u32,
        /// Checksum of its bytes.
        computed: u32,
    },
    /// A block of another kind.
    Kind {
        /// Kind number in the block.
        found: u16,
        /// Kind that belongs here.
        expected: Kind,
    },
    /// A block of another volume.
    Volume {
        /// Volume id in the block.
        found: VolumeId,
    },
    /// A block that belongs elsewhere: a misdirected write.
    Misplaced {
        /// Block number in the block.
        found: BlockNo,
        /// Where it was read.
        expected: BlockNo,
    },
    /// A field with a value that no writer writes.
    Field {
        /// Name of the field, as in `core/FORMAT.md`.
        name: &'static str,
        /// Its value, cut to 64 bits.
        found: u64,
    },
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { found } => write!(f, "{found} bytes, expected {}", crate::bounds::BLOCK_BYTES),
            Self::Magic { found } => write!(f, "not an ostrakon block (magic {found:08x})"),
            Self::Version { found } => {
                write!(f, "format version {found}, this build reads {}", super::VERSION)
            }
            Self::Checksum { found, computed } => {
                write!(
                    f,
                    "checksum {found:08x}, but its bytes give {computed:08x}: torn or damaged"
                )
            }
            Self::Kind { found, expected } => write!(f, "block of kind {found}, expected {expected:?}"),
            Self::Volume { found } => write!(f, "block of volume {found}"),
            Self::Misplaced { found, expected } => {
                write!(f, "block {found} stands at block {expected}: misdirected write")
            }
            Self::Field { name, found } => write!(f, "field {name} has the impossible value {found}"),
        }
    }
}

impl core::error::Error for BlockError {}
