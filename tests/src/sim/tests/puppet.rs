//! Processes without a mount: they do what a test tells them.

use std::collections::BTreeMap;

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::disk::{DiskRequest, IoId};
use ostrakon_core::format::{
    ClientRecord, FenceMethod, FenceParam, FenceReason, FenceRecord, FenceResult, FenceWay, LogEntry,
    QuorumHead, SUPER_COPIES, SuperBlock, VoteKind, encode_fence, encode_quorum, encode_table_block,
};
use ostrakon_core::ids::{Ballot, BlockNo, BootId, Mark, Rid, Term, WriteNr};
use ostrakon_core::time::Duration;

use crate::sim::checksum::checksum;
use crate::sim::dice::Dice;
use crate::sim::disk::{Area, Flight, FlightId, Piece, SECTORS};
use crate::sim::host::{Proc, ProcId, host_id};
use crate::sim::scenario::voters;
use crate::sim::trace::Listen;
use crate::sim::world::{World, Wrong};

/// A world in which nothing stalls and nothing comes in pieces.
pub(super) fn world(seed: u64) -> World {
    let mut options = voters(4).clients(2).options;
    options.disk.split_ppm = 0;
    let mut world = World::new(options, Dice::new(seed), Listen::Nobody);
    for host in 0..6 {
        let rid = Rid::new(100 + host as u64).expect("not 0");
        world.power_on(host);
        world.by_rid.insert(rid, host);
        world.procs.push(puppet(&world, host, rid));
    }
    world
}

/// A puppet on a host that has no process, in a world of real mounts.
pub(super) fn stranger(world: &mut World, host: usize) -> ProcId {
    let proc = world.procs.len();
    let rid = Rid::new(100 + proc as u64).expect("not 0");
    world.power_on(host);
    world.by_rid.insert(rid, proc);
    world.procs.push(puppet(world, host, rid));
    proc
}

fn puppet(world: &World, host: usize, rid: Rid) -> Proc {
    Proc {
        name: format!("puppet {host}"),
        host,
        rid,
        boot: world.hosts[host].boot,
        voter: host < 4,
        cut: false,
        fenced: false,
        dead: false,
        unmounting: false,
        runs_since: 0,
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
    }
}

pub(super) const fn ballot(world: &World, term: u64, proc: ProcId) -> Ballot {
    let _ = world;
    let Some(rid) = Rid::new(100 + proc as u64) else {
        panic!("not 0");
    };
    Ballot {
        term: Term(term),
        rid,
    }
}

/// The state that this leader would write as its first.
pub(super) fn takes_over(world: &World, ballot: Ballot) -> SuperBlock {
    let before = *world.check.super_block().expect("a copy is valid");
    SuperBlock {
        seq: before.seq + 1,
        server: Some(ballot),
        server_addr: None,
        fenced: Mark::below(ballot).max(before.fenced),
        ..before
    }
}

pub(super) fn write(world: &mut World, proc: ProcId, first: BlockNo, bytes: &[u8]) {
    let request = DiskRequest::Write {
        id: IoId(1),
        first,
        count: (bytes.len() / BLOCK_BYTES) as u32,
        durable: true,
        limit: Duration::from_secs(1),
    };
    world.submit(proc, request, bytes);
}

pub(super) fn write_super(world: &mut World, proc: ProcId, copy: usize, state: &SuperBlock) {
    let mut block = vec![0; BLOCK_BYTES];
    state.encode(SUPER_COPIES[copy], checksum, &mut block);
    write(world, proc, SUPER_COPIES[copy], &block);
    settle(world);
}

/// Issues such a write; the device takes its first sector and the others one after the other, when it is told to.
pub(super) fn begin_super(world: &mut World, proc: ProcId, copy: usize, state: &SuperBlock) -> FlightId {
    let at = SUPER_COPIES[copy];
    let mut block = vec![0; BLOCK_BYTES];
    state.encode(at, checksum, &mut block);
    world.check_submission(proc, Area::Super(copy), at.0, &block);
    let mut flight = Flight::write(proc, IoId(1), at.0, 1, Ok(()));
    flight.data = block;
    flight.pieces = vec![Piece::new(0, 1), Piece::new(1, SECTORS)];
    world.flights.add(flight)
}

/// Both copies, in order.
pub(super) fn update(world: &mut World, proc: ProcId, state: &SuperBlock) {
    write_super(world, proc, 0, state);
    write_super(world, proc, 1, state);
}

/// Lets everything land that is under way.
pub(super) fn settle(world: &mut World) {
    let until = world.now + 2_000_000;
    world.run_until(until);
}

/// The state that says that the leader whom both copies name has stopped.
pub(super) fn stops(world: &World) -> SuperBlock {
    let before = *world.check.super_block().expect("a copy is valid");
    SuperBlock {
        seq: before.seq + 1,
        fenced: Mark::at(before.server.expect("somebody leads")),
        ..before
    }
}

/// Leaves a fence record in a block of the ring.
pub(super) fn write_fence(world: &mut World, proc: ProcId, index: u64, seq: u64, by: Ballot) {
    let (at, block) = fence_block(world, index, seq, by);
    write(world, proc, at, &block);
    settle(world);
}

pub(super) fn fence_block(world: &World, index: u64, seq: u64, by: Ballot) -> (BlockNo, Vec<u8>) {
    let at = BlockNo(world.device.geometry().fences.0 + index);
    let record = FenceRecord {
        term: Term(1),
        rid: by.rid,
        host: host_id(0),
        addr: None,
        by,
        unix_s: 0,
        attempts: 1,
        others: 0,
        why: FenceReason::Predecessor,
        how: FenceWay::Fence,
        result: FenceResult::Done,
        method: FenceMethod::default(),
    };
    let mut block = vec![0; BLOCK_BYTES];
    encode_fence(Some((seq, &record)), at, world.volume, checksum, &mut block);
    (at, block)
}

