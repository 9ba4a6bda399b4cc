//! What must hold after every step, judged by one who sees everything: the device, every process, every answer.
//!
//! The checks believe nothing that a mount says of itself where the device tells. They decode every block as it
//! lands, keep what the newest state of super block, region and client table is, and compare each process's words
//! and deeds with that.

mod election;
mod fences;
mod of2019;
mod supers;
mod table;
mod votes;

use std::collections::{BTreeMap, BTreeSet};

use ostrakon_core::bounds::FENCE_BLOCKS;
use ostrakon_core::event::{Event, Silenced, Unmounted};
use ostrakon_core::format::{ClientRecord, SuperBlock};
use ostrakon_core::ids::{Ballot, Mark, Rid};

use super::clock::Time;
use super::disk::Area;
use super::host::{ProcId, Process};
use super::service::Act;
use super::trace::note;
use super::world::{World, violate};
pub use election::RegionView;
pub use votes::Said;

/// What is known of a ballot that somebody won with.
#[derive(Clone, Debug)]
pub struct Leader {
    /// Whose.
    pub proc: ProcId,
    /// When it was elected.
    pub elected_at: Time,
    /// It said that it is sealed.
    pub sealed: bool,
    /// It said that it gave up.
    pub gave_up: bool,
    /// Its first write of the super block was issued: the point of no return.
    pub issued: bool,
    /// It had the right to act: it knows that its take-over is complete.
    pub had_right: bool,
    /// It says that it serves.
    pub serving: bool,
    /// When both copies of the super block said that it stopped cleanly.
    pub stopped_at: Option<Time>,
    /// Since when a block of its own has said all along that it is void.
    pub void_since: Option<Time>,
}

impl Leader {
    /// A process that has just won.
    pub(crate) const fn new(proc: ProcId) -> Self {
        Self {
            proc,
            elected_at: 0,
            sealed: false,
            gave_up: false,
            issued: false,
            had_right: false,
            serving: false,
            stopped_at: None,
            void_since: None,
        }
    }
}

/// Counts over one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Times that chaos struck and changed something.
    pub strikes: u64,
    /// Ballots that won.
    pub elected: u64,
    /// Ballots that were sealed.
    pub sealed: u64,
    /// Ballots that served.
    pub served: u64,
    /// Fences that acted.
    pub fences: u64,
    /// Of these, on a process that lived, ran and had its ways to disk and network.
    pub healthy_fenced: u64,
    /// Of these, on a ballot that was void by then.
    pub void_fenced: u64,
    /// Of these, on a ballot that had stopped cleanly by then.
    pub stopped_fenced: u64,
    /// Fences on the innocent: those of the three kinds above, each counted once.
    pub innocent_fenced: u64,
    /// Clients evicted.
    pub evicted: u64,
    /// Mounts that ended by farewell or barrier.
    pub left: u64,
}

/// Of a hundred fences at most so many may hit an innocent host. Whoever withdrew or stopped before the candidate that fences it
/// was even elected must not be fenced at all, which is judged fence by fence. What is left are those who withdraw, stop, run
/// again or get their ways back while the candidate asks them and the fence is under way: seconds, in runs that something
/// strikes a few times a second. Four of a hundred is what is measured.
const INNOCENT_PERCENT_MAX: u64 = 6;

/// So many standard deviations more are put down to the dice: it is few fences that chance plays with.
const INNOCENT_SPREADS: u64 = 3;

/// Fewer fences than this show nothing of that.
const FENCES_COUNTED_MIN: u64 = 200;

impl Counts {
    /// Whether more of the innocent were fenced than the design can be excused for.
    pub const fn fences_too_many_innocents(&self) -> bool {
        let share = self.fences * INNOCENT_PERCENT_MAX / 100;
        let most = share + INNOCENT_SPREADS * share.isqrt();
        self.fences >= FENCES_COUNTED_MIN && self.innocent_fenced > most
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.strikes += other.strikes;
        self.elected += other.elected;
        self.sealed += other.sealed;
        self.served += other.served;
        self.fences += other.fences;
        self.healthy_fenced += other.healthy_fenced;
        self.void_fenced += other.void_fenced;
        self.stopped_fenced += other.stopped_fenced;
        self.innocent_fenced += other.innocent_fenced;
        self.evicted += other.evicted;
        self.left += other.left;
    }
}

