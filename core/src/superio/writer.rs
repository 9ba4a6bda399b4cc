//! Updating the super block in both copies (rule R8).

use super::SuperView;
use crate::checksum::Checksum;
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::format::{SUPER_COPIES, SuperBlock};
use crate::time::Duration;

/// Which write of an update is due or under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Step {
    Due(usize),
    Issued(usize, IoId),
}

/// Writes one update after the other, each first to the copy that does not hold the newest valid state, and
/// when that write has completed, to the other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SuperWriter {
    /// What stands in both copies or was read; from the start of an update what it writes.
    state: SuperBlock,
    first: usize,
    second_due: bool,
    update: Option<Step>,
}

impl SuperWriter {
    /// A writer that continues what a believed reading found.
    pub fn new(view: &SuperView) -> Self {
        Self {
            state: view.state,
            first: view.first_to_write(),
            second_due: false,
            update: None,
        }
    }

    /// The newest state that stands in both copies (or that was read); while an update is under way, and after it
    /// failed, what that writes.
    pub const fn current(&self) -> &SuperBlock {
        &self.state
    }

    /// Whether an update is under way.
    pub const fn is_busy(&self) -> bool {
        self.update.is_some()
    }

    /// Begins an update: what `change` makes of the current state, with the next sequence number.
    ///
    /// # Panics
    /// If an update is under way: two at once would let the second overtake the first.
    pub fn start(&mut self, change: impl FnOnce(&mut SuperBlock)) {
        assert!(self.update.is_none(), "one super block update at a time");
        let seq = self.state.seq + 1;
        change(&mut self.state);
        self.state.seq = seq;
        self.second_due = true;
        self.update = Some(Step::Due(self.first));
    }

    /// Encodes the next write into `block` and returns its request.
    pub fn poll_disk(
        &mut self,
        id: IoId,
        limit: Duration,
        checksum: Checksum,
        block: &mut [u8],
    ) -> Option<DiskRequest> {
        let Some(Step::Due(copy)) = self.update else {
            return None;
        };
        self.state.encode(
            SUPER_COPIES[copy],
            checksum,
            &mut block[..crate::bounds::BLOCK_BYTES],
        );
        self.update = Some(Step::Issued(copy, id));
        Some(DiskRequest::Write {
            id,
            first: SUPER_COPIES[copy],
            count: 1,
            durable: true,
            limit,
        })
    }

    /// Whether the next write is due: the caller checks its right to act just before it lets it out.
    pub const fn is_due(&self) -> bool {
        matches!(self.update, Some(Step::Due(_)))
    }

    /// Takes a completion; `Some` when the update stands in both copies, or failed. After a failure the state
    /// on the device is unknown: the caller reads it again, after W.
    pub fn handle_disk(&mut self, id: IoId, outcome: DiskOutcome<'_>) -> Option<Result<(), DiskError>> {
        let Some(Step::Issued(copy, issued)) = self.update else {
            return None;
        };
        if issued != id {
            return None;
        }
        let failed = match outcome {
            DiskOutcome::Done => None,
            DiskOutcome::Failed(error) => Some(error),
            DiskOutcome::Read(_) => Some(DiskError::Failed),
        };
        if let Some(error) = failed {
            self.update = None;
            return Some(Err(error));
        }
        if core::mem::take(&mut self.second_due) {
            self.update = Some(Step::Due(1 - copy));
            return None;
        }
        self.update = None;
        self.first = 0;
        Some(Ok(()))
    }
}
