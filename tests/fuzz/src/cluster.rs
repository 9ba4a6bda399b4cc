//! A few mounts on one device in memory, moved by hand: every input at any time, the honest ones and the others.
//!
//! [`run`] is the target that draws the inputs; the other targets let a cluster run well. The rules for safety are the
//! simulator's business, which keeps to what the design claims to survive; here nothing is excused: completions with any bytes,
//! blocks forged on the device, peers that say anything. Whatever comes, a mount does not panic, asks a bounded number
//! of things, keeps off the boot loader's blocks, and ends when it is told to by force.

mod wires;

use core::net::SocketAddr;

use arbitrary::{Result, Unstructured};
use ostrakon_core::bounds::{BLOCK_BYTES, MESSAGE_BYTES_MAX};
use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::disk::{DiskError, DiskOutcome, DiskRequest};
use ostrakon_core::fence::FenceOutcome;
use ostrakon_core::format::wire::Command;
use ostrakon_core::format::{FenceParam, SUPER_COPIES};
use ostrakon_core::ids::{Ballot, Rid};
use ostrakon_core::mount::Mount;
use ostrakon_core::net::{CloseReason, ConnId, NetRequest};
use ostrakon_core::server::FixedMemory;
use ostrakon_core::service::NoService;
use ostrakon_core::time::{Duration, Instant};

use crate::mutate::{checksum, damage, repair};
use crate::volume::{CLIENTS, Device};
use wires::Wire;

/// Things that a mount asks for in one round, after which it is taken to ask without end.
const ASKS_MAX: usize = 4_096;
/// Requests under way of one mount, after which it is taken to hoard them.
const REQUESTS_MAX: usize = 256;
/// The least that time passes between two rounds of a cluster that runs well.
const STEP: Duration = Duration(200);

type Memory = FixedMemory<{ CLIENTS as usize }, { CLIENTS as usize + 16 }>;

/// A mount and what its platform knows.
struct Host {
    mount: Box<Mount<Memory, NoService>>,
    addr: SocketAddr,
    /// Requests under way, with the bytes of a write.
    disk: Vec<(DiskRequest, Vec<u8>)>,
    fences: Vec<Ballot>,
    connecting: Option<(ConnId, SocketAddr)>,
    listens: bool,
    /// Asked to listen, and not answered yet.
    listen_due: bool,
}

/// Some mounts on one device.
pub struct Cluster {
    /// What they share.
    pub device: Device,
    now: Instant,
    hosts: Vec<Host>,
    wires: Vec<Wire>,
    fenced: Vec<Ballot>,
}

impl Cluster {
    /// A voter and a client.
    pub fn new(device: Device) -> Self {
        Self::start(device, 1, 2, 64, None)
    }

    /// So many mounts, the first of them voters, with requests of so many blocks at most. With a lease nobody can fence.
    pub fn start(
        device: Device,
        voters: usize,
        hosts: usize,
        transfer_blocks: u32,
        lease: Option<Duration>,
    ) -> Self {
        // Some time after the mounts that may have left something on the device.
        let now = Instant(3_600_000_000);
        let length = device.bytes.len() as u8;
        let host = |index: usize| {
            let rid = Rid::new(0x1000 * hosts as u64 + index as u64 + 1).expect("not 0");
            let addr = SocketAddr::from(([10, 0, 0, index as u8 + 1], 7_000));
            let voter = VoterConfig {
                can_fence: lease.is_none(),
                lease,
                ..VoterConfig::fencing(addr, FenceParam::default())
            };
            let config = Config {
                voter: (index < voters).then_some(voter),
                transfer_blocks,
                checksum,
                ..Config::client(rid)
            };
            Host {
                mount: Box::new(Mount::new(
                    now,
                    config,
                    [length ^ index as u8; 32],
                    Memory::default(),
                    NoService,
                )),
                addr,
                disk: Vec::new(),
                fences: Vec::new(),
                connecting: None,
                listens: false,
                listen_due: false,
            }
        };
        Self {
            now,
            hosts: (0..hosts).map(host).collect(),
            wires: Vec::new(),
            fenced: Vec::new(),
            device,
        }
    }

    /// The ballot under which one of them serves.
    pub fn server(&self) -> Option<Ballot> {
        let serving = self.hosts.iter().filter(|host| host.listens);
        serving.filter_map(|host| host.mount.right(self.now)).next_back()
    }

    /// Whether this one has ended.
    pub fn has_ended(&self, host: usize) -> bool {
        self.hosts[host].mount.has_ended()
    }

    /// Whether somebody had this leader fenced.
    pub fn was_fenced(&self, ballot: Ballot) -> bool {
        self.fenced.contains(&ballot)
    }

    /// Everything is answered at once and as it should be, for so many milliseconds.
    pub fn run_well(&mut self, ms: u64) {
        self.run_until(ms, |_| false);
    }