/// Everything that the checks remember.
#[derive(Clone, Debug)]
pub struct Check {
    /// Copies of the super block, as they stand; `None` if invalid.
    pub supers: [Option<SuperBlock>; 2],
    /// The number of the newest state that ever stood in a valid copy.
    pub newest_seq: u64,
    /// The highest that ever landed.
    pub fenced: Mark,
    /// The highest that ever landed.
    pub server: Option<Ballot>,
    /// The highest that ever landed.
    pub barrier: u64,
    /// The region, as it stands.
    pub region: Vec<RegionView>,
    /// Blocks that carry a ballot.
    pub carriers: BTreeMap<Ballot, usize>,
    /// Ballots of which a block ever said that their fence was confirmed.
    pub marked: BTreeSet<Ballot>,
    /// What everybody said last in the region.
    pub said: BTreeMap<Rid, Said>,
    /// Everybody who won.
    pub leaders: BTreeMap<Ballot, Leader>,
    /// Each logical block of the table: its two copies, as sequence number and records.
    pub table: Vec<[Option<TableCopy>; 2]>,
    /// Records in the newest copies.
    pub records: BTreeMap<Rid, ClientRecord>,
    /// Everybody who ever had a record.
    pub recorded: BTreeSet<Rid>,
    /// Numbers of the fence records in the ring; 0 where none was written yet, or what stands there is invalid.
    pub fence_seqs: [u64; FENCE_BLOCKS],
    /// When somebody who does not serve last wrote to the region.
    pub stood_at: Time,
    /// When a fence last acted.
    pub fenced_at: Time,
    /// Counts.
    pub counts: Counts,
}

/// A valid copy of a block of the table.
#[derive(Clone, Debug)]
pub struct TableCopy {
    /// The higher is the newer.
    pub seq: u64,
    /// What it holds.
    pub records: Vec<ClientRecord>,
}

impl Check {
    /// Nothing has happened on a fresh volume.
    pub fn new(fresh: SuperBlock) -> Self {
        let copy = TableCopy {
            seq: 0,
            records: Vec::new(),
        };
        let empty = RegionView {
            valid: true,
            ..RegionView::default()
        };
        Self {
            supers: [Some(fresh); 2],
            newest_seq: fresh.seq,
            fenced: fresh.fenced,
            server: fresh.server,
            barrier: fresh.unmount_barrier,
            region: vec![empty; ostrakon_core::bounds::REGION_BLOCKS],
            carriers: BTreeMap::new(),
            marked: BTreeSet::new(),
            said: BTreeMap::new(),
            leaders: BTreeMap::new(),
            table: vec![[Some(copy.clone()), Some(copy)]; fresh.geometry.clients_blocks as usize],
            records: BTreeMap::new(),
            recorded: BTreeSet::new(),
            fence_seqs: [0; FENCE_BLOCKS],
            stood_at: 0,
            fenced_at: 0,
            counts: Counts::default(),
        }
    }

    /// The record of a mounted client, if it has one that still counts.
    pub fn record(&self, rid: Rid) -> Option<&ClientRecord> {
        self.records
            .get(&rid)
            .filter(|record| !record.evicted && record.barrier >= self.barrier)
    }

    /// The newest valid copy of the super block.
    pub fn super_block(&self) -> Option<&SuperBlock> {
        self.supers.iter().flatten().max_by_key(|copy| copy.seq)
    }
}

/// A write that has landed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landed {
    /// Whose.
    pub(crate) proc: ProcId,
    /// Where.
    pub(crate) first: u64,
    /// Blocks.
    pub(crate) count: u32,
    /// Not as it was meant.
    pub(crate) damaged: bool,
    /// After its process was told how it ended.
    pub(crate) answered: bool,
}

impl World {
    /// A write has landed.
    pub(crate) fn landed(&mut self, write: Landed) {
        let Landed {
            proc,
            first,
            count,
            damaged,
            ..
        } = write;
        if self.is_of_2019() {
            return self.landed_2019(proc, first, damaged);
        }
        for block in first..first + u64::from(count) {
            match self.device.area(block, 1) {
                Area::Super(copy) => self.super_landed(proc, copy, damaged),
                Area::Region(index) => self.region_landed(proc, index, damaged),
                Area::Table { block, copy } => self.table_landed(proc, block, copy, damaged),
                Area::Fences(index) => self.fence_landed(index, write),
                Area::Doorbell | Area::Outside => {}
            }
        }
    }

