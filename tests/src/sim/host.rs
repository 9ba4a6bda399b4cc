//! A machine, and the process on it that holds a mount: the platform of the simulation.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use ostrakon_core::event::Unmounted;
use ostrakon_core::fence::FenceOutcome;
use ostrakon_core::format::FenceParam;
use ostrakon_core::ids::{Ballot, BootId, HostId, Rid};
use ostrakon_core::mount::Mount;
use ostrakon_core::net::{CloseReason, ConnId};
use ostrakon_core::noise::SEED_BYTES;
use ostrakon_core::time::{Duration, Instant};

use super::checksum::{checksum, padded};
use super::clock::{Clock, Time};
use super::disk::{Area, Path, Plot};
use super::film::Shot;
use super::machine::{Machine, Rules, Slots};
use super::net::{ConnKey, Segment};
use super::of2019;
use super::options::Silence;
use super::service::Adder;
use super::trace::note;
use super::world::{Happening, World, stall};

/// Names a process of the world, for ever. A restarted process is another one.
pub type ProcId = usize;

/// Calls of one `poll_*` in one round, and rounds at one moment, after which a mount is taken to spin.
const SPIN_MAX: usize = 20_000;

/// Something that reached a process.
#[derive(Clone, Debug)]
pub enum Stashed {
    /// A disk request ended; with bytes if it was a read.
    Disk(IoId, Result<Option<Vec<u8>>, DiskError>),
    /// A connection came in.
    Accept(ConnKey),
    /// A connection stands.
    Connected(ConnKey, ConnId),
    /// A connection is gone.
    Closed(ConnKey, ConnId, CloseReason),
    /// Bytes came in at this end.
    Offer(ConnKey, usize),
    /// The listener stands, or could not be made.
    Listening(Result<(), CloseReason>),
    /// A fence request was answered.
    Fence(Ballot, FenceOutcome),
}

/// A process that runs, or is paused.
pub struct Process {
    /// Which.
    pub id: ProcId,
    /// The real thing.
    pub mount: Machine,
    /// It does not run.
    pub paused: bool,
    /// What reached it while it did not run.
    pub inbox: Vec<Stashed>,
    /// Its connections.
    pub conns: BTreeMap<ConnId, (ConnKey, usize)>,
    /// A write that it had decided on when it was frozen.
    pub held: Option<(DiskRequest, Vec<u8>)>,
}

/// What is remembered of every process that ever ran.
#[derive(Clone, Debug)]
pub struct Proc {
    /// For the trace: the host's name and the number of the process on it.
    pub name: String,
    /// Where it runs.
    pub host: usize,
    /// Its identity.
    pub rid: Rid,
    /// The boot of the machine.
    pub boot: BootId,
    /// It takes part in elections.
    pub voter: bool,
    /// It is cut from the disk for good.
    pub cut: bool,
    /// A fence acted on it.
    pub fenced: bool,
    /// It runs no more.
    pub dead: bool,
    /// It was asked to leave.
    pub unmounting: bool,
    /// Since when it runs: since it started, or was resumed.
    pub runs_since: Time,
    /// When it was told to leave, by its own clock.
    pub told_to_leave: Option<Instant>,
    /// It waited for as long as it waits, and said that it leaves something behind.
    pub gave_up: bool,
    /// It was told to leave by force.
    pub forced: bool,
    /// How it left.
    pub ended: Option<Unmounted>,
    /// The server that it is connected to, as it was told.
    pub connected: Option<Ballot>,
    /// It was told at least once that it is mounted.
    pub was_connected: bool,
    /// The server had no voter's place for it.
    pub turned_down: bool,
    /// A server said that it was evicted.
    pub evicted: bool,
    /// Predecessors that it silenced by a fence or a lease since it last began to serve.
    pub silenced: Vec<Ballot>,
    /// Disk requests so far.
    pub requests: u64,
    /// Requests to the service that were not answered yet.
    pub asked: BTreeMap<u64, u64>,
}

