//! The fence seam: who is to be silenced, and what the platform found.
//!
//! Contract (assumption A4): [`FenceOutcome::Done`] says that no write of the victim's process ever reaches the device
//! again, and that those in flight are done or dropped: every later candidate believes it. Requests are repeatable. Every request is answered,
//! with [`FenceOutcome::Failed`] at the latest when the time-out has passed.

use crate::format::LogEntry;

/// Ask the platform to fence a mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FenceRequest {
    /// What the log says of the victim: ballot, host, boot, address, fencing parameter.
    pub victim: LogEntry,
    /// 1 for the first try.
    pub attempt: u32,
}

/// What became of a fence request.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FenceOutcome {
    /// The victim is silent for good.
    Done,
    /// Refused, unanswered or unsure: the victim must be taken for alive.
    Failed,
}
