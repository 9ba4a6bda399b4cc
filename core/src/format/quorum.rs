//! Quorum blocks: a vote, and the election log.

use core::net::SocketAddr;

use super::BlockError;
use crate::bounds::FENCE_PARAM_BYTES;
use crate::checksum::Checksum;
use crate::ids::{Ballot, BlockNo, BootId, HostId, Rid, Term, VolumeId, WriteNr};
use crate::time::Duration;

/// What a voter publishes for those who may have to fence it; UTF-8 by convention, zero-padded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FenceParam(pub [u8; FENCE_PARAM_BYTES]);

impl Default for FenceParam {
    fn default() -> Self {
        Self([0; FENCE_PARAM_BYTES])
    }
}

/// A leader that was elected and is not yet known to be gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LogEntry {
    /// Its ballot.
    pub ballot: Ballot,
    /// The machine it runs on.
    pub host: HostId,
    /// The boot of that machine.
    pub boot: BootId,
    /// Where it will listen.
    pub addr: SocketAddr,
    /// Milliseconds after which it is silent without a fence (lease + W); 0 promises nothing.
    pub quiet_ms: u32,
    /// How to fence it.
    pub fence_param: FenceParam,
}

/// What the writer of a quorum block is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum VoteKind {
    /// Votes for `vote_for` in `term` (for itself: a candidate), or has not voted.
    Vote = 1,
    /// Asks whether a quorum would vote for it (pre-vote).
    Ask = 2,
    /// Would vote for `vote_for`.
    Yes = 3,
    /// Leads: was elected and fences, starts or serves.
    Leader = 4,
}

/// A leader's answer to the doorbell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Answer {
    /// Voters that answered a ping sent after the bell, the leader counted.
    pub voters: u16,
    /// It answers again within this time.
    pub interval: Duration,
}

/// Everything in a quorum block but its log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QuorumHead {
    /// The voter.
    pub writer: Rid,
    /// Its machine.
    pub host: HostId,
    /// The boot of its machine.
    pub boot: BootId,
    /// Its how-manyeth region write this is.
    pub write_nr: WriteNr,
    /// The term it is in.
    pub term: Term,
    /// What it is doing.
    pub kind: VoteKind,
    /// Whom it votes for, or would.
    pub vote_for: Option<Rid>,
    /// Its ballot that is neither void nor stopped cleanly.
    pub own: Option<Ballot>,
    /// Its ballots up to this term are void.
    pub void_term: Term,
    /// Its own ballot won the votes.
    pub won: bool,
    /// Its own ballot is sealed.
    pub sealed: bool,
    /// Yielded for want of remote clients, and has had none since.
    pub barren: bool,
    /// Number of its pre-vote; a `Yes` repeats the asker's.
    pub round: u32,
    /// A leader's answer to the doorbell.
    pub answer: Option<Answer>,
    /// Its measured cycle time.
    pub cycle: Duration,
}

/// A quorum block as read.
#[derive(Clone, Copy, Debug)]
pub enum RegionBlock<'a> {
    /// Formatted and never written since.
    Empty,
    /// Somebody's vote and log.
    Written(QuorumHead, RegionEntries<'a>),
}

/// The log of a verified quorum block: every entry was checked when the block was decoded.
#[derive(Clone, Copy, Debug)]
pub struct RegionEntries<'a> {
    bytes: &'a [u8],
}

impl<'a> RegionBlock<'a> {
    /// Believes a block read at `at`.
    pub fn decode(
        bytes: &'a [u8],
        at: BlockNo,
        volume: VolumeId,
        checksum: Checksum,
    ) -> Result<Self, BlockError> {
        let _ = (bytes, at, volume, checksum);
        todo!()
    }
}

impl Iterator for RegionEntries<'_> {
    type Item = LogEntry;
    fn next(&mut self) -> Option<LogEntry> {
        let _ = self.bytes;
        todo!()
    }
}

/// Writes an empty quorum block for block `at` into `block`.
pub fn encode_empty(at: BlockNo, volume: VolumeId, checksum: Checksum, block: &mut [u8]) {
    let _ = (at, volume, checksum, block);
    todo!()
}

/// Writes a vote and a log of at most [`crate::bounds::LOG_ENTRIES_MAX`] entries, sorted by rid, for block `at`.
pub fn encode_quorum(
    head: &QuorumHead,
    log: &[LogEntry],
    at: BlockNo,
    volume: VolumeId,
    checksum: Checksum,
    block: &mut [u8],
) {
    let _ = (head, log, at, volume, checksum, block);
    todo!()
}
