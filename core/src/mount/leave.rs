//! How a mount comes to its end.

use super::{Life, Mount};
use crate::event::Unmounted;
use crate::server::Memory;
use crate::service::Service;
use crate::time::Instant;

/// Starts of its own server that fail before a mount that leaves goes without an answer to its farewell; the next
/// server evicts its record.
const STARTS_BEFORE_LEAVING: u32 = 2;

impl<M: Memory, S: Service> Mount<M, S> {
    /// Leave cleanly: [`Event::Unmounted`](crate::event::Event::Unmounted) ends the mount. Can be called at any time, also while it waits for
    /// a quorum.
    pub fn unmount(&mut self, now: Instant) {
        self.unmounting_due |= !self.client.is_leaving() && self.client.ended().is_none();
        self.client.unmount(now);
    }

    /// Tells how many votes are missing when this mount cannot leave for want of a server.
    pub(super) fn watch_quorum(&mut self) {
        let votes = self
            .election
            .as_ref()
            .and_then(|election| election.votes_while_asking());
        let waits = votes.filter(|&(votes, needed)| self.client.is_leaving() && votes < needed);
        if waits.is_some() && waits != self.quorum_told {
            self.quorum_due = true;
        }
        self.quorum_told = waits;
    }

    /// Leave at once: no more votes, every connection is closed, and the platform drops the device. A ballot that leads
    /// stays live, and is fenced by the next leader.
    pub fn force(&mut self, now: Instant) {
        // One that was released already and stopped leading has nothing left to be forced out of.
        let how = match self.life {
            Life::Ended(how) => how,
            Life::WindingUp(how) if self.reign.is_none() && !self.ballot_counts() => how,
            Life::Mounted | Life::WindingUp(_) => Unmounted::Forced,
        };
        self.client.force(now);
        self.server.abort(now);
        self.life = Life::Ended(how);
    }

    /// When the client has ended, the server stops (after a barrier: when those released have heard of it), the
    /// election resigns, and then the mount has ended.
    pub(super) fn wind_up(&mut self, now: Instant) {
        if self.life == Life::Mounted {
            let abandoned = self
                .election
                .as_ref()
                .is_some_and(|election| election.is_abandoned());
            // Nobody else serves, and this mount's own server cannot: its farewell will not be answered.
            let helpless = self.client.is_leaving() && self.start_failures >= STARTS_BEFORE_LEAVING;
            let how = self
                .client
                .ended()
                .or(abandoned.then_some(Unmounted::Superseded))
                .or(helpless.then_some(Unmounted::LeftRecord));
            let Some(how) = how else { return };
            self.life = Life::WindingUp(how);
            self.wind_up_until = self.client.config().unmount_time_max.map(|time| now + time);
            self.client.force(now);
        }
        let Life::WindingUp(how) = self.life else { return };
        if self.wind_up_until.is_some_and(|until| now >= until) {
            self.server.abort(now);
            self.life = Life::Ended(self.cut_short(how));
            return;
        }
        let drains = self.reign.is_some() && self.server.has_released_all() && !self.server.is_drained();
        if drains && matches!(how, Unmounted::Farewell | Unmounted::Barrier) {
            return;
        }
        if let Some(election) = &mut self.election {
            election.leave(now);
        }
        self.wire(now);
        let election_off = self.election.as_ref().is_none_or(|election| election.is_off());
        if election_off && self.reign.is_none() && self.server.is_off() {
            self.life = Life::Ended(how);
        }
    }

    /// How a mount ends that does not wait any longer. If its ballot still counts, whoever leads next silences that, and has its host
    /// fenced perhaps: it did not leave cleanly, whatever its farewell was answered.
    fn cut_short(&self, how: Unmounted) -> Unmounted {
        match how {
            Unmounted::Farewell | Unmounted::Barrier | Unmounted::NeverMounted if self.ballot_counts() => {
                Unmounted::LeftRecord
            }
            how => how,
        }
    }

    /// Whether a ballot of its own is neither void nor stopped cleanly, as far as it knows: a stop that is under way may fail.
    fn ballot_counts(&self) -> bool {
        let election = self.election.as_ref();
        election.is_some_and(|election| election.own().is_some())
    }
}
