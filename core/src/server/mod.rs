//! The server: greets, records, recovers, says farewell. Needs nothing from the election but its ballot and
//! the right to act under it, and writes only the super block and the client table.
//!
//! - `memory`: the slots that a platform supplies; `conns`: queues through the slots of connections.
//! - `table`, `load`, `commit`: the durable records, and how they are read and written.
//! - `index`: who has which slot.
//! - `greeting`, `farewell`: decisions; `arrivals`, `departures`, `sweep`: what follows from them.
//! - `transmit`: messages, and the calls of the service; `ghosts`: places of evicted voters.
//! - `journal`: the fence records.
//! - `reign`: starting, serving, stopping.

mod arrivals;
mod commit;
mod conns;
mod departures;
mod farewell;
mod ghosts;
mod greeting;
mod index;
mod journal;
mod load;
mod memory;
mod reign;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod transmit;

pub use memory::{ClientSlot, ConnSlot, FixedMemory, Memory, strangers_for};
pub use reign::State;

use core::net::SocketAddr;

use conns::Conns;
pub(crate) use journal::Journal;
use memory::{NONE, Role};
use reign::{Listener, Reign, Table, Update};

use crate::bounds::{EVENTS_MAX, GREETING_TIMEOUT, RESIGNING_TIME};
use crate::config::{Basics, Config};
use crate::disk::{DiskOutcome, DiskRequest, IoId};
use crate::event::{Event, Fault};
use crate::format::SuperBlock;
use crate::ids::Ballot;
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::noise::Entropy;
use crate::service::Service;
use crate::superio::SuperView;
use crate::time::{Instant, earliest};

/// The server of one mount: off, until the mount's ballot is recorded in the super block.
///
/// # Order of calls
///
/// Any input (`handle_*`, [`stop`](Self::stop), [`abort`](Self::abort), [`ping_voters`](Self::ping_voters)), then
/// [`poll`](Self::poll) once, then [`poll_event`](Self::poll_event), [`poll_net`](Self::poll_net),
/// [`poll_transmit`](Self::poll_transmit), [`poll_fence`](Self::poll_fence) and [`poll_disk`](Self::poll_disk) until
/// each gives nothing, then [`next_deadline`](Self::next_deadline). Spurious calls do nothing.
///
/// `may_act` says whether the leader has the right to act at this moment. Without it nothing is written, answered or
/// decided: it is held back until the right returns, or until [`abort`](Self::abort).
pub struct Server<M, S> {
    config: Basics,
    memory: M,
    service: S,
    entropy: Entropy,
    conns: Conns,
    state: State,
    listener: Listener,
    reign: Option<Reign>,
    journal: Journal,
    /// A write failed: it may still land until this moment (assumption A3).
    quiet_at: Option<Instant>,
    /// The volume has room for more clients than this server has memory for.
    too_small: bool,
    events: Events,
}

type Events = heapless::Deque<Event, EVENTS_MAX>;

/// The parts of a server that reigns, apart from one another, so that they can be changed together.
struct Parts<'a, S> {
    config: &'a Basics,
    service: &'a mut S,
    entropy: &'a mut Entropy,
    state: State,
    conns: &'a mut Conns,
    reign: &'a mut Reign,
    journal: &'a mut Journal,
    /// The slots of the volume's clients.
    clients: &'a mut [ClientSlot],
    slots: &'a mut [ConnSlot],
    events: &'a mut Events,
}

/// A peer that does what no client of ours does. Its connection is closed, and nothing else happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Violation;

impl<M: Memory, S: Service> Server<M, S> {
    /// A server that is off. Keys and challenges for its connections are drawn from `entropy`.
    // Built where it is wanted, not moved there: a stack of firmware has no room for it twice.
    #[inline(always)]
    pub fn new(config: &Config, memory: M, service: S, entropy: Entropy) -> Self {
        Self {
            config: config.into(),
            memory,
            service,
            entropy,
            conns: Conns::NONE,
            state: State::Off,
            listener: Listener::Closed,
            reign: None,
            journal: Journal::new(),
            quiet_at: None,
            too_small: false,
            events: Events::new(),
        }
    }

