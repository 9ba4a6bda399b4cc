//! Greeting and keeping in touch, with messages of sixteen bytes: a kind, and a term and rid.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use ostrakon_core::event::Event;
use ostrakon_core::ids::{Ballot, Rid, Term};
use ostrakon_core::net::{ConnId, NetRequest};
use ostrakon_core::time::{Duration, Instant};

const CONNECT_MAX: Duration = Duration::from_secs(1);
const PING: Duration = Duration::from_secs(1);
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// A connection that says nothing for so long stops the server.
const GREETING_MAX: Duration = Duration::from_secs(20);

const MESSAGE_BYTES: usize = 24;
const GREETING: u64 = 1;
const WELCOME: u64 = 2;
const PING_KIND: u64 = 3;
const PONG: u64 = 4;

/// The client's side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Client {
    Off,
    Connecting(Instant),
    Greeting(Instant),
    /// Heard at, next ping at.
    Connected(Ballot, Instant, Instant),
    /// It came to nothing; `true` if it had been connected.
    Failed(bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Guest {
    since: Instant,
    heard: Instant,
    greeted: bool,
}

/// Both sides of what a mount says in the network.
#[derive(Clone, Debug)]
pub struct Talk {
    me: Rid,
    client: Client,
    server: Option<Ballot>,
    listening: Option<bool>,
    guests: BTreeMap<ConnId, Guest>,
    next: u32,
    hurt: bool,
    requests: VecDeque<NetRequest>,
    output: VecDeque<(ConnId, [u8; MESSAGE_BYTES])>,
    news: VecDeque<Event>,
}

fn message(kind: u64, term: u64, rid: u64) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [0; MESSAGE_BYTES];
    bytes[..8].copy_from_slice(&kind.to_le_bytes());
    bytes[8..16].copy_from_slice(&term.to_le_bytes());
    bytes[16..].copy_from_slice(&rid.to_le_bytes());
    bytes
}

impl Talk {
    pub(super) const fn new(me: Rid) -> Self {
        Self {
            me,
            client: Client::Off,
            server: None,
            listening: None,
            guests: BTreeMap::new(),
            next: 0,
            hurt: false,
            requests: VecDeque::new(),
            output: VecDeque::new(),
            news: VecDeque::new(),
        }
    }

    pub(super) fn connect(&mut self, now: Instant, addr: SocketAddr) {
        self.disconnect();
        self.client = Client::Connecting(now + CONNECT_MAX);
        self.requests.push_back(NetRequest::Connect(ConnId::CLIENT, addr));
    }

    pub(super) fn disconnect(&mut self) {
        if !matches!(self.client, Client::Off | Client::Failed(_)) {
            self.requests.push_back(NetRequest::Close(ConnId::CLIENT));
            self.lost();
        }
        self.client = Client::Off;
    }

    fn lost(&mut self) {
        let was = matches!(self.client, Client::Connected(..));
        if let Client::Connected(server, ..) = self.client {
            self.news.push_back(Event::Disconnected { server });
        }
        self.client = Client::Failed(was);
    }

    pub(super) const fn has_failed(&self) -> bool {
        matches!(self.client, Client::Failed(_))
    }

    /// Whether a connection had stood before it failed: it is tried again first.
    pub(super) const fn take_failure(&mut self) -> bool {
        let was = matches!(self.client, Client::Failed(true));
        self.client = Client::Off;
        was
    }

    pub(super) fn listen(&mut self, addr: SocketAddr) {
        self.listening = None;
        self.requests.push_back(NetRequest::Listen(addr));
    }

    pub(super) fn unlisten(&mut self) {
        self.requests.push_back(NetRequest::Unlisten);
    }

    pub(super) const fn take_listening(&mut self) -> Option<bool> {
        self.listening.take()
    }

    pub(super) const fn serve(&mut self, ballot: Ballot) {
        self.server = Some(ballot);
        self.hurt = false;
    }

    pub(super) fn stop(&mut self) {
        if self.server.take().is_some() {
            self.unlisten();
        }
        for (id, _) in std::mem::take(&mut self.guests) {
            self.requests.push_back(NetRequest::Close(id));
        }
    }

    /// Whether a connection without a greeting brings the server down.
    pub(super) const fn is_hurt(&self) -> bool {
        self.hurt
    }

    pub(super) fn tell(&mut self, events: &mut VecDeque<Event>) {
        events.append(&mut self.news);
    }

