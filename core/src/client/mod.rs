//! The client: finds the server through the super block, greets, keeps in touch, sends again, leaves.
//!
//! - `seek`: where to look for a server, and when.
//! - `talk`: messages in both directions.
//! - `leave`: the ways in which a mount ends.
//!
//! While it is connected it does no I/O on the shared device at all.

mod leave;
mod seek;
mod talk;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;

use leave::Leaving;
use seek::Seek;
use talk::Talk;

use crate::bounds::{CONNECT_TIMEOUT, EVENTS_MAX, RECONNECT_WAIT_MIN, WELCOME_LOOKS_MAX, WELCOME_TIMEOUT};
use crate::config::Config;
use crate::disk::{DiskOutcome, DiskRequest, IoId};
use crate::event::{Event, Fault, Unmounted};
use crate::format::wire::{Command, RequestId, Welcome};
use crate::ids::Ballot;
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::noise::Entropy;
use crate::session::Requests;
use crate::superio::{SuperReader, SuperView};
use crate::time::{Duration, Instant, earliest};

/// How a client stands towards a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Link {
    /// It looks for a server.
    Seeking {
        /// Since it began, or lost its server.
        since: Instant,
        /// The server it was connected to when the connection broke. `None` if it never was connected, or if that
        /// was the server of its own mount.
        lost: Option<Ballot>,
        /// The newest try to reach the lost server was refused, though it did not say that it resigns.
        refused: bool,
        /// The lost server said that it resigns.
        resigned: bool,
        /// Tries since then that failed: connects that failed, greetings without an answer or with a refusal.
        failures: u32,
    },
    /// A server has welcomed it.
    Connected {
        /// The server.
        server: Ballot,
        /// It is the server of the same mount.
        local: bool,
    },
    /// It has ended.
    Ended,
}

/// A way to a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Target {
    conn: ConnId,
    /// Whom the super block names there.
    server: Ballot,
    /// `None` for the server of this mount.
    addr: Option<SocketAddr>,
}

/// Where the client is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    /// No connection.
    Seeking,
    /// Asked for a connection.
    Connecting { to: Target, until: Instant },
    /// Connected; the greeting is not answered. At `until` it looks whether another server is named meanwhile, or, after so
    /// many looks, gives up.
    Greeting { to: Target, until: Instant, looks: u8 },
    /// Welcomed.
    Connected { to: Target },
}

/// What the platform is still to be told about connections. A name is closed before it is opened again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Wires {
    close_remote: bool,
    close_local: bool,
    connect: bool,
}

/// The client of one mount.
///
/// # Order of calls
///
/// Any input (`handle_*`, [`see_super`](Self::see_super), [`set_local_server`](Self::set_local_server),
/// [`submit`](Self::submit), [`unmount`](Self::unmount), [`force`](Self::force)), then [`poll`](Self::poll) once, then
/// [`poll_event`](Self::poll_event), [`poll_net`](Self::poll_net), [`poll_transmit`](Self::poll_transmit) and
/// [`poll_disk`](Self::poll_disk) until each gives nothing, then [`next_deadline`](Self::next_deadline). Spurious calls
/// do nothing.
///
/// Its connection is [`ConnId::CLIENT`], or [`ConnId::LOCAL`] to the server of its own mount. The mount carries out
/// requests for the latter itself: a `Connect` by asking its server, a `Close` by telling it.
///
/// It tells [`Event::Connected`], [`Event::PlainClient`], [`Event::Disconnected`], [`Event::Evicted`],
/// [`Event::Answered`] and [`Event::Fault`]. That the mount begins to leave and has ended is the mount's to tell:
/// [`ended`](Self::ended) says how.
pub struct Client {
    config: Config,
    entropy: Entropy,
    reader: SuperReader,
    view: Option<SuperView>,
    /// When a view was shown that others had read.
    shown: Instant,
    /// The highest ballot that a super block or a welcome named: never back to a lower one.
    newest: Option<Ballot>,
    local: Option<Ballot>,
    welcome: Option<Welcome>,
    /// A greeting was sent that may have made a record, and was not answered.
    unresolved: bool,
    phase: Phase,
    wires: Wires,
    seek: Seek,
    talk: Talk,
    requests: Requests,
    leaving: Option<Leaving>,
    /// The mount still has, or may yet begin, a write to the quorum region.
    farewell_held: bool,
    ended: Option<Unmounted>,
    told_plain: bool,
    events: heapless::Deque<Event, EVENTS_MAX>,
}

