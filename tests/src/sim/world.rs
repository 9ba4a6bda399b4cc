//! The world: virtual time, everything that is going to happen, and the step that makes the next of it happen.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

use ostrakon_core::bounds::{BLOCK_BYTES, MESSAGE_BYTES_MAX};
use ostrakon_core::event::Event;
use ostrakon_core::ids::{Ballot, Rid, VolumeId};

use super::atlas::Budget;
use super::check::Check;
use super::clock::{Time, Turn};
use super::course::Course;
use super::dice::Dice;
use super::disk::{Device, DiskStep, Flight, Flights};
use super::fence::FenceStep;
use super::film::Film;
use super::format;
use super::host::{Host, Proc, ProcId};
use super::net::{Net, NetStep};
use super::options::Options;
use super::power_cut::Supply;
use super::trace::{Listen, Trace, note};

/// Something that is going to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The timer of a process on a host.
    Wake(usize, ProcId),
    /// On the disk.
    Disk(DiskStep),
    /// In the network.
    Net(NetStep),
    /// At the fence service.
    Fence(FenceStep),
    /// Chaos strikes.
    Chaos,
    /// A host is to have a process, if it has none.
    Start(usize),
    /// A paused process runs again.
    Resume(ProcId),
    /// A host answers at its address again.
    Unmask(usize),
    /// A process that was told to leave has to have ended.
    TimeToHaveLeft(ProcId),
    /// A process that was cut from the disk is killed.
    Reap(ProcId),
    /// Nothing: a verb waits for this moment.
    Nothing,
}

/// Says that an invariant of a world does not hold: a format string and its arguments.
macro_rules! violate {
    ($world:expr, $($what:tt)*) => {{
        let what = format!($($what)*);
        $world.violate(&what)
    }};
}
pub(crate) use violate;

/// Says that a world makes no progress: a format string and its arguments.
macro_rules! stall {
    ($world:expr, $($what:tt)*) => {{
        let what = format!($($what)*);
        $world.stall(&what)
    }};
}
pub(crate) use stall;

struct Queued {
    at: Time,
    order: u64,
    what: Happening,
}

impl Queued {
    /// One number is compared without a branch.
    fn key(&self) -> u128 {
        u128::from(self.at) << 64 | u128::from(self.order)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// What went wrong in a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// An invariant does not hold.
    Safety(String),
    /// Something that has to happen did not.
    NoProgress(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safety(what) => write!(f, "safety violation: {what}"),
            Self::NoProgress(what) => write!(f, "no progress: {what}"),
        }
    }
}

/// The world of one run.
pub struct World {
    /// What was decided before it began.
    pub options: Options,
    /// Virtual time.
    pub now: Time,
    /// Everything a mount ever told: when, who, what.
    pub history: Vec<(Time, ProcId, Event)>,
    /// What the checks know.
    pub check: Check,
    /// Machines.
    pub hosts: Vec<Host>,
    /// Every process that ever ran.
    pub procs: Vec<Proc>,
    /// How the run goes.
    pub course: Course,
    /// The first thing that went wrong.
    pub wrong: Option<Wrong>,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) volume: VolumeId,
    pub(crate) device: Device,
    pub(crate) flights: Flights,
    pub(crate) net: Net,
    pub(crate) by_rid: BTreeMap<Rid, ProcId>,
    /// Where a mount puts what it writes, and what it sends: taken along from one to the next.
    pub(crate) scratch: Vec<u8>,
    pub(crate) message: Vec<u8>,
    pub(crate) crash_now: bool,
    /// What a drawing needs, if one is wanted.
    pub(crate) film: Option<Film>,
    /// When something last went wrong with anything that all share.
    pub(crate) disturbed: Time,
    /// Chaos may strike.
    pub(crate) chaos: bool,
    /// The power that the device and every host hang on.
    pub(crate) supply: Supply,
    budget: Budget,
    queue: BinaryHeap<Reverse<Queued>>,
    /// What stands first in the queue has happened: the next that is put in takes its place.
    spent: bool,
    order: u64,
    pub(crate) dirty: Vec<usize>,
    steps: u64,
}