    pub(super) fn poll(&mut self, now: Instant) {
        match self.client {
            Client::Connecting(until) | Client::Greeting(until) if until <= now => {
                self.requests.push_back(NetRequest::Close(ConnId::CLIENT));
                self.lost();
            }
            Client::Connected(_, heard, _) if now.since(heard) >= SILENCE_MAX => {
                self.requests.push_back(NetRequest::Close(ConnId::CLIENT));
                self.lost();
            }
            Client::Connected(server, heard, ping) if ping <= now => {
                self.output
                    .push_back((ConnId::CLIENT, message(PING_KIND, 0, self.me.value())));
                self.client = Client::Connected(server, heard, now + PING);
            }
            _ => {}
        }
        let silent = |guest: &Guest| guest.greeted && now.since(guest.heard) >= SILENCE_MAX;
        let gone: Vec<ConnId> = self
            .guests
            .iter()
            .filter(|(_, g)| silent(g))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.guests.remove(&id);
            self.requests.push_back(NetRequest::Close(id));
        }
        let mute = |guest: &Guest| !guest.greeted && now.since(guest.since) >= GREETING_MAX;
        self.hurt |= self.server.is_some() && self.guests.values().any(mute);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let own = match self.client {
            Client::Connecting(at) | Client::Greeting(at) => Some(at),
            Client::Connected(_, heard, ping) => Some(ping.min(heard + SILENCE_MAX)),
            Client::Off | Client::Failed(_) => None,
        };
        let guests = self.guests.values().map(|guest| match guest.greeted {
            true => guest.heard + SILENCE_MAX,
            false => guest.since + GREETING_MAX,
        });
        own.into_iter().chain(guests).min()
    }

    /// The listener stands, or could not be made.
    pub const fn handle_listening(&mut self, stands: bool) {
        self.listening = Some(stands);
    }

    /// A connection comes in.
    pub fn handle_accept(&mut self, now: Instant) -> ConnId {
        self.next += 1;
        let id = ConnId(self.next);
        let guest = Guest {
            since: now,
            heard: now,
            greeted: false,
        };
        self.guests.insert(id, guest);
        id
    }

    /// The connection that was asked for stands.
    pub fn handle_connected(&mut self, now: Instant) {
        if let Client::Connecting(_) = self.client {
            self.client = Client::Greeting(now + CONNECT_MAX);
            self.output
                .push_back((ConnId::CLIENT, message(GREETING, 0, self.me.value())));
        }
    }

    /// A connection is gone.
    pub fn handle_closed(&mut self, id: ConnId) {
        if id != ConnId::CLIENT {
            self.guests.remove(&id);
        } else if !matches!(self.client, Client::Off | Client::Failed(_)) {
            self.lost();
        }
    }

    /// Bytes came in; returns how many were taken.
    pub fn handle_bytes(&mut self, now: Instant, id: ConnId, bytes: &[u8]) -> usize {
        if bytes.len() < MESSAGE_BYTES {
            return 0;
        }
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let (kind, term, rid) = (number(0), number(8), number(16));
        match (id == ConnId::CLIENT, kind) {
            (true, WELCOME) => {
                if let (Client::Greeting(_), Some(rid)) = (self.client, Rid::new(rid)) {
                    let server = Ballot {
                        term: Term(term),
                        rid,
                    };
                    self.client = Client::Connected(server, now, now + PING);
                    self.news.push_back(Event::Connected { server, addr: None });
                }
            }
            (true, PONG) => {
                if let Client::Connected(server, _, ping) = self.client {
                    self.client = Client::Connected(server, now, ping);
                }
            }
            (false, GREETING | PING_KIND) => self.heard(now, id, kind),
            _ => {}
        }
        MESSAGE_BYTES
    }

    fn heard(&mut self, now: Instant, id: ConnId, kind: u64) {
        let (Some(guest), Some(server)) = (self.guests.get_mut(&id), self.server) else {
            return;
        };
        guest.heard = now;
        guest.greeted |= kind == GREETING;
        let answer = match kind {
            GREETING => message(WELCOME, server.term.0, server.rid.value()),
            _ => message(PONG, 0, self.me.value()),
        };
        self.output.push_back((id, answer));
    }

    /// The next request for the network.
    pub fn poll_net(&mut self) -> Option<NetRequest> {
        self.requests.pop_front()
    }

    /// The next message.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<(ConnId, usize)> {
        let (id, bytes) = self.output.pop_front()?;
        buffer[..MESSAGE_BYTES].copy_from_slice(&bytes);
        Some((id, MESSAGE_BYTES))
    }
}
