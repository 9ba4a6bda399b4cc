//! Messages between the client and a server.

use super::{Client, Phase};
use crate::decide::keep_alive;
use crate::event::{Event, Fault};
use crate::format::VERSION;
use crate::format::hello::Offer;
use crate::format::wire::{
    BODY_BYTES_MAX, Command, Greeting, Message, RequestId, Status, Welcome, decode_pong,
};
use crate::noise::{Broken, Heard, Initiator, Secret};
use crate::time::{Duration, Instant};

/// A server that does what none of ours does: the connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Violation;

/// What is due on the connection, apart from requests.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    /// What makes of bytes messages, and the other way round.
    pub(super) line: Initiator,
    heard: Instant,
    pinged: Instant,
    greeting_due: bool,
    ping_due: bool,
    pong_due: bool,
    /// The greeting that was sent says that the mount leaves.
    pub(super) greeted_leaving: bool,
}

impl Talk {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            line: Initiator::plain(),
            heard: now,
            pinged: now,
            greeting_due: false,
            ping_due: false,
            pong_due: false,
            greeted_leaving: false,
        }
    }

    /// A connection stands: the greeting is due as soon as it may be said.
    pub(super) fn begin(&mut self, now: Instant, local: bool) {
        *self = Self {
            greeting_due: true,
            ..Self::new(now)
        };
        if !local {
            self.line = Initiator::new(Offer::OURS);
        }
    }

    /// The connection is gone, and its keys go with it, not with the next one: they would open what was said on it.
    pub(super) fn forget_keys(&mut self) {
        self.line = Initiator::new(Offer::OURS);
    }

    /// Asks now and then whether the server is there. `false` if it was silent for too long.
    pub(super) fn keep_alive(&mut self, now: Instant, silence_max: Duration, ping_ms: u16) -> bool {
        if now >= self.ping_at(ping_ms) {
            self.pinged = now;
            self.ping_due = true;
        }
        now < self.lost_at(silence_max, ping_ms)
    }

    pub(super) fn deadline(&self, silence_max: Duration, ping_ms: u16) -> Instant {
        self.ping_at(ping_ms).min(self.lost_at(silence_max, ping_ms))
    }

    fn ping_at(&self, ping_ms: u16) -> Instant {
        self.pinged + Duration::from_millis(u64::from(ping_ms))
    }

    fn lost_at(&self, silence_max: Duration, ping_ms: u16) -> Instant {
        self.heard + keep_alive::patience(silence_max, ping_ms)
    }
}

impl Client {
    /// Takes what came in first and returns how many bytes it had; 0 if it is not whole.
    pub(super) fn take_first(&mut self, now: Instant, bytes: &mut [u8]) -> Result<usize, Violation> {
        let Some(view) = &self.view else {
            return Err(Violation);
        };
        let secret = Secret {
            volume: view.state.volume,
            key: &view.state.key,
        };
        let (heard, length) = self.talk.line.take(&secret, bytes).map_err(|Broken| Violation)?;
        match heard {
            Heard::Nothing | Heard::Challenge => {}
            Heard::Reply(offer) => self.take_offer(now, offer),
            Heard::Frame(frame) => {
                let message = Message::decode(frame).map_err(|_| Violation)?;
                self.take(now, &message)?;
            }
        }
        Ok(length)
    }

    /// The server showed that it knows the key. If the two cannot talk, it knows that too, and waits for nothing.
    fn take_offer(&mut self, now: Instant, offer: Offer) {
        if Offer::OURS.agree(offer).is_some() {
            return;
        }
        self.hang_up();
        if self.seek.refused(Status::WrongVersion).is_some() {
            self.tell(Event::Fault(Fault::ServerSpeaks(offer)));
        }
        self.part();
        self.seek.turned_away(now);
    }

    fn take(&mut self, now: Instant, message: &Message<'_>) -> Result<(), Violation> {
        self.talk.heard = now;
        match (self.phase, message.command, message.answer) {
            (Phase::Greeting { .. }, Command::GREETING, true) => self.take_welcome(now, message)?,
            (Phase::Connected { .. }, Command::GREETING, true) => self.take_welcome_again(message)?,
            (_, Command::PING, true) => {
                let ping_ms = decode_pong(message.body).map_err(|_| Violation)?;
                self.welcome
                    .iter_mut()
                    .for_each(|welcome| welcome.ping_ms = ping_ms);
            }
            (_, Command::PING, false) => self.talk.pong_due = true,
            (_, Command::RESIGNING, false) => {
                self.hang_up();
                self.lose(now, true);
            }
            (Phase::Connected { .. }, Command::FAREWELL, true) => self.take_farewell(message.id),
            (Phase::Connected { .. }, _, true) => self.take_answer(message),
            _ => return Err(Violation),
        }
        Ok(())
    }