    /// A block has changed by itself.
    pub(crate) fn rotted(&mut self, area: Area) {
        if self.is_of_2019() {
            return;
        }
        match area {
            Area::Super(copy) => self.look_at_super(copy),
            Area::Region(index) => self.look_at_region(index),
            Area::Table { block, copy } => {
                self.look_at_table(block, copy);
            }
            Area::Fences(_) | Area::Doorbell | Area::Outside => {}
        }
    }

    /// A write is handed to the disk queue.
    pub(crate) fn check_submission(&mut self, proc: ProcId, area: Area, first: u64, bytes: &[u8]) {
        if self.is_of_2019() {
            return;
        }
        let of_region = |area: Area| matches!(area, Area::Region(_) | Area::Doorbell);
        let same_kind = |other: Area| match area {
            Area::Region(_) | Area::Doorbell => of_region(other),
            Area::Super(_) => matches!(other, Area::Super(_)),
            Area::Table { .. } | Area::Fences(_) | Area::Outside => false,
        };
        let overlaps = self.flights.iter().any(|flight| {
            flight.proc == proc
                && flight.is_write
                && (!flight.answered || flight.may_land())
                && same_kind(self.device.area(flight.first, flight.count))
        });
        if overlaps {
            violate!(
                self,
                "{} writes {area:?} while an earlier write of its kind is outstanding (R2, R8)",
                self.procs[proc].name
            );
        }
        match area {
            Area::Super(copy) => self.super_submitted(proc, copy, bytes),
            Area::Table { .. } => self.check_leads(proc, "the client table"),
            Area::Fences(_) => self.check_leads(proc, "the fence records"),
            Area::Region(_) | Area::Doorbell if !self.procs[proc].voter => {
                violate!(self, "{} is no voter and writes {area:?}", self.procs[proc].name);
            }
            Area::Region(_) | Area::Doorbell if self.serves(self.procs[proc].host).is_none() => {
                self.check.stood_at = self.now;
            }
            Area::Region(_) | Area::Doorbell => {}
            Area::Outside => {
                violate!(
                    self,
                    "{} writes block {first}, where nobody may",
                    self.procs[proc].name
                );
            }
        }
    }

    /// Only one with the right to act issues a write outside the region: looked at just before it does. (The first
    /// update of the super block gives the right, and the last one follows it: [`Self::super_submitted`] judges them.)
    pub(crate) fn check_right_to_write(&mut self, process: &Process, area: Area, bytes: &[u8]) {
        if self.is_of_2019() {
            return;
        }
        let stops = self.says_stopped(area, bytes);
        let rid = self.procs[process.id].rid;
        let mut own = self.check.leaders.iter().filter(|(ballot, _)| ballot.rid == rid);
        let newest = own.next_back().map(|(_, leader)| leader);
        let takes_over = newest.is_some_and(|leader| !leader.had_right);
        let is_beside_the_server = matches!(area, Area::Super(_)) && (takes_over || stops);
        let now = self.hosts[self.procs[process.id].host].clock.local(self.now);
        let right = process.mount.right(now);
        if !is_beside_the_server && right.is_none_or(|ballot| ballot.rid != rid) {
            let name = &self.procs[process.id].name;
            violate!(self, "{name} writes {area:?}, but has only the right {right:?}");
        }
    }

    /// A mount tells something.
    pub(crate) fn observe(&mut self, process: &mut Process, event: Event) {
        let id = process.id;
        note!(self, &self.procs[id].name, "{event:?}");
        if self.is_of_2019() {
            self.observe_2019(id, &event);
            self.history.push((self.now, id, event));
            return;
        }
        match &event {
            Event::Connected { server, .. } => self.client_connected(id, *server),
            Event::Disconnected { .. } => self.procs[id].connected = None,
            Event::PlainClient => self.procs[id].turned_down = true,
            Event::VoterAfterAll => self.procs[id].turned_down = false,
            Event::Elected(ballot) => self.elected(id, *ballot),
            Event::Sealed(ballot) => self.sealed(id, *ballot),
            Event::GaveUp { ballot, .. } => self.gave_up(*ballot),
            Event::Silenced {
                victim,
                how: Silenced::Fenced | Silenced::FencedBefore | Silenced::LeaseRanOut,
            } => self.procs[id].silenced.push(*victim),
            Event::Serving { ballot, addr } => {
                self.course.served_in_chaos += u64::from(self.chaos);
                self.serving(id, *ballot, *addr);
                self.check_fences_recorded(id);
            }
            Event::StoppedServing { ballot, .. } => self.stopped_serving(*ballot),
            Event::ClientEvicted(rid) => self.client_evicted(*rid),
            Event::Unmounted(how) => self.procs[id].ended = Some(*how),
            Event::Answered {
                id: request, status, ..
            } => {
                let body = process.mount.answer(*request).to_vec();
                self.answered(id, request.0, *status, &body);
            }
            _ => {}
        }
        self.history.push((self.now, id, event));
    }