/// Steps after which a run is taken to go nowhere.
const STEPS_MAX: u64 = 20_000_000;

impl World {
    /// A fresh volume and hosts without power.
    pub fn new(options: Options, mut dice: Dice, listen: Listen) -> Self {
        let volume = format::format(&mut dice, options.quorum_count, options.clients_max);
        let mut hosts: Vec<Host> = (0..options.hosts())
            .map(|host| Host::new(host, host < options.voters))
            .collect();
        if let Some(host) = options.unreachable {
            hosts[host].unreachable = true;
        }
        let mut world = Self {
            now: 0,
            history: Vec::new(),
            check: Check::new(volume.super_block),
            net: Net::new(hosts.len()),
            hosts,
            procs: Vec::new(),
            course: Course::default(),
            wrong: None,
            dice,
            trace: Trace::new(listen),
            volume: volume.super_block.volume,
            device: Device::new(volume.bytes, volume.super_block.geometry),
            flights: Flights::default(),
            by_rid: BTreeMap::new(),
            scratch: vec![0; options.transfer_blocks as usize * BLOCK_BYTES],
            message: vec![0; MESSAGE_BYTES_MAX],
            crash_now: false,
            film: None,
            disturbed: 0,
            chaos: false,
            supply: Supply::default(),
            budget: Budget::default(),
            queue: BinaryHeap::new(),
            spent: false,
            order: 0,
            dirty: Vec::new(),
            steps: 0,
            options,
        };
        note!(world, "run", "{}", world.options);
        world
    }

    /// Puts something into the queue; what should have happened already happens now.
    pub(crate) fn at(&mut self, at: Time, what: Happening) {
        self.order += 1;
        let (order, at) = (self.order, at.max(self.now));
        let next = Reverse(Queued { at, order, what });
        if std::mem::take(&mut self.spent)
            && let Some(mut first) = self.queue.peek_mut()
        {
            *first = next;
            return;
        }
        self.queue.push(next);
    }

    /// When that would happen which is put into the queue now, so much later: for what need not happen by itself.
    pub(crate) fn turn_after(&mut self, after: Time) -> Turn {
        self.order += 1;
        (self.now.saturating_add(after), self.order)
    }

    /// Puts something into the queue, so much later than now.
    pub(crate) fn after(&mut self, after: Time, what: Happening) {
        self.at(self.now.saturating_add(after), what);
    }

    /// A host has been given input: its mount is polled before anything else happens.
    pub(crate) fn touch(&mut self, host: usize) {
        if !self.dirty.contains(&host) {
            self.dirty.push(host);
        }
    }

    /// Polls every mount that was given input.
    pub(crate) fn settle(&mut self) {
        while let Some(host) = self.dirty.pop() {
            self.pump(host);
            if self.supply.is_out() {
                self.lose_power();
            }
        }
    }

    /// Nothing that was going to happen happens, unless this says so.
    pub(crate) fn forget_plans(&mut self, keep: impl Fn(&Happening) -> bool) {
        self.remove_spent();
        self.queue.retain(|Reverse(queued)| keep(&queued.what));
    }

    fn remove_spent(&mut self) {
        if std::mem::take(&mut self.spent) {
            self.queue.pop();
        }
    }

    /// Makes the next thing happen. False if nothing is going to, or something went wrong.
    pub fn step(&mut self) -> bool {
        self.settle();
        if self.wrong.is_some() {
            return false;
        }
        self.remove_spent();
        let Some(Reverse(next)) = self.queue.peek() else {
            return false;
        };
        let Queued { at, order, what } = *next;
        self.spent = true;
        assert!(at >= self.now, "time does not run backwards");
        self.now = at;
        self.device.begin_turn((at, order));
        self.steps += 1;
        if self.steps > STEPS_MAX {
            stall!(self, "{STEPS_MAX} steps and no end");
        }
        match what {
            Happening::Wake(host, proc) => self.wake(host, proc),
            Happening::Disk(step) => self.disk_step(step),
            Happening::Net(step) => self.net_step(step),
            Happening::Fence(step) => self.fence_step(step),
            Happening::Chaos => self.strike(),
            Happening::Start(host) => {
                self.start_if_free(host);
            }
            Happening::Resume(proc) => self.resume_process(proc),
            Happening::Unmask(host) => {
                self.unmask(host);
            }
            Happening::TimeToHaveLeft(proc) => self.judge_leaving(proc),
            Happening::Reap(proc) => self.crash_process(proc),
            Happening::Nothing => {}
        }
        self.settle();
        self.wrong.is_none()
    }

