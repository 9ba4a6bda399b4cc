//! The network: ordered streams of bytes that arrive late, in pieces, or not at all.
//!
//! Everything that travels is a segment in the pipe of a connection, the handshake as well. A segment that
//! meets a cut link or a machine without power waits (that is what retransmission comes to) and goes on when
//! the way is free again; the receiver's machine answers for processes that are gone, with a reset.

mod conn;
mod impostor;
mod stranger;

pub use conn::{Conn, ConnKey, End, Pipe, Segment, Who};
pub use impostor::Guise;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::format::hello::CHALLENGE_BYTES;
use ostrakon_core::net::{CloseReason, ConnId, NetRequest};

use super::clock::Time;
use super::host::{ProcId, Stashed};
use super::trace::note;
use super::world::{Happening, World, violate};

/// Bytes that a connection takes before its sender has to wait.
const WINDOW_BYTES: usize = 4 * MESSAGE_BYTES_MAX;

/// From one look at whether a crowd of strangers thins out to the next.
const CROWD_PAUSE: Time = 10_000;

/// Something that happens in the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetStep {
    /// The first segment from this end arrives.
    Arrive(ConnKey, usize),
    /// A connect that has not been answered has failed.
    GiveUp(ConnKey),
    /// A listener stands, or could not be made.
    Listening(ProcId, Result<(), CloseReason>),
    /// A connection waits to be accepted by this process.
    Knock(ProcId, ConnKey),
    /// A process may take more of what came in at this end.
    Offer(ConnKey, usize),
    /// A stranger does something with its connection, or makes one to this host.
    Stranger(stranger::Prank),
}

/// All connections and listeners, and which links are cut.
#[derive(Clone, Debug)]
pub struct Net {
    hosts: usize,
    /// From host to host, one way. The last one stands for everything outside.
    cut: Vec<bool>,
    conns: BTreeMap<ConnKey, Conn>,
    next: ConnKey,
    listeners: BTreeMap<SocketAddr, ProcId>,
    /// What processes said lately, as it went over the wires: strangers listen.
    overheard: VecDeque<Vec<u8>>,
    /// Who answers in the place of a host.
    impostors: Vec<Option<Guise>>,
}

/// Messages that a stranger remembers.
const OVERHEARD_MAX: usize = 64;

impl Net {
    /// Nothing is connected, nothing is cut.
    pub fn new(hosts: usize) -> Self {
        Self {
            hosts,
            cut: vec![false; (hosts + 1) * (hosts + 1)],
            conns: BTreeMap::new(),
            next: 0,
            listeners: BTreeMap::new(),
            overheard: VecDeque::new(),
            impostors: vec![None; hosts],
        }
    }

    fn overhear(&mut self, key: ConnKey, end: usize, bytes: &[u8]) {
        let of_process = |conn: &Conn| matches!(conn.ends[end].who, Who::Process(..));
        if self.conns.get(&key).is_some_and(of_process) {
            if self.overheard.len() == OVERHEARD_MAX {
                self.overheard.pop_front();
            }
            self.overheard.push_back(bytes.to_vec());
        }
    }

    /// The number that stands for everything outside.
    pub const fn outside(&self) -> usize {
        self.hosts
    }

    const fn link(&self, from: usize, to: usize) -> usize {
        from * (self.hosts + 1) + to
    }

