//! A volume in memory, and the elections of voters that share it, in simulated time: core alone, without a disk.

use std::ops::Range;

use ostrakon_core::bounds::{BLOCK_BYTES, REGION_BLOCKS};
use ostrakon_core::checksum::Checksum;
use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::disk::{DiskOutcome, DiskRequest, IoId};
use ostrakon_core::election::{Election, LeaderFacts};
use ostrakon_core::event::Event;
use ostrakon_core::fence::FenceOutcome;
use ostrakon_core::format::{
    Doorbell, FenceParam, Geometry, LogEntry, QuorumHead, SUPER_COPIES, SuperBlock, VoteKind, encode_empty,
    encode_quorum,
};
use ostrakon_core::ids::{Ballot, BlockNo, BootId, HostId, Mark, Rid, Term, VolumeId, VolumeKey, WriteNr};
use ostrakon_core::time::{Duration, Instant};

/// Blocks of the volume.
const BLOCKS: u64 = 4096;

/// Which volume it is.
pub const VOLUME: VolumeId = VolumeId([7; 16]);

/// Steps of the simulated time.
const STEP: Duration = Duration(100);

/// A rid.
///
/// # Panics
/// If the number is 0.
pub fn rid(number: u64) -> Rid {
    Rid::new(number).expect("a rid is not 0")
}

/// The bytes of a freshly formatted volume.
pub struct Volume {
    /// Where things lie.
    pub geometry: Geometry,
    /// All blocks.
    pub bytes: Vec<u8>,
    checksum: Checksum,
}

impl Volume {
    /// Formats one.
    pub fn format(quorum_count: u16, checksum: Checksum) -> Self {
        let geometry = Geometry::plan(BLOCKS, 64).expect("4096 blocks are enough for 64 clients");
        let mut volume = Self {
            geometry,
            bytes: vec![0; BLOCKS as usize * BLOCK_BYTES],
            checksum,
        };
        let state = super_block(geometry, quorum_count);
        for at in SUPER_COPIES {
            state.encode(at, checksum, volume.block(at));
        }
        for index in 0..REGION_BLOCKS as u64 {
            let at = BlockNo(geometry.region.0 + index);
            encode_empty(at, VOLUME, checksum, volume.block(at));
        }
        Doorbell::SILENT.encode(
            geometry.doorbell,
            VOLUME,
            checksum,
            volume.block(geometry.doorbell),
        );
        volume
    }

    /// Has every block of the region written by somebody, with a log of so many leaders.
    pub fn fill_region(&mut self, leaders: u64) {
        let log: Vec<LogEntry> = (1..=leaders).map(entry).collect();
        for index in 0..REGION_BLOCKS as u64 {
            let at = BlockNo(self.geometry.region.0 + index);
            let checksum = self.checksum;
            encode_quorum(
                &head(1 + index % 16, index),
                &log,
                at,
                VOLUME,
                checksum,
                self.block(at),
            );
        }
    }

    /// One block.
    pub fn block(&mut self, at: BlockNo) -> &mut [u8] {
        &mut self.bytes[range(at, 1)]
    }
}

/// The super block of a volume that nobody has mounted.
pub fn super_block(geometry: Geometry, quorum_count: u16) -> SuperBlock {
    SuperBlock {
        volume: VOLUME,
        seq: 1,
        quorum_count,
        fenced: Mark::NONE,
        server: None,
        server_addr: None,
        unmount_barrier: 0,
        geometry,
        key: VolumeKey([1; 32]),
    }
}

/// The entry of some leader.
pub fn entry(number: u64) -> LogEntry {
    LogEntry {
        ballot: Ballot {
            term: Term(number),
            rid: rid(1000 + number),
        },
        host: HostId(number),
        boot: BootId([1; 16]),
        addr: ([10, 0, 0, 1], 4790).into(),
        quiet_ms: 7000,
        fenced: false,
        fence_param: FenceParam::default(),
    }
}

