//! A small world for scenarios: one disk in memory, mounts with a client and perhaps a server each, wires that are
//! moved by hand. Time stands still unless a scenario lets it pass.

extern crate std;

mod turn;

use core::net::SocketAddr;
use std::boxed::Box;
use std::vec::Vec;

use super::disk::Disk;
use crate::bounds::{MESSAGE_BYTES_MAX, STRANGERS_MAX};
use crate::client::Client;
use crate::config::{Config, VoterConfig};
use crate::disk::IoId;
use crate::event::Event;
use crate::fence::FenceRequest;
use crate::format::hello::Offer;
use crate::format::wire::{Command, RequestId, frame_length, put_length};
use crate::format::{FenceParam, SuperBlock};
use crate::ids::{Ballot, Mark, Rid, Term};
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::noise::{Entropy, Heard, Initiator, Secret};
use crate::server::{FixedMemory, Server};
use crate::service::{Reply, Request, Service};
use crate::superio::{Copies, SuperView};
use crate::time::{Duration, Instant};

/// Clients of the volume, more than two blocks of the table.
pub(crate) const CLIENTS: usize = 80;
type TestMemory = FixedMemory<CLIENTS, { CLIENTS + STRANGERS }>;

/// Connections for which its servers have memory beyond that of their clients.
pub(crate) const STRANGERS: usize = STRANGERS_MAX + 4;

/// Adds the first byte of the body and answers with the sum: executed twice, it shows.
pub(crate) const ADD: Command = Command(Command::SERVICE.0 + 1);
/// Answers with a hundred bytes, more than is kept.
pub(crate) const LONG: Command = Command(Command::SERVICE.0 + 2);

/// A service that is not idempotent.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) sum: u8,
    pub(crate) executed: u32,
    pub(crate) started: Option<Ballot>,
    pub(crate) gone: Vec<Rid>,
}

impl Service for Counter {
    fn started(&mut self, server: Ballot) {
        self.started = Some(server);
    }
    fn stopped(&mut self) {
        self.started = None;
    }
    fn handle(&mut self, request: &Request<'_>, answer: &mut [u8]) -> Reply {
        assert_eq!(
            self.started,
            Some(request.server),
            "nothing is executed unless it serves"
        );
        self.executed += 1;
        match request.command {
            ADD => {
                self.sum += request.body[0];
                answer[0] = self.sum;
                Reply::Now(crate::format::wire::Status::Ok, 1)
            }
            LONG => Reply::Now(crate::format::wire::Status::Ok, 100),
            _ => Reply::Unknown,
        }
    }
    fn client_gone(&mut self, client: Rid) {
        self.gone.push(client);
    }
}

/// One mount.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) server: Option<Box<Server<TestMemory, Counter>>>,
    pub(crate) may_act: bool,
    pub(crate) events: Vec<Event>,
    pub(crate) fences: Vec<FenceRequest>,
    /// What its platform answers when it is asked to listen.
    pub(crate) can_listen: bool,
    /// Its process is stopped.
    pub(crate) asleep: bool,
    listening: bool,
    next_io: u32,
}

/// Who holds the client's end of a wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Mount(usize),
    Raw,
}

/// A connection.
pub(crate) struct Wire {
    end: End,
    host: usize,
    conn: ConnId,
    up: Vec<u8>,
    down: Vec<u8>,
    /// The client's end of one that knows the key and is no mount's.
    line: Option<Initiator>,
    /// What was heard there, opened.
    opened: Vec<u8>,
    /// What it said in the handshake.
    pub(crate) said: Vec<Vec<u8>>,
    /// What the server speaks, as it was told.
    pub(crate) told: Option<Offer>,
    /// What the server says is lost on the way.
    pub(crate) mute: bool,
    /// The server closed it.
    pub(crate) closed: bool,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) disk: Disk,
    pub(crate) nodes: Vec<Node>,
    pub(crate) wires: Vec<Wire>,
}

pub(crate) fn rid(node: usize) -> Rid {
    Rid::new(node as u64 + 1).unwrap()
}

