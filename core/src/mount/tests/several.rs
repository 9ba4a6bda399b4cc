//! Several mounts on one device, with a network between them, and a platform that answers as a test wants.

extern crate std;

use core::net::SocketAddr;
use std::vec;
use std::vec::Vec;

use super::formatted_for;
use crate::bounds::{BLOCK_BYTES, MESSAGE_BYTES_MAX};
use crate::checksum::portable;
use crate::config::{Config, VoterConfig};
use crate::disk::{DiskError, DiskOutcome, DiskRequest};
use crate::event::Event;
use crate::fence::{FenceOutcome, FenceRequest};
use crate::format::{FenceParam, SUPER_COPIES, SuperBlock};
use crate::ids::{BlockNo, Rid};
use crate::io::Owner;
use crate::mount::Mount;
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::server::FixedMemory;
use crate::session::world::Counter;
use crate::time::{Duration, Instant};

/// Clients of the volume: room for as many voters as there are places, and some.
pub(super) const CLIENTS: usize = 24;
const STRANGERS: usize = 16;

/// What becomes of a connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    Open,
    Refuses,
    /// Nobody hears anything of it.
    Silent,
}

/// How the device answers a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Device {
    Fine,
    /// Nothing is answered any more.
    Hung,
    Failing,
}

/// One mount, and what its platform saw.
pub(super) struct Member {
    pub(super) mount: Mount<FixedMemory<CLIENTS, { CLIENTS + STRANGERS }>, Counter>,
    pub(super) events: Vec<(Instant, Event)>,
    /// What it asked the platform to fence, and what comes of that; `None`: nothing yet.
    pub(super) fences: Vec<FenceRequest>,
    pub(super) fence: Option<FenceOutcome>,
    pub(super) asked: Vec<(Instant, DiskRequest)>,
    pub(super) connects: Vec<Instant>,
    /// Messages that it sent to others.
    pub(super) messages: u32,
    /// For those that connect to it.
    pub(super) door: Door,
    pub(super) device: Device,
    /// What the platform answers when it is to listen; `None`: nothing.
    pub(super) listens: Option<Result<(), CloseReason>>,
    /// Its process is gone, or stopped.
    pub(super) gone: bool,
    listening: bool,
}

struct Wire {
    client: usize,
    server: usize,
    conn: ConnId,
    up: Vec<u8>,
    down: Vec<u8>,
}

pub(super) struct Several {
    pub(super) now: Instant,
    pub(super) blocks: Vec<u8>,
    pub(super) members: Vec<Member>,
    /// What becomes of connects to addresses of nobody here.
    pub(super) elsewhere: Door,
    wires: Vec<Wire>,
    /// Rounds in a row that were called for and of which nothing came.
    in_vain: u32,
}

pub(super) fn rid(at: usize) -> Rid {
    Rid::new(at as u64 + 1).unwrap()
}

pub(super) fn addr(at: usize) -> SocketAddr {
    ([10, 0, 0, at as u8], 7000).into()
}

pub(super) fn serving(event: &Event) -> bool {
    matches!(event, Event::Serving { .. })
}

pub(super) fn connected(event: &Event) -> bool {
    matches!(event, Event::Connected { .. })
}

pub(super) fn disconnected(event: &Event) -> bool {
    matches!(event, Event::Disconnected { .. })
}

impl Several {
    pub(super) fn on_a_new_volume(quorum_count: u16) -> Self {
        Self {
            now: Instant(1_000_000),
            blocks: formatted_for(quorum_count, CLIENTS as u32),
            members: Vec::new(),
            elsewhere: Door::Refuses,
            wires: Vec::new(),
            in_vain: 0,
        }
    }

