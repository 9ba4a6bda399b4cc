//! The network: core's connections as TCP sockets of smoltcp, all in static memory.

use core::net::{Ipv4Addr, SocketAddr};

use log::{info, trace, warn};
use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::net::{CloseReason, ConnId, NetRequest};
use ostrakon_core::time::{Duration, Instant};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint};

use crate::{Card, TakeOnce};

/// Sockets that listen at once: each takes one connection that comes in.
const LISTENERS: usize = 6;

/// Bytes each way of a socket. Both hold more than one message.
const INCOMING_BYTES: usize = 2 * MESSAGE_BYTES_MAX;
const OUTGOING_BYTES: usize = 4 * MESSAGE_BYTES_MAX;

/// A closed connection whose peer does not answer is given up after this time.
const LINGER: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(3);

/// First of the ports for outgoing connections, and how many there are.
const PORTS_FROM: u16 = 49_152;
const PORTS: u16 = 16_384;

/// Static memory of so many TCP sockets: connections, those that listen, and those that linger after they were closed.
pub struct Room<const SOCKETS: usize> {
    incoming: TakeOnce<[[u8; INCOMING_BYTES]; SOCKETS]>,
    outgoing: TakeOnce<[[u8; OUTGOING_BYTES]; SOCKETS]>,
    storage: TakeOnce<[SocketStorage<'static>; SOCKETS]>,
}

impl<const SOCKETS: usize> Room<SOCKETS> {
    /// Nothing is in it yet.
    pub const fn new() -> Self {
        Self {
            incoming: TakeOnce::new(),
            outgoing: TakeOnce::new(),
            storage: TakeOnce::new(),
        }
    }
}

impl<const SOCKETS: usize> Default for Room<SOCKETS> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its own address.
    pub ip: Ipv4Addr,
    /// Bits of it that its neighbours share.
    pub prefix: u8,
    /// The way to everybody else.
    pub gateway: Ipv4Addr,
    /// A card that is of no use for this long is taken for [lost](Net::is_lost).
    pub cut_max: Duration,
}

/// What comes in.
pub trait NetSink {
    /// The listener stands, or could not be made.
    fn listening(&mut self, listens: Result<(), CloseReason>);
    /// A connection came in; `None`: no room for it.
    fn accept(&mut self) -> Option<ConnId>;
    /// A connection that was asked for stands.
    fn connected(&mut self, conn: ConnId);
    /// A connection is gone.
    fn closed(&mut self, conn: ConnId, reason: CloseReason);
    /// Bytes that came in; returns how many were consumed.
    fn bytes(&mut self, conn: ConnId, bytes: &mut [u8]) -> usize;
}

/// What a socket is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    Free,
    Listening,
    Connecting(ConnId),
    Open(ConnId),
    /// Core has forgotten it; TCP has not.
    Lingering,
}

/// The network of one node.
pub struct Net<const SOCKETS: usize> {
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    handles: [SocketHandle; SOCKETS],
    uses: [Use; SOCKETS],
    listen: Option<SocketAddr>,
    /// Core waits to hear that the listener stands.
    tell_listening: bool,
    next_port: u16,
    /// Since when the card is not plugged in, or takes no frame.
    cut_since: Option<Instant>,
    /// Cut for longer than this: lost.
    cut_max: Duration,
}

fn time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(now.0 as i64)
}