pub(crate) fn addr(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node as u8], 7000))
}

impl World {
    /// A freshly formatted volume, and nobody there.
    pub(crate) fn new(quorum_count: u16) -> Self {
        Self {
            now: Instant(1_000_000),
            disk: Disk::format(quorum_count, CLIENTS as u32),
            nodes: Vec::new(),
            wires: Vec::new(),
        }
    }

    /// Mounts of voters, the first of which serves in term 1 with everybody connected.
    pub(crate) fn with_voters(quorum_count: u16, voters: usize) -> Self {
        let mut world = Self::new(quorum_count);
        world.voter();
        world.serve(0, 1);
        world.settle();
        for _ in 1..voters {
            world.voter();
            world.settle();
        }
        world
    }

    fn node(&mut self, change: impl FnOnce(&mut Config)) -> usize {
        let node = self.nodes.len();
        let mut config = Config::client(rid(node));
        change(&mut config);
        self.nodes.push(Node {
            config,
            client: Client::new(self.now, config, Entropy::new([node as u8; 32])),
            server: None,
            may_act: true,
            events: Vec::new(),
            fences: Vec::new(),
            can_listen: true,
            asleep: false,
            listening: false,
            next_io: 0,
        });
        node
    }

    pub(crate) fn plain(&mut self) -> usize {
        self.node(|_| {})
    }

    /// A plain client that need not read the super block to find the server.
    pub(crate) fn informed(&mut self) -> usize {
        let node = self.plain();
        self.inform(node);
        node
    }

    /// Shows a client the super block as it is.
    pub(crate) fn inform(&mut self, node: usize) {
        let view = self.view();
        self.nodes[node].client.see_super(self.now, &view);
    }

    pub(crate) fn view(&self) -> SuperView {
        SuperView {
            state: self.super_block(),
            copies: Copies::Equal,
        }
    }

    /// Many plain clients, one after the other.
    pub(crate) fn crowd(&mut self, clients: usize) {
        for _ in 0..clients {
            self.plain();
            self.settle();
        }
    }

    pub(crate) fn plain_with(&mut self, change: impl FnOnce(&mut Config)) -> usize {
        self.node(change)
    }

    pub(crate) fn voter(&mut self) -> usize {
        let node = self.nodes.len();
        self.node(|config| config.voter = Some(VoterConfig::fencing(addr(node), FenceParam::default())))
    }

    /// Makes a mount the server, by what the election and rule R8 leave behind.
    pub(crate) fn serve(&mut self, node: usize, term: u64) {
        let ballot = Ballot {
            term: Term(term),
            rid: rid(node),
        };
        self.change_super(|state| {
            state.fenced = Mark::below(ballot);
            state.server = Some(ballot);
            state.server_addr = None;
        });
        let view = self.view();
        let config = self.nodes[node].config;
        let mut server = Box::new(Server::new(
            &config,
            TestMemory::default(),
            Counter::default(),
            Entropy::new([term as u8; 32]),
        ));
        server.start(self.now, &view, ballot, addr(node));
        self.nodes[node].server = Some(server);
    }

    /// Writes the super block like a leader of rules R8 and R9.
    pub(crate) fn change_super(&mut self, change: impl FnOnce(&mut SuperBlock)) {
        let mut state = self.disk.super_block();
        change(&mut state);
        state.seq += 1;
        self.disk.put_super(&state);
    }

    /// What the super block says.
    pub(crate) fn super_block(&self) -> SuperBlock {
        self.disk.super_block()
    }

    pub(crate) fn server(&mut self, node: usize) -> &mut Server<TestMemory, Counter> {
        self.nodes[node].server.as_mut().expect("it serves")
    }

    /// Its process and its host are gone, in one instant.
    pub(crate) fn kill(&mut self, node: usize) {
        self.kill_server(node);
        let dead = self.nodes[node].config;
        self.nodes[node].client = Client::new(self.now, dead, Entropy::new([0; 32]));
        self.nodes[node].client.force(self.now);
        for wire in self.take_wires(|wire| wire.end == End::Mount(node)) {
            if let Some(server) = &mut self.nodes[wire.host].server {
                server.handle_closed(self.now, wire.conn);
            }
        }
    }