/// A machine.
pub struct Host {
    /// For the trace.
    pub name: String,
    /// Where it would serve.
    pub addr: SocketAddr,
    /// Nobody else gets through to that address.
    pub unreachable: bool,
    /// Its processes are voters.
    pub voter: bool,
    /// Present boot.
    pub boot: BootId,
    /// It runs.
    pub power: bool,
    /// Its clock.
    pub clock: Clock,
    /// Its way to the disk.
    pub path: Path,
    /// The process on it, if one runs.
    pub process: Option<Box<Process>>,
    /// Freeze the process when it has decided on its next write and before that is issued.
    pub freeze_in_write: bool,
    /// Crash the process when it has issued its next write.
    pub crash_in_write: bool,
    /// Crash the process when it has issued its next write to this copy of the super block.
    pub crash_in_super: Option<usize>,
    /// What becomes of its next write to such a place.
    pub plot: Option<Plot>,
    /// The next crash tears what is under way.
    pub tear_next_write: bool,
    /// When something last went wrong with it.
    pub disturbed: Time,
    /// Processes so far.
    runs: u32,
    wake_at: Time,
    rounds: (Time, usize),
}

impl Host {
    /// A machine without power.
    pub fn new(index: usize, voter: bool) -> Self {
        let kind = if voter { 'v' } else { 'c' };
        let octets = [10, 0, (index / 250) as u8, (index % 250) as u8 + 1];
        Self {
            name: format!("{kind}{index}"),
            addr: SocketAddr::from((Ipv4Addr::from(octets), 4000 + index as u16)),
            unreachable: false,
            voter,
            boot: BootId([0; 16]),
            power: false,
            clock: Clock::new(0, 0, 0),
            path: Path::Fine,
            process: None,
            freeze_in_write: false,
            crash_in_write: false,
            crash_in_super: None,
            plot: None,
            tear_next_write: false,
            disturbed: 0,
            runs: 0,
            wake_at: Time::MAX,
            rounds: (0, 0),
        }
    }
}

/// The identity of a machine.
pub const fn host_id(host: usize) -> HostId {
    HostId(host as u64 + 1)
}

fn fence_param(host: usize) -> FenceParam {
    let mut param = FenceParam::default();
    let text = format!("plug={host}");
    param.0[..text.len()].copy_from_slice(text.as_bytes());
    param
}

impl World {
    /// Power on, if it was off: a new boot, and a clock that starts anywhere.
    pub(crate) fn power_on(&mut self, host: usize) {
        if self.hosts[host].power {
            return;
        }
        let most = self.options.drift_ppm_max;
        let drift = self.dice.between(0, 2 * most) as i64 - most as i64;
        let start = self.dice.scattered(1, 1 << 50);
        let mut boot = [0; 16];
        self.dice.fill(&mut boot);
        let now = self.now;
        let machine = &mut self.hosts[host];
        machine.power = true;
        machine.boot = BootId(boot);
        machine.clock = Clock::new(now, start, drift);
        machine.path = Path::Fine;
        self.wake_pipes();
    }

