//! Voters that share a disk in memory, with the server played by a flag.

extern crate std;

use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use crate::bounds::{BLOCK_BYTES, DEAD_AFTER_MIN, SEAL_BLOCKS};
use crate::checksum::portable;
use crate::config::{Config, VoterConfig};
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::event::{Event, GaveUp, Silenced};
use crate::fence::{FenceOutcome, FenceRequest};
use crate::format::{Doorbell, FenceParam, Geometry, NewVolume, SUPER_COPIES, SuperBlock, encode_empty};
use crate::ids::{Ballot, BlockNo, BootId, HostId, Mark, Rid, VolumeId};
use crate::time::{Duration, Instant};

use super::{Election, LeaderFacts, Lost};

mod device;
mod marks;
mod region;
mod scenarios;
mod stopping;

const VOLUME: VolumeId = VolumeId([7; 16]);

/// What becomes of a request that is not carried out.
#[derive(Clone, Copy)]
enum Trouble {
    Fails(DiskError),
    /// A read brings fewer bytes than it was to.
    FallsShort,
    /// It ends as only one of the other kind may.
    Confuses,
    /// It is carried out, and reported as failed.
    LandsUnheard,
}

/// Which requests are not carried out.
trait TroubleOf: Fn(&DiskRequest) -> Option<Trouble> {}
impl<F: Fn(&DiskRequest) -> Option<Trouble>> TroubleOf for F {}

/// One voter and what the world knows of it.
struct Voter {
    election: Election,
    pending: Vec<(Instant, DiskRequest, Vec<u8>)>,
    events: Vec<Event>,
    fences: Vec<FenceRequest>,
    alive: bool,
    paused: bool,
    disk_fails: bool,
    writes_fail: bool,
    trouble: Box<dyn TroubleOf>,
    /// Completions come that belong to nobody, before each that does.
    strays: bool,
    facts: LeaderFacts,
    served: Option<Ballot>,
    writes: u64,
}

struct World {
    now: Instant,
    blocks: Vec<u8>,
    voters: Vec<Voter>,
    io: Duration,
    fence: FenceOutcome,
    /// Whether servers are started by their leaders: `false` leaves them starting.
    serve: bool,
    /// Servers that were told to stop still have writes outstanding.
    hold_server: bool,
}

fn rid(n: usize) -> Rid {
    Rid::new(n as u64 + 1).unwrap()
}

impl World {
    fn new(quorum_count: u16) -> Self {
        let geometry = Geometry::plan(4096, 64).unwrap();
        let blocks = NewVolume::sample(VOLUME, quorum_count, geometry).device(4096);
        Self {
            now: Instant(1_000_000),
            blocks,
            voters: Vec::new(),
            io: Duration(300),
            fence: FenceOutcome::Done,
            serve: true,
            hold_server: false,
        }
    }

    fn add(&mut self, adjust: impl FnOnce(&mut VoterConfig)) -> usize {
        let n = self.voters.len();
        let mut voter = VoterConfig::fencing(([10, 0, 0, 1 + n as u8], 5000).into(), FenceParam::default());
        adjust(&mut voter);
        let config = Config {
            host: HostId(n as u64),
            boot: BootId([n as u8; 16]),
            voter: Some(voter),
            ..Config::client(rid(n))
        };
        let mut election = Election::new(&config, voter, 99 + n as u64);
        election.set_wanted(self.now, true, None);
        self.voters.push(Voter {
            election,
            pending: Vec::new(),
            events: Vec::new(),
            fences: Vec::new(),
            alive: true,
            paused: false,
            disk_fails: false,
            writes_fail: false,
            trouble: Box::new(|_: &DiskRequest| None),
            strays: false,
            facts: LeaderFacts {
                voters: 1,
                remote_seen: true,
                ..LeaderFacts::default()
            },
            served: None,
            writes: 0,
        });
        n
    }

    fn voters(quorum_count: u16, count: usize) -> Self {
        let mut world = Self::new(quorum_count);
        for _ in 0..count {
            world.add(|_| {});
        }
        world
    }

