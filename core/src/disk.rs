//! The disk seam: requests that a machine gives out and completions that the platform returns.
//!
//! Contract of a platform (assumptions A1 to A3 of the design document):
//! - a read returns what the last completed write of a block left, by whatever host; nothing is cached;
//! - a write counts as completed only when it is durable and every other host reads it;
//!   only a write that says `durable: false` may wait for the next [`DiskRequest::Flush`];
//! - every request is answered within its `limit`; one that hangs is answered with
//!   [`DiskError::TimedOut`] and may still take effect until W, the longest time of a write, has passed;
//! - requests under way at the same time may complete in any order.

use crate::ids::BlockNo;
use crate::time::Duration;

/// Names a request until its completion is handed back.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct IoId(pub u32);

/// What the platform is to do with the device.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DiskRequest {
    /// Read `count` blocks from `first`.
    Read {
        /// Name of the request.
        id: IoId,
        /// First block.
        first: BlockNo,
        /// Blocks, from 1 to the transfer limit of the configuration.
        count: u32,
        /// Time within which the platform answers.
        limit: Duration,
    },
    /// Write `count` blocks from `first`; the bytes were put into the buffer given to `poll_disk`.
    Write {
        /// Name of the request.
        id: IoId,
        /// First block.
        first: BlockNo,
        /// Blocks, from 1 to the transfer limit of the configuration.
        count: u32,
        /// Whether completion must mean durable by itself.
        durable: bool,
        /// Time within which the platform answers.
        limit: Duration,
    },
    /// Make every completed write durable.
    Flush {
        /// Name of the request.
        id: IoId,
        /// Time within which the platform answers.
        limit: Duration,
    },
}

impl DiskRequest {
    /// Name of the request.
    pub const fn id(&self) -> IoId {
        match *self {
            Self::Read { id, .. } | Self::Write { id, .. } | Self::Flush { id, .. } => id,
        }
    }
}

/// Why a request failed.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DiskError {
    /// The device itself says that the medium is bad there (`EBADMSG`, `EILSEQ`, SCSI sense key 3).
    Medium,
    /// No answer within the limit. A write may still land.
    TimedOut,
    /// Anything else: the device is gone, the path is down, the process lost its reservation.
    Failed,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskOutcome<'a> {
    /// The bytes of the whole range that was read.
    Read(&'a [u8]),
    /// The write completed (durable, if it said so) or the flush did.
    Done,
    /// It did not work.
    Failed(DiskError),
}