    /// Whether nothing gets through this way.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut[self.link(from, to)]
    }

    /// Cuts or mends one way of a link.
    pub fn set_cut(&mut self, from: usize, to: usize, cut: bool) {
        let link = self.link(from, to);
        self.cut[link] = cut;
    }

    /// Whether every link is whole, and nobody answers in the place of another.
    pub fn is_whole(&self) -> bool {
        self.cut.iter().all(|&cut| !cut) && self.impostors.iter().all(Option::is_none)
    }

    /// Whether somebody else answers at the address of this host.
    pub fn is_impersonated(&self, host: usize) -> bool {
        self.impostors.get(host).is_some_and(Option::is_some)
    }

    /// Whether nobody gets from this host to the process on that one, or what it says does not come back.
    pub fn is_out_of_reach(&self, from: usize, to: usize) -> bool {
        self.is_cut(from, to) || self.is_cut(to, from) || (from != to && self.is_impersonated(to))
    }

    /// This connection.
    pub fn conn(&self, key: ConnKey) -> Option<&Conn> {
        self.conns.get(&key)
    }

    /// Connections with an open end on this host.
    pub fn conns_of(&self, host: usize) -> Vec<(ConnKey, usize)> {
        let ends = self
            .conns
            .iter()
            .flat_map(|(&key, conn)| [(key, 0, conn), (key, 1, conn)]);
        ends.filter(|(_, end, conn)| conn.ends[*end].open && conn.ends[*end].host == host)
            .map(|(key, end, _)| (key, end))
            .collect()
    }

    /// Connections that stand.
    pub fn keys(&self) -> Vec<ConnKey> {
        self.conns.keys().copied().collect()
    }

    /// The process that listens there.
    pub fn listener(&self, addr: SocketAddr) -> Option<ProcId> {
        self.listeners.get(&addr).copied()
    }
}

impl World {
    /// A process asks for something.
    pub(crate) fn net_request(
        &mut self,
        proc: ProcId,
        conns: &mut BTreeMap<ConnId, (ConnKey, usize)>,
        request: NetRequest,
    ) {
        let host = self.procs[proc].host;
        note!(self, &self.procs[proc].name, "{request:?}");
        match request {
            NetRequest::Listen(addr) => {
                let free = self.hosts[host].addr == addr && !self.net.listeners.contains_key(&addr);
                if free {
                    self.net.listeners.insert(addr, proc);
                }
                let result = if free { Ok(()) } else { Err(CloseReason::Failed) };
                let after = self.dice.between(1, 500);
                self.after(after, Happening::Net(NetStep::Listening(proc, result)));
            }
            NetRequest::Unlisten => self.close_listener(proc),
            NetRequest::Connect(id, addr) => {
                let target = self.hosts.iter().position(|host| host.addr == addr);
                let key = self.open_conn(host, Who::Process(proc, id), target.unwrap_or(self.net.outside()));
                if conns.insert(id, (key, 0)).is_some() {
                    violate!(
                        self,
                        "connection {} is used twice by {}",
                        id.0,
                        self.procs[proc].name
                    );
                }
                let patience = self.dice.between(1_000_000, 3_000_000);
                self.after(patience, Happening::Net(NetStep::GiveUp(key)));
            }
            NetRequest::Close(id) => {
                if let Some((key, end)) = conns.remove(&id) {
                    self.close_end(key, end, Segment::Fin);
                }
            }
        }
    }

    /// Starts a connection to a host.
    pub(crate) fn open_conn(&mut self, host: usize, who: Who, target: usize) -> ConnKey {
        self.net.next += 1;
        let key = self.net.next;
        self.net
            .conns
            .insert(key, Conn::new(End::new(host, who), End::new(target, Who::Nobody)));
        self.send_segment(key, 0, Segment::Syn);
        key
    }

    /// A process sends a message.
    pub(crate) fn transmit(&mut self, key: ConnKey, end: usize, bytes: &[u8]) {
        self.net.overhear(key, end, bytes);
        let mut rest = bytes;
        while rest.len() > 1 && self.dice.chance(self.options.net.split_ppm) {
            let (head, tail) = rest.split_at(self.dice.between(1, rest.len() as u64 - 1) as usize);
            self.send_segment(key, end, Segment::Data(head.to_vec()));
            rest = tail;
        }
        self.send_segment(key, end, Segment::Data(rest.to_vec()));
    }

    fn send_segment(&mut self, key: ConnKey, end: usize, segment: Segment) {
        let delay = self.options.net.delay.draw(&mut self.dice);
        let Some(conn) = self.net.conns.get_mut(&key) else {
            return;
        };
        let pipe = &mut conn.pipes[end];
        if segment == Segment::Rst {
            pipe.segments.clear();
        }
        let at = (self.now + delay).max(pipe.last_at);
        pipe.last_at = at;
        pipe.segments.push_back((at, segment));
        if !pipe.scheduled {
            pipe.scheduled = true;
            self.at(at, Happening::Net(NetStep::Arrive(key, end)));
        }
    }

