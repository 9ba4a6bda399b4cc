//! The ways in which a mount ends.

use super::{Client, Phase};
use crate::bounds::EVICTED_FAREWELL_TIME;
use crate::event::{Event, Unmounted};
use crate::format::wire::{Command, RequestId};
use crate::superio::SuperView;
use crate::time::Instant;

/// A mount that leaves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Leaving {
    since: Instant,
    /// The farewell, once it was submitted.
    farewell: Option<RequestId>,
    /// It was evicted, and only gives its voter's place back.
    evicted: bool,
}

impl Client {
    /// Leaves cleanly. [`ended`](Self::ended) says when that has happened, and how.
    pub fn unmount(&mut self, now: Instant) {
        if self.leaving.is_none() && self.ended.is_none() {
            self.leave(now, false);
        }
    }

    fn leave(&mut self, now: Instant, evicted: bool) {
        self.leaving = Some(Leaving {
            since: now,
            farewell: None,
            evicted,
        });
    }

    /// Leaves at once: closes the connection and says nothing.
    pub fn force(&mut self, _now: Instant) {
        if self.ended.is_none() {
            self.end(Unmounted::Forced);
        }
    }

    /// Whether the farewell has to wait: a voter's place is free for another one as soon as it is said, so that nothing
    /// of this one's may reach the quorum region any more (assumption A5).
    pub const fn hold_farewell(&mut self, held: bool) {
        self.farewell_held = held;
    }

    /// Whether the mount is leaving.
    pub const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    fn end(&mut self, how: Unmounted) {
        self.hang_up();
        self.part();
        self.ended = Some(how);
    }

    /// Ends a mount that has left, if it was not evicted before.
    pub(super) fn end_left(&mut self, how: Unmounted) {
        let evicted = self.leaving.is_some_and(|leaving| leaving.evicted);
        self.end(if evicted { Unmounted::Evicted } else { how });
    }

    /// Whether a reading of the super block shows that this mount, which wants to leave, was released: its record is
    /// one of those that the barrier deleted.
    pub(super) fn released_by(&self, view: &SuperView) -> bool {
        let barrier = self.welcome.map(|welcome| welcome.barrier);
        self.leaving.is_some() && barrier.is_some_and(|barrier| view.state.unmount_barrier > barrier)
    }

    /// The server says that this mount was evicted: nobody waits for it. All that is left is to give back the
    /// voter's place that it may hold.
    pub(super) fn was_evicted(&mut self, now: Instant) {
        if self.leaving.is_some_and(|leaving| leaving.evicted) {
            return;
        }
        self.tell(Event::Evicted);
        self.requests.abandon();
        self.leave(now, true);
        self.seek.hurry(now);
    }

    /// The server has no record of this mount, which greeted it as one that leaves: it was released before, and the
    /// answer was lost, or its first greeting never made a record. Either way there is nothing left to ask for.
    pub(super) fn is_forgotten(&mut self) {
        self.end_left(match self.welcome {
            Some(_) => Unmounted::Farewell,
            None => Unmounted::NeverMounted,
        });
    }

    /// The server answered the farewell.
    pub(super) fn take_farewell(&mut self, id: RequestId) {
        if self.leaving.is_some_and(|leaving| leaving.farewell == Some(id)) {
            self.end_left(Unmounted::Farewell);
        }
    }

    pub(super) fn poll_leaving(&mut self, now: Instant) {
        let Some(leaving) = self.leaving else { return };
        if self.leaving_deadline().is_some_and(|deadline| now >= deadline) {
            self.end_left(Unmounted::LeftRecord);
            return;
        }
        // A greeting without an answer may have made a record, which must be taken back.
        if self.welcome.is_none() && !self.unresolved {
            self.end_left(Unmounted::NeverMounted);
            return;
        }
        if self.view.as_ref().is_some_and(|view| self.released_by(view)) {
            self.end_left(Unmounted::Barrier);
            return;
        }
        // What was asked before is answered before: the farewell is the last request.
        let connected = matches!(self.phase, Phase::Connected { .. });
        if connected && !self.farewell_held && leaving.farewell.is_none() && self.requests.all_answered() {
            let farewell = self.requests.submit(Command::FAREWELL, &[]);
            self.leaving = Some(Leaving { farewell, ..leaving });
        }
    }

    /// When the mount stops waiting for a server that takes it out of its books.
    pub(super) fn leaving_deadline(&self) -> Option<Instant> {
        let leaving = self.leaving?;
        let time = if leaving.evicted {
            Some(EVICTED_FAREWELL_TIME)
        } else if self.welcome.is_none()
            && self
                .view
                .as_ref()
                .is_some_and(|view| view.live_server().is_none())
        {
            // It was never told that it is mounted, and nobody is there to ask: a record that it may have goes
            // with the next recovery.
            let patience = self.config.recovery_time;
            Some(
                self.config
                    .unmount_time_max
                    .map_or(patience, |time| time.min(patience)),
            )
        } else {
            self.config.unmount_time_max
        };
        Some(leaving.since + time?)
    }
}
