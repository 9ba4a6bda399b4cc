//! Checks of the election: the region, seals, and fences.

use ostrakon_core::bounds::{LEFT_OUT_MAX, LOG_ENTRIES_MAX, SEAL_BLOCKS, VOTERS_MAX};
use ostrakon_core::format::{QuorumHead, RegionBlock};
use ostrakon_core::ids::{Ballot, BlockNo, Rid, Term};

use super::Leader;
use crate::sim::checksum::{checksum, padded};
use crate::sim::disk::{Area, Path};
use crate::sim::host::ProcId;
use crate::sim::world::{World, violate};

/// What a block of the region says.
#[derive(Clone, Debug, Default)]
pub struct RegionView {
    /// It can be read and decoded.
    pub valid: bool,
    /// Who wrote it; `None` if it is empty or invalid.
    pub writer: Option<Rid>,
    /// The writer's ballots up to this term are void.
    pub void_term: Term,
    /// What it says apart from its log.
    pub head: Option<QuorumHead>,
    /// Ballots in its log.
    pub carries: Vec<Ballot>,
    /// Those of them whose fence was confirmed, as their entries say.
    pub marked: Vec<Ballot>,
}

impl World {
    pub(super) fn region_landed(&mut self, proc: ProcId, index: usize, damaged: bool) {
        self.look_at_region(index);
        let writer = self.check.region[index].writer;
        if !damaged && writer != Some(self.procs[proc].rid) {
            violate!(
                self,
                "{} wrote region block {index}, which now says {writer:?}",
                self.procs[proc].name
            );
        }
        if !damaged && let Some(head) = self.check.region[index].head {
            self.check_words(&head);
        }
        self.check_marks(index);
        self.check_carriers();
    }

    /// An entry says that its ballot is fenced only when that is so (R7): nobody fences it any more.
    fn check_marks(&mut self, index: usize) {
        let fenced = |ballot: &Ballot| {
            self.by_rid
                .get(&ballot.rid)
                .is_some_and(|&proc| self.procs[proc].fenced)
        };
        let marked = &self.check.region[index].marked;
        if let Some(&loud) = marked.iter().find(|ballot| !fenced(ballot)) {
            violate!(
                self,
                "region block {index} says that {loud} is fenced, which it is not (R7)"
            );
        } else if !marked.is_empty() {
            self.check.marked.extend(marked);
        }
    }

    /// Who is void, and since when.
    fn note_voids(&mut self) {
        let region = &self.check.region;
        for (ballot, leader) in &mut self.check.leaders {
            let says = |view: &RegionView| view.writer == Some(ballot.rid) && view.void_term >= ballot.term;
            let void = leader.gave_up && region.iter().any(says);
            leader.void_since = leader.void_since.or(Some(self.now)).filter(|_| void);
        }
    }

    /// Decodes a block of the region as it stands.
    pub(super) fn look_at_region(&mut self, index: usize) {
        let at = BlockNo(self.device.geometry().region.0 + index as u64);
        let readable = !self.device.is_bad(at.0, 1);
        let known = self.device.lend_known();
        let decoded = RegionBlock::decode_after(
            self.device.blocks(at.0, 1),
            at,
            self.volume,
            checksum,
            padded,
            None,
        );
        let view = match decoded.ok().filter(|_| readable) {
            Some(RegionBlock::Written(head, log)) => {
                let mut view = RegionView {
                    valid: true,
                    writer: Some(head.writer),
                    void_term: head.void_term,
                    head: Some(head),
                    ..RegionView::default()
                };
                for entry in log {
                    view.carries.push(entry.ballot);
                    if entry.fenced {
                        view.marked.push(entry.ballot);
                    }
                }
                view
            }
            Some(RegionBlock::Empty) => RegionView {
                valid: true,
                ..RegionView::default()
            },
            None => RegionView::default(),
        };
        drop(known);
        let before = std::mem::replace(&mut self.check.region[index], view);
        for ballot in before.carries {
            let carriers = self
                .check
                .carriers
                .get_mut(&ballot)
                .expect("it was counted when it came");
            *carriers -= 1;
        }
        for ballot in &self.check.region[index].carries {
            *self.check.carriers.entry(*ballot).or_insert(0) += 1;
        }
        if self.check.region[index].carries.len() > LOG_ENTRIES_MAX {
            violate!(self, "region block {index} holds more entries than fit");
        }
        self.note_voids();
    }

