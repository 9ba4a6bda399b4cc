//! The listener and all connections of one mount.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use ostrakon_core::net::{CloseReason, ConnId, NetRequest};
use ostrakon_core::time::{Duration, Instant};

use super::NetSink;
use super::conn::{Conn, INPUT_BYTES_MAX, Look, reason};

/// Tokens from here up belong to [`Net`].
pub const NET_TOKENS: usize = 16;

const LISTENER: Token = Token(NET_TOKENS);
const FIRST_CONN: usize = NET_TOKENS + 1;

/// Connections that the system takes in before they are accepted, as far as `net.core.somaxconn` lets it: a crowd that comes
/// at once waits there, in the order in which it came. Whoever finds no room there tries again after a second. No more: a flood of
/// strangers waits there as well, before whoever comes next.
pub const LISTEN_BACKLOG: i32 = 2_048;

/// Connections accepted in one turn: a flood must not keep the loop from those who are inside.
const ACCEPTS_PER_TURN: usize = 64;

/// Reads of one connection in one turn, for the same reason.
const READS_PER_TURN: usize = 16;

/// How long to leave the listener alone when the host has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long those who knock wait at most before it is looked whether there is room for them: anything that comes in can
/// make some sooner.
const CROWD_PAUSE: Duration = Duration::from_millis(10);

/// Sockets of one mount.
///
/// In each turn: [`ready`](Self::ready) for each event of the poll, [`turn`](Self::turn) once, then core's
/// requests and messages, then [`flush`](Self::flush) once.
pub struct Net {
    registry: Registry,
    listener: Option<TcpListener>,
    /// The listener may have more to accept.
    backlog: bool,
    accept_after: Option<Instant>,
    /// Those who knock wait outside: when to look again, if nothing comes in before.
    crowded_until: Option<Instant>,
    conns: BTreeMap<ConnId, Conn>,
    /// Told in the next turn: what a request found at once, when core was not to be called.
    listening: Option<Result<(), CloseReason>>,
    closed: Vec<(ConnId, CloseReason)>,
    connected: Vec<ConnId>,
    /// Connections to look at in the next turn.
    looks: Vec<ConnId>,
    /// Connections with bytes that core has not consumed: offered again in each turn, since anything that core
    /// was told may have made room.
    stalled: BTreeSet<ConnId>,
    /// Connections with messages that were not offered to the socket yet.
    unsent: Vec<ConnId>,
    scratch: Vec<u8>,
    /// Words for the newest failure of the listener.
    listen_error: Option<String>,
}