impl<const SOCKETS: usize> Net<SOCKETS> {
    /// Brings the interface up. `seed` is drawn from the platform's entropy.
    ///
    /// # Panics
    /// If the room was taken before.
    pub fn start(
        now: Instant,
        mut card: Card,
        place: &Place,
        seed: u64,
        room: &'static Room<SOCKETS>,
    ) -> Self {
        let address = HardwareAddress::Ethernet(EthernetAddress(card.address()));
        let mut config = Config::new(address);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut card, time(now));
        let own = IpCidr::new(IpAddress::Ipv4(place.ip), place.prefix);
        interface.update_ip_addrs(|addresses| {
            if addresses.push(own).is_err() {
                unreachable!("there is room for one address");
            }
        });
        if interface
            .routes_mut()
            .add_default_ipv4_route(place.gateway)
            .is_err()
        {
            unreachable!("there is room for one route");
        }
        let mut sockets = SocketSet::new(&mut room.storage.fill_each(SocketStorage::default)[..]);
        let incoming = room.incoming.fill_each(|| [0; INCOMING_BYTES]);
        let outgoing = room.outgoing.fill_each(|| [0; OUTGOING_BYTES]);
        let mut buffers = incoming.iter_mut().zip(outgoing);
        let handles = core::array::from_fn(|_| {
            let Some((incoming, outgoing)) = buffers.next() else {
                unreachable!("there are buffers for every socket");
            };
            let mut socket = Socket::new(
                SocketBuffer::new(&mut incoming[..]),
                SocketBuffer::new(&mut outgoing[..]),
            );
            // A request waits for nobody.
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
            sockets.add(socket)
        });
        Self {
            card,
            interface,
            sockets,
            handles,
            uses: [Use::Free; SOCKETS],
            listen: None,
            tell_listening: false,
            next_port: (seed >> 16) as u16 % PORTS,
            cut_since: None,
            cut_max: place.cut_max,
        }
    }

    /// Lets the card's next interrupt come.
    pub fn acknowledge(&mut self) {
        self.card.acknowledge();
    }

    fn socket(&mut self, index: usize) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handles[index])
    }

    /// A socket for something new, if need be one that only lingers.
    fn free(&mut self) -> Option<usize> {
        let free = self.uses.iter().position(|&used| used == Use::Free);
        let index = free.or_else(|| self.uses.iter().position(|&used| used == Use::Lingering))?;
        self.socket(index).abort();
        self.socket(index).set_timeout(None);
        self.uses[index] = Use::Free;
        Some(index)
    }

    fn find(&self, conn: ConnId) -> Option<usize> {
        let bears = |&used: &Use| used == Use::Open(conn) || used == Use::Connecting(conn);
        self.uses.iter().position(bears)
    }

    /// Carries out what core asks.
    pub fn request(&mut self, request: NetRequest, mut refuse: impl FnMut(ConnId, CloseReason)) {
        trace!("net: {request:?}");
        match request {
            NetRequest::Listen(addr) => {
                self.listen = Some(addr);
                self.tell_listening = true;
            }
            NetRequest::Unlisten => {
                self.listen = None;
                for index in 0..SOCKETS {
                    if self.uses[index] == Use::Listening {
                        self.socket(index).abort();
                        self.uses[index] = Use::Free;
                    }
                }
            }
            NetRequest::Connect(conn, addr) => {
                if let Err(reason) = self.connect(conn, addr) {
                    refuse(conn, reason);
                }
            }
            NetRequest::Close(conn) => {
                if let Some(index) = self.find(conn) {
                    self.let_go(index);
                }
            }
        }
    }

    /// Closes a socket; what it was given is still sent.
    fn let_go(&mut self, index: usize) {
        let socket = self.socket(index);
        socket.set_timeout(Some(LINGER));
        socket.close();
        self.uses[index] = Use::Lingering;
    }

    fn connect(&mut self, conn: ConnId, addr: SocketAddr) -> Result<(), CloseReason> {
        let SocketAddr::V4(addr) = addr else {
            warn!("net: {addr} is no IPv4 address");
            return Err(CloseReason::Failed);
        };
        let index = self.free().ok_or(CloseReason::Failed)?;
        let port = PORTS_FROM + self.next_port;
        self.next_port = (self.next_port + 1) % PORTS;
        let context = self.interface.context();
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handles[index]);
        let to = IpEndpoint::new(IpAddress::Ipv4(*addr.ip()), addr.port());
        socket
            .connect(context, to, port)
            .map_err(|_| CloseReason::Failed)?;
        self.uses[index] = Use::Connecting(conn);
        Ok(())
    }

    /// Takes a message for a connection. One for a connection that is gone is dropped: core will be told.
    /// `false`: the peer has taken nothing for too long, and the connection is gone.
    pub fn transmit(&mut self, conn: ConnId, message: &[u8]) -> bool {
        let Some(index) = self.find(conn) else { return true };
        let socket = self.socket(index);
        let room = socket.send_capacity() - socket.send_queue();
        if !socket.may_send() || (room >= message.len() && socket.send_slice(message).is_ok()) {
            return true;
        }
        socket.abort();
        self.uses[index] = Use::Lingering;
        false
    }

    /// Sends and receives frames, then tells what came in.
    pub fn turn(&mut self, now: Instant, scratch: &mut [u8], sink: &mut impl NetSink) {
        self.interface.poll(time(now), &mut self.card, &mut self.sockets);
        for index in 0..SOCKETS {
            match self.uses[index] {
                Use::Free => {}
                Use::Listening => self.look_listening(index, sink),
                Use::Connecting(conn) => self.look_connecting(index, conn, sink),
                Use::Open(conn) => self.look_open(index, conn, scratch, sink),
                Use::Lingering => {
                    if self.socket(index).state() == State::Closed {
                        self.uses[index] = Use::Free;
                    }
                }
            }
        }
        self.keep_listening(sink);
        self.look_at_card(now);
    }

    fn look_at_card(&mut self, now: Instant) {
        let reason = match (self.card.is_plugged_in(), self.card.is_stuck()) {
            (false, _) => Some("is not plugged in"),
            (true, true) => Some("takes no frame"),
            (true, false) => None,
        };
        match (reason, self.cut_since) {
            (Some(reason), None) => warn!("net: the card {reason}"),
            (None, Some(_)) => info!("net: the card works again"),
            _ => {}
        }
        self.cut_since = reason.map(|_| self.cut_since.unwrap_or(now));
    }

    fn look_listening(&mut self, index: usize, sink: &mut impl NetSink) {
        let socket = self.socket(index);
        match socket.state() {
            State::Listen | State::SynReceived => {}
            State::Closed => self.uses[index] = Use::Free,
            _ => match sink.accept() {
                Some(conn) => self.uses[index] = Use::Open(conn),
                None => self.let_go(index),
            },
        }
    }

    fn look_connecting(&mut self, index: usize, conn: ConnId, sink: &mut impl NetSink) {
        match self.socket(index).state() {
            State::SynSent | State::SynReceived => {}
            State::Closed => {
                self.uses[index] = Use::Free;
                sink.closed(conn, CloseReason::Refused);
            }
            _ => {
                self.uses[index] = Use::Open(conn);
                sink.connected(conn);
            }
        }
    }

    fn look_open(&mut self, index: usize, conn: ConnId, scratch: &mut [u8], sink: &mut impl NetSink) {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handles[index]);
        // The rule of `Mount::handle_bytes`: no input while more output than one message waits.
        while socket.can_recv() && socket.send_queue() <= MESSAGE_BYTES_MAX {
            let Ok(offered) = socket.peek_slice(scratch) else {
                break;
            };
            let consumed = sink.bytes(conn, &mut scratch[..offered]);
            assert!(consumed <= offered, "nobody consumes more than was offered");
            if consumed == 0 || socket.recv_slice(&mut scratch[..consumed]).is_err() {
                break;
            }
        }
        let over = !socket.is_active() || (!socket.may_recv() && socket.send_queue() == 0);
        if over {
            self.let_go(index);
            sink.closed(conn, CloseReason::ByPeer);
        }
    }

    /// Every socket that took a connection is replaced by another that listens.
    fn keep_listening(&mut self, sink: &mut impl NetSink) {
        let Some(addr) = self.listen else { return };
        let listening = self.uses.iter().filter(|&&used| used == Use::Listening).count();
        let mut stands = listening > 0;
        for _ in listening..LISTENERS {
            let Some(index) = self.free() else { break };
            if self.socket(index).listen(addr.port()).is_err() {
                break;
            }
            self.uses[index] = Use::Listening;
            stands = true;
        }
        if core::mem::take(&mut self.tell_listening) {
            sink.listening(if stands { Ok(()) } else { Err(CloseReason::Failed) });
        }
    }

    /// Sends what core has given out.
    pub fn flush(&mut self, now: Instant) {
        self.interface.poll(time(now), &mut self.card, &mut self.sockets);
    }

    /// When a [`turn`](Self::turn) is due without an interrupt.
    pub fn next_deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.tell_listening {
            return Some(now);
        }
        let due = self.interface.poll_at(time(now), &self.sockets);
        let due = due.map(|due| Instant(due.total_micros().max(0) as u64));
        due.into_iter().chain(self.lost_at()).min()
    }

    fn lost_at(&self) -> Option<Instant> {
        Some(self.cut_since? + self.cut_max)
    }

    /// Whether the card has been of no use for too long.
    pub fn is_lost(&self, now: Instant) -> bool {
        self.lost_at().is_some_and(|at| now >= at)
    }
}
