//! What clients send: greetings, and everything that follows them.

use super::greeting::{self, Verdict};
use super::memory::{NONE, Role, Standing};
use super::{Parts, Violation, conns, index};
use crate::bounds::VOTERS_MAX;
use crate::format::wire::{Command, Greeting, Message, RequestId, Status};
use crate::format::{ClientRecord, VERSION};
use crate::net::ConnId;
use crate::noise::{Arrived, Broken};
use crate::service::Service;
use crate::session::{Arrival, Window};
use crate::time::Instant;

impl<S: Service> Parts<'_, S> {
    /// Takes what came in first on the connection in `slot`, and returns how many bytes it had; 0 if it is not whole.
    pub(super) fn take_first(
        &mut self,
        now: Instant,
        slot: u32,
        bytes: &mut [u8],
    ) -> Result<usize, Violation> {
        let line = &mut self.slots[slot as usize].line;
        let (arrived, length) = line
            .take(&self.reign.secret(), bytes)
            .map_err(|Broken| Violation)?;
        match arrived {
            Arrived::Nothing => {}
            Arrived::Hello => self.take_in(now, slot),
            Arrived::Frame(frame) => {
                let message = Message::decode(frame).map_err(|_| Violation)?;
                self.take(now, slot, &message)?;
            }
        }
        Ok(length)
    }

    /// A stranger has shown that it knows the key: floods of others do not push it out any more.
    fn take_in(&mut self, now: Instant, slot: u32) {
        let conn = &mut self.slots[slot as usize];
        conn.heard = now;
        self.conns.introduced(self.slots, slot);
        self.conns.mark(self.slots, slot, |due| due.reply = true);
    }

    fn take(&mut self, now: Instant, slot: u32, message: &Message<'_>) -> Result<(), Violation> {
        match self.slots[slot as usize].role {
            Role::Guest if message.command == Command::GREETING && !message.answer => {
                self.greet(now, slot, message.body)
            }
            Role::Client => self.take_from_client(now, slot, message),
            Role::Leaver => self.take_from_leaver(slot, message),
            Role::Stranger | Role::Guest | Role::Free | Role::Closing => Err(Violation),
        }
    }

    fn greet(&mut self, now: Instant, slot: u32, body: &[u8]) -> Result<(), Violation> {
        let greeting = Greeting::decode(body).map_err(|_| Violation)?;
        let refusal = if greeting.volume != self.reign.layout.volume {
            Some(Status::WrongVolume)
        } else if greeting.format != VERSION {
            Some(Status::WrongVersion)
        } else if greeting.voter && greeting.addr.is_none() {
            Some(Status::Malformed)
        } else {
            None
        };
        if let Some(status) = refusal {
            self.refuse(slot, status);
            return Ok(());
        }
        let client = self.find(greeting.rid);
        let standing = client.map_or(Standing::Free, |client| self.clients[client as usize].standing);
        let verdict = greeting::decide(standing, greeting.server, self.reign.ballot, greeting.farewell);
        match (verdict, client) {
            (Verdict::Admit, _) => self.admit(now, slot, &greeting),
            (Verdict::Resume, Some(client)) => self.welcome_back(now, slot, client),
            (Verdict::Renew, Some(client)) => {
                self.clients[client as usize].window = Window::default();
                self.clients[client as usize].farewell = RequestId(0);
                self.welcome_back(now, slot, client);
            }
            (Verdict::Evicted, _) => self.refuse(slot, Status::Evicted),
            (Verdict::Forgotten, _) => {
                // It may stay as long as a guest.
                self.slots[slot as usize].role = Role::Leaver;
                self.conns.mark(self.slots, slot, |due| due.welcome = true);
            }
            (Verdict::Later | Verdict::Resume | Verdict::Renew, _) => return Err(Violation),
        }
        Ok(())
    }

    /// Says no. The peer closes the connection, or it goes with the guests.
    fn refuse(&mut self, slot: u32, status: Status) {
        self.slots[slot as usize].refusal = Some(status);
        self.conns.mark(self.slots, slot, |due| due.refusal = true);
    }

    /// First contact: the record is made durable, and only then is the greeting answered.
    fn admit(&mut self, now: Instant, slot: u32, greeting: &Greeting) {
        let Some(client) = self.free_slot() else {
            self.refuse(slot, Status::Full);
            return;
        };
        let own = conns::name(slot, self.slots.len()) == ConnId::LOCAL;
        let voter = greeting.voter && self.take_place(client as u32, own);
        let record = ClientRecord {
            rid: greeting.rid,
            barrier: self.reign.barrier,
            voter,
            evicted: false,
            host: greeting.host,
            boot: greeting.boot,
            addr: greeting.addr,
            fence_param: greeting.fence_param,
        };
        self.clients[client].fill(Some(record), Standing::Arriving);
        index::insert(self.clients, client as u32);
        self.reign.mark(client as u32, self.clients);
        self.meet(now, slot, client as u32);
    }

    /// The first slot without a client. The search goes on where the last one ended.
    fn free_slot(&mut self) -> Option<usize> {
        let from = self.reign.free_from;
        let free = |slot: &usize| self.clients[*slot].standing == Standing::Free;
        let found = (from..self.clients.len()).find(free);
        self.reign.free_from = found.unwrap_or(self.clients.len());
        found
    }

    /// Takes one of the P places for a voter. The leader's own mount took part in the election that made it the
    /// leader, and is one of the P whether or not a place is free.
    pub(super) fn take_place(&mut self, client: u32, own: bool) -> bool {
        let free = own || self.reign.places.len() < VOTERS_MAX;
        if free && self.reign.places.push(client).is_ok() {
            return true;
        }
        self.reign.ghost.wanted = self.has_ghost();
        false
    }

    /// A client that has a record, or will have one, is here again.
    fn welcome_back(&mut self, now: Instant, slot: u32, client: u32) {
        self.meet(now, slot, client);
        // Also if its record is still under way: one that leaves must not take it for never made.
        self.slots[slot as usize].known = true;
        let client = &mut self.clients[client as usize];
        if core::mem::take(&mut client.expected) {
            self.reign.expected -= 1;
        }
        if client.standing != Standing::Arriving {
            self.welcome(slot, true);
        }
    }

    /// Joins a connection and a client. The client's older connection, if it has one, is closed.
    fn meet(&mut self, now: Instant, slot: u32, client: u32) {
        let older = core::mem::replace(&mut self.clients[client as usize].conn, slot);
        if older != NONE && older != slot {
            self.slots[older as usize].client = NONE;
            self.conns.close(self.slots, older);
        }
        let conn = &mut self.slots[slot as usize];
        (conn.role, conn.client, conn.heard) = (Role::Client, client, now);
        self.reign.judge = true;
    }

    pub(super) fn welcome(&mut self, slot: u32, known: bool) {
        self.slots[slot as usize].known = known;
        self.conns.mark(self.slots, slot, |due| due.welcome = true);
        if conns::name(slot, self.slots.len()) != ConnId::LOCAL {
            self.reign.remote_seen = true;
        }
    }

    fn take_from_client(&mut self, now: Instant, slot: u32, message: &Message<'_>) -> Result<(), Violation> {
        let conn = &mut self.slots[slot as usize];
        conn.heard = now;
        let index = conn.client;
        let client = &mut self.clients[index as usize];
        match message.command {
            Command::GREETING if !message.answer => return self.greet_again(slot, index, message.body),
            Command::PING => {
                client.window.release(message.released);
                if !message.answer {
                    self.conns.mark(self.slots, slot, |due| due.pong = true);
                }
                return Ok(());
            }
            _ => {}
        }
        // Nothing is asked before the welcome, and nothing but a ping is answered by a client.
        let welcomed = client.standing != Standing::Arriving;
        if message.answer || message.id == RequestId(0) || !welcomed {
            return Err(Violation);
        }
        client.window.release(message.released);
        if message.command == Command::FAREWELL {
            if client.window.admits(message.id).map_err(|_| Violation)? {
                client.farewell = message.id;
                (self.reign.judge, self.reign.held) = (true, true);
            }
            return Ok(());
        }
        let arrival = client
            .window
            .arrive(message.id, message.command, message.body)
            .map_err(|_| Violation)?;
        if arrival == Arrival::Due {
            self.conns.mark(self.slots, slot, |due| due.answers = true);
        }
        Ok(())
    }

    /// A greeting on a connection that has greeted is success, if it comes from the same client.
    fn greet_again(&mut self, slot: u32, client: u32, body: &[u8]) -> Result<(), Violation> {
        let greeting = Greeting::decode(body).map_err(|_| Violation)?;
        let client = &self.clients[client as usize];
        if client.record.is_none_or(|record| record.rid != greeting.rid) {
            return Err(Violation);
        }
        if client.standing != Standing::Arriving {
            self.welcome(slot, true);
        }
        Ok(())
    }

    /// A client without a record: its farewell is answered at once, and that is all it may ask.
    fn take_from_leaver(&mut self, slot: u32, message: &Message<'_>) -> Result<(), Violation> {
        match message.command {
            Command::FAREWELL if !message.answer && message.id != RequestId(0) => {
                self.slots[slot as usize].farewell = message.id;
                self.conns.mark(self.slots, slot, |due| due.farewell = true);
                Ok(())
            }
            Command::PING if !message.answer => {
                self.conns.mark(self.slots, slot, |due| due.pong = true);
                Ok(())
            }
            Command::PING => Ok(()),
            _ => Err(Violation),
        }
    }
}
