//! Reading the super block in passes over its copies (rule R10).

use super::{Copies, SuperView};
use crate::checksum::Checksum;
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::format::{BlockError, SUPER_COPIES, SuperBlock};
use crate::ids::VolumeId;
use crate::rules::{self, Rule};
use crate::time::Duration;

/// Passes after which a reading is given up. Each update writes each copy once, so that a reader which is
/// unlucky this often looks at damage, or at a leader that does nothing but write.
pub(super) const PASSES_MAX: u32 = 32;

/// Why the super block could not be read.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SuperError {
    /// An I/O error: says nothing about what is on the device.
    Io(DiskError),
    /// Neither copy is valid; the reason for each.
    Invalid([BlockError; 2]),
    /// The device says that both copies, or the only readable one, lie on bad medium.
    Medium,
    /// No two passes agreed: the device is being overwritten, or does not keep what it is told.
    Unsettled,
}

/// How one copy was found by one pass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Look {
    Valid,
    Invalid(BlockError),
    Medium,
}

/// The only valid copy of a pass: which one it is, and what it says.
pub type OnlyCopy = (usize, SuperBlock);

/// What one pass over both copies is worth (rule R10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belief {
    /// It may be believed.
    Believed(SuperView),
    /// It takes another pass, which is compared with the only valid copy of this one.
    Again(Option<OnlyCopy>),
}

/// Judges a pass over both copies, `None` standing for one that is invalid: it is believed if both are valid, or
/// if one is, and the pass before found just the same.
pub fn belief(first: Option<&SuperBlock>, second: Option<&SuperBlock>, previous: Option<OnlyCopy>) -> Belief {
    use core::cmp::Ordering::{Equal, Greater, Less};
    let believed = |state, copies| Belief::Believed(SuperView { state, copies });
    let only = match (first, second) {
        (Some(&a), Some(&b)) => match (a.seq.cmp(&b.seq), a == b) {
            (Equal, true) => return believed(a, Copies::Equal),
            (Greater, _) => return believed(a, Copies::Newer(0)),
            (Less, _) => return believed(b, Copies::Newer(1)),
            // No writer leaves two states with one number: believe neither.
            (Equal, false) => None,
        },
        (Some(&a), None) => Some((0, a)),
        (None, Some(&b)) => Some((1, b)),
        (None, None) => None,
    };
    match only {
        Some((copy, state)) if only == previous || !rules::holds(Rule::TwoPasses) => {
            believed(state, Copies::Only(copy))
        }
        _ => Belief::Again(only),
    }
}

/// Reads both copies until a pass may be believed.
///
/// Order of calls: [`start`](Self::start), then [`poll_disk`](Self::poll_disk) until it gives nothing, and
/// [`handle_disk`](Self::handle_disk) for each completion; repeat until that returns the result.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SuperReader {
    volume: Option<VolumeId>,
    running: bool,
    passes: u32,
    issued: [Option<IoId>; 2],
    /// The copy that came first in this pass, and how it was: if valid, it is in `kept`.
    found: Option<(usize, Look)>,
    /// A valid copy: the first of this pass, or else the only one of the pass before. One is room enough: a valid first
    /// copy is compared at once with the one it takes the place of.
    kept: Option<OnlyCopy>,
    /// The valid first copy of this pass is just what the pass before had found alone.
    repeats: bool,
}

impl SuperReader {
    /// A reader for the volume given, or for whatever volume it finds.
    pub const fn new(volume: Option<VolumeId>) -> Self {
        Self {
            volume,
            running: false,
            passes: 0,
            issued: [None; 2],
            found: None,
            kept: None,
            repeats: false,
        }
    }

    /// From now on only copies of this volume are believed.
    pub const fn pin(&mut self, volume: VolumeId) {
        self.volume = Some(volume);
    }

    /// Begins a reading; forgets an earlier one, whose completions are ignored from now on.
    pub const fn start(&mut self) {
        *self = Self {
            running: true,
            ..Self::new(self.volume)
        };
    }

    /// Whether a reading is under way.
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// The next read to issue, at most one for each copy and pass. `id` names it.
    pub fn poll_disk(&mut self, id: IoId, limit: Duration) -> Option<DiskRequest> {
        if !self.running {
            return None;
        }
        let copy = (0..2).find(|&copy| self.issued[copy].is_none() && !self.has_found(copy))?;
        self.issued[copy] = Some(id);
        Some(DiskRequest::Read {
            id,
            first: SUPER_COPIES[copy],
            count: 1,
            limit,
        })
    }

    /// Takes a completion; `Some` when the reading has ended. Completions of others are ignored.
    pub fn handle_disk(
        &mut self,
        id: IoId,
        outcome: DiskOutcome<'_>,
        checksum: Checksum,
    ) -> Option<Result<SuperView, SuperError>> {
        let copy = (0..2).find(|&copy| self.issued[copy] == Some(id))?;
        self.issued[copy] = None;
        let (look, state) = match outcome {
            DiskOutcome::Read(bytes) => {
                match SuperBlock::decode(bytes, SUPER_COPIES[copy], self.volume, checksum) {
                    Ok(state) => (Look::Valid, Some(state)),
                    Err(error) => (Look::Invalid(error), None),
                }
            }
            DiskOutcome::Failed(DiskError::Medium) => (Look::Medium, None),
            DiskOutcome::Failed(error) => return Some(self.end(Err(SuperError::Io(error)))),
            DiskOutcome::Done => return Some(self.end(Err(SuperError::Io(DiskError::Failed)))),
        };
        match self.found.take() {
            Some(first) => self.judge(first, (copy, look), state),
            None => {
                self.found = Some((copy, look));
                if let Some(state) = state {
                    let before = self.kept.replace((copy, state));
                    self.repeats = before == self.kept;
                }
                None
            }
        }
    }

    fn has_found(&self, copy: usize) -> bool {
        matches!(self.found, Some((first, _)) if first == copy)
    }

    fn end(&mut self, result: Result<SuperView, SuperError>) -> Result<SuperView, SuperError> {
        self.running = false;
        result
    }

    /// Judges a pass: the first copy, and the second with what it says, if it is valid.
    fn judge(
        &mut self,
        (at, first): (usize, Look),
        (_, second): (usize, Look),
        state: Option<SuperBlock>,
    ) -> Option<Result<SuperView, SuperError>> {
        let is_valid = first == Look::Valid;
        let kept = self.kept.as_ref();
        let of_first = kept.map(|(_, state)| state).filter(|_| is_valid);
        let previous = self.kept.filter(|_| !is_valid || self.repeats);
        let (a, b) = if at == 0 {
            (of_first, state.as_ref())
        } else {
            (state.as_ref(), of_first)
        };
        match belief(a, b, previous) {
            Belief::Believed(view) => return Some(self.end(Ok(view))),
            Belief::Again(only) => self.kept = only,
        }
        self.repeats = false;
        self.passes += 1;
        if self.passes < PASSES_MAX {
            return None;
        }
        let (a, b) = if at == 0 { (first, second) } else { (second, first) };
        Some(self.end(Err(match (a, b) {
            (Look::Invalid(a), Look::Invalid(b)) => SuperError::Invalid([a, b]),
            (Look::Medium, Look::Medium | Look::Invalid(_)) | (Look::Invalid(_), Look::Medium) => {
                SuperError::Medium
            }
            _ => SuperError::Unsettled,
        })))
    }
}