    /// Only the server of a mount is gone.
    pub(crate) fn kill_server(&mut self, node: usize) {
        self.nodes[node].server = None;
        self.nodes[node].listening = false;
        self.disk.forget_issued(node);
        for wire in self.take_wires(|wire| wire.host == node) {
            self.closed_for_client(&wire, CloseReason::ByPeer);
        }
        self.nodes[node].client.set_local_server(self.now, None);
    }

    fn take_wires(&mut self, which: impl Fn(&Wire) -> bool) -> Vec<Wire> {
        let (taken, kept) = self.wires.drain(..).partition(|wire| which(wire));
        self.wires = kept;
        taken
    }

    fn closed_for_client(&mut self, wire: &Wire, reason: CloseReason) {
        if let End::Mount(node) = wire.end {
            let conn = if node == wire.host {
                ConnId::LOCAL
            } else {
                ConnId::CLIENT
            };
            self.nodes[node].client.handle_closed(self.now, conn, reason);
        }
    }

    /// Breaks the connection of a mount; both ends hear of it.
    pub(crate) fn cut(&mut self, node: usize) {
        for wire in self.take_wires(|wire| wire.end == End::Mount(node)) {
            if let Some(server) = &mut self.nodes[wire.host].server {
                server.handle_closed(self.now, wire.conn);
            }
            self.closed_for_client(&wire, CloseReason::ByPeer);
        }
    }

    /// From now on nothing that the server says reaches this mount on its present connection.
    pub(crate) fn mute(&mut self, node: usize) {
        for wire in self.wires.iter_mut().filter(|wire| wire.end == End::Mount(node)) {
            wire.mute = true;
        }
    }

    /// A connection that is no mount's; its place among the wires.
    pub(crate) fn raw(&mut self, host: usize) -> Option<usize> {
        let now = self.now;
        let conn = self.server(host).handle_accept(now)?;
        self.wire(End::Raw, host, conn);
        Some(self.wires.len() - 1)
    }

    fn wire(&mut self, end: End, host: usize, conn: ConnId) {
        self.wires.push(Wire {
            end,
            host,
            conn,
            up: Vec::new(),
            down: Vec::new(),
            line: None,
            opened: Vec::new(),
            said: Vec::new(),
            told: None,
            mute: false,
            closed: false,
        });
    }

    /// A connection that is no mount's, of one who knows the key; both sides have shown it.
    pub(crate) fn insider(&mut self, host: usize) -> usize {
        let raw = self.newcomer(host, Offer::OURS);
        self.settle();
        assert!(self.wires[raw].line.as_ref().is_some_and(Initiator::is_open));
        raw
    }

    /// The same, of one who speaks what it offers, before anything was said.
    pub(crate) fn newcomer(&mut self, host: usize, offer: Offer) -> usize {
        let raw = self.raw(host).expect("it listens");
        self.wires[raw].line = Some(Initiator::new(offer));
        raw
    }

    /// The bytes of a stranger, or the frames of an insider.
    pub(crate) fn say(&mut self, raw: usize, bytes: &[u8]) {
        let sealed = self.sealed(raw, bytes);
        self.wires[raw].up.extend_from_slice(&sealed);
    }

    /// What would go over the wire.
    pub(crate) fn sealed(&mut self, raw: usize, mut frames: &[u8]) -> Vec<u8> {
        let Some(line) = &mut self.wires[raw].line else {
            return frames.to_vec();
        };
        let mut sealed = Vec::new();
        while let Some(length) = frame_length(frames).unwrap() {
            let mut buffer = [0; MESSAGE_BYTES_MAX];
            buffer[..length].copy_from_slice(&frames[..length]);
            let bytes = line.seal(&mut buffer, length).unwrap();
            sealed.extend_from_slice(&buffer[..bytes]);
            frames = &frames[length..];
        }
        assert!(frames.is_empty(), "whole frames");
        sealed
    }