    fn step(&mut self, n: usize) {
        let now = self.now;
        let voter = &mut self.voters[n];
        if !voter.alive || voter.paused {
            return;
        }
        let due: Vec<_> = voter.pending.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, request, bytes) in due {
            let writes = matches!(request, DiskRequest::Write { .. });
            if voter.disk_fails || (voter.writes_fail && writes) {
                voter
                    .election
                    .handle_disk(now, request.id(), DiskOutcome::Failed(DiskError::Failed));
                continue;
            }
            if voter.strays {
                let nobodys = IoId(request.id().0.wrapping_sub(1));
                for outcome in [
                    DiskOutcome::Failed(DiskError::Failed),
                    DiskOutcome::Read(&[]),
                    DiskOutcome::Done,
                ] {
                    voter.election.handle_disk(now, nobodys, outcome);
                }
            }
            if let Some(trouble) = (voter.trouble)(&request) {
                if let (Trouble::LandsUnheard, DiskRequest::Write { first, .. }) = (trouble, request) {
                    self.blocks[first.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES].copy_from_slice(&bytes);
                }
                let outcome = match trouble {
                    Trouble::Fails(error) => DiskOutcome::Failed(error),
                    Trouble::LandsUnheard => DiskOutcome::Failed(DiskError::Failed),
                    Trouble::Confuses if !writes => DiskOutcome::Done,
                    Trouble::FallsShort | Trouble::Confuses => DiskOutcome::Read(&[]),
                };
                voter.election.handle_disk(now, request.id(), outcome);
                continue;
            }
            match request {
                DiskRequest::Read { id, first, count, .. } => {
                    let range =
                        first.0 as usize * BLOCK_BYTES..(first.0 as usize + count as usize) * BLOCK_BYTES;
                    voter
                        .election
                        .handle_disk(now, id, DiskOutcome::Read(&self.blocks[range]));
                }
                DiskRequest::Write { id, first, .. } => {
                    self.blocks[first.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES].copy_from_slice(&bytes);
                    voter.writes += 1;
                    voter.election.handle_disk(now, id, DiskOutcome::Done);
                }
                DiskRequest::Flush { id, .. } => voter.election.handle_disk(now, id, DiskOutcome::Done),
            }
        }
        for request in core::mem::take(&mut voter.fences) {
            voter
                .election
                .handle_fence(now, request.victim.ballot, self.fence);
        }
        voter.election.set_facts(now, voter.facts);
        voter.election.poll(now);
        let wish = voter.election.wish().map(|(ballot, _)| ballot);
        let held = self.hold_server && wish.is_none();
        if voter.served != wish && !held {
            voter.facts.serving = wish.is_some() && self.serve;
            voter.election.set_server_off(now, wish.is_none());
            voter.served = wish;
        }
        let mut buffer = vec![0; BLOCK_BYTES];
        while let Some(request) = voter.election.poll_disk(now, &mut buffer) {
            voter.pending.push((now + self.io, request, buffer.clone()));
        }
        while let Some(request) = voter.election.poll_fence(now) {
            voter.fences.push(request);
        }
        while let Some(event) = voter.election.poll_event() {
            voter.events.push(event);
        }
        if self.fence == FenceOutcome::Done {
            let victims: Vec<_> = voter
                .fences
                .iter()
                .map(|request| request.victim.ballot.rid)
                .collect();
            for other in 0..self.voters.len() {
                if victims.contains(&rid(other)) {
                    self.voters[other].alive = false;
                }
            }
        }
        let leaders = self.leaders();
        assert!(leaders.len() <= 1, "two leaders: {leaders:?}");
    }

    /// Voters that lead and have the right to.
    fn leaders(&self) -> Vec<usize> {
        let leads = |voter: &Voter| {
            voter.alive && voter.election.wish().is_some() && voter.election.right(self.now).is_some()
        };
        (0..self.voters.len())
            .filter(|&n| leads(&self.voters[n]))
            .collect()
    }

    fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs until it holds, for `span` at most; says whether it came to hold.
    fn run_until(&mut self, span: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + span;
        while self.now < end {
            if holds(self) {
                return true;
            }
            self.now += Duration(100);
            for n in 0..self.voters.len() {
                self.step(n);
            }
        }
        holds(self)
    }

    fn expect_leader(&mut self, span: Duration) -> usize {
        assert!(
            self.run_until(span, |world| !world.leaders().is_empty()),
            "no leader: {:#?}",
            self.stages()
        );
        self.leaders()[0]
    }

    fn stages(&self) -> BTreeMap<usize, std::string::String> {
        let show = |n: usize| {
            std::format!(
                "{:?} {:?}",
                self.voters[n].election.step,
                self.voters[n].election.stage
            )
        };
        (0..self.voters.len()).map(|n| (n, show(n))).collect()
    }

    /// All other voters connect to the leader: they leave the election.
    fn connect_all(&mut self, leader: usize) {
        let connected = self.voters.iter().filter(|voter| voter.alive).count() as u16;
        self.voters[leader].facts.voters = connected;
        for n in 0..self.voters.len() {
            self.voters[n].election.set_admitted(true);
            self.voters[n].election.set_wanted(self.now, n == leader, None);
        }
    }

    /// Everybody but the leader loses it.
    fn lose(&mut self, leader: usize, refused: bool) {
        let server = self.voters[leader].served.expect("it serves");
        for n in (0..self.voters.len()).filter(|&n| n != leader) {
            self.voters[n]
                .election
                .set_wanted(self.now, true, Some(Lost { server, refused }));
        }
    }

    fn saw(&self, n: usize, wanted: impl Fn(&Event) -> bool) -> bool {
        self.voters[n].events.iter().any(wanted)
    }
}

impl World {
    /// As [`World::lose`], after the leader stopped serving by itself.
    fn lose_after_failure(&mut self, leader: usize) {
        for n in (0..self.voters.len()).filter(|&n| n != leader) {
            self.voters[n].election.set_wanted(self.now, true, None);
        }
    }
}