    /// What a process did in the round that has just ended.
    pub(crate) fn check_process(&mut self, process: &mut Process) {
        if self.is_of_2019() {
            return;
        }
        let id = process.id;
        let acts = process.mount.take_acts();
        for act in acts {
            if let Act::Started(ballot) | Act::Handled(ballot) = act {
                self.check_act(id, ballot);
            }
        }
        let now = self.hosts[self.procs[id].host].clock.local(self.now);
        if let Some(ballot) = process.mount.right(now) {
            if let Some(leader) = self.check.leaders.get_mut(&ballot) {
                leader.had_right = true;
            }
            self.check_right(id, ballot);
        }
    }

    /// Nobody but the newest leader acts, unless it is cut off and can do no harm.
    fn check_act(&mut self, proc: ProcId, ballot: Ballot) {
        let newest = self.check.server;
        if !self.procs[proc].cut && newest != Some(ballot) {
            violate!(
                self,
                "{} serves under {ballot}, but the super block names {newest:?}",
                self.procs[proc].name
            );
        }
    }

    fn check_right(&mut self, proc: ProcId, ballot: Ballot) {
        let newest = self.check.server;
        if ballot.rid != self.procs[proc].rid {
            violate!(
                self,
                "{} has a right under {ballot}, which is not its own",
                self.procs[proc].name
            );
        } else if !self.procs[proc].cut && newest.is_some_and(|newest| newest > ballot) {
            violate!(
                self,
                "{} may still act under {ballot}, but {newest:?} has taken over: two unfenced servers",
                self.procs[proc].name
            );
        }
    }

    /// An ended mount: how it may end.
    pub(crate) fn check_end(&mut self, id: ProcId) {
        if self.is_of_2019() {
            return;
        }
        let waited = self.has_waited_enough(id);
        let proc = &mut self.procs[id];
        proc.gave_up = waited && proc.ended == Some(Unmounted::LeftRecord);
        let proc = &self.procs[id];
        let (rid, name) = (proc.rid, proc.name.clone());
        let outstanding = self
            .flights
            .iter()
            .any(|flight| flight.proc == id && flight.is_write && (!flight.answered || flight.may_land()));
        let wrong = match proc.ended {
            None => Some("ended without saying how"),
            Some(Unmounted::Farewell | Unmounted::Barrier) if !proc.unmounting => {
                Some("left without being asked")
            }
            Some(Unmounted::Farewell | Unmounted::Barrier) if self.check.record(rid).is_some() => {
                Some("was released, but is still in the table")
            }
            Some(Unmounted::Farewell | Unmounted::Barrier | Unmounted::NeverMounted)
                if self.still_leads(rid) =>
            {
                Some("left as if nothing of it stayed behind, but its ballot leads")
            }
            Some(Unmounted::NeverMounted) if proc.was_connected => Some("forgot that it was mounted"),
            Some(_) if proc.forced => None,
            // Core ends with one only when winding up takes its time, too, which begins later than this does.
            Some(_) if outstanding && waited => None,
            Some(_) if outstanding => Some("ended with a write outstanding"),
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            violate!(self, "{name} {wrong}");
        }
        if matches!(
            self.procs[id].ended,
            Some(Unmounted::Farewell | Unmounted::Barrier)
        ) {
            self.check.counts.left += 1;
        }
    }

    /// Whether a copy of the super block names it as a server that did not stop.
    fn still_leads(&self, rid: Rid) -> bool {
        let copies = self.check.supers.iter().flatten();
        copies
            .filter_map(|copy| copy.server.filter(|&server| !copy.fenced.covers(server)))
            .any(|server| server.rid == rid)
    }
}