    /// Starts a process with a new rid on this host, which has none.
    pub(crate) fn start_process(&mut self, host: usize) -> ProcId {
        assert!(
            self.hosts[host].process.is_none(),
            "one process on a host at a time"
        );
        self.power_on(host);
        let rid = Rid::new(self.dice.any().max(1)).expect("not 0");
        let config = self.config(host, rid);
        let mut seed = [0; SEED_BYTES];
        self.dice.fill(&mut seed);
        let machine = &mut self.hosts[host];
        machine.runs += 1;
        machine.wake_at = Time::MAX;
        (
            machine.freeze_in_write,
            machine.crash_in_write,
            machine.tear_next_write,
        ) = (false, false, false);
        let now = machine.clock.local(self.now);
        let id = self.procs.len();
        let (voter, addr) = (machine.voter, machine.addr);
        let mount = match self.options.rules {
            Rules::Ours => {
                let clients = if voter {
                    self.options.clients_max as usize
                } else {
                    0
                };
                Machine::Ours(Mount::new(
                    now,
                    config,
                    seed,
                    Slots::new(clients),
                    Adder::default(),
                ))
            }
            Rules::Of2019 => {
                let old = of2019::Config {
                    rid,
                    addr: voter.then_some(addr),
                    quorum: usize::from(self.options.quorum_count),
                    region: self.device.geometry().region.0,
                    transfer: self.options.transfer_blocks as usize,
                    limit: config.write_time_max,
                };
                let seed = u64::from_le_bytes(seed[..8].try_into().expect("eight bytes"));
                Machine::Of2019(of2019::Mount::new(now, old, seed))
            }
        };
        machine.process = Some(Box::new(Process {
            id,
            mount,
            paused: false,
            inbox: Vec::new(),
            conns: BTreeMap::new(),
            held: None,
        }));
        self.procs.push(Proc {
            name: format!("{}.{}", machine.name, machine.runs),
            host,
            rid,
            boot: machine.boot,
            voter: machine.voter,
            cut: false,
            fenced: false,
            dead: false,
            unmounting: false,
            runs_since: self.now,
            told_to_leave: None,
            gave_up: false,
            forced: false,
            ended: None,
            connected: None,
            was_connected: false,
            turned_down: false,
            evicted: false,
            silenced: Vec::new(),
            requests: 0,
            asked: BTreeMap::new(),
        });
        self.by_rid.insert(rid, id);
        note!(self, &self.procs[id].name, "starts as {rid}");
        self.shoot(|| Shot::Starts(id));
        self.touch(host);
        id
    }

    fn config(&self, host: usize, rid: Rid) -> Config {
        let (options, machine) = (&self.options, &self.hosts[host]);
        let (lease, can_fence) = match options.silence {
            Silence::Fence => (None, true),
            Silence::Lease(ms) => (Some(ms), false),
            Silence::Both(ms) => (Some(ms), host.is_multiple_of(2)),
        };
        let voter = VoterConfig {
            can_fence,
            lease: lease.map(Duration::from_millis),
            clock_error_ppm: 500,
            fence_time_max: Duration::from_millis(options.fence_time_max_ms),
            ..VoterConfig::fencing(machine.addr, fence_param(host))
        };
        Config {
            host: host_id(host),
            boot: machine.boot,
            voter: machine.voter.then_some(voter),
            write_time_max: Duration::from_millis(options.write_time_max_ms),
            transfer_blocks: options.transfer_blocks,
            silence_max: Duration::from_millis(options.silence_max_ms),
            recovery_time: Duration::from_millis(options.recovery_ms),
            unmount_time_max: options.unmount_time_max_ms.map(Duration::from_millis),
            checksum,
            padded,
            ..Config::client(rid)
        }
    }

    /// Whether this process lives and is not paused.
    pub(crate) fn is_running(&self, proc: ProcId) -> bool {
        let process = self.hosts[self.procs[proc].host].process.as_ref();
        process.is_some_and(|process| process.id == proc && !process.paused)
    }

    pub(crate) fn take_process(&mut self, host: usize) -> Box<Process> {
        self.hosts[host]
            .process
            .take()
            .expect("the caller saw that it runs")
    }

    pub(crate) fn put_process(&mut self, host: usize, process: Box<Process>) {
        self.hosts[host].process = Some(process);
    }

    /// Something reaches a process: at once if it runs, later if it is paused, never if it is gone.
    pub(crate) fn tell(&mut self, proc: ProcId, what: Stashed) {
        let host = self.procs[proc].host;
        let Some(process) = self.hosts[host]
            .process
            .as_mut()
            .filter(|process| process.id == proc)
        else {
            return;
        };
        if process.paused {
            process.inbox.push(what);
        } else {
            let mut process = self.take_process(host);
            self.hand_in(&mut process, what);
            self.put_process(host, process);
            self.touch(host);
        }
    }