    /// Something happens in the network.
    pub(crate) fn net_step(&mut self, step: NetStep) {
        match step {
            NetStep::Arrive(key, end) => self.arrive(key, end),
            NetStep::GiveUp(key) => self.give_up(key),
            NetStep::Listening(proc, result) => self.tell(proc, Stashed::Listening(result)),
            NetStep::Knock(proc, key) => self.tell(proc, Stashed::Accept(key)),
            NetStep::Offer(key, end) => self.offer_end(key, end),
            NetStep::Stranger(prank) => self.play(prank),
        }
    }

    fn arrive(&mut self, key: ConnKey, from: usize) {
        let Some(conn) = self.net.conns.get(&key) else {
            return;
        };
        let to = 1 - from;
        let (source, target) = (conn.ends[from].host, conn.ends[to].host);
        let reaches = !self.net.is_cut(source, target) && self.is_reachable(conn, target);
        let Some(conn) = self.net.conns.get_mut(&key) else {
            return;
        };
        let pipe = &mut conn.pipes[from];
        pipe.scheduled = false;
        if !reaches {
            pipe.parked = true;
            return;
        }
        let Some((_, segment)) = pipe.segments.pop_front() else {
            return;
        };
        if let Some(&(at, _)) = pipe.segments.front() {
            pipe.scheduled = true;
            self.at(at, Happening::Net(NetStep::Arrive(key, from)));
        }
        self.take_segment(key, to, segment);
        self.offer_again_to_sender(key, from);
        self.sweep(key);
    }

    /// Whether the machine has power, and whether anybody but itself gets through to where it listens.
    fn is_reachable(&self, conn: &Conn, target: usize) -> bool {
        let outside = target == self.net.outside();
        let listens_in_vain = |host: usize| self.hosts.get(host).is_some_and(|host| host.unreachable);
        let (from, to) = (conn.ends[0].host, conn.ends[1].host);
        let blocked = from != to && listens_in_vain(to);
        // Where the machine is dead the one that has taken its address answers.
        let answers = |host: usize| self.hosts[host].power || self.net.is_impersonated(host);
        outside || (!blocked && answers(target))
    }

    fn take_segment(&mut self, key: ConnKey, to: usize, segment: Segment) {
        if !matches!(segment, Segment::Data(_)) {
            note!(self, "net", "{segment:?} of connection {key} arrives at {to}");
        }
        match segment {
            Segment::Syn => self.take_syn(key),
            Segment::SynAck => self.take_syn_ack(key),
            Segment::Data(bytes) => self.take_data(key, to, &bytes),
            Segment::Fin | Segment::Rst => self.take_close(key, to, CloseReason::ByPeer),
            Segment::Refuse => self.take_close(key, to, CloseReason::Refused),
        }
    }

    fn take_syn(&mut self, key: ConnKey) {
        let conn = &self.net.conns[&key];
        let target = conn.ends[1].host;
        if let Some(&Some(guise)) = self.net.impostors.get(target)
            && conn.ends[0].host != target
            && matches!(conn.ends[0].who, Who::Process(..))
        {
            return self.impostor_accepts(key, guise);
        }
        let listener = self
            .hosts
            .get(target)
            .and_then(|host| self.net.listener(host.addr));
        let Some(proc) = listener else {
            self.send_segment(key, 1, Segment::Refuse);
            return;
        };
        let conn = self.net.conns.get_mut(&key).expect("it was there a moment ago");
        conn.ends[1].who = Who::Backlog(proc);
        conn.ends[1].open = true;
        self.send_segment(key, 1, Segment::SynAck);
        self.tell(proc, Stashed::Accept(key));
    }

