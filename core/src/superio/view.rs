//! What a believed reading of the two copies says.

use crate::format::SuperBlock;
use crate::ids::{Ballot, Mark};
use crate::rules::{self, Rule};

/// Which copies were valid in the pass that was believed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Copies {
    /// Both, and they say the same.
    Equal,
    /// Both, but this copy is newer: an update was between its two writes.
    Newer(usize),
    /// Only this one, twice in a row: the other one is damaged or being written.
    Only(usize),
}

/// A believed reading of the super block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SuperView {
    /// The newest valid state.
    pub state: SuperBlock,
    /// Where it stood.
    pub copies: Copies,
}

impl SuperView {
    /// Every ballot up to here is silent for good *and* nobody is still writing to the other copy on its behalf.
    ///
    /// Rule R7 believes a clean stop only from both copies: between its two writes the stopping leader has one
    /// outstanding, which would overwrite the update of a successor. Everything below the leader that is named
    /// was silenced before that leader's first write, so that much holds in any case.
    pub fn trimmed(&self) -> Mark {
        match (self.copies, self.state.server) {
            (Copies::Newer(_) | Copies::Only(_), Some(server)) if rules::holds(Rule::StopInBoth) => {
                self.state.fenced.min(Mark::below(server))
            }
            _ => self.state.fenced,
        }
    }

    /// Whether the ballot named as server has neither been fenced nor stopped cleanly.
    pub fn live_server(&self) -> Option<Ballot> {
        self.state
            .server
            .filter(|&server| !self.state.fenced.covers(server))
    }

    /// The copy that an update goes to first: never the one that holds the newest valid state (rule R8).
    pub fn first_to_write(&self) -> usize {
        match self.copies {
            _ if !rules::holds(Rule::CopyOrder) => 0,
            Copies::Equal => 0,
            Copies::Newer(newest) | Copies::Only(newest) => 1 - newest,
        }
    }
}
