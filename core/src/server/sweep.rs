//! What time does to clients and connections. There are no timers per client: one sweep looks at all of them.

use super::Parts;
use super::memory::{NONE, Role, Standing};
use crate::bounds::{EVENTS_MAX, GREETING_TIMEOUT, GUEST_TIMEOUT};
use crate::decide::keep_alive;
use crate::event::Event;
use crate::service::Service;
use crate::time::{Duration, Instant};

/// Room that evictions leave for other events.
pub(super) const EVENTS_SPARE: usize = 3;

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
        self.reign.absence_counts_from + self.return_time()
    }

    fn return_time(&self) -> Duration {
        keep_alive::return_time(self.config.recovery_time, self.reign.crowd_lately)
    }

    /// Those who left just now may have kept the others from noticing early that their server is gone, and from coming in soon:
    /// what is granted to a crowd outlasts it for a while. It falls with the time and not with the sweeps: a mass eviction takes
    /// a sweep for every few of them, all at one moment.
    pub(super) fn count_crowd(&mut self, now: Instant) {
        let lately = self.reign.crowd_lately;
        let falls = now.since(self.reign.crowd_fell) >= self.sweep_interval();
        if falls {
            self.reign.crowd_fell = now;
        }
        let fall = if falls { lately / 64 + 1 } else { 0 };
        self.reign.crowd = self.census().mounted;
        self.reign.crowd_lately = self.reign.crowd.max(lately.saturating_sub(fall));
    }

    /// After how much silence the client on this connection is to ping, as it is told now.
    pub(super) fn next_ping(&mut self, slot: u32) -> u16 {
        let elector = match self.slots[slot as usize].client {
            NONE => false,
            client => self.clients[client as usize].is_elector(),
        };
        let ping_ms = keep_alive::ping_ms(self.config.silence_max, self.reign.crowd, elector);
        self.slots[slot as usize].ping_ms = ping_ms;
        ping_ms
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
        if now < self.reign.next_sweep {
            return;
        }
        // A host that slept through its own sweeps heard nobody meanwhile: that is not the clients' fault, and they
        // get the time to return that they get after a fail-over.
        let overslept = now.since(self.reign.next_sweep) > self.config.silence_max;
        if overslept {
            self.reign.absence_counts_from = now;
        }
        self.count_crowd(now);
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

    fn is_arriving(&self, client: u32) -> bool {
        let client = self.clients.get(client as usize);
        client.is_some_and(|client| client.standing == Standing::Arriving)
    }

    fn close_silent(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            let conn = &self.slots[slot];
            let patience = match conn.role {
                // It waits for its record, not this server for it.
                Role::Client if self.is_arriving(conn.client) => continue,
                Role::Client => keep_alive::patience(self.config.silence_max, conn.ping_ms),
                // It waits for its keys, not this server for it.
                Role::Guest if conn.due.reply => continue,
                Role::Guest if conn.refusal.is_none() => GUEST_TIMEOUT,
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
        let return_time = self.return_time();
        for slot in 0..self.clients.len() {
            let client = &self.clients[slot];
            if client.standing != Standing::Mounted || client.conn != NONE {
                continue;
            }
            let since = client.away_since.max(self.reign.absence_counts_from);
            if now.since(since) < return_time {
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