    fn take_syn_ack(&mut self, key: ConnKey) {
        let conn = self.net.conns.get_mut(&key).expect("the segment came from it");
        let end = &conn.ends[0];
        if !end.open {
            self.send_segment(key, 0, Segment::Rst);
            return;
        }
        conn.established = true;
        match end.who {
            Who::Process(proc, id) => self.tell(proc, Stashed::Connected(key, id)),
            Who::Stranger => self.stranger_connected(key),
            Who::Backlog(_) | Who::Impostor | Who::Nobody => {}
        }
    }

    fn take_data(&mut self, key: ConnKey, to: usize, bytes: &[u8]) {
        let conn = self.net.conns.get_mut(&key).expect("the segment came from it");
        if !conn.ends[to].open {
            self.send_segment(key, to, Segment::Rst);
            return;
        }
        conn.ends[to].received.extend_from_slice(bytes);
        match conn.ends[to].who {
            Who::Impostor => self.tell_impostor(key),
            _ => self.offer_end(key, to),
        }
    }

    fn take_close(&mut self, key: ConnKey, to: usize, reason: CloseReason) {
        let conn = self.net.conns.get_mut(&key).expect("the segment came from it");
        let end = &mut conn.ends[to];
        if !std::mem::take(&mut end.open) {
            return;
        }
        match end.who {
            Who::Process(proc, id) => self.tell(proc, Stashed::Closed(key, id, reason)),
            // It was never accepted: the process finds nothing to accept.
            Who::Backlog(_) | Who::Stranger | Who::Impostor | Who::Nobody => {}
        }
    }

    fn give_up(&mut self, key: ConnKey) {
        if self
            .net
            .conns
            .get(&key)
            .is_some_and(|conn| !conn.established && conn.ends[0].open)
        {
            self.take_close(key, 0, CloseReason::Failed);
            self.sweep(key);
        }
    }

    /// One end is closed by its own side; the other hears of it in `last`.
    pub(crate) fn close_end(&mut self, key: ConnKey, end: usize, last: Segment) {
        let Some(conn) = self.net.conns.get_mut(&key) else {
            return;
        };
        if std::mem::take(&mut conn.ends[end].open) {
            self.send_segment(key, end, last);
        }
    }

    /// A connection breaks in the middle of whatever it carries, at both ends.
    pub(crate) fn reset_conn(&mut self, key: ConnKey) {
        for end in 0..2 {
            self.send_segment(key, end, Segment::Rst);
        }
    }

    /// A process has heard that this end is closed: what it did not take is lost.
    pub(crate) fn forget_received(&mut self, key: ConnKey, end: usize) {
        if let Some(conn) = self.net.conns.get_mut(&key) {
            conn.ends[end].received.clear();
        }
        self.sweep(key);
    }

    /// Forgets a connection that nobody has an open end of and that carries nothing any more.
    fn sweep(&mut self, key: ConnKey) {
        let over = |conn: &Conn| {
            conn.ends.iter().all(|end| !end.open && end.received.is_empty())
                && conn.pipes.iter().all(|pipe| pipe.segments.is_empty())
        };
        if self.net.conns.get(&key).is_some_and(over) {
            self.net.conns.remove(&key);
        }
    }

    /// Whether more than a message of this end's output waits to be sent.
    fn is_congested(&self, key: ConnKey, end: usize) -> bool {
        let conn = &self.net.conns[&key];
        conn.pipes[end].bytes() > WINDOW_BYTES + MESSAGE_BYTES_MAX
    }

    fn offer_again_to_sender(&mut self, key: ConnKey, end: usize) {
        let Some(conn) = self.net.conns.get(&key) else {
            return;
        };
        if conn.ends[end].open && !conn.ends[end].received.is_empty() {
            self.offer_end(key, end);
        }
    }

