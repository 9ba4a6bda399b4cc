//! What a platform that runs programs because this host leads has to know, and to say.

use super::{Life, Mount};
use crate::ids::Ballot;
use crate::server::Memory;
use crate::service::Service;
use crate::time::Instant;

impl<M: Memory, S: Service> Mount<M, S> {
    /// The ballot under which a program may run on this host at this moment: its server serves, so every predecessor is
    /// silent, nobody has asked it to stop, and it has the right to act. The term is a fencing token: it only grows.
    pub fn leads(&self, now: Instant) -> Option<Ballot> {
        let wished = self
            .election
            .as_ref()
            .and_then(|election| election.wish())
            .map(|(ballot, _)| ballot);
        let serves = self.life == Life::Mounted && self.serves && !self.stopping;
        self.reign
            .filter(|_| serves)
            .filter(|&reign| wished == Some(reign) && self.may_act(now))
    }

    /// Until when this mount has the right to act as leader, unless a later look at the device prolongs it; `None`
    /// without that right. [`Instant::NEVER`] where no lease was promised: such a leader acts until it is told to stop,
    /// or fenced.
    pub fn right_until(&self, now: Instant) -> Option<Instant> {
        let election = self.election.as_ref().filter(|_| !self.has_ended())?;
        election.right_until(now)
    }

    /// While held, the clean stop of this mount's ballot (R9) is not written, and no other ballot of its own serves: something
    /// that runs because this host leads has not ended yet. Hold before it begins, release when nothing of it is left.
    ///
    /// A hold prolongs no right: under a lease what is held must end before [`right_until`](Self::right_until), and a
    /// predecessor that takes long to stop is fenced.
    pub const fn hold_leadership(&mut self, hold: bool) {
        self.held = hold;
    }

    /// Stops leading, cleanly, and leaves the next election to others for a while; the mount goes on. Does nothing
    /// without a ballot that leads.
    pub fn resign(&mut self, now: Instant) {
        if self.reign.is_none() || self.stopping {
            return;
        }
        if let Some(election) = &mut self.election {
            election.resign(now);
            self.leave_election_to_others(now);
        }
    }
}