    /// The same, until this holds.
    pub fn run_until(&mut self, ms: u64, holds: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end && !holds(self) {
            let mut heard = false;
            for host in 0..self.hosts.len() {
                self.round(host);
                heard |= self.answer_well(host);
            }
            heard |= self.carry_all();
            // Whoever has heard something is polled again before anybody waits.
            let mut next = self.now;
            if !heard {
                let deadlines = self
                    .hosts
                    .iter_mut()
                    .filter_map(|host| host.mount.next_deadline());
                next = deadlines.min().unwrap_or(end);
            }
            self.now = next.max(self.now + STEP).min(end);
        }
    }

    /// The calls of a platform, in their order, and what a mount asks for.
    fn round(&mut self, index: usize) {
        let (now, host) = (self.now, &mut self.hosts[index]);
        host.mount.poll(now);
        let bounded = |asks: usize| assert!(asks < ASKS_MAX, "host {index} asks without end");
        for asks in 0.. {
            bounded(asks);
            if host.mount.poll_event().is_none() {
                break;
            }
        }
        for asks in 0.. {
            bounded(asks);
            let Some(request) = self.hosts[index].mount.poll_net(now) else {
                break;
            };
            self.take_net(index, request);
        }
        let mut message = [0; MESSAGE_BYTES_MAX];
        for asks in 0.. {
            bounded(asks);
            let sent = self.hosts[index].mount.poll_transmit(now, &mut message);
            let Some((conn, length)) = sent else { break };
            self.send(index, conn, &message[..length]);
        }
        let host = &mut self.hosts[index];
        for asks in 0.. {
            bounded(asks);
            let Some(request) = host.mount.poll_fence(now) else {
                break;
            };
            host.fences.push(request.victim.ballot);
        }
        let mut buffer = vec![0; 64 * BLOCK_BYTES];
        for asks in 0.. {
            bounded(asks);
            let Some(request) = host.mount.poll_disk(now, &mut buffer) else {
                break;
            };
            let bytes = match request {
                DiskRequest::Write { first, count, .. } => {
                    assert!(
                        first >= SUPER_COPIES[0],
                        "a write to block {first}, which is the boot loader's"
                    );
                    buffer[..count as usize * BLOCK_BYTES].to_vec()
                }
                DiskRequest::Read { .. } | DiskRequest::Flush { .. } => Vec::new(),
            };
            host.disk.push((request, bytes));
        }
        assert!(host.disk.len() < REQUESTS_MAX, "host {index} hoards requests");
        assert!(!host.mount.has_ended() || host.mount.next_deadline().is_none());
    }

    fn take_net(&mut self, index: usize, request: NetRequest) {
        let host = &mut self.hosts[index];
        match request {
            NetRequest::Listen(_) => host.listen_due = true,
            NetRequest::Unlisten => (host.listens, host.listen_due) = (false, false),
            NetRequest::Connect(conn, addr) => host.connecting = Some((conn, addr)),
            NetRequest::Close(conn) => {
                host.connecting.take_if(|(connecting, _)| *connecting == conn);
                self.close(index, conn);
            }
        }
    }

    /// Answers everything that this host asked for as a healthy platform does. False if it asked for nothing.
    fn answer_well(&mut self, index: usize) -> bool {
        let host = &self.hosts[index];
        let waits = host.listen_due || host.connecting.is_some();
        let asked = waits || !host.fences.is_empty() || !host.disk.is_empty();
        self.answer_listen(index, true);
        self.answer_connect(index, None);
        while !self.hosts[index].fences.is_empty() {
            self.answer_fence(index, 0, FenceOutcome::Done);
        }
        while !self.hosts[index].disk.is_empty() {
            self.complete(index, 0);
        }
        asked
    }

    fn answer_listen(&mut self, index: usize, well: bool) {
        let host = &mut self.hosts[index];
        if core::mem::take(&mut host.listen_due) {
            host.listens = well;
            let answer = if well { Ok(()) } else { Err(CloseReason::Failed) };
            host.mount.handle_listening(self.now, answer);
        }
    }

    fn answer_fence(&mut self, index: usize, which: usize, outcome: FenceOutcome) {
        let host = &mut self.hosts[index];
        let victim = host.fences.remove(which);
        if outcome == FenceOutcome::Done {
            self.fenced.push(victim);
        }
        host.mount.handle_fence(self.now, victim, outcome);
    }

    /// The device does what it was asked for.
    fn complete(&mut self, index: usize, which: usize) {
        let host = &mut self.hosts[index];
        let (request, bytes) = host.disk.remove(which);
        let outcome = match request {
            DiskRequest::Read { first, count, .. } => match self.device.blocks_mut(first, count) {
                Some(blocks) => DiskOutcome::Read(blocks),
                None => DiskOutcome::Failed(DiskError::Failed),
            },
            DiskRequest::Write { first, count, .. } => match self.device.blocks_mut(first, count) {
                Some(blocks) => {
                    blocks.copy_from_slice(&bytes);
                    DiskOutcome::Done
                }
                None => DiskOutcome::Failed(DiskError::Failed),
            },
            DiskRequest::Flush { .. } => DiskOutcome::Done,
        };
        host.mount.handle_disk(self.now, request.id(), outcome);
    }