    /// Hands one input to the mount.
    pub(crate) fn hand_in(&mut self, process: &mut Process, what: Stashed) {
        let host = self.procs[process.id].host;
        let now = self.hosts[host].clock.local(self.now);
        let mount = &mut process.mount;
        match what {
            Stashed::Disk(io, Ok(Some(bytes))) => mount.handle_disk(now, io, DiskOutcome::Read(&bytes)),
            Stashed::Disk(io, Ok(None)) => mount.handle_disk(now, io, DiskOutcome::Done),
            Stashed::Disk(io, Err(error)) => mount.handle_disk(now, io, DiskOutcome::Failed(error)),
            Stashed::Accept(key) => self.accept(process.id, key, process),
            Stashed::Connected(key, id) => {
                // The name may have been given to another connection meanwhile.
                if process.conns.get(&id).is_some_and(|conn| conn.0 == key) {
                    mount.handle_connected(now, id);
                }
            }
            Stashed::Closed(key, id, reason) => {
                if let Some(&(_, end)) = process.conns.get(&id).filter(|conn| conn.0 == key) {
                    process.conns.remove(&id);
                    self.forget_received(key, end);
                    mount.handle_closed(now, id, reason);
                }
            }
            Stashed::Offer(key, end) => self.after(0, Happening::Net(super::net::NetStep::Offer(key, end))),
            Stashed::Listening(result) => mount.handle_listening(now, result),
            Stashed::Fence(victim, outcome) => mount.handle_fence(now, victim, outcome),
        }
    }

    /// A host's timer has come.
    pub(crate) fn wake(&mut self, host: usize, proc: ProcId) {
        if self.is_running(proc) && self.hosts[host].wake_at == self.now {
            self.hosts[host].wake_at = Time::MAX;
            self.touch(host);
        }
    }

    /// One round of calls, in the order that [`Mount`] says.
    pub(crate) fn pump(&mut self, host: usize) {
        let Some(mut process) = self.hosts[host].process.take() else {
            return;
        };
        if process.paused {
            return self.put_process(host, process);
        }
        self.count_round(host);
        let now = self.hosts[host].clock.local(self.now);
        process.mount.poll(now);
        self.drain(host, &mut process);
        self.check_process(&mut process);
        if process.mount.has_ended() {
            return self.end_process(host, *process);
        }
        self.schedule(host, &mut process);
        let (id, paused) = (process.id, process.paused);
        self.put_process(host, process);
        if std::mem::take(&mut self.crash_now) {
            self.crash_process(id);
        } else if paused {
            note!(self, &self.procs[id].name, "is frozen with a write in hand");
            self.shoot(|| Shot::Pauses(id));
        }
    }

    fn count_round(&mut self, host: usize) {
        let rounds = &mut self.hosts[host].rounds;
        if rounds.0 != self.now {
            *rounds = (self.now, 0);
        }
        rounds.1 += 1;
        if rounds.1 > SPIN_MAX {
            stall!(
                self,
                "{} is polled without end at one moment",
                self.hosts[host].name
            );
        }
    }

