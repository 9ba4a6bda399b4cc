//! How a mount comes to its end.

use super::{Life, Mount};
use crate::event::Unmounted;
use crate::server::Memory;
use crate::service::Service;
use crate::time::Instant;

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
        self.forced |= self.life != Life::Ended && self.reign.is_some();
        self.client.force(now);
        self.server.abort(now);
        self.life = Life::Ended;
    }

    /// When the client has ended, the server stops (after a barrier: when those released have heard of it), the
    /// election resigns, and then the mount has ended.
    pub(super) fn wind_up(&mut self, now: Instant) {
        if let (Life::Mounted, Some(how)) = (self.life, self.client.ended()) {
            self.life = Life::WindingUp(how);
        }
        let Life::WindingUp(how) = self.life else { return };
        let drains = self.reign.is_some() && self.server.has_released_all() && !self.server.is_drained();
        if drains && matches!(how, Unmounted::Farewell | Unmounted::Barrier) {
            return;
        }
        if let Some(election) = &mut self.election {
            election.set_wanted(now, false, None);
            election.resign(now);
        }
        self.wire(now);
        let election_off = self.election.as_ref().is_none_or(|election| election.is_off());
        if election_off && self.reign.is_none() && self.server.is_off() {
            self.life = Life::Ended;
        }
    }
}