    /// Bytes as they are, even of one who knows better.
    pub(crate) fn say_raw(&mut self, raw: usize, bytes: &[u8]) {
        self.wires[raw].up.extend_from_slice(bytes);
    }

    /// What the server said on a connection that is no mount's: to a stranger, or in frames.
    pub(crate) fn heard(&mut self, raw: usize) -> Vec<u8> {
        let wire = &mut self.wires[raw];
        if wire.line.is_none() {
            return core::mem::take(&mut wire.down);
        }
        core::mem::take(&mut wire.opened)
    }

    /// Lets everybody do what can be done in no time.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut busy = false;
            for node in 0..self.nodes.len() {
                busy |= self.turn(node);
            }
            if !busy & !self.move_bytes() {
                return;
            }
        }
        panic!("somebody never comes to rest");
    }

    /// Lets time pass, from one deadline to the next.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        for _ in 0..100_000 {
            let next = self.next_deadline().filter(|&next| next < end);
            self.now = next.unwrap_or(end).max(self.now);
            self.settle();
            if next.is_none() {
                return;
            }
        }
        panic!("deadlines that never end");
    }

    /// Lets time pass in one leap, as for a host that slept.
    pub(crate) fn leap(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let each = |node: &mut Node| {
            let server = node.server.as_mut().and_then(|server| server.next_deadline());
            [server, node.client.next_deadline()].into_iter().flatten().min()
        };
        let awake = self.nodes.iter_mut().filter(|node| !node.asleep);
        awake.filter_map(each).min()
    }

    /// Where the connection of a mount goes, and its name there.
    pub(crate) fn place(&self, node: usize) -> Option<(usize, ConnId)> {
        let mut wires = self.wires.iter();
        wires.find(|wire| wire.end == End::Mount(node)).map(Wire::place)
    }

    pub(crate) fn is_connected(&self, node: usize) -> bool {
        self.nodes[node].client.connected_to().is_some()
    }

    pub(crate) fn ended(&self, node: usize) -> Option<crate::event::Unmounted> {
        self.nodes[node].client.ended()
    }

    pub(crate) fn unmount(&mut self, node: usize) {
        self.nodes[node].client.unmount(self.now);
    }

    pub(crate) fn submit(&mut self, node: usize, command: Command, body: &[u8]) -> RequestId {
        self.nodes[node]
            .client
            .submit(command, body)
            .expect("there is room")
    }

    pub(crate) fn told(&self, node: usize, event: &Event) -> bool {
        self.nodes[node].events.contains(event)
    }

    /// The rids in the table, as the next server would believe it.
    pub(crate) fn recorded(&self) -> Vec<u64> {
        self.disk
            .records()
            .iter()
            .map(|record| record.rid.value())
            .collect()
    }
}

impl Wire {
    /// Whoever holds this end and is no mount hears what came in.
    fn hear(&mut self, state: &SuperBlock) -> bool {
        let Some(line) = &mut self.line else {
            return false;
        };
        let secret = Secret {
            volume: state.volume,
            key: &state.key,
        };
        let (heard, used) = line.take(&secret, &mut self.down).unwrap();
        match heard {
            Heard::Nothing => {}
            Heard::Reply(offer) => self.told = Some(offer),
            Heard::Challenge => {
                let mut hello = [0; MESSAGE_BYTES_MAX];
                let mut entropy = Entropy::new([0xee; 32]);
                let length = line.hello(&secret, &mut entropy, &mut hello).unwrap();
                self.up.extend_from_slice(&hello[..length]);
                self.said.push(hello[..length].to_vec());
            }
            Heard::Frame(frame) => {
                let at = self.opened.len();
                self.opened.extend_from_slice(frame);
                put_length(&mut self.opened[at..], frame.len());
            }
        }
        self.down.drain(..used);
        used > 0
    }

    /// The same, with nobody at the client's end.
    pub(crate) fn orphaned(mut self) -> Self {
        self.end = End::Raw;
        self
    }

    /// Where it goes, and its name there.
    pub(crate) const fn place(&self) -> (usize, ConnId) {
        (self.host, self.conn)
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.end == End::Raw
    }
}