    /// Voters, one of which leads, with all others connected to it.
    pub(super) fn with_voters(quorum_count: u16, voters: usize) -> Self {
        let mut several = Self::on_a_new_volume(quorum_count);
        for at in 0..voters {
            several.voter(|_| {});
            if at + 1 == usize::from(quorum_count) {
                several.pass(Duration::from_secs(3));
            }
        }
        several.pass(Duration::from_secs(3));
        assert!((0..voters).all(|at| several.members[at].mount.connected_to().is_some()));
        several
    }

    /// Adds a voter that fences and promises nothing, unless it is changed.
    pub(super) fn voter(&mut self, change: impl FnOnce(&mut Config)) -> usize {
        let at = self.members.len();
        self.add(|config| {
            config.voter = Some(VoterConfig::fencing(addr(at), FenceParam::default()));
            change(config);
        })
    }

    /// Adds a plain client, unless it is changed.
    pub(super) fn add(&mut self, change: impl FnOnce(&mut Config)) -> usize {
        let at = self.members.len();
        let mut config = Config::client(rid(at));
        change(&mut config);
        let memory = FixedMemory::default();
        self.members.push(Member {
            mount: Mount::new(self.now, config, [at as u8; 32], memory, Counter::default()),
            events: Vec::new(),
            fences: Vec::new(),
            fence: None,
            asked: Vec::new(),
            connects: Vec::new(),
            messages: 0,
            door: Door::Open,
            device: Device::Fine,
            listens: Some(Ok(())),
            gone: false,
            listening: false,
        });
        at
    }

    /// Who serves.
    pub(super) fn leader(&self) -> usize {
        let leads = |member: &Member| !member.gone && member.mount.leads(self.now).is_some();
        self.members.iter().position(leads).expect("somebody serves")
    }