/// The head of some voter's block.
pub fn head(writer: u64, write_nr: u64) -> QuorumHead {
    QuorumHead {
        writer: rid(writer),
        host: HostId(writer),
        boot: BootId([1; 16]),
        write_nr: WriteNr(write_nr),
        term: Term(3),
        kind: VoteKind::Vote,
        vote_for: None,
        own: None,
        void_term: Term(0),
        won: false,
        sealed: false,
        barren: false,
        round: 0,
        answer: None,
        cycle: Duration::from_millis(3),
    }
}

fn range(first: BlockNo, count: u32) -> Range<usize> {
    let from = first.0 as usize * BLOCK_BYTES;
    from..from + count as usize * BLOCK_BYTES
}

fn election(number: u64, now: Instant, seed: u64, checksum: Checksum, transfer_blocks: u32) -> Election {
    let [high, low] = (number as u16).to_be_bytes();
    let voter = VoterConfig::fencing(([10, 0, high, low], 4790).into(), FenceParam::default());
    let config = Config {
        host: HostId(number),
        boot: BootId([number as u8; 16]),
        voter: Some(voter),
        checksum,
        transfer_blocks,
        ..Config::client(rid(number))
    };
    let mut election = Election::new(&config, voter, seed);
    election.set_wanted(now, true, None);
    election.set_admitted(true);
    election
}

/// A voter that is alone and has no quorum: it reads and writes the region, cycle after cycle.
pub struct Cycling {
    volume: Volume,
    election: Election,
    now: Instant,
    buffer: Vec<u8>,
}

/// The last part of a reading of the whole region, for which the voter waits.
pub struct RegionRead {
    id: IoId,
    range: Range<usize>,
}

impl Cycling {
    /// On a region in which every block has a log of so many leaders; it reads so many blocks at once.
    pub fn new(leaders: u64, checksum: Checksum, transfer_blocks: u32) -> Self {
        let mut volume = Volume::format(2, checksum);
        volume.fill_region(leaders);
        let now = Instant(1_000_000);
        Self {
            volume,
            election: election(500, now, 1, checksum, transfer_blocks),
            now,
            buffer: vec![0; REGION_BLOCKS * BLOCK_BYTES],
        }
    }

    /// Carries out everything up to the last part of the next reading of the whole region.
    pub fn next_collect(&mut self) -> RegionRead {
        let end = self.volume.geometry.region.0 + REGION_BLOCKS as u64;
        loop {
            self.now += Duration(1_000);
            self.election.poll(self.now);
            while self.election.poll_event().is_some() {}
            while let Some(request) = self.election.poll_disk(self.now, &mut self.buffer) {
                match request {
                    DiskRequest::Read { id, first, count, .. } if first.0 + u64::from(count) == end => {
                        let range = range(first, count);
                        return RegionRead { id, range };
                    }
                    DiskRequest::Read { id, first, count, .. } => {
                        let bytes = &self.volume.bytes[range(first, count)];
                        self.election.handle_disk(self.now, id, DiskOutcome::Read(bytes));
                    }
                    DiskRequest::Write { id, first, count, .. } => {
                        let bytes = &self.buffer[..count as usize * BLOCK_BYTES];
                        self.volume.bytes[range(first, count)].copy_from_slice(bytes);
                        self.election.handle_disk(self.now, id, DiskOutcome::Done);
                    }
                    DiskRequest::Flush { id, .. } => {
                        self.election.handle_disk(self.now, id, DiskOutcome::Done);
                    }
                }
            }
        }
    }

    /// The end of a collect: judges and merges the blocks of this part, and decides what all of them mean.
    pub fn collect(&mut self, read: RegionRead) {
        let bytes = &self.volume.bytes[read.range];
        self.election
            .handle_disk(self.now, read.id, DiskOutcome::Read(bytes));
    }

    /// The region's bytes.
    pub fn region(&self) -> &[u8] {
        &self.volume.bytes[range(self.volume.geometry.region, REGION_BLOCKS as u32)]
    }
}