    /// The device does not do what it was asked for, or only half of it, or returns something else.
    fn complete_badly(&mut self, u: &mut Unstructured<'_>, index: usize, which: usize) -> Result<()> {
        let (now, host) = (self.now, &mut self.hosts[index]);
        let (request, bytes) = host.disk.remove(which);
        let id = request.id();
        let error = *u.choose(&[DiskError::Medium, DiskError::TimedOut, DiskError::Failed])?;
        match request {
            DiskRequest::Read { first, count, .. } if u.arbitrary()? => {
                let Some(blocks) = self.device.blocks_mut(first, count) else {
                    host.mount.handle_disk(now, id, DiskOutcome::Failed(error));
                    return Ok(());
                };
                let mut blocks = blocks.to_vec();
                let at = u.int_in_range(0..=count as usize - 1)? * BLOCK_BYTES;
                let block = &mut blocks[at..at + BLOCK_BYTES];
                damage(u, block)?;
                if u.ratio(3, 4)? {
                    repair(block);
                }
                host.mount.handle_disk(now, id, DiskOutcome::Read(&blocks));
            }
            DiskRequest::Write { first, count, .. } => {
                let sectors = u.int_in_range(0..=count as usize * 8)?;
                if let Some(blocks) = self.device.blocks_mut(first, count) {
                    blocks[..sectors * 512].copy_from_slice(&bytes[..sectors * 512]);
                }
                host.mount.handle_disk(now, id, DiskOutcome::Failed(error));
            }
            DiskRequest::Read { .. } | DiskRequest::Flush { .. } => {
                host.mount.handle_disk(now, id, DiskOutcome::Failed(error));
            }
        }
        Ok(())
    }

    /// Does any one thing.
    fn any_operation(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let index = u.choose_index(self.hosts.len())?;
        match u.int_in_range(0..=15)? {
            0 | 1 => self.run_well(u.int_in_range(1..=600)?),
            2 => {
                let next = self.hosts[index].mount.next_deadline();
                self.now = next.unwrap_or(self.now).max(self.now);
            }
            3 => {
                let power = u.int_in_range(0..=36)?;
                self.now += Duration(u.int_in_range(0..=1 << power)?);
            }
            4..=6 if !self.hosts[index].disk.is_empty() => {
                let which = u.choose_index(self.hosts[index].disk.len())?;
                if u.arbitrary()? {
                    self.complete(index, which);
                } else {
                    self.complete_badly(u, index, which)?;
                }
            }
            7 => self.answer_listen(index, u.arbitrary()?),
            8 => {
                let failure = *u.choose(&[None, Some(CloseReason::Refused), Some(CloseReason::Failed)])?;
                self.answer_connect(index, failure);
            }
            9 if !self.hosts[index].fences.is_empty() => {
                let which = u.choose_index(self.hosts[index].fences.len())?;
                let outcome = *u.choose(&[FenceOutcome::Done, FenceOutcome::Failed])?;
                self.answer_fence(index, which, outcome);
            }
            10 => self.meddle(u, index)?,
            11 => drop(self.carry_all()),
            12 => drop(self.device.harm(u)?),
            13 => self.hosts[index].mount.unmount(self.now),
            14 => {
                let body = <[u8; 16]>::default();
                let length = u.int_in_range(0..=body.len())?;
                self.hosts[index].mount.submit(Command::SERVICE, &body[..length]);
            }
            15 if u.ratio(1, 8)? => self.hosts[index].mount.force(self.now),
            _ => {}
        }
        self.round(index);
        Ok(())
    }
}

/// Draws mounts, a device and operations; in the end everybody is told to leave by force, and does.
pub fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let device = match u.int_in_range(0..=2)? {
        0 => Device::of_a_dead_leader().0.clone(),
        quorum => Device::fresh(quorum),
    };
    let hosts = u.int_in_range(1..=3)?;
    let voters = u.int_in_range(0..=hosts)?;
    let transfer_blocks = *u.choose(&[64, 9, 1])?;
    let lease = u.ratio(1, 4)?.then_some(Duration::from_secs(2));
    let mut cluster = Cluster::start(device, voters, hosts, transfer_blocks, lease);
    let mut left = Ok(());
    for _ in 0..u.int_in_range(1..=80)? {
        left = cluster.any_operation(u);
        if left.is_err() {
            break;
        }
    }
    for host in 0..hosts {
        cluster.hosts[host].mount.force(cluster.now);
        cluster.round(host);
        assert!(
            cluster.has_ended(host),
            "host {host} was told to leave by force, and stays"
        );
    }
    left
}