impl Client {
    /// Begins to look for a server. Keys for its connections are drawn from `entropy`.
    pub fn new(now: Instant, config: Config, mut entropy: Entropy) -> Self {
        let early = entropy.draw_number() as u32;
        Self {
            config,
            entropy,
            reader: SuperReader::new(None),
            view: None,
            shown: now,
            newest: None,
            local: None,
            welcome: None,
            unresolved: false,
            phase: Phase::Seeking,
            wires: Wires::default(),
            seek: Seek::new(now, early),
            talk: Talk::new(now),
            requests: Requests::default(),
            leaving: None,
            farewell_held: false,
            ended: None,
            told_plain: false,
            events: heapless::Deque::new(),
        }
    }

    /// What it was begun with.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    fn tell(&mut self, event: Event) {
        // A client that is told more than it fetches misses the oldest news, not the newest.
        if self.events.is_full() {
            let _ = self.poll_event();
        }
        let _ = self.events.push_back(event);
    }

    /// A believed reading of the super block, whoever made it. While readings come this way at least every
    /// [`RECONNECT_WAIT_MIN`], the client makes none of its own.
    pub fn see_super(&mut self, now: Instant, view: &SuperView) {
        if self.adopt(now, view) {
            self.shown = now;
        }
        // One that still waits for a server which was succeeded goes to the successor.
        let waits = matches!(self.phase, Phase::Connecting { .. } | Phase::Greeting { .. });
        if let (true, Some(to)) = (waits, self.to())
            && view.live_server().is_some_and(|server| server > to.server)
            && to.addr.is_some()
        {
            self.hang_up();
            self.lose(now, false);
            self.seek.hurry(now);
        }
    }

    /// Takes a reading for the newest; `false` if a newer one is known.
    fn adopt(&mut self, now: Instant, view: &SuperView) -> bool {
        if self.ended.is_some() || view.state.server < self.newest {
            return false;
        }
        self.newest = view.state.server;
        self.reader.pin(view.state.volume);
        self.view = Some(*view);
        self.seek.settled();
        if self.released_by(view) {
            self.end_left(Unmounted::Barrier);
        } else if self.phase == Phase::Seeking && self.target() != self.seek.tried {
            self.seek.hurry(now);
        }
        true
    }

    /// Whether this mount's own server serves, and under which ballot. While it does, the client is connected to that
    /// one and to no other.
    pub fn set_local_server(&mut self, now: Instant, server: Option<Ballot>) {
        if self.local == server || self.ended.is_some() {
            return;
        }
        self.local = server;
        self.newest = self.newest.max(server);
        // Wherever the connection goes, it is not the one that is wanted from now on.
        self.hang_up();
        self.lose(now, false);
        if server.is_some() {
            self.seek.hurry(now);
        }
    }

    /// Sends a request to the server's service; [`Event::Answered`] follows, across any number of fail-overs.
    /// `None` while [`REQUESTS_IN_FLIGHT_MAX`](crate::bounds::REQUESTS_IN_FLIGHT_MAX) are under way, if the body is
    /// longer than [`REQUEST_KEPT_BYTES`](crate::bounds::REQUEST_KEPT_BYTES), or when the mount is leaving.
    ///
    /// # Panics
    /// If `command` is below [`Command::SERVICE`]: those are not for services.
    pub fn submit(&mut self, command: Command, body: &[u8]) -> Option<RequestId> {
        assert!(
            command >= Command::SERVICE,
            "commands of services begin at SERVICE"
        );
        if self.leaving.is_some() || self.ended.is_some() {
            return None;
        }
        self.requests.submit(command, body)
    }

    /// What is kept of the body of an answer that [`Event::Answered`] told of. Kept until the request that is
    /// [`REQUESTS_IN_FLIGHT_MAX`](crate::bounds::REQUESTS_IN_FLIGHT_MAX) later is submitted.
    pub fn answer(&self, id: RequestId) -> &[u8] {
        self.requests.answered(id)
    }

    /// A disk request ended. Completions of others are ignored.
    pub fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        match self.reader.handle_disk(id, outcome, self.config.checksum) {
            None => {}
            // One that keeps its place at a server only looked around.
            Some(Ok(view)) if self.phase != Phase::Seeking => self.see_super(now, &view),
            Some(Err(_)) if self.phase != Phase::Seeking => {}
            Some(Ok(view)) if self.adopt(now, &view) => self.seek.read(now),
            Some(Ok(_)) => self.seek.found_nobody(now),
            Some(Err(error)) => {
                if let Some(fault) = self.seek.could_not_read(now, error) {
                    self.tell(Event::Fault(fault));
                }
            }
        }
    }

    /// The connection that was asked for stands.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        if let Phase::Connecting { to, .. } = self.phase
            && to.conn == conn
        {
            self.phase = Phase::Greeting {
                to,
                until: now + self.look_interval(),
                looks: 0,
            };
            self.talk.begin(now, to.addr.is_none());
        }
    }

    /// A connection is gone, or could not be made; its name is free again.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        let closing = match conn {
            ConnId::LOCAL => &mut self.wires.close_local,
            _ => &mut self.wires.close_remote,
        };
        if core::mem::take(closing) {
            return;
        }
        if self.to().is_some_and(|to| to.conn == conn) && !self.wires.connect {
            self.lose(now, reason == CloseReason::Refused);
        }
    }

    /// Bytes that came in, from the first one not yet consumed. Returns how many were consumed: whole messages only, which
    /// are opened where they lie.
    pub fn handle_bytes(&mut self, now: Instant, conn: ConnId, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        loop {
            let listening = matches!(self.phase, Phase::Greeting { .. } | Phase::Connected { .. });
            if !listening || self.to().is_none_or(|to| to.conn != conn) {
                return bytes.len();
            }
            match self.take_first(now, &mut bytes[used..]) {
                Ok(0) => return used,
                Ok(length) => used += length,
                Err(talk::Violation) => {
                    self.doubt(true);
                    self.hang_up();
                    self.lose(now, false);
                    return bytes.len();
                }
            }
        }
    }

    /// Where the connection goes, if there is one or one was asked for.
    const fn to(&self) -> Option<Target> {
        match self.phase {
            Phase::Seeking => None,
            Phase::Connecting { to, .. } | Phase::Greeting { to, .. } | Phase::Connected { to } => Some(to),
        }
    }

    /// The connection goes. If whoever answers there has not shown that it knows the key, that is told: when it is
    /// `certain`, or when it happens again and again.
    fn doubt(&mut self, certain: bool) {
        let greeting = matches!(self.phase, Phase::Greeting { .. });
        let addr = self.to().and_then(|to| to.addr).filter(|_| greeting);
        if let (Some(addr), false) = (addr, self.talk.line.is_open())
            && self.seek.doubted(certain)
        {
            self.tell(Event::Fault(Fault::Unproven(addr)));
        }
    }

    /// Has the platform close the connection, if it knows of one.
    fn hang_up(&mut self) {
        let Some(to) = self.to() else { return };
        if core::mem::take(&mut self.wires.connect) {
            return;
        }
        match to.conn {
            ConnId::LOCAL => self.wires.close_local = true,
            _ => self.wires.close_remote = true,
        }
    }

    /// No connection from here on, and nothing that was agreed on the one there was.
    fn part(&mut self) {
        self.phase = Phase::Seeking;
        self.talk.forget_keys();
    }

    /// The connection is gone, or could not be made: looks for a server again.
    fn lose(&mut self, now: Instant, refused: bool) {
        let Some(to) = self.to() else { return };
        self.doubt(false);
        let was_connected = matches!(self.phase, Phase::Connected { .. });
        self.part();
        if was_connected {
            let server = self.welcome.map_or(to.server, |welcome| welcome.server);
            self.seek.lost(now, to.addr.map(|_| server), refused);
            self.tell(Event::Disconnected { server });
        } else {
            self.seek.failed(now, to, refused);
        }
    }

    /// Lets time pass.
    pub fn poll(&mut self, now: Instant) {
        if self.ended.is_some() {
            return;
        }
        self.poll_leaving(now);
        if self.ended.is_some() {
            return;
        }
        match self.phase {
            Phase::Seeking => self.poll_seeking(now),
            Phase::Greeting { to, until, looks } if now >= until && looks < WELCOME_LOOKS_MAX => {
                self.look_around(now, to, looks + 1)
            }
            Phase::Connecting { until, .. } | Phase::Greeting { until, .. } if now >= until => {
                self.hang_up();
                self.lose(now, false);
            }
            Phase::Connecting { .. } | Phase::Greeting { .. } => {}
            Phase::Connected { .. } => {
                let ping_ms = self.ping_ms();
                if !self.talk.keep_alive(now, self.config.silence_max, ping_ms) {
                    self.hang_up();
                    self.lose(now, false);
                }
            }
        }
    }

    /// After how much silence the server wants a ping.
    fn ping_ms(&self) -> u16 {
        self.welcome.map_or(0, |welcome| welcome.ping_ms)
    }

    fn look_interval(&self) -> Duration {
        self.config.silence_max.min(WELCOME_TIMEOUT)
    }

    /// The greeting was not answered for a while. The server may be busy with a crowd, or be no server any more.
    fn look_around(&mut self, now: Instant, to: Target, looks: u8) {
        let until = now + self.look_interval();
        self.phase = Phase::Greeting { to, until, looks };
        self.seek.waited(to);
        // Somebody who is fed readings needs none of its own.
        let fed = now.since(self.shown) <= RECONNECT_WAIT_MIN;
        if to.addr.is_some() && !fed && !self.reader.is_running() {
            self.reader.start();
        }
    }

    /// The next try to reach a server, if it is time for one.
    fn poll_seeking(&mut self, now: Instant) {
        if !self.seek.is_due(now) {
            return;
        }
        let shown = self.view.is_some() && now.since(self.shown) <= RECONNECT_WAIT_MIN;
        let fresh = shown || self.seek.has_read() || self.seek.trusts_old_view();
        if self.local.is_none() && !fresh {
            if !self.reader.is_running() {
                self.seek.begin(now);
                self.reader.start();
            }
            return;
        }
        if !self.seek.has_read() {
            self.seek.begin(now);
        }
        let target = self.target();
        self.seek.tried = target;
        let Some(to) = target.filter(|&to| !self.seek.has_just_failed(now, to)) else {
            self.seek.found_nobody(now);
            return;
        };
        self.wires.connect = true;
        let until = now + CONNECT_TIMEOUT;
        self.phase = Phase::Connecting { to, until };
    }

    /// The server to connect to, as far as is known.
    fn target(&self) -> Option<Target> {
        if let Some(server) = self.local {
            return Some(Target {
                conn: ConnId::LOCAL,
                server,
                addr: None,
            });
        }
        let view = self.view.as_ref()?;
        let server = view
            .live_server()
            .filter(|server| server.rid != self.config.rid)?;
        let addr = view.state.server_addr?;
        (Some(server) >= self.newest).then_some(Target {
            conn: ConnId::CLIENT,
            server,
            addr: Some(addr),
        })
    }

    /// The next disk request, named `id`: only reads of the super block, and only while no server is reached.
    pub fn poll_disk(&mut self, _now: Instant, id: IoId) -> Option<DiskRequest> {
        let looking = matches!(self.phase, Phase::Seeking | Phase::Greeting { .. });
        if !looking || self.ended.is_some() {
            return None;
        }
        self.reader.poll_disk(id, self.config.write_time_max)
    }

    /// The next thing to do with the network.
    pub fn poll_net(&mut self, _now: Instant) -> Option<NetRequest> {
        if core::mem::take(&mut self.wires.close_remote) {
            return Some(NetRequest::Close(ConnId::CLIENT));
        }
        if core::mem::take(&mut self.wires.close_local) {
            return Some(NetRequest::Close(ConnId::LOCAL));
        }
        let to = self.to()?;
        let own = self.config.voter.as_ref().map(|voter| voter.server_addr);
        let addr = to.addr.or(own)?;
        core::mem::take(&mut self.wires.connect).then_some(NetRequest::Connect(to.conn, addr))
    }

    /// The next message to send: its connection, and its length in `buffer`.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(ConnId, usize)> {
        let conn = self.to()?.conn;
        let length = self.transmit(now, buffer)?;
        Some((conn, length))
    }

    /// As after four billion frames on one connection.
    #[cfg(test)]
    pub(crate) fn wear_out(&mut self) {
        self.talk.line.wear_out();
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Answered { id, .. } = event {
            self.requests.told(id);
        }
        Some(event)
    }

    /// When [`poll`](Self::poll) has to be called at the latest, if nothing else happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.ended.is_some() {
            return None;
        }
        let phase = match self.phase {
            // A reading under way calls by itself when it ends.
            Phase::Seeking if self.reader.is_running() => None,
            Phase::Seeking => Some(self.seek.deadline()),
            Phase::Connecting { until, .. } | Phase::Greeting { until, .. } => Some(until),
            Phase::Connected { .. } => Some(self.talk.deadline(self.config.silence_max, self.ping_ms())),
        };
        earliest(&[phase, self.leaving_deadline()])
    }

    /// How it stands towards a server.
    pub fn link(&self) -> Link {
        if self.ended.is_some() {
            return Link::Ended;
        }
        match (self.phase, self.welcome) {
            (Phase::Connected { to }, Some(welcome)) => Link::Connected {
                server: welcome.server,
                local: to.addr.is_none(),
            },
            _ => self.seek.link(),
        }
    }

    /// Whom it is connected to, and where; no address for this mount's own server.
    pub fn connected_to(&self) -> Option<(Ballot, Option<SocketAddr>)> {
        match (self.phase, self.welcome) {
            (Phase::Connected { to }, Some(welcome)) => Some((welcome.server, to.addr)),
            _ => None,
        }
    }

    /// The newest welcome: whether the mount was ever admitted, and as what.
    pub const fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// The newest reading of the super block that the client knows of.
    pub const fn super_view(&self) -> Option<&SuperView> {
        self.view.as_ref()
    }

    /// How it ended; `None` while it has not. The mount goes on polling the network until nothing is left to close.
    pub const fn ended(&self) -> Option<Unmounted> {
        self.ended
    }
}