impl Net {
    /// No sockets yet; they will be registered there.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            listener: None,
            backlog: false,
            accept_after: None,
            crowded_until: None,
            conns: BTreeMap::new(),
            listening: None,
            closed: Vec::new(),
            connected: Vec::new(),
            looks: Vec::new(),
            stalled: BTreeSet::new(),
            unsent: Vec::new(),
            scratch: vec![0; INPUT_BYTES_MAX],
            listen_error: None,
        }
    }

    /// Connections that stand or are being made.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Why the listener asked for last could not be made.
    pub fn take_listen_error(&mut self) -> Option<String> {
        self.listen_error.take()
    }

    /// Carries out a request of core's. What comes of it is told in the next turn.
    pub fn request(&mut self, request: NetRequest) {
        match request {
            NetRequest::Listen(addr) => self.listening = Some(self.listen(addr)),
            NetRequest::Unlisten => self.unlisten(),
            NetRequest::Connect(id, addr) => self.connect(id, addr),
            NetRequest::Close(id) => self.close(id),
        }
    }

    fn listen(&mut self, addr: SocketAddr) -> Result<(), CloseReason> {
        self.unlisten();
        // mio sets SO_REUSEADDR: connections of an earlier mount that linger do not keep this one from its port.
        let made = TcpListener::bind(addr).and_then(|mut listener| {
            self.registry
                .register(&mut listener, LISTENER, Interest::READABLE)?;
            // It listens already, with room for 128: asked again, the system makes more.
            rustix::net::listen(&listener, LISTEN_BACKLOG)?;
            Ok(listener)
        });
        match made {
            Ok(listener) => {
                self.listener = Some(listener);
                self.backlog = true;
                Ok(())
            }
            Err(error) => {
                self.listen_error = Some(format!("cannot listen at {addr}: {error}"));
                Err(reason(&error))
            }
        }
    }

    fn unlisten(&mut self) {
        self.listener = None;
        self.backlog = false;
        self.accept_after = None;
        self.crowded_until = None;
    }

    fn connect(&mut self, id: ConnId, addr: SocketAddr) {
        match TcpStream::connect(addr).and_then(|stream| self.add(id, stream, true)) {
            Ok(()) => {}
            Err(error) => self.closed.push((id, reason(&error))),
        }
    }

    fn add(&mut self, id: ConnId, mut stream: TcpStream, connecting: bool) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .register(&mut stream, Token(FIRST_CONN + id.0 as usize), interest)?;
        self.conns.insert(id, Conn::new(stream, connecting));
        Ok(())
    }

    fn close(&mut self, id: ConnId) {
        self.forget_news(id);
        if let Some(conn) = self.conns.remove(&id) {
            conn.close(&mut self.scratch);
        }
    }

    /// The name may be used anew at once: nothing that was to be told of its former bearer may be told then.
    fn forget_news(&mut self, id: ConnId) {
        self.closed.retain(|&(closed, _)| closed != id);
        self.forget_work(id);
    }

    fn forget_work(&mut self, id: ConnId) {
        self.connected.retain(|&connected| connected != id);
        self.looks.retain(|&look| look != id);
        self.stalled.remove(&id);
        self.unsent.retain(|&unsent| unsent != id);
    }

    /// Takes a message for a connection. One for a connection that is gone is dropped: core will be told.
    pub fn transmit(&mut self, id: ConnId, message: &[u8]) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.queue(message) {
            self.unsent.push(id);
        } else {
            self.lose(id, CloseReason::Failed);
        }
    }

    /// Sends what the sockets take.
    pub fn flush(&mut self) {
        for id in std::mem::take(&mut self.unsent) {
            self.flush_one(id);
        }
    }

    fn flush_one(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.flush();
        if conn.has_work() {
            self.looks.push(id);
        }
    }

    fn lose(&mut self, id: ConnId, reason: CloseReason) {
        if self.conns.remove(&id).is_some() {
            // Of a connection that was there no end is waiting to be told. Where thousands end at once, so many are of others.
            self.forget_work(id);
            self.closed.push((id, reason));
        }
    }

    /// An event of the poll with a token of ours.
    pub fn ready(&mut self, event: &Event) {
        if event.token() == LISTENER {
            self.backlog = self.listener.is_some();
            return;
        }
        let id = ConnId((event.token().0 - FIRST_CONN) as u32);
        let Some(conn) = self.conns.get_mut(&id) else {
            // Closed in this very turn.
            return;
        };
        if conn.connecting {
            self.ready_connecting(id);
            return;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            conn.set_readable(event.is_read_closed() || event.is_error());
            self.looks.push(id);
        }
        if event.is_writable() {
            self.flush_one(id);
        }
    }

    fn ready_connecting(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let error = match (conn.stream.take_error(), conn.stream.peer_addr()) {
            (Ok(Some(error)) | Err(error), _) => Some(error),
            (Ok(None), Ok(_)) => None,
            // Not yet: a later event tells.
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => return,
            (Ok(None), Err(error)) => Some(error),
        };
        match error {
            Some(error) => self.lose(id, reason(&error)),
            None => {
                conn.connecting = false;
                self.connected.push(id);
                self.looks.push(id);
                self.unsent.push(id);
            }
        }
    }

    /// Tells core everything that came in.
    pub fn turn(&mut self, now: Instant, sink: &mut impl NetSink) {
        if let Some(listens) = self.listening.take() {
            sink.listening(listens);
        }
        for id in std::mem::take(&mut self.connected) {
            sink.connected(id);
        }
        self.look_all(sink);
        for (id, reason) in std::mem::take(&mut self.closed) {
            sink.closed(id, reason);
        }
        self.accept_some(now, sink);
    }

    fn look_all(&mut self, sink: &mut impl NetSink) {
        let mut looks = std::mem::take(&mut self.stalled);
        looks.extend(std::mem::take(&mut self.looks));
        for id in looks {
            let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.connecting) else {
                continue;
            };
            let look = conn.look(&mut self.scratch, READS_PER_TURN, |bytes| sink.bytes(id, bytes));
            if conn.is_stalled() {
                self.stalled.insert(id);
            }
            match look {
                Look::Idle => {}
                Look::More => self.looks.push(id),
                Look::Closed(reason) => self.lose(id, reason),
            }
        }
    }

    fn accept_some(&mut self, now: Instant, sink: &mut impl NetSink) {
        if self.accept_after.is_some_and(|after| now < after) {
            return;
        }
        self.accept_after = None;
        self.crowded_until = None;
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listener.as_ref().filter(|_| self.backlog) else {
                return;
            };
            if !sink.may_accept() {
                self.crowded_until = Some(now + CROWD_PAUSE);
                return;
            }
            match listener.accept() {
                Ok((stream, _)) => self.welcome(stream, sink),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.backlog = false,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        // No descriptors or no memory: those who are inside matter more than those who knock.
                        self.accept_after = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, sink: &mut impl NetSink) {
        let Some(id) = sink.accept() else {
            return;
        };
        // Core may have taken the name of a connection whose end it was told of in this turn, never of another.
        match self.add(id, stream, false) {
            Ok(()) => self.looks.push(id),
            Err(error) => self.closed.push((id, reason(&error))),
        }
    }

    /// Whether the next turn has something to do at once.
    pub fn has_work(&self) -> bool {
        self.listening.is_some()
            || !self.closed.is_empty()
            || !self.connected.is_empty()
            || !self.looks.is_empty()
            || self.backlog && self.accept_after.is_none() && self.crowded_until.is_none()
    }

    /// When a turn is due without an event.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.accept_after.or(self.crowded_until)
    }
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
