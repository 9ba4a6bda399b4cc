//! Messages to clients, and the calls of the service: a request is executed when its answer may go out.

use super::memory::{ConnSlot, Due, NONE, Role};
use super::{Parts, State, conns};
use crate::event::{Event, Fault};
use crate::format::hello::Offer;
use crate::format::wire::{BODY_BYTES_MAX, Command, Message, RequestId, Status, Welcome, encode_pong};
use crate::net::ConnId;
use crate::service::{Reply, Request, Service};
use crate::session;
use crate::time::Instant;

const fn frame(command: Command) -> Message<'static> {
    Message {
        command,
        answer: false,
        status: Status::Ok,
        id: RequestId(0),
        released: RequestId(0),
        body: &[],
    }
}

const fn answer(command: Command, status: Status, id: RequestId, body: &[u8]) -> Message<'_> {
    Message {
        answer: true,
        status,
        id,
        body,
        ..frame(command)
    }
}

impl<S: Service> Parts<'_, S> {
    /// Writes the next message into `buffer`. The connections take turns.
    pub(super) fn transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(ConnId, usize)> {
        // Each round either sends a message or takes a connection out of the queue.
        while let Some(slot) = self.conns.first_ready() {
            let sent = self.send_from(now, slot, buffer);
            if self.slots[slot as usize].role == Role::Closing {
                continue;
            }
            let more = sent.is_some() && self.slots[slot as usize].due != Due::default();
            self.conns.had_its_turn(self.slots, slot, more);
            if let Some(length) = sent {
                return Some((conns::name(slot, self.slots.len()), length));
            }
        }
        None
    }

    /// Writes what is due first on a connection. The costly part of a greeting is done here, when the others had their turn.
    fn send_from(&mut self, now: Instant, slot: u32, buffer: &mut [u8]) -> Option<usize> {
        let conn = &mut self.slots[slot as usize];
        if core::mem::take(&mut conn.due.challenge) {
            return conn.line.challenge(self.entropy, buffer);
        }
        if core::mem::take(&mut conn.due.reply) {
            conn.heard = now;
            return self.send_reply(slot, buffer);
        }
        if conn.due.welcome {
            // It waited for its record, not this server for it.
            conn.heard = now;
        }
        let length = self.next_message(slot, buffer)?;
        let sealed = self.slots[slot as usize].line.seal(buffer, length);
        if sealed.is_none() {
            // Its keys are worn out: the client comes again, and has new ones.
            self.close(now, slot);
        }
        sealed
    }

    fn send_reply(&mut self, slot: u32, buffer: &mut [u8]) -> Option<usize> {
        let line = &mut self.slots[slot as usize].line;
        let (length, strange) = line.reply(&self.reign.secret(), Offer::OURS, self.entropy, buffer)?;
        if let Some(offer) = strange {
            self.tell_if_there_is_room(Event::Fault(Fault::PeerSpeaks(offer)));
        }
        Some(length)
    }

    fn next_message(&mut self, slot: u32, buffer: &mut [u8]) -> Option<usize> {
        let conn = &mut self.slots[slot as usize];
        let due = &mut conn.due;
        if core::mem::take(&mut due.refusal) {
            let status = conn.refusal.unwrap_or(Status::Malformed);
            return answer(Command::GREETING, status, RequestId(0), &[]).encode(buffer);
        }
        if core::mem::take(&mut due.welcome) {
            return self.send_welcome(slot, buffer);
        }
        if core::mem::take(&mut due.farewell) {
            return answer(Command::FAREWELL, Status::Ok, conn.farewell, &[]).encode(buffer);
        }
        if due.answers {
            let sent = self.send_answer(slot, buffer);
            if sent.is_some() {
                return sent;
            }
        }
        let due = &mut self.slots[slot as usize].due;
        due.answers = false;
        if core::mem::take(&mut due.ping) {
            return frame(Command::PING).encode(buffer);
        }
        if core::mem::take(&mut due.pong) {
            let body = encode_pong(self.next_ping(slot));
            return answer(Command::PING, Status::Ok, RequestId(0), &body).encode(buffer);
        }
        if core::mem::take(&mut due.resigning) {
            return frame(Command::RESIGNING).encode(buffer);
        }
        None
    }

    fn send_welcome(&mut self, slot: u32, buffer: &mut [u8]) -> Option<usize> {
        let ping_ms = self.next_ping(slot);
        let conn: &ConnSlot = &self.slots[slot as usize];
        let (record, voter) = match conn.client {
            NONE => (None, false),
            client => {
                let client = &self.clients[client as usize];
                (client.record, client.may_vote())
            }
        };
        let welcome = Welcome {
            server: self.reign.ballot,
            barrier: record.map_or(self.reign.barrier, |record| record.barrier),
            voter,
            known: conn.known,
            ping_ms,
        };
        let mut body = [0; Welcome::BYTES];
        welcome.encode(&mut body);
        answer(Command::GREETING, Status::Ok, RequestId(0), &body).encode(buffer)
    }

    fn send_answer(&mut self, slot: u32, buffer: &mut [u8]) -> Option<usize> {
        let client = match self.slots[slot as usize].client {
            NONE => return None,
            client => &mut self.clients[client as usize],
        };
        let rid = client.record?.rid;
        match client.window.next_due(self.state == State::Serving)? {
            session::Due::Answer(id, command, status, body) => {
                let length = answer(command, status, id, body).encode(buffer);
                client.window.sent(id);
                length
            }
            session::Due::Execute(id, command, body) => {
                let mut out = [0; BODY_BYTES_MAX];
                let request = Request {
                    client: rid,
                    id,
                    command,
                    body,
                    server: self.reign.ballot,
                };
                let (status, length) = execute(self.service, &request, &mut out);
                client.window.answered(id, status, &out[..length]);
                answer(command, status, id, &out[..length]).encode(buffer)
            }
        }
    }
}

fn execute<S: Service>(service: &mut S, request: &Request<'_>, out: &mut [u8]) -> (Status, usize) {
    if request.command < Command::SERVICE {
        return (Status::UnknownCommand, 0);
    }
    match service.handle(request, out) {
        Reply::Now(status, length) => (status, length.min(out.len())),
        Reply::Unknown => (Status::UnknownCommand, 0),
    }
}