    /// Lets time pass until `until`, or until something goes wrong.
    pub fn run_until(&mut self, until: Time) {
        self.at(until, Happening::Nothing);
        while self.now < until && self.step() {}
    }

    /// Something that must never happen has happened. Only the first is kept: what follows may be its consequence.
    pub(crate) fn violate(&mut self, what: &str) {
        note!(self, "WRONG", "{what}");
        if self.wrong.is_none() {
            self.wrong = Some(Wrong::Safety(format!("{what} (at {} us)", self.now)));
        }
    }

    /// Something that has to happen did not.
    pub(crate) fn stall(&mut self, what: &str) {
        note!(self, "WRONG", "{what}");
        if self.wrong.is_none() {
            self.wrong = Some(Wrong::NoProgress(format!("{what} (at {} us)", self.now)));
        }
    }

    /// Takes one block of the region out of the budget, if it allows.
    pub(crate) fn spend_torn(&mut self) -> bool {
        if !self.budget.may_tear() && self.is_scrubbed() {
            self.budget.renew();
        }
        let may = self.budget.may_tear();
        if may {
            self.budget.tear();
        }
        may
    }

    /// Takes one late write out of the budget, if it allows.
    pub(crate) fn spend_late(&mut self) -> bool {
        if !self.budget.may_be_late() && self.is_scrubbed() {
            self.budget.renew();
        }
        let may = self.budget.may_be_late();
        if may {
            self.budget.be_late();
        }
        may
    }

    /// The digest of the trace.
    pub const fn digest(&self) -> u64 {
        self.trace.digest()
    }

    /// Steps so far.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The device as it stands, to its end: an image that `ostrakon` reads. What the medium cannot give is garbage in it.
    pub fn image(&self) -> Vec<u8> {
        self.device.image()
    }

    /// Whether every write has landed, or never will: nothing of what stands on the device is half of something.
    pub fn is_disk_quiet(&self) -> bool {
        !self.flights.iter().any(Flight::may_land)
    }

    /// Whether this process has the right to act as leader at this moment, and could do harm with it.
    pub fn may_act(&self, proc: ProcId) -> Option<Ballot> {
        let host = &self.hosts[self.procs[proc].host];
        let process = host.process.as_ref().filter(|process| process.id == proc)?;
        let right = process.mount.right(host.clock.local(self.now));
        right.filter(|_| !self.procs[proc].cut)
    }

    /// The process with this identity.
    pub fn process_named(&self, rid: Rid) -> Option<ProcId> {
        self.by_rid.get(&rid).copied()
    }

    /// The process on this host, if one runs or is paused there.
    pub fn process_on(&self, host: usize) -> Option<ProcId> {
        self.hosts[host].process.as_ref().map(|process| process.id)
    }

    /// The ballot under which this host serves, if it really does: it says so, runs, is not cut off, and the
    /// super block names it.
    pub fn serves(&self, host: usize) -> Option<Ballot> {
        let id = self.process_on(host)?;
        let newest = self.check.server?;
        let leader = self.check.leaders.get(&newest)?;
        let live = leader.serving && leader.proc == id && self.is_running(id) && !self.procs[id].cut;
        live.then_some(newest)
    }

    /// The host that serves.
    pub fn server(&self) -> Option<usize> {
        (0..self.hosts.len()).find(|&host| self.serves(host).is_some())
    }
}
