//! How clients go: by farewell, by the barrier, by eviction, or only by losing their connection.

use super::farewell::{Census, Decision, Who, decide};
use super::memory::{NONE, Role, Standing};
use super::reign::Update;
use super::{Parts, index};
use crate::bounds::DRAIN_TIME;
use crate::event::Event;
use crate::format::wire::RequestId;
use crate::service::Service;
use crate::time::Instant;

impl<S: Service> Parts<'_, S> {
    /// Closes a connection; its client, if it has one, is away from now on.
    pub(super) fn close(&mut self, now: Instant, slot: u32) {
        self.part_from_client(now, slot);
        self.conns.close(self.slots, slot);
    }

    /// A connection is going: its client, if it has one, is away from now on.
    pub(super) fn part_from_client(&mut self, now: Instant, slot: u32) {
        let conn = &mut self.slots[slot as usize];
        if conn.role != Role::Client {
            return;
        }
        let client = core::mem::replace(&mut conn.client, NONE);
        let Some(client) = self.clients.get_mut(client as usize) else {
            return;
        };
        client.conn = NONE;
        client.away_since = now;
    }

    /// Counts who is mounted and who wants to leave.
    pub(super) fn census(&self) -> Census {
        let mut census = Census {
            quorum_count: self.reign.quorum_count,
            ..Census::default()
        };
        for client in self.clients.iter().filter(|client| client.is_mounted()) {
            let leaving = client.farewell != RequestId(0);
            census.mounted += 1;
            census.leaving += u32::from(leaving);
            // One that is away may be dead: a quorum is counted only of voters that are there to elect.
            let there = client.conn != NONE;
            census.voters_staying += u32::from(!leaving && there && client.is_elector());
        }
        census
    }

    /// Answers the farewells that may be answered, if anything changed that they depend on.
    pub(super) fn judge_farewells(&mut self) {
        if !core::mem::take(&mut self.reign.judge) || !self.reign.held {
            return;
        }
        let census = self.census();
        self.reign.held = false;
        let mut barrier = false;
        for slot in 0..self.clients.len() {
            let client = &self.clients[slot];
            let who = match client.standing {
                Standing::Ghost => Who::Evicted,
                Standing::Mounted if client.is_elector() => Who::Voter,
                Standing::Mounted => Who::Plain,
                Standing::Free | Standing::Arriving | Standing::Leaving => continue,
            };
            if client.farewell == RequestId(0) {
                continue;
            }
            match decide(&census, who) {
                Decision::Now => self.let_go(slot as u32),
                Decision::Barrier => barrier = true,
                Decision::Hold => self.reign.held = true,
            }
        }
        if barrier {
            self.reign.held = true;
            self.reign.update(Update::Barrier);
        }
    }

    /// Deletes a client's record; what depends on it happens when that is durable.
    pub(super) fn let_go(&mut self, slot: u32) {
        let client = &mut self.clients[slot as usize];
        let mounted = client.is_mounted();
        client.standing = Standing::Leaving;
        self.forget_expected(slot);
        self.reign.mark(slot, self.clients);
        if let (true, Some(record)) = (mounted, self.clients[slot as usize].record) {
            self.service.client_gone(record.rid);
        }
    }

    fn forget_expected(&mut self, slot: u32) {
        if core::mem::take(&mut self.clients[slot as usize].expected) {
            self.reign.expected -= 1;
        }
    }

    /// Evicts a client that did not return. A voter may still write to the region, so that it keeps its place among
    /// the voters until it says farewell or is known to be fenced (assumption A5).
    pub(super) fn evict(&mut self, slot: u32) {
        let Some(record) = &mut self.clients[slot as usize].record else {
            return;
        };
        let rid = record.rid;
        self.journal.evicted(record, self.reign.ballot);
        if record.voter {
            record.evicted = true;
            self.clients[slot as usize].standing = Standing::Ghost;
            self.clients[slot as usize].farewell = RequestId(0);
            self.forget_expected(slot);
            self.reign.mark(slot, self.clients);
            self.service.client_gone(rid);
        } else {
            self.let_go(slot);
        }
        self.reign.judge = true;
        // The caller made sure of the room.
        let _ = self.events.push_back(Event::ClientEvicted(rid));
    }

    /// A group of changes is durable.
    pub(super) fn committed(&mut self, now: Instant) {
        for slot in 0..self.clients.len() {
            let client = &mut self.clients[slot];
            // A change that came later waits for the next group.
            if !core::mem::take(&mut client.in_this_group) || client.in_next_group {
                continue;
            }
            match client.standing {
                Standing::Arriving => {
                    client.standing = Standing::Mounted;
                    let conn = client.conn;
                    if conn != NONE {
                        let known = self.slots[conn as usize].known;
                        self.welcome(conn, known);
                    }
                }
                Standing::Leaving => self.depart(now, slot as u32),
                // It has a voter's place now: nothing else changes the record of one who is mounted.
                Standing::Mounted if client.conn != NONE => {
                    let conn = client.conn;
                    self.welcome(conn, true);
                }
                Standing::Free | Standing::Mounted | Standing::Ghost => {}
            }
        }
        self.reign.judge = true;
    }

    /// A client has no record any more: answers its farewell and frees its slot.
    fn depart(&mut self, now: Instant, slot: u32) {
        let client = &self.clients[slot as usize];
        let (conn, farewell) = (client.conn, client.farewell);
        index::remove(self.clients, slot);
        self.clients[slot as usize].clear();
        self.reign.free_from = self.reign.free_from.min(slot as usize);
        self.reign.places.retain(|&place| place != slot);
        if conn == NONE {
            return;
        }
        let leaver = &mut self.slots[conn as usize];
        leaver.role = Role::Leaver;
        leaver.client = NONE;
        leaver.heard = now;
        leaver.farewell = farewell;
        if farewell != RequestId(0) {
            self.conns.mark(self.slots, conn, |due| due.farewell = true);
        }
    }

    /// The barrier stands in the super block: every record below it is deleted, at once.
    pub(super) fn released(&mut self, now: Instant) {
        self.reign.released = true;
        self.reign.drain_by = Some(now + DRAIN_TIME);
        self.reign.judge = true;
        for slot in 0..self.clients.len() {
            let client = &self.clients[slot];
            let Some(record) = client.record.filter(|record| record.barrier < self.reign.barrier) else {
                continue;
            };
            if client.is_mounted() {
                self.service.client_gone(record.rid);
            }
            self.depart(now, slot as u32);
        }
    }

    /// Says once that everybody known from before is back or evicted.
    pub(super) fn tell_recovered(&mut self) {
        if self.reign.recovered || self.reign.expected > 0 {
            return;
        }
        let clients = self.census().mounted;
        if self.events.push_back(Event::Recovered { clients }).is_ok() {
            self.reign.recovered = true;
        }
    }
}