    fn drain(&mut self, host: usize, process: &mut Process) {
        let now = self.hosts[host].clock.local(self.now);
        let id = process.id;
        for round in 0.. {
            let Some(event) = process.mount.poll_event() else {
                break;
            };
            self.observe(process, event);
            self.refuse_to_spin(round, host, "events");
        }
        for round in 0.. {
            let Some(request) = process.mount.poll_net(now) else {
                break;
            };
            self.net_request(id, &mut process.conns, request);
            self.refuse_to_spin(round, host, "requests for the network");
        }
        let mut message = std::mem::take(&mut self.message);
        for round in 0.. {
            let Some((conn, length)) = process.mount.poll_transmit(now, &mut message) else {
                break;
            };
            if let Some(&(key, end)) = process.conns.get(&conn) {
                self.transmit(key, end, &message[..length]);
                // Sending made room: what the mount did not take before, it may take now.
                self.after(0, Happening::Net(super::net::NetStep::Offer(key, end)));
            }
            self.refuse_to_spin(round, host, "messages");
        }
        self.message = message;
        for round in 0.. {
            let Some(request) = process.mount.poll_fence(now) else {
                break;
            };
            self.fence_request(id, &request);
            self.refuse_to_spin(round, host, "fence requests");
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        for round in 0.. {
            let Some(request) = process.mount.poll_disk(now, &mut scratch) else {
                break;
            };
            if self.take_disk_request(host, process, request, &scratch) {
                break;
            }
            self.refuse_to_spin(round, host, "disk requests");
        }
        self.scratch = scratch;
    }

    fn refuse_to_spin(&mut self, round: usize, host: usize, what: &str) {
        assert!(
            round < SPIN_MAX,
            "{} gives out {what} without end",
            self.hosts[host].name
        );
    }

    /// Returns whether the process runs no further in this round.
    fn take_disk_request(
        &mut self,
        host: usize,
        process: &mut Process,
        request: DiskRequest,
        bytes: &[u8],
    ) -> bool {
        let DiskRequest::Write { first, count, .. } = request else {
            self.submit(process.id, request, bytes);
            return false;
        };
        let area = self.device.area(first.0, count);
        if matches!(area, Area::Super(_) | Area::Table { .. }) {
            self.check_right_to_write(process, area, &bytes[..count as usize * BLOCK_BYTES]);
        }
        let machine = &mut self.hosts[host];
        if std::mem::take(&mut machine.freeze_in_write) {
            process.held = Some((request, bytes[..count as usize * BLOCK_BYTES].to_vec()));
            process.paused = true;
            return true;
        }
        let trapped = matches!(area, Area::Super(copy) if machine.crash_in_super == Some(copy));
        if trapped {
            machine.crash_in_super = None;
        }
        self.crash_now = std::mem::take(&mut machine.crash_in_write) || trapped;
        self.submit(process.id, request, bytes);
        self.crash_now || self.supply.is_out()
    }

    fn schedule(&mut self, host: usize, process: &mut Process) {
        let Some(deadline) = process.mount.next_deadline() else {
            return;
        };
        // A scheduler is never quite on time.
        let late = if self.dice.one_in(50) {
            self.dice.scattered(100, 20_000)
        } else {
            self.dice.between(1, 60)
        };
        let at = self.hosts[host]
            .clock
            .when(self.now, deadline)
            .saturating_add(late);
        let wake_at = self.hosts[host].wake_at;
        // An earlier wake-up that is under way does no harm, and one that is not later is good enough.
        if wake_at <= self.now || at < wake_at || wake_at == Time::MAX {
            self.hosts[host].wake_at = at;
            self.at(at, Happening::Wake(host, process.id));
        }
    }

    /// The mount has ended by itself: its process exits.
    fn end_process(&mut self, host: usize, process: Process) {
        let id = process.id;
        note!(self, &self.procs[id].name, "exits");
        self.shoot(|| Shot::Ends(id));
        self.check_end(id);
        for &(key, end) in process.conns.values() {
            self.close_end(key, end, Segment::Fin);
        }
        self.procs[id].dead = true;
        self.procs[id].connected = None;
        self.hosts[host].disturbed = self.now;
        self.abandon_conns(id, false);
        self.abandon_flights(id);
        // It did not mean to go: it is mounted again, under a new rid.
        let comes_back = matches!(
            self.procs[id].ended,
            Some(Unmounted::Evicted | Unmounted::Superseded)
        );
        if comes_back || (self.procs[id].voter && self.misses_voters()) {
            self.plan_restart(host);
        }
    }
}