    /// Offers what came in at this end to its process, which takes whole messages.
    pub(crate) fn offer_end(&mut self, key: ConnKey, end: usize) {
        let Some(conn) = self.net.conns.get_mut(&key) else {
            return;
        };
        let (proc, id) = match conn.ends[end].who {
            Who::Process(proc, id) => (proc, id),
            Who::Stranger => {
                let heard = conn.ends[end].received.len();
                if heard > CHALLENGE_BYTES && self.options.rules == super::machine::Rules::Ours {
                    violate!(
                        self,
                        "a stranger heard {heard} bytes, expected a challenge and no more"
                    );
                }
                return;
            }
            Who::Backlog(_) | Who::Impostor | Who::Nobody => return,
        };
        if !self.is_running(proc) {
            return self.tell(proc, Stashed::Offer(key, end));
        }
        if self.is_congested(key, end) {
            return;
        }
        let host = self.procs[proc].host;
        let mut process = self.take_process(host);
        let now = self.hosts[host].clock.local(self.now);
        let received = &mut self
            .net
            .conns
            .get_mut(&key)
            .expect("it was there a moment ago")
            .ends[end]
            .received;
        let mut taken = 0;
        while taken < received.len() {
            match process.mount.handle_bytes(now, id, &mut received[taken..]) {
                0 => break,
                consumed => taken += consumed,
            }
        }
        assert!(taken <= received.len(), "more bytes were taken than were offered");
        received.drain(..taken);
        self.put_process(host, process);
        self.touch(host);
    }

    /// Links were mended or a machine has power again: whatever waited goes on its way.
    pub(crate) fn wake_pipes(&mut self) {
        let mut resent = Vec::new();
        for (&key, conn) in &mut self.net.conns {
            for end in 0..2 {
                if std::mem::take(&mut conn.pipes[end].parked) && !conn.pipes[end].segments.is_empty() {
                    conn.pipes[end].scheduled = true;
                    resent.push((key, end));
                }
            }
        }
        for (key, end) in resent {
            // Retransmission timers back off: the longer the cut, the later they notice.
            let after: Time = self.dice.scattered(1_000, 1_000_000);
            self.after(after, Happening::Net(NetStep::Arrive(key, end)));
        }
    }

    /// Nobody listens for this process any more; who waited to be accepted is turned away.
    pub(crate) fn close_listener(&mut self, proc: ProcId) {
        self.net.listeners.retain(|_, listener| *listener != proc);
        for key in self.net.keys() {
            if self.net.conns[&key].ends[1].who == Who::Backlog(proc) {
                self.close_end(key, 1, Segment::Rst);
            }
        }
    }

    /// A process is gone: with `silent` its machine is gone, too, and nobody hears of it.
    pub(crate) fn abandon_conns(&mut self, proc: ProcId, silent: bool) {
        self.net.listeners.retain(|_, listener| *listener != proc);
        for key in self.net.keys() {
            for end in 0..2 {
                let conn = self
                    .net
                    .conns
                    .get_mut(&key)
                    .expect("no connection goes while ends are closed");
                let own = match conn.ends[end].who {
                    Who::Process(owner, _) | Who::Backlog(owner) => owner == proc,
                    Who::Stranger | Who::Impostor | Who::Nobody => false,
                };
                if own {
                    conn.ends[end].received.clear();
                }
                if own && silent {
                    conn.ends[end].open = false;
                    conn.pipes[end].segments.clear();
                } else if own {
                    self.close_end(key, end, Segment::Rst);
                }
            }
            self.sweep(key);
        }
    }

    /// The process accepts a connection, or closes it for want of room.
    pub(crate) fn accept(&mut self, proc: ProcId, key: ConnKey, process: &mut super::host::Process) {
        let waits = |conn: &Conn| conn.ends[1].open && conn.ends[1].who == Who::Backlog(proc);
        if !self.net.conns.get(&key).is_some_and(waits) {
            return;
        }
        let host = self.procs[proc].host;
        let now = self.hosts[host].clock.local(self.now);
        if !process.mount.may_accept(now) {
            return self.after(CROWD_PAUSE, Happening::Net(NetStep::Knock(proc, key)));
        }
        match process.mount.handle_accept(now) {
            None => self.close_end(key, 1, Segment::Fin),
            Some(id) => {
                process.conns.insert(id, (key, 1));
                let conn = self.net.conns.get_mut(&key).expect("it was there a moment ago");
                conn.ends[1].who = Who::Process(proc, id);
                self.after(0, Happening::Net(NetStep::Offer(key, 1)));
            }
        }
    }
}