    /// Everybody else.
    pub(super) fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.members.len()).filter(|&at| at != leader).collect()
    }

    /// Its process is gone, and the system closes its connections.
    pub(super) fn kill(&mut self, at: usize) {
        self.members[at].gone = true;
        self.members[at].listening = false;
        self.part(at);
    }

    /// A process that was stopped goes on, and hears that its connection was closed meanwhile.
    pub(super) fn thaw(&mut self, at: usize) {
        self.members[at].gone = false;
        if !self.wires.iter().any(|wire| wire.client == at) {
            let mount = &mut self.members[at].mount;
            mount.handle_closed(self.now, ConnId::CLIENT, CloseReason::ByPeer);
        }
    }

    /// Breaks its connections; the other ends hear of it.
    pub(super) fn part(&mut self, at: usize) {
        let now = self.now;
        let touches = |wire: &Wire| wire.client == at || wire.server == at;
        let (cut, kept) = self.wires.drain(..).partition::<Vec<_>, _>(touches);
        self.wires = kept;
        for Wire {
            client, server, conn, ..
        } in cut
        {
            let reason = CloseReason::ByPeer;
            for (end, conn) in [(client, ConnId::CLIENT), (server, conn)] {
                if !self.members[end].gone {
                    self.members[end].mount.handle_closed(now, conn, reason);
                }
            }
        }
    }

    pub(super) fn super_block(&self) -> SuperBlock {
        let at = SUPER_COPIES[0];
        SuperBlock::decode(self.block(at), at, None, portable).unwrap()
    }

    /// Writes the super block like somebody who leads.
    pub(super) fn change_super(&mut self, change: impl FnOnce(&mut SuperBlock)) {
        let mut state = self.super_block();
        change(&mut state);
        state.seq += 1;
        for at in SUPER_COPIES {
            let first = at.0 as usize * BLOCK_BYTES;
            state.encode(at, portable, &mut self.blocks[first..][..BLOCK_BYTES]);
        }
    }

    pub(super) fn block(&self, at: BlockNo) -> &[u8] {
        &self.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES]
    }

    /// Whether it was told this.
    pub(super) fn told(&self, at: usize, wanted: impl Fn(&Event) -> bool) -> usize {
        self.members[at]
            .events
            .iter()
            .filter(|(_, event)| wanted(event))
            .count()
    }

    /// When its election first asked the device for something after this.
    pub(super) fn voted_after(&self, at: usize, after: Instant) -> Option<Instant> {
        let ours = |(asked, request): &&(Instant, DiskRequest)| {
            *asked >= after && Owner::of(request.id()) == Some(Owner::Election)
        };
        self.members[at].asked.iter().find(ours).map(|&(asked, _)| asked)
    }

    /// One round in the documented order for everybody; says whether anything came of it that has to be handed back.
    pub(super) fn round(&mut self) -> bool {
        let mut inputs = false;
        for at in 0..self.members.len() {
            if !self.members[at].gone {
                inputs |= self.turn(at);
            }
        }
        for at in 0..self.wires.len() {
            inputs |= self.carry_bytes(at);
        }
        inputs
    }

    /// Rounds for this long, whatever comes: what is not done by then waits for the next deadline.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.step(end);
        }
    }

    /// Until this member is told so.
    pub(super) fn until(&mut self, at: usize, span: Duration, wanted: impl Fn(&Event) -> bool) -> Instant {
        let (end, seen) = (self.now + span, self.members[at].events.len());
        loop {
            let new = &self.members[at].events[seen..];
            if let Some((told, _)) = new.iter().find(|(_, event)| wanted(event)) {
                return *told;
            }
            assert!(self.now < end, "it never came: {:#?}", self.members[at].events);
            self.step(end);
        }
    }

    fn step(&mut self, end: Instant) {
        if !self.round() {
            let there = self.members.iter_mut().filter(|member| !member.gone);
            let due = there.filter_map(|member| member.mount.next_deadline()).min();
            let past = due.is_some_and(|due| due <= self.now);
            self.in_vain = if past { self.in_vain + 1 } else { 0 };
            assert!(
                self.in_vain < 1000,
                "somebody is called for nothing again and again"
            );
            self.now = due.unwrap_or(end).max(self.now + Duration(1)).min(end);
        }
    }

    fn turn(&mut self, at: usize) -> bool {
        let now = self.now;
        let member = &mut self.members[at];
        member.mount.poll(now);
        while let Some(event) = member.mount.poll_event() {
            member.events.push((now, event));
        }
        let mut inputs = false;
        while let Some(request) = self.members[at].mount.poll_net(now) {
            inputs |= self.carry_out_net(at, request);
        }
        let mut message = [0; MESSAGE_BYTES_MAX];
        while let Some((conn, length)) = self.members[at].mount.poll_transmit(now, &mut message) {
            self.members[at].messages += 1;
            let mut wires = self.wires.iter_mut();
            if conn == ConnId::CLIENT {
                let wire = wires.find(|wire| wire.client == at).expect("it is connected");
                wire.up.extend_from_slice(&message[..length]);
            } else if let Some(wire) = wires.find(|wire| wire.server == at && wire.conn == conn) {
                wire.down.extend_from_slice(&message[..length]);
            }
        }
        let member = &mut self.members[at];
        while let Some(request) = member.mount.poll_fence(now) {
            if let Some(outcome) = member.fence {
                member.mount.handle_fence(now, request.victim.ballot, outcome);
                inputs = true;
            }
            member.fences.push(request);
        }
        let mut requests = Vec::new();
        let mut buffer = vec![0; 64 * BLOCK_BYTES];
        while let Some(request) = member.mount.poll_disk(now, &mut buffer) {
            member.asked.push((now, request));
            let bytes = match request {
                DiskRequest::Write { count, .. } => buffer[..count as usize * BLOCK_BYTES].to_vec(),
                _ => Vec::new(),
            };
            if member.device != Device::Hung {
                requests.push((request, bytes));
            }
        }
        for (request, bytes) in requests {
            self.carry_out(at, request, &bytes);
            inputs = true;
        }
        inputs
    }

    fn carry_out(&mut self, at: usize, request: DiskRequest, bytes: &[u8]) {
        self.now += Duration(100);
        let (now, id) = (self.now, request.id());
        let member = &mut self.members[at];
        let range = |first: BlockNo, count: u32| {
            let first = first.0 as usize * BLOCK_BYTES;
            first..first + count as usize * BLOCK_BYTES
        };
        let outcome = match request {
            _ if member.device == Device::Failing => DiskOutcome::Failed(DiskError::Failed),
            DiskRequest::Read { first, count, .. } => DiskOutcome::Read(&self.blocks[range(first, count)]),
            DiskRequest::Write { first, count, .. } => {
                self.blocks[range(first, count)].copy_from_slice(bytes);
                DiskOutcome::Done
            }
            DiskRequest::Flush { .. } => DiskOutcome::Done,
        };
        member.mount.handle_disk(now, id, outcome);
    }

    /// Says whether anybody was handed something for it.
    fn carry_out_net(&mut self, at: usize, request: NetRequest) -> bool {
        let now = self.now;
        match request {
            NetRequest::Listen(own) => {
                assert_eq!(own, addr(at));
                let member = &mut self.members[at];
                if let Some(outcome) = member.listens {
                    member.listening = outcome.is_ok();
                    member.mount.handle_listening(now, outcome);
                }
                member.listens.is_some()
            }
            NetRequest::Unlisten => {
                self.members[at].listening = false;
                false
            }
            NetRequest::Connect(conn, to) => {
                assert_eq!(
                    conn,
                    ConnId::CLIENT,
                    "nobody else sees the mount's own connection"
                );
                self.connect(at, to)
            }
            NetRequest::Close(conn) => {
                let client = conn == ConnId::CLIENT;
                let mine = |wire: &Wire| {
                    if client {
                        wire.client == at
                    } else {
                        wire.server == at && wire.conn == conn
                    }
                };
                self.wires.iter().position(mine).is_some_and(|index| {
                    let wire = self.wires.swap_remove(index);
                    let (end, conn) = if client {
                        (wire.server, wire.conn)
                    } else {
                        (wire.client, ConnId::CLIENT)
                    };
                    if !self.members[end].gone {
                        self.members[end]
                            .mount
                            .handle_closed(now, conn, CloseReason::ByPeer);
                    }
                    !self.members[end].gone
                })
            }
        }
    }

    fn connect(&mut self, at: usize, to: SocketAddr) -> bool {
        let now = self.now;
        self.members[at].connects.push(now);
        let server = (0..self.members.len()).find(|&server| addr(server) == to);
        let door = match server {
            None => self.elsewhere,
            Some(server) if self.members[server].listening => self.members[server].door,
            Some(server) if self.members[server].door == Door::Open => Door::Refuses,
            Some(server) => self.members[server].door,
        };
        match (door, server) {
            (Door::Silent, _) => return false,
            (Door::Open, Some(server)) => {
                if let Some(conn) = self.members[server].mount.handle_accept(now) {
                    self.wires.push(Wire {
                        client: at,
                        server,
                        conn,
                        up: Vec::new(),
                        down: Vec::new(),
                    });
                    self.members[at].mount.handle_connected(now, ConnId::CLIENT);
                    return true;
                }
            }
            _ => {}
        }
        let mount = &mut self.members[at].mount;
        mount.handle_closed(now, ConnId::CLIENT, CloseReason::Refused);
        true
    }

    /// What is not consumed is offered again, with what follows.
    fn carry_bytes(&mut self, at: usize) -> bool {
        let now = self.now;
        let wire = &mut self.wires[at];
        let mut used = 0;
        for (bytes, end, conn) in [
            (&mut wire.up, wire.server, wire.conn),
            (&mut wire.down, wire.client, ConnId::CLIENT),
        ] {
            if !bytes.is_empty() && !self.members[end].gone {
                let consumed = self.members[end].mount.handle_bytes(now, conn, bytes);
                bytes.drain(..consumed);
                used += consumed;
            }
        }
        used > 0
    }
}