struct Voter {
    election: Election,
    /// Requests under way, when each ends, and the bytes of a write.
    pending: Vec<(Instant, DiskRequest, Vec<u8>)>,
    writes: u64,
    elected: Option<(Instant, u64)>,
    sealed: Option<(Instant, u64)>,
}

/// How an election went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elected {
    /// From the start of all voters until one leads.
    pub took: Duration,
    /// Cycles of the winner from its election to its seal.
    pub seal_cycles: u64,
    /// Time of these.
    pub seal_took: Duration,
}

/// An election of so many voters, all there from the first moment, with disk operations that take so long each.
/// `None` if nobody leads after an hour.
pub fn elect(voters: u64, io: Duration, seed: u64) -> Option<Elected> {
    let checksum = ostrakon_linux::offline::checksum;
    let quorum = voters / 2 + 1;
    let mut volume = Volume::format(quorum as u16, checksum);
    let began = Instant(1_000_000);
    let mut now = began;
    let mut all: Vec<Voter> = (1..=voters)
        .map(|number| Voter {
            election: election(
                number,
                now,
                seed.wrapping_mul(1_000).wrapping_add(number),
                checksum,
                REGION_BLOCKS as u32,
            ),
            pending: Vec::new(),
            writes: 0,
            elected: None,
            sealed: None,
        })
        .collect();
    let end = now + Duration::from_secs(3600);
    while now < end {
        now += STEP;
        for voter in &mut all {
            voter.step(now, io, &mut volume);
            let leads = voter.election.wish().is_some();
            if let (true, Some(elected), Some(sealed)) = (leads, voter.elected, voter.sealed) {
                return Some(Elected {
                    took: now.since(began),
                    seal_cycles: sealed.1 - elected.1,
                    seal_took: sealed.0.since(elected.0),
                });
            }
        }
    }
    None
}

impl Voter {
    fn step(&mut self, now: Instant, io: Duration, volume: &mut Volume) {
        let due: Vec<_> = self.pending.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, request, bytes) in due {
            match request {
                DiskRequest::Read { id, first, count, .. } => {
                    let bytes = &volume.bytes[range(first, count)];
                    self.election.handle_disk(now, id, DiskOutcome::Read(bytes));
                }
                DiskRequest::Write { id, first, count, .. } => {
                    volume.bytes[range(first, count)].copy_from_slice(&bytes);
                    self.writes += u64::from(first.0 >= volume.geometry.region.0);
                    self.election.handle_disk(now, id, DiskOutcome::Done);
                }
                DiskRequest::Flush { id, .. } => self.election.handle_disk(now, id, DiskOutcome::Done),
            }
        }
        self.election.set_facts(
            now,
            LeaderFacts {
                voters: 1,
                ..LeaderFacts::default()
            },
        );
        self.election.poll(now);
        let mut buffer = vec![0; BLOCK_BYTES];
        while let Some(request) = self.election.poll_disk(now, &mut buffer) {
            self.pending.push((now + io, request, buffer.clone()));
        }
        while let Some(request) = self.election.poll_fence(now) {
            self.election
                .handle_fence(now, request.victim.ballot, FenceOutcome::Done);
        }
        while let Some(event) = self.election.poll_event() {
            match event {
                Event::Elected(_) => self.elected = Some((now, self.writes)),
                Event::Sealed(_) => self.sealed = Some((now, self.writes)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lonely_voter_collects_for_ever() {
        let mut cycling = Cycling::new(3, ostrakon_linux::offline::checksum, REGION_BLOCKS as u32);
        for _ in 0..10 {
            let read = cycling.next_collect();
            cycling.collect(read);
        }
        assert_eq!(cycling.region().len(), REGION_BLOCKS * BLOCK_BYTES);
    }

    #[test]
    fn one_voter_seals_in_about_seventeen_cycles() {
        let elected = elect(1, Duration(300), 1).expect("it elects itself");
        assert!((14..=28).contains(&elected.seal_cycles), "{elected:?}");
    }
}