    fn parts(&mut self) -> Option<Parts<'_, S>> {
        if cfg!(not(feature = "voter")) {
            // It never reigns, and the compiler may know.
            return None;
        }
        let reign = self.reign.as_mut()?;
        let (clients, slots) = self.memory.slots();
        let places = clients.len().min(reign.layout.clients() as usize);
        Some(Parts {
            config: &self.config,
            service: &mut self.service,
            entropy: &mut self.entropy,
            state: self.state,
            conns: &mut self.conns,
            reign,
            journal: &mut self.journal,
            clients: &mut clients[..places],
            slots,
            events: &mut self.events,
        })
    }

    /// The same, while it serves.
    fn serving_parts(&mut self) -> Option<Parts<'_, S>> {
        self.parts().filter(|parts| parts.state == State::Serving)
    }

    fn tell(&mut self, event: Event) {
        // Fewer kinds of events than room, each at most once between two polls, and evictions wait for room.
        let _ = self.events.push_back(event);
    }

    /// Begins to serve, after rule R8: `view` is a reading in which both copies of the super block name `ballot`.
    ///
    /// # Panics
    /// If the server is not off.
    pub fn start(&mut self, now: Instant, view: &SuperView, ballot: Ballot, server_addr: SocketAddr) {
        assert!(self.is_off(), "one reign at a time");
        let (clients, slots) = self.memory.slots();
        self.conns = Conns::new(slots, clients.len());
        let reign = Reign::new(now, view, ballot, server_addr, &self.config);
        let (volume, layout) = (reign.layout.clients(), reign.layout);
        self.reign = Some(reign);
        self.journal.begin();
        self.state = State::Starting;
        let memory = u32::try_from(self.memory.slots().0.len()).unwrap_or(u32::MAX);
        if memory < layout.clients() {
            self.too_small = true;
            self.fail(now, Fault::TableTooLarge { volume, memory });
        }
    }

    /// Begins to stop on purpose: takes no more connections and no more requests. With `announce` every client
    /// hears of it first. Give it only while the leader has the right to act.
    pub fn stop(&mut self, now: Instant, announce: bool) {
        if !matches!(self.state, State::Starting | State::Serving) {
            return;
        }
        self.end_service();
        self.state = State::Stopping;
        self.listener.close();
        self.journal.close_shared();
        let Some(parts) = self.parts() else { return };
        parts.reign.stop_by = if announce { now + RESIGNING_TIME } else { now };
        for slot in 0..parts.slots.len() {
            parts.slots[slot].due = memory::Due::default();
            if parts.slots[slot].role == Role::Client && announce {
                parts
                    .conns
                    .mark(parts.slots, slot as u32, |due| due.resigning = true);
            } else {
                parts.conns.close(parts.slots, slot as u32);
            }
        }
    }

    /// Stops at once, because the disk fails or the right to act is lost: closes the listener and every connection and
    /// says nothing more. What was written last may or may not be on the device.
    pub fn abort(&mut self, _now: Instant) {
        if self.state == State::Off {
            return;
        }
        self.end_service();
        self.state = State::Failed;
        self.close_all();
    }

    fn fail(&mut self, now: Instant, fault: Fault) {
        self.tell(Event::Fault(fault));
        self.abort(now);
    }

    fn end_service(&mut self) {
        if self.state == State::Serving {
            self.service.stopped();
        }
    }

    fn close_all(&mut self) {
        self.listener.close();
        let (_, slots) = self.memory.slots();
        for slot in 0..slots.len() {
            self.conns.close(slots, slot as u32);
        }
    }

    /// A disk request ended. Completions of others are ignored.
    pub fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        let Some(mut parts) = self.parts() else { return };
        let failed = match parts.handle_disk(now, id, outcome) {
            reign::Completed::NotMine | reign::Completed::Fine => return,
            reign::Completed::RecordLost(fault, may_land) => {
                if may_land {
                    self.quiet_at = Some(now + self.config.write_time_max);
                }
                return self.tell(Event::Fault(fault));
            }
            reign::Completed::ReadFailed(fault) => fault,
            reign::Completed::WriteFailed(fault) => {
                self.quiet_at = Some(now + self.config.write_time_max);
                fault
            }
        };
        if !matches!(self.state, State::Off | State::Failed) {
            self.fail(now, failed);
        }
    }

    /// The listener stands, or could not be made.
    pub fn handle_listening(&mut self, now: Instant, listens: Result<(), CloseReason>) {
        if self.state != State::Starting || self.listener != Listener::Opening {
            return;
        }
        let given_up = match listens {
            Ok(()) => {
                self.listener = Listener::Open;
                return;
            }
            Err(_) => {
                self.listener = Listener::Closed;
                let Some(reign) = &mut self.reign else { return };
                reign.could_not_listen(now)
            }
        };
        if let Some(addr) = given_up {
            self.fail(now, Fault::CannotListen(addr));
        }
    }

    /// Whether a connection that waits to be accepted may come in now. One that is accepted all the same pushes out one
    /// that had no time to greet: whoever has a queue for them outside lets them wait there for a moment.
    pub fn may_accept(&mut self, now: Instant) -> bool {
        let (_, slots) = self.memory.slots();
        self.listener != Listener::Open || self.conns.has_room(now, slots)
    }

    /// A connection came in. `None`: no room, close it.
    pub fn handle_accept(&mut self, now: Instant) -> Option<ConnId> {
        if self.listener != Listener::Open {
            return None;
        }
        let (_, slots) = self.memory.slots();
        let slot = self.conns.open(now, slots)?;
        Some(conns::name(slot, slots.len()))
    }

    /// The mount's own client connects, as [`ConnId::LOCAL`]. `None` while the server is not serving.
    pub fn handle_accept_local(&mut self, now: Instant) -> Option<ConnId> {
        if self.state != State::Serving {
            return None;
        }
        let (_, slots) = self.memory.slots();
        self.conns.open_local(now, slots)?;
        Some(ConnId::LOCAL)
    }

    /// A connection is gone; its name is free again.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        if self.reign.is_none() {
            return;
        }
        let (_, slots) = self.memory.slots();
        let Some(slot) = conns::slot(conn, slots.len()) else {
            return;
        };
        if let Some(mut parts) = self.parts() {
            parts.part_from_client(now, slot);
        }
        let (_, slots) = self.memory.slots();
        self.conns.closed(slots, slot);
    }

    /// Bytes that came in, from the first one not yet consumed. Returns how many were consumed: whole messages only, which
    /// are opened where they lie.
    pub fn handle_bytes(&mut self, now: Instant, conn: ConnId, bytes: &mut [u8]) -> usize {
        let running = matches!(self.state, State::Starting | State::Serving);
        let Some(mut parts) = self.parts().filter(|_| running) else {
            return bytes.len();
        };
        let Some(slot) = conns::slot(conn, parts.slots.len()) else {
            return bytes.len();
        };
        let mut used = 0;
        loop {
            if matches!(parts.slots[slot as usize].role, Role::Free | Role::Closing) {
                return bytes.len();
            }
            match parts.take_first(now, slot, &mut bytes[used..]) {
                Ok(0) => return used,
                Ok(length) => used += length,
                Err(Violation) => {
                    parts.close(now, slot);
                    return bytes.len();
                }
            }
        }
    }

    /// Lets time pass, and decides what may be decided. Looks at each client and connection at most a few times.
    pub fn poll(&mut self, now: Instant, may_act: bool) {
        if self.quiet_at.is_some_and(|at| now >= at) {
            self.quiet_at = None;
        }
        match self.state {
            State::Off | State::Failed => {}
            State::Starting => self.poll_start(now, may_act),
            State::Serving => {
                if let Some(mut parts) = self.parts() {
                    parts.close_strangers(now);
                    parts.sweep_if_due(now, may_act);
                    parts.end_drain_time(now);
                    if may_act {
                        parts.judge_farewells();
                        parts.tell_recovered();
                    }
                }
            }
            State::Stopping => self.poll_stop(now, may_act),
        }
    }

    fn poll_start(&mut self, now: Instant, may_act: bool) {
        let Some(mut parts) = self.parts() else { return };
        parts.close_strangers(now);
        if !matches!(parts.reign.table, Table::Ready(_)) {
            return;
        }
        let published = parts.reign.is_published();
        let addr = parts.reign.addr;
        match self.listener {
            Listener::Closed => {
                // Whoever finds this server finds the records of the fences that brought it there.
                let recorded = !self.journal.is_due();
                let reign = self.reign.as_mut();
                if let Some(reign) = reign.filter(|reign| recorded && reign.may_listen(now)) {
                    reign.listen_retry = None;
                    self.listener = Listener::OpenDue;
                }
            }
            // One that was frozen since it wrote its address may have no right any more, and looks again first.
            Listener::Open if published && !may_act => {}
            Listener::Open if published => self.begin_service(now, addr),
            Listener::Open => {
                if let Some(reign) = &mut self.reign {
                    reign.update(Update::Publish);
                }
            }
            Listener::OpenDue | Listener::Opening | Listener::CloseDue => {}
        }
    }

    fn begin_service(&mut self, now: Instant, addr: SocketAddr) {
        self.state = State::Serving;
        let Some(mut parts) = self.parts() else { return };
        let ballot = parts.reign.ballot;
        parts.begin_to_serve(now);
        self.service.started(ballot);
        self.tell(Event::Serving { ballot, addr });
    }

    fn poll_stop(&mut self, now: Instant, may_act: bool) {
        let Some(parts) = self.parts() else { return };
        let over = now >= parts.reign.stop_by;
        if over {
            self.close_all();
        }
        self.stop_if_done(may_act);
    }

    /// Off when nobody is connected any more and, as long as this server may still write, every fence record is written.
    fn stop_if_done(&mut self, may_act: bool) {
        let recorded = !may_act || !self.journal.is_due();
        if self.state == State::Stopping && self.conns.open_count() == 0 && recorded {
            self.state = State::Off;
        }
    }

    /// The next disk request, named `id`. The bytes of a write are put into `buffer`.
    pub fn poll_disk(
        &mut self,
        now: Instant,
        may_act: bool,
        id: IoId,
        buffer: &mut [u8],
    ) -> Option<DiskRequest> {
        if matches!(self.state, State::Off | State::Failed) {
            return None;
        }
        self.parts()?.poll_disk(now, may_act, id, buffer)
    }

    /// The next thing to do with the network.
    pub fn poll_net(&mut self, _now: Instant) -> Option<NetRequest> {
        match self.listener {
            Listener::CloseDue => {
                self.listener = Listener::Closed;
                return Some(NetRequest::Unlisten);
            }
            Listener::OpenDue => {
                self.listener = Listener::Opening;
                return Some(NetRequest::Listen(self.reign.as_ref()?.addr));
            }
            Listener::Closed | Listener::Opening | Listener::Open => {}
        }
        // A server that was never started does not touch its memory.
        self.reign.as_ref()?;
        let (_, slots) = self.memory.slots();
        let conn = self.conns.next_to_close(slots)?;
        // Whether it may still write is not known here: with a record due, the next poll decides.
        self.stop_if_done(true);
        Some(NetRequest::Close(conn))
    }

    /// The next message to send: its connection, and its length in `buffer`.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        may_act: bool,
        buffer: &mut [u8],
    ) -> Option<(ConnId, usize)> {
        let running = matches!(self.state, State::Starting | State::Serving | State::Stopping);
        if !may_act || !running {
            return None;
        }
        self.parts()?.transmit(now, buffer)
    }

    /// As after four billion frames on this connection.
    #[cfg(test)]
    pub(crate) fn wear_out(&mut self, conn: ConnId) {
        let (_, slots) = self.memory.slots();
        let slot = conns::slot(conn, slots.len()).expect("it is open");
        slots[slot as usize].line.wear_out();
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`poll`](Self::poll) has to be called at the latest, if nothing else happens.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let own = self
            .reign
            .as_ref()
            .and_then(|reign| reign.next_deadline(self.state))
            // All that may be missing then is a record, and its completion is an input.
            .filter(|_| self.state != State::Stopping || self.conns.open_count() > 0);
        let stranger = match self.state {
            State::Starting | State::Serving => self.conns.oldest_stranger(self.memory.slots().1),
            State::Off | State::Stopping | State::Failed => None,
        };
        let stranger = stranger.map(|(since, _)| since + GREETING_TIMEOUT);
        let active = !matches!(self.state, State::Off | State::Failed);
        let journal = self.journal.deadline().filter(|_| active);
        earliest(&[self.quiet_at, own, stranger, journal])
    }

    /// How far the server is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The ballot under which it serves; `None` unless its address is published.
    pub fn serving(&self) -> Option<Ballot> {
        let reign = self.reign.as_ref().filter(|_| self.state == State::Serving);
        reign.map(|reign| reign.ballot)
    }

    /// Whether it was found that the volume has room for more clients than there is memory for: it never serves.
    pub const fn is_too_small(&self) -> bool {
        self.too_small
    }

    /// Whether nothing is outstanding: no write, no connection, no listener. Writes that failed are outstanding
    /// until W has passed. Holds only for a server that is off or has failed.
    pub fn is_off(&self) -> bool {
        matches!(self.state, State::Off | State::Failed)
            && self.quiet_at.is_none()
            && self.conns.open_count() == 0
            && self.listener == Listener::Closed
            && !self.reign.as_ref().is_some_and(Reign::is_outstanding)
            && !self.journal.is_outstanding()
    }

    /// The super block as this server last wrote or was given it; `None` before it was ever started.
    pub fn super_block(&self) -> Option<&SuperBlock> {
        self.reign.as_ref().map(|reign| reign.supers.current())
    }

    /// Clients that are mounted: connected, away, or with a greeting under way.
    pub fn mounted(&mut self) -> u32 {
        self.parts().map_or(0, |parts| parts.census().mounted)
    }

    /// Sends a ping to every voter that is connected.
    pub fn ping_voters(&mut self, _now: Instant) {
        let Some(parts) = self.parts() else { return };
        for index in 0..parts.reign.places.len() {
            let conn = parts.clients[parts.reign.places[index] as usize].conn;
            if conn != NONE {
                parts.conns.mark(parts.slots, conn, |due| due.ping = true);
            }
        }
    }

    /// Voters that are connected and were heard at `since` or later; this mount counts while it is connected.
    pub fn voters_heard(&mut self, since: Instant) -> u16 {
        let Some(parts) = self.parts() else { return 0 };
        let heard = parts.reign.places.iter().filter(|&&place| {
            let client = &parts.clients[place as usize];
            if !client.is_mounted() || client.conn == NONE {
                return false;
            }
            let local = conns::name(client.conn, parts.slots.len()) == ConnId::LOCAL;
            local || parts.slots[client.conn as usize].heard >= since
        });
        // At most VOTERS_MAX.
        heard.count() as u16
    }

    /// Mounted voters that are away.
    pub fn voters_away(&mut self) -> u16 {
        let Some(parts) = self.parts() else { return 0 };
        let away = parts.reign.places.iter().filter(|&&place| {
            let client = &parts.clients[place as usize];
            client.is_mounted() && client.conn == NONE
        });
        away.count() as u16
    }

    /// Whether a client of another mount was welcomed since the server started.
    pub fn remote_client_seen(&self) -> bool {
        self.reign.as_ref().is_some_and(|reign| reign.remote_seen)
    }

    /// Whether the unmount barrier has released everybody.
    pub fn has_released_all(&self) -> bool {
        self.reign.as_ref().is_some_and(|reign| reign.released)
    }

    /// Whether the unmount barrier released everybody, and those released have fetched their answers or had
    /// [`DRAIN_TIME`](crate::bounds::DRAIN_TIME) to do it: nobody needs this server any more on their account.
    pub fn is_drained(&mut self) -> bool {
        self.parts().is_some_and(|parts| parts.is_drained())
    }

    /// The fence records of this mount.
    pub(crate) const fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// The service.
    pub const fn service(&mut self) -> &mut S {
        &mut self.service
    }
}