    /// The theorem of the design: every collect shows a sealed ballot until it is trimmed, void or marked, though it may
    /// leave K blocks out.
    fn check_carriers(&mut self) {
        let (fenced, marked) = (self.check.fenced, &self.check.marked);
        let lost = self.check.leaders.iter().find(|(ballot, leader)| {
            let gone = leader.gave_up || fenced.covers(**ballot) || marked.contains(ballot);
            let live = leader.sealed && !gone;
            live && self
                .check
                .carriers
                .get(ballot)
                .is_none_or(|&carriers| carriers <= LEFT_OUT_MAX)
        });
        if let Some((&ballot, _)) = lost {
            let carriers = self.check.carriers.get(&ballot).copied().unwrap_or(0);
            violate!(
                self,
                "the sealed ballot {ballot} stands in {carriers} blocks only: forgotten"
            );
        }
    }

    /// Whether a new scrub period may begin: every live ballot in any log is carried by N blocks, and whatever was
    /// damaged before has been written again.
    pub(crate) fn is_scrubbed(&self) -> bool {
        let whole = self.check.region.iter().all(|view| view.valid);
        let late = self.flights.iter().any(|flight| flight.late && flight.may_land());
        let carried = self.check.carriers.iter().all(|(&ballot, &carriers)| {
            carriers == 0
                || carriers >= SEAL_BLOCKS
                || self.check.fenced.covers(ballot)
                || self.check.marked.contains(&ballot)
                || self.is_void(ballot)
        });
        whole && !late && carried
    }

    /// Whether the log has room for a few more leaders that die before they serve. When it has not, nobody may become
    /// a candidate any more: the volume has to be formatted anew then.
    pub(crate) fn log_has_room(&self) -> bool {
        // One whose fence was confirmed takes its place all the same, until somebody serves.
        let stands = |ballot: Ballot, carriers: usize| {
            carriers > 0 && !self.check.fenced.covers(ballot) && !self.is_void(ballot)
        };
        let all = self.check.carriers.iter();
        let left = all
            .filter(|(ballot, carriers)| stands(**ballot, **carriers))
            .count();
        left + VOTERS_MAX < LOG_ENTRIES_MAX - VOTERS_MAX / 2
    }

    /// Whether a block of its own rid says so.
    pub(crate) fn is_void(&self, ballot: Ballot) -> bool {
        let says = |view: &RegionView| view.writer == Some(ballot.rid) && view.void_term >= ballot.term;
        self.check.region.iter().any(says)
    }

    pub(crate) fn elected(&mut self, proc: ProcId, ballot: Ballot) {
        self.check.counts.elected += 1;
        if ballot.rid != self.procs[proc].rid {
            violate!(
                self,
                "{} was elected under {ballot}, not its own",
                self.procs[proc].name
            );
        }
        let leader = Leader {
            elected_at: self.now,
            ..Leader::new(proc)
        };
        if self.check.leaders.insert(ballot, leader).is_some() {
            violate!(self, "ballot {ballot} was used twice (R3)");
        }
    }

    pub(crate) fn sealed(&mut self, proc: ProcId, ballot: Ballot) {
        self.check.counts.sealed += 1;
        match self.check.leaders.get_mut(&ballot) {
            Some(leader) => leader.sealed = true,
            None => {
                violate!(
                    self,
                    "{} sealed {ballot} without being elected",
                    self.procs[proc].name
                );
            }
        }
        self.check_carriers();
    }

