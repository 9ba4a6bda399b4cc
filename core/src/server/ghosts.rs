//! Ghosts: voters that were evicted and hold a voter's place until they say farewell or are fenced.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::memory::{NONE, Standing};
use super::{Memory, Parts, Server};
use crate::bounds::{GHOST_FENCE_WAIT, GHOST_SILENT_TIME};
use crate::event::Event;
use crate::fence::{FenceOutcome, FenceRequest};
use crate::format::{ClientRecord, LogEntry};
use crate::ids::{Ballot, Rid, Term};
use crate::service::Service;
use crate::time::Instant;

/// Names a voter that is to be fenced without ever having been elected: term 0 was never held.
fn victim(record: &ClientRecord) -> LogEntry {
    LogEntry {
        ballot: Ballot {
            term: Term(0),
            rid: record.rid,
        },
        host: record.host,
        boot: record.boot,
        // Only greetings with an address make voters; a record without one is fenced by its other traits.
        addr: record
            .addr
            .unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)),
        quiet_ms: 0,
        fenced: false,
        fence_param: record.fence_param,
    }
}

impl<S: Service> Parts<'_, S> {
    /// Ghosts that may be fenced for their places: not those on whose host a mount is connected. A fence that acts on
    /// the host would take down the healthy for the sake of a place.
    fn ghosts(&self) -> impl Iterator<Item = &ClientRecord> {
        self.ghost_slots()
            .filter_map(|slot| self.clients[slot as usize].record.as_ref())
            .filter(|ghost| self.neighbour(ghost).is_none())
    }

    fn ghost_slots(&self) -> impl Iterator<Item = u32> {
        let ghost = |&slot: &u32| self.clients[slot as usize].standing == Standing::Ghost;
        self.reign.places.iter().copied().filter(ghost)
    }

    /// A connected mount on the host of a ghost, if hosts have identities.
    fn neighbour(&self, ghost: &ClientRecord) -> Option<&ClientRecord> {
        let connected = self.clients.iter().filter(|client| client.conn != NONE);
        connected
            .filter_map(|client| client.record.as_ref())
            .find(|record| ghost.host.0 != 0 && record.host == ghost.host)
    }

    /// Ghosts whose host has booted since are gone without a fence: no process outlives its boot.
    fn forget_earlier_boots(&mut self) {
        let gone = self.ghost_slots().find(|&slot| {
            let record = self.clients[slot as usize].record.as_ref();
            record.is_some_and(|ghost| {
                self.neighbour(ghost)
                    .is_some_and(|other| other.boot != ghost.boot)
            })
        });
        if let Some(slot) = gone {
            self.let_go(slot);
        }
    }

    pub(super) fn has_ghost(&self) -> bool {
        self.ghosts().next().is_some()
    }

    /// Gives places that have become free to voters that were turned down before; where none is free, a ghost's is
    /// wanted. They are told when it is durable.
    pub(super) fn offer_places(&mut self) {
        self.forget_earlier_boots();
        for slot in 0..self.clients.len() {
            if !self.clients[slot].was_turned_down() {
                continue;
            }
            if !self.take_place(slot as u32, false) {
                return;
            }
            if let Some(record) = &mut self.clients[slot].record {
                record.voter = true;
            }
            self.reign.mark(slot as u32, self.clients);
        }
    }

    fn next_ghost(&mut self, now: Instant) -> Option<FenceRequest> {
        let wish = &self.reign.ghost;
        if !wish.wanted || wish.under_way.is_some() || now < wish.not_before {
            return None;
        }
        // A fence that failed may fail again: the next attempt is for the next ghost.
        let count = self.ghosts().count();
        let skipped = (wish.attempt as usize).checked_rem(count)?;
        let victim = victim(self.ghosts().nth(skipped)?);
        let wish = &mut self.reign.ghost;
        wish.attempt = wish.attempt.saturating_add(1);
        wish.under_way = Some(victim.ballot.rid);
        Some(FenceRequest {
            victim,
            attempt: wish.attempt,
        })
    }

    fn fenced(&mut self, now: Instant, rid: Rid, outcome: FenceOutcome) {
        let wish = &mut self.reign.ghost;
        if wish.under_way != Some(rid) {
            return;
        }
        wish.under_way = None;
        if outcome == FenceOutcome::Failed {
            wish.not_before = now + GHOST_FENCE_WAIT;
            return;
        }
        wish.wanted = false;
        let ghost = self.find(rid);
        if let Some(slot) = ghost.filter(|&slot| self.clients[slot as usize].standing == Standing::Ghost) {
            self.let_go(slot);
        }
    }
}

impl<M: Memory, S: Service> Server<M, S> {
    /// The next ghost to fence: a voter came, and no place was free but those of evicted voters.
    pub fn poll_fence(&mut self, now: Instant, may_act: bool) -> Option<FenceRequest> {
        if !may_act || !self.config.can_fence {
            return None;
        }
        self.serving_parts()?.next_ghost(now)
    }

    /// Under a lease, where nobody can be fenced: ghosts that were not heard for [`GHOST_SILENT_TIME`] and were not seen
    /// to write either give their places back. A process that is frozen for longer is what a lease does not cover.
    pub fn release_silent_ghosts(&mut self, now: Instant, wrote_since: impl Fn(Rid, Instant) -> bool) {
        if now.0 < GHOST_SILENT_TIME.0 {
            return;
        }
        let since = Instant(now.0 - GHOST_SILENT_TIME.0);
        let Some(mut parts) = self
            .serving_parts()
            .filter(|parts| parts.reign.absence_counts_from <= since)
        else {
            return;
        };
        let silent = parts.reign.places.iter().copied().find(|&slot| {
            let client = &parts.clients[slot as usize];
            let rid = client.record.map(|record| record.rid);
            client.standing == Standing::Ghost
                && client.away_since <= since
                && rid.is_some_and(|rid| !wrote_since(rid, since))
        });
        if let Some(slot) = silent {
            parts.let_go(slot);
        }
    }

    /// The fence of a predecessor was confirmed before this server started: its record goes at once, and its voter's
    /// place with it. Call it while the server is [`State::Serving`](super::State::Serving).
    pub fn remove_fenced(&mut self, rid: Rid) {
        let Some(mut parts) = self.serving_parts() else {
            return;
        };
        // Without room to tell of it, the record goes with the other absent ones when their time is over.
        if !parts.events.is_full()
            && let Some(slot) = parts.find(rid)
            && parts.clients[slot as usize].conn == NONE
        {
            parts.let_go(slot);
            self.tell(Event::ClientEvicted(rid));
        }
    }

    /// What became of the fence of this ghost. Outcomes for others are ignored.
    pub fn handle_fence(&mut self, now: Instant, victim: Rid, outcome: FenceOutcome) {
        if let Some(mut parts) = self.serving_parts() {
            parts.fenced(now, victim, outcome);
        }
    }
}
