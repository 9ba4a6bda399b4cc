//! What time does to clients and connections. There are no timers per client: one sweep looks at all of them.

use super::memory::{NONE, Role, Standing};
use super::{Parts, State};
use crate::bounds::{EVENTS_MAX, GREETING_TIMEOUT};
use crate::event::Event;
use crate::service::Service;
use crate::time::{Duration, Instant};

/// Room that evictions leave for other events.
const EVENTS_SPARE: usize = 3;

impl<S: Service> Parts<'_, S> {
    /// Tells what peers can bring about, and tells it rather not than instead of something else.
    pub(super) fn tell_if_there_is_room(&mut self, event: Event) {
        if self.events.len() + EVENTS_SPARE < EVENTS_MAX {
            let _ = self.events.push_back(event);
        }
    }

    fn sweep_interval(&self) -> Duration {
        Duration(self.config.silence_max.0 / 4)
    }

    /// When the recovery time of those known from before ends.
    fn recovery_end(&self) -> Instant {
        self.reign.absence_counts_from + self.config.recovery_time
    }

    pub(super) fn plan_sweep(&mut self, now: Instant) {
        let mut next = now + self.sweep_interval();
        let end = self.recovery_end();
        if self.reign.expected > 0 && end > now {
            next = next.min(end);
        }
        self.reign.next_sweep = next;
    }

    /// Closes connections that have not shown in time that they know the key.
    pub(super) fn close_strangers(&mut self, now: Instant) {
        while let Some((since, slot)) = self.conns.oldest_stranger(self.slots) {
            if now.since(since) < GREETING_TIMEOUT {
                return;
            }
            self.close(now, slot);
        }
    }

    pub(super) fn sweep_if_due(&mut self, now: Instant, may_act: bool) {
        if now < self.reign.next_sweep || self.state != State::Serving {
            return;
        }
        // A host that slept through its own sweeps heard nobody meanwhile: that is not the clients' fault, and they
        // get the time to return that they get after a fail-over.
        let overslept = now.since(self.reign.next_sweep) > self.config.silence_max;
        if overslept {
            self.reign.absence_counts_from = now;
        }
        self.plan_sweep(now);
        if overslept {
            return;
        }
        self.close_silent(now);
        if may_act {
            self.offer_places();
        }
        if may_act && !self.evict_absent(now) {
            // No room to tell of more: come again at once.
            self.reign.next_sweep = now;
        } else {
            self.journal.close_shared();
        }
    }

    fn close_silent(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            let conn = &self.slots[slot];
            let patience = match conn.role {
                Role::Client => self.config.silence_max,
                Role::Guest | Role::Leaver => GREETING_TIMEOUT,
                Role::Free | Role::Stranger | Role::Closing => continue,
            };
            if now.since(conn.heard) >= patience {
                self.close(now, slot as u32);
            }
        }
    }

    /// Evicts clients that have been away too long. `false` if there are more than can be told.
    fn evict_absent(&mut self, now: Instant) -> bool {
        for slot in 0..self.clients.len() {
            let client = &self.clients[slot];
            if client.standing != Standing::Mounted || client.conn != NONE {
                continue;
            }
            let since = client.away_since.max(self.reign.absence_counts_from);
            if now.since(since) < self.config.recovery_time {
                continue;
            }
            if self.events.len() + EVENTS_SPARE >= EVENTS_MAX {
                return false;
            }
            self.evict(slot as u32);
        }
        true
    }
}