    pub(crate) fn gave_up(&mut self, ballot: Ballot) {
        let Some(leader) = self.check.leaders.get_mut(&ballot) else {
            return;
        };
        leader.gave_up = true;
        let (proc, issued) = (leader.proc, leader.issued);
        let named = self
            .check
            .supers
            .iter()
            .flatten()
            .any(|copy| copy.server == Some(ballot));
        if issued && (named || self.writes_super(proc)) {
            violate!(
                self,
                "{ballot} was given up, but its first super block write stands or may still land (R3)"
            );
        }
    }

    /// Whether a write of the super block or of the client table by this process may still land.
    fn writes_super(&self, proc: ProcId) -> bool {
        self.flights.iter().any(|flight| {
            let area = self.device.area(flight.first, flight.count);
            flight.proc == proc && flight.may_land() && matches!(area, Area::Super(_) | Area::Table { .. })
        })
    }

    pub(super) fn stopped_serving(&mut self, ballot: Ballot) {
        if let Some(leader) = self.check.leaders.get_mut(&ballot) {
            leader.serving = false;
        }
    }

    /// Nobody is fenced who stopped cleanly, or withdrew, before this candidate was even elected.
    pub(crate) fn check_victim(&mut self, by: ProcId, victim: Ballot) {
        let readable = self.check.supers.iter().all(Option::is_some);
        let elected = self.check.leaders.values().filter(|leader| leader.proc == by);
        let elected_at = elected.map(|leader| leader.elected_at).max().unwrap_or(0);
        let its = self.check.leaders.get(&victim);
        let stopped_at = its.and_then(|leader| leader.stopped_at);
        let void_since = its.and_then(|leader| leader.void_since);
        if readable && stopped_at.is_some_and(|stopped_at| stopped_at < elected_at) {
            violate!(
                self,
                "{} fences {victim}, who had stopped cleanly before",
                self.procs[by].name
            );
        }
        if void_since.is_some_and(|void_since| void_since < elected_at) {
            violate!(
                self,
                "{} fences {victim}, who had withdrawn before",
                self.procs[by].name
            );
        }
    }

    /// Counts the innocent.
    pub(crate) fn count_fence(&mut self, victim: ProcId, ballot: Ballot) {
        let proc = &self.procs[victim];
        let host = &self.hosts[proc.host];
        let outside = self.net.outside();
        let connected = (0..outside).all(|other| !self.net.is_out_of_reach(other, proc.host));
        let healthy = self.is_running(victim) && !proc.fenced && host.path == Path::Fine && connected;
        self.check.fenced_at = self.now;
        self.check.counts.fences += 1;
        self.check.counts.healthy_fenced += u64::from(healthy);
        let stopped = self
            .check
            .leaders
            .get(&ballot)
            .is_some_and(|leader| leader.stopped_at.is_some());
        let void = self.is_void(ballot);
        self.check.counts.void_fenced += u64::from(void);
        self.check.counts.stopped_fenced += u64::from(stopped);
        self.check.counts.innocent_fenced += u64::from(healthy || void || stopped);
    }

    /// Whether nothing that this earlier leader does can do harm any more, and the rules say why (R7).
    pub(super) fn is_silent(&self, leader: &Leader) -> bool {
        let proc = &self.procs[leader.proc];
        let under_way = self.writes_super(leader.proc);
        let machine = &self.hosts[proc.host];
        let process = machine
            .process
            .as_ref()
            .filter(|process| process.id == leader.proc);
        let has_right =
            process.is_some_and(|process| process.mount.right(machine.clock.local(self.now)).is_some());
        let lease_over = self.options.silence.has_lease() && !has_right;
        // One that gave up claimed, and nothing of that stands or can still land: judged when it gave up. It writes no other
        // super block: judged whenever one is submitted. But it has to act upon it, too.
        let withdrew = leader.gave_up && !has_right;
        !under_way && (proc.fenced || leader.stopped_at.is_some() || lease_over || withdrew)
    }
}