    fn take_welcome(&mut self, now: Instant, message: &Message<'_>) -> Result<(), Violation> {
        let Phase::Greeting { to, .. } = self.phase else {
            return Err(Violation);
        };
        match message.status {
            Status::Ok => {}
            Status::Evicted => {
                self.hang_up();
                self.lose(now, false);
                self.was_evicted(now);
                return Ok(());
            }
            status => {
                // There was no room: so there is no record either.
                self.unresolved &= status != Status::Full;
                self.hang_up();
                let fault = self.seek.refused(status);
                if matches!(status, Status::Full | Status::WrongVersion) {
                    self.part();
                    self.seek.turned_away(now);
                } else {
                    self.lose(now, false);
                }
                fault.into_iter().for_each(|fault| self.tell(Event::Fault(fault)));
                return Ok(());
            }
        }
        let welcome = Welcome::decode(message.body).map_err(|_| Violation)?;
        // A server that was succeeded does not know it yet. Nobody goes back to it.
        if Some(welcome.server) < self.newest {
            return Err(Violation);
        }
        self.newest = Some(welcome.server);
        self.unresolved = false;
        if self.talk.greeted_leaving && !welcome.known {
            self.is_forgotten();
            return Ok(());
        }
        self.welcome = Some(welcome);
        self.phase = Phase::Connected { to };
        self.requests.send_again();
        self.tell(Event::Connected {
            server: welcome.server,
            addr: to.addr,
        });
        let turned_down = self.config.voter.is_some() && !welcome.voter && self.leaving.is_none();
        if welcome.voter {
            self.has_place();
        } else if turned_down && !core::mem::replace(&mut self.told_plain, true) {
            self.tell(Event::PlainClient);
        }
        Ok(())
    }

    /// It has a voter's place: news for one that was told that it has none.
    fn has_place(&mut self) {
        if core::mem::take(&mut self.told_plain) {
            self.tell(Event::VoterAfterAll);
        }
    }

    /// A repeated greeting can be answered twice; or a voter that was turned down has a place now.
    fn take_welcome_again(&mut self, message: &Message<'_>) -> Result<(), Violation> {
        let again = Welcome::decode(message.body).map_err(|_| Violation)?;
        if let Some(welcome) = &mut self.welcome
            && again.server == welcome.server
            && again.voter
        {
            welcome.voter = true;
            self.has_place();
        }
        Ok(())
    }

    fn take_answer(&mut self, message: &Message<'_>) {
        // An answer to what was answered already is one that was sent again.
        if let Some(length) = self.requests.answer(message.id, message.body) {
            self.tell(Event::Answered {
                id: message.id,
                status: message.status,
                length,
            });
        }
    }

    /// Writes the next message.
    pub(super) fn transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let connected = matches!(self.phase, Phase::Greeting { .. } | Phase::Connected { .. });
        if connected && !self.talk.line.is_open() {
            let view = self.view.as_ref()?;
            let secret = Secret {
                volume: view.state.volume,
                key: &view.state.key,
            };
            return self.talk.line.hello(&secret, &mut self.entropy, buffer);
        }
        let length = self.next_message(buffer)?;
        let sealed = self.talk.line.seal(buffer, length);
        if sealed.is_none() {
            // Its keys are worn out: another connection has new ones.
            self.hang_up();
            self.lose(now, false);
        }
        sealed
    }

    fn next_message(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.phase {
            Phase::Greeting { .. } if self.talk.greeting_due => self.send_greeting(buffer),
            Phase::Connected { .. } => self.send_next(buffer),
            _ => None,
        }
    }

    fn send_greeting(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let volume = self.view.as_ref()?.state.volume;
        let leaving = self.leaving.is_some();
        self.talk.greeting_due = false;
        self.talk.greeted_leaving = leaving;
        // One that wants to leave makes no record; any other may.
        self.unresolved |= !leaving;
        let greeting = Greeting {
            volume,
            format: VERSION,
            rid: self.config.rid,
            voter: self.config.voter.is_some(),
            farewell: leaving,
            server: self.welcome.map(|welcome| welcome.server),
            host: self.config.host,
            boot: self.config.boot,
            addr: self.config.voter.as_ref().map(|voter| voter.server_addr),
            fence_param: self
                .config
                .voter
                .map(|voter| voter.fence_param)
                .unwrap_or_default(),
        };
        let mut body = [0; Greeting::BYTES];
        greeting.encode(&mut body);
        self.frame(Command::GREETING, false, RequestId(0), &body)
            .encode(buffer)
    }

    fn send_next(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let released = self.requests.released();
        if let Some((id, command, body)) = self.requests.next_to_send() {
            let message = Message {
                command,
                answer: false,
                status: Status::Ok,
                id,
                released,
                body,
            };
            return message.encode(buffer);
        }
        if core::mem::take(&mut self.talk.pong_due) {
            return self.frame(Command::PING, true, RequestId(0), &[]).encode(buffer);
        }
        if core::mem::take(&mut self.talk.ping_due) {
            return self.frame(Command::PING, false, RequestId(0), &[]).encode(buffer);
        }
        None
    }

    fn frame<'a>(&self, command: Command, answer: bool, id: RequestId, body: &'a [u8]) -> Message<'a> {
        Message {
            command,
            answer,
            status: Status::Ok,
            id,
            released: self.requests.released(),
            body,
        }
    }
}

const _: () = assert!(crate::bounds::REQUEST_KEPT_BYTES <= BODY_BYTES_MAX);