/// Wins, seals and takes over.
pub(super) fn lead(world: &mut World, term: u64, proc: ProcId) -> Ballot {
    let ballot = seal(world, term, proc);
    let state = takes_over(world, ballot);
    update(world, proc, &state);
    ballot
}

pub(super) fn seal(world: &mut World, term: u64, proc: ProcId) -> Ballot {
    let ballot = ballot(world, term, proc);
    world.elected(proc, ballot);
    // R1: every write carries every ballot that is live.
    let fenced = world.check.fenced;
    let live: Vec<Ballot> = world
        .check
        .leaders
        .keys()
        .copied()
        .filter(|&other| !fenced.covers(other))
        .collect();
    for index in 0..28 {
        write_region(world, proc, index, &live);
    }
    world.sealed(proc, ballot);
    ballot
}

pub(super) fn region_block(
    world: &World,
    proc: ProcId,
    index: u64,
    carries: &[Ballot],
) -> (BlockNo, Vec<u8>) {
    let log = carries.iter().map(|&ballot| entry(world, ballot)).collect();
    region_block_of(world, proc, index, log, Term(0))
}

/// A block with this log, of one who says that its ballots up to this term are void.
fn region_block_of(
    world: &World,
    proc: ProcId,
    index: u64,
    log: Vec<LogEntry>,
    void_term: Term,
) -> (BlockNo, Vec<u8>) {
    block_that_says(world, proc, index, log, |head| head.void_term = void_term)
}

fn block_that_says(
    world: &World,
    proc: ProcId,
    index: u64,
    mut log: Vec<LogEntry>,
    change: impl FnOnce(&mut QuorumHead),
) -> (BlockNo, Vec<u8>) {
    let at = BlockNo(world.device.geometry().region.0 + index);
    let writer = world.procs[proc].rid;
    let before = world.check.said.get(&writer);
    let mut head = QuorumHead {
        writer,
        host: host_id(world.procs[proc].host),
        boot: BootId([1; 16]),
        write_nr: WriteNr(before.map_or(0, |said| said.write_nr.0) + 1),
        term: Term(1),
        kind: VoteKind::Vote,
        vote_for: None,
        own: None,
        void_term: before.map_or(Term(0), |said| said.void_term),
        won: false,
        sealed: false,
        barren: false,
        round: 0,
        answer: None,
        cycle: Duration::from_millis(1),
    };
    change(&mut head);
    log.sort_by_key(|entry| entry.ballot.rid);
    let mut block = vec![0; BLOCK_BYTES];
    encode_quorum(&head, &log, at, world.volume, checksum, &mut block);
    (at, block)
}

pub(super) fn entry(world: &World, ballot: Ballot) -> LogEntry {
    let host = world.procs[world.by_rid[&ballot.rid]].host;
    LogEntry {
        ballot,
        host: host_id(host),
        boot: world.hosts[host].boot,
        addr: world.hosts[host].addr,
        quiet_ms: 0,
        fenced: false,
        fence_param: FenceParam::default(),
    }
}

pub(super) fn write_region(world: &mut World, proc: ProcId, index: u64, carries: &[Ballot]) {
    let (at, block) = region_block(world, proc, index, carries);
    write(world, proc, at, &block);
    settle(world);
}

/// Writes a block without a log that says what `change` makes of the usual.
pub(super) fn say(world: &mut World, proc: ProcId, index: u64, change: impl FnOnce(&mut QuorumHead)) {
    let (at, block) = block_that_says(world, proc, index, Vec::new(), change);
    write(world, proc, at, &block);
    settle(world);
}

pub(super) fn withdraw(world: &mut World, ballot: Ballot, index: u64) {
    world.gave_up(ballot);
    let proc = world.by_rid[&ballot.rid];
    let (at, block) = region_block_of(world, proc, index, Vec::new(), ballot.term);
    write(world, proc, at, &block);
    settle(world);
}

/// Writes a block that carries this ballot, and says that its fence was confirmed.
pub(super) fn mark(world: &mut World, proc: ProcId, index: u64, ballot: Ballot) {
    let marked = LogEntry {
        fenced: true,
        ..entry(world, ballot)
    };
    let (at, block) = region_block_of(world, proc, index, vec![marked], Term(0));
    write(world, proc, at, &block);
    settle(world);
}

pub(super) fn write_table(world: &mut World, proc: ProcId, seq: u64, clients: &[ProcId]) {
    let copy = seq % 2;
    let layout = *world.device.geometry();
    let at = BlockNo(layout.clients.0 + copy * u64::from(layout.clients_blocks));
    let barrier = world.check.barrier;
    let records = clients.iter().map(|&client| {
        Some(ClientRecord {
            rid: world.procs[client].rid,
            barrier,
            voter: world.procs[client].voter,
            evicted: world.procs[client].evicted,
            host: host_id(client),
            boot: BootId([1; 16]),
            addr: None,
            fence_param: FenceParam::default(),
        })
    });
    let mut block = vec![0; BLOCK_BYTES];
    encode_table_block(seq, records, at, world.volume, checksum, &mut block);
    write(world, proc, at, &block);
    settle(world);
}

/// Fails unless the checks found a safety violation that says this.
pub(super) fn expect_violation(world: &World, says: &str) {
    match &world.wrong {
        Some(Wrong::Safety(what)) => assert!(what.contains(says), "found, but for another reason: {what}"),
        other => panic!("expected a violation that says \"{says}\", found {other:?}"),
    }
}
