//! Every fence leaves a record, written by the leader that it brought to serve.

extern crate std;

use std::vec::Vec;

use crate::bounds::{BLOCK_BYTES, FENCE_BLOCKS, FENCES_WAITING_MAX};
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::event::Event;
use crate::fence::FenceOutcome;
use crate::format::{FenceMethod, FenceParam, FenceReason, FenceRecord, FenceResult, FenceWay, LogEntry};
use crate::ids::{Ballot, BlockNo, BootId, HostId, Rid, Term};
use crate::server::State;
use crate::session::world::{World, addr, rid};
use crate::time::Duration;

const BY: u64 = 9;

fn victim(node: usize, term: u64) -> LogEntry {
    LogEntry {
        ballot: Ballot {
            term: Term(term),
            rid: rid(node),
        },
        host: HostId(node as u64 + 100),
        boot: BootId([0; 16]),
        addr: addr(node),
        quiet_ms: 0,
        fenced: false,
        fence_param: FenceParam::default(),
    }
}

fn by() -> Ballot {
    Ballot {
        term: Term(BY),
        rid: rid(1),
    }
}

/// The mount is told to fence, and told what came of it.
fn fence(world: &mut World, victim: &LogEntry, attempt: u32, outcome: FenceOutcome) {
    let journal = world.server(1).journal();
    journal.set_unix_time(1_700_000_000);
    journal.asked(victim, attempt, by());
    journal.answered(victim.ballot, outcome, FenceMethod::of("kill"));
}

fn records(world: &World) -> Vec<FenceRecord> {
    world
        .disk
        .fences()
        .into_iter()
        .map(|(_, record)| record)
        .collect()
}

/// Number and victim of each record, in order.
fn kept(world: &World) -> Vec<(u64, Rid)> {
    let fences = world.disk.fences().into_iter();
    fences.map(|(seq, record)| (seq, record.rid)).collect()
}

/// Two voters; the first is dead, and the second has recorded itself as the server, but did nothing yet.
fn taken_over() -> World {
    let mut world = World::with_voters(1, 2);
    world.kill(0);
    world.serve(1, BY);
    world
}

#[test]
fn a_take_over_leaves_who_which_term_why_how_and_with_what_result() {
    let mut world = taken_over();
    let old = victim(0, 1);
    fence(&mut world, &old, 1, FenceOutcome::Failed);
    fence(&mut world, &old, 2, FenceOutcome::Done);
    let other = victim(5, 3);
    world.server(1).journal().lapsed(&other, by());
    assert_eq!(records(&world), [], "nobody writes before its time");
    world.settle();
    assert_eq!(world.server(1).state(), State::Serving);
    let expected = FenceRecord {
        term: Term(1),
        rid: rid(0),
        host: HostId(100),
        addr: Some(addr(0)),
        by: by(),
        unix_s: 1_700_000_000,
        attempts: 2,
        others: 0,
        why: FenceReason::Predecessor,
        how: FenceWay::Fence,
        result: FenceResult::Done,
        method: FenceMethod::of("kill"),
    };
    let lapsed = FenceRecord {
        term: Term(3),
        rid: rid(5),
        host: HostId(105),
        addr: Some(addr(5)),
        attempts: 0,
        how: FenceWay::Lease,
        method: FenceMethod::default(),
        ..expected
    };
    assert_eq!(records(&world), [expected, lapsed]);
    assert_eq!(
        world.disk.durable_writes,
        2 * 2 + 2,
        "publishing twice, and these two"
    );
}

#[test]
fn whoever_finds_the_server_finds_the_records_of_the_fences_that_brought_it_there() {
    let mut world = taken_over();
    fence(&mut world, &victim(0, 1), 1, FenceOutcome::Done);
    world.disk.writes_left = Some(0);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.raw(1), None, "it does not listen");
    world.disk.mend();
    world.settle();
    assert_eq!(records(&world).len(), 1);
    assert!(world.raw(1).is_some());
}

#[test]
fn a_server_that_stops_and_has_nothing_left_but_a_record_waits_for_no_moment() {
    let mut world = taken_over();
    world.settle();
    world.disk.writes_left = Some(0);
    fence(&mut world, &victim(7, 0), 1, FenceOutcome::Done);
    world.settle();
    let now = world.now;
    world.server(1).stop(now, true);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.server(1).state(), State::Stopping);
    assert_eq!(world.server(1).next_deadline(), None);
    world.disk.mend();
    world.settle();
    assert!(world.server(1).is_off());
    assert_eq!(records(&world).len(), 1);
}

#[test]
fn a_fence_that_failed_is_recorded_when_its_leader_serves_later() {
    let mut world = taken_over();
    fence(&mut world, &victim(0, 1), 1, FenceOutcome::Failed);
    world.settle();
    let [record] = records(&world)[..] else {
        panic!("{:?}", records(&world));
    };
    assert_eq!((record.result, record.attempts), (FenceResult::Failed, 1));
}

#[test]
fn a_fence_that_an_earlier_candidate_had_confirmed_is_recorded_and_an_own_record_of_it_stays() {
    let mut world = taken_over();
    let journal = world.server(1).journal();
    journal.set_unix_time(1_700_000_000);
    journal.fenced_before(&victim(2, 3), by());
    fence(&mut world, &victim(3, 4), 1, FenceOutcome::Done);
    fence(&mut world, &victim(4, 5), 1, FenceOutcome::Failed);
    for (node, term) in [(3, 4), (4, 5)] {
        world.server(1).journal().fenced_before(&victim(node, term), by());
    }
    world.settle();
    let known: Vec<_> = records(&world)
        .into_iter()
        .map(|record| (record.rid, record.how, record.result, record.method))
        .collect();
    let before = FenceMethod::of("by a predecessor");
    let done = |node, method| (rid(node), FenceWay::Fence, FenceResult::Done, method);
    assert_eq!(
        known,
        [done(2, before), done(3, FenceMethod::of("kill")), done(4, before)]
    );
}

#[test]
fn a_fence_that_was_asked_for_when_another_one_was_confirmed_is_the_others() {
    let mut world = taken_over();
    let journal = world.server(1).journal();
    journal.asked(&victim(3, 4), 1, by());
    journal.fenced_before(&victim(3, 4), by());
    // What comes of its own is no news any more.
    journal.answered(victim(3, 4).ballot, FenceOutcome::Failed, FenceMethod::of("kill"));
    world.settle();
    let [record] = records(&world)[..] else {
        panic!("{:?}", records(&world));
    };
    let known = (record.rid, record.result, record.method, record.attempts);
    let before = FenceMethod::of("by a predecessor");
    assert_eq!(known, (rid(3), FenceResult::Done, before, 0));
}

#[test]
fn what_finds_no_room_is_counted() {
    let mut world = taken_over();
    for node in 0..FENCES_WAITING_MAX + 3 {
        fence(&mut world, &victim(node + 10, 1), 1, FenceOutcome::Done);
    }
    world.settle();
    let records = records(&world);
    let others: Vec<u32> = records.iter().map(|record| record.others).collect();
    assert_eq!(others, [0, 0, 3]);
}

#[test]
fn what_found_no_room_stays_counted_when_the_lease_of_the_one_that_counts_it_runs_out() {
    let mut world = taken_over();
    for node in 0..FENCES_WAITING_MAX + 2 {
        fence(&mut world, &victim(node + 10, 1), 1, FenceOutcome::Failed);
    }
    let last = victim(FENCES_WAITING_MAX + 9, 1);
    world.server(1).journal().lapsed(&last, by());
    world.settle();
    let records = records(&world);
    let others: Vec<u32> = records.iter().map(|record| record.others).collect();
    assert_eq!(others, [0, 0, 2]);
    assert_eq!(records[2].how, FenceWay::Lease);
}

#[test]
fn a_place_that_is_tried_for_in_vain_keeps_what_it_counts() {
    let mut world = taken_over();
    for node in 0..FENCES_WAITING_MAX - 1 {
        fence(&mut world, &victim(node + 10, 1), 1, FenceOutcome::Done);
    }
    // Its third try is not one of those that are recorded.
    let place = victim(40, 0);
    let journal = world.server(1).journal();
    journal.asked(&place, 3, by());
    journal.asked(&victim(41, 1), 1, by());
    journal.answered(place.ballot, FenceOutcome::Failed, FenceMethod::of("kill"));
    world.settle();
    let others: Vec<u32> = records(&world).iter().map(|record| record.others).collect();
    assert_eq!(others, [0, 0, 1]);
}

#[test]
fn the_newest_records_are_kept_and_another_server_goes_on_behind_them() {
    let mut world = taken_over();
    let all = FENCE_BLOCKS + 7;
    for node in 0..all {
        if node == FENCE_BLOCKS / 2 {
            world.kill_server(1);
            world.serve(1, BY + 1);
        }
        fence(&mut world, &victim(node, 1), 1, FenceOutcome::Done);
        world.settle();
    }
    let kept = kept(&world);
    let newest: Vec<_> = (7..all).map(|node| (node as u64 + 1, rid(node))).collect();
    assert_eq!(kept, newest);
}

#[test]
fn a_damaged_newest_record_is_the_one_that_is_written_over() {
    let mut world = taken_over();
    for node in 0..3 {
        fence(&mut world, &victim(node, 1), 1, FenceOutcome::Done);
        world.settle();
    }
    let first = world.super_block().geometry.fences.0;
    world.disk.block(BlockNo(first + 2))[80] ^= 1;
    world.kill_server(1);
    // Whatever stands beside it, near or far, cannot be read.
    for (again, bad) in [9, 5].into_iter().enumerate() {
        world.disk.bad_medium = Some(BlockNo(first + bad));
        world.serve(1, BY + 1 + again as u64);
        fence(&mut world, &victim(7 + again, 1), 1, FenceOutcome::Done);
        world.settle();
        world.kill_server(1);
    }
    let kept = kept(&world);
    assert_eq!(kept, [(1, rid(0)), (2, rid(1)), (3, rid(7)), (4, rid(8))]);
}

#[test]
fn the_ring_is_read_in_parts_that_fit_into_the_buffer_and_no_further() {
    let mut world = taken_over();
    world.settle();
    fence(&mut world, &victim(7, 1), 1, FenceOutcome::Done);
    let (now, ring) = (world.now, world.super_block().geometry.fences.0);
    let mut buffer = std::vec![0; 5 * BLOCK_BYTES];
    let mut read = 0;
    while let Some(DiskRequest::Read { id, first, count, .. }) =
        world.server(1).poll_disk(now, true, IoId(u32::MAX), &mut buffer)
    {
        assert_eq!((first.0, count.min(5)), (ring + read, count));
        read += u64::from(count);
        let blank = std::vec![0; count as usize * BLOCK_BYTES];
        world.server(1).handle_disk(now, id, DiskOutcome::Read(&blank));
    }
    assert_eq!(read, FENCE_BLOCKS as u64);
}

#[test]
fn each_answer_is_that_of_its_own_victim() {
    let mut world = taken_over();
    let (first, second) = (victim(0, 1), victim(5, 1));
    let journal = world.server(1).journal();
    journal.asked(&first, 1, by());
    journal.asked(&second, 1, by());
    journal.answered(second.ballot, FenceOutcome::Done, FenceMethod::of("kill"));
    journal.answered(victim(9, 1).ballot, FenceOutcome::Done, FenceMethod::of("no"));
    journal.answered(first.ballot, FenceOutcome::Failed, FenceMethod::of("kill"));
    // Asked once, answered twice.
    journal.answered(first.ballot, FenceOutcome::Done, FenceMethod::of("no"));
    world.settle();
    let known = records(&world).into_iter();
    let known: Vec<_> = known
        .map(|record| (record.rid, record.result, record.attempts))
        .collect();
    let expected = [(rid(0), FenceResult::Failed, 1), (rid(5), FenceResult::Done, 1)];
    assert_eq!(known, expected);
}

#[test]
fn a_voter_that_is_evicted_after_plain_clients_has_a_record_of_its_own() {
    let mut world = World::with_voters(1, 1);
    world.crowd(2);
    let voter = world.voter();
    world.settle();
    (1..=voter).for_each(|gone| world.kill(gone));
    let recovery = world.nodes[0].config.recovery_time;
    world.pass(recovery + Duration::from_secs(2));
    let records = records(&world).into_iter();
    let known: Vec<_> = records
        .map(|record| (record.rid, record.addr.is_some(), record.others))
        .collect();
    assert_eq!(known, [(rid(1), false, 1), (rid(voter), true, 0)]);
}

#[test]
fn those_who_go_after_a_record_was_closed_are_counted_in_the_next_one() {
    let mut world = World::with_voters(1, 1);
    world.crowd(2);
    world.disk.writes_left = Some(0);
    for gone in [1, 2] {
        world.kill(gone);
        world.pass(Duration::from_secs(12));
        assert!(world.told(0, &Event::ClientEvicted(rid(gone))));
    }
    world.disk.mend();
    world.settle();
    let known = records(&world).into_iter();
    let known: Vec<_> = known.map(|record| (record.rid, record.others)).collect();
    assert_eq!(known, [(rid(1), 0), (rid(2), 0)]);
}

#[test]
fn evictions_leave_records_and_plain_clients_share_one() {
    let mut world = World::with_voters(1, 2);
    for _ in 0..3 {
        world.plain();
        world.settle();
    }
    for gone in [1, 2, 3, 4] {
        world.kill(gone);
    }
    let recovery = world.nodes[0].config.recovery_time;
    world.pass(recovery + Duration::from_secs(2));
    let records = records(&world);
    let [voter, plain] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!((voter.rid, voter.addr), (rid(1), Some(addr(1))));
    assert_eq!((plain.addr, plain.others), (None, 2));
    for record in &records {
        assert_eq!(
            (record.why, record.how, record.result),
            (FenceReason::Absent, FenceWay::Evicted, FenceResult::Done)
        );
    }
}

#[test]
fn trying_for_a_place_again_and_again_does_not_fill_the_ring() {
    let mut world = World::with_voters(1, 2);
    world.kill(0);
    world.serve(1, BY);
    world.settle();
    let ghost = victim(0, 0);
    for attempt in 1..=40 {
        fence(&mut world, &ghost, attempt, FenceOutcome::Failed);
        world.settle();
    }
    fence(&mut world, &ghost, 41, FenceOutcome::Done);
    world.settle();
    let attempts: Vec<_> = records(&world)
        .iter()
        .map(|record| (record.attempts, record.result == FenceResult::Done))
        .collect();
    let failed = [1, 2, 4, 8, 16, 32].map(|attempts| (attempts, false));
    assert_eq!(attempts, [&failed[..], &[(41, true)]].concat());
    assert!(
        records(&world)
            .iter()
            .all(|record| record.why == FenceReason::Place)
    );
}

#[test]
fn a_server_that_stops_writes_its_records_first_and_one_without_the_right_does_not() {
    for may_act in [true, false] {
        let mut world = taken_over();
        world.settle();
        fence(&mut world, &victim(7, 0), 1, FenceOutcome::Done);
        world.nodes[1].may_act = may_act;
        let now = world.now;
        world.server(1).stop(now, false);
        world.pass(Duration::from_secs(1));
        assert!(world.server(1).is_off());
        assert_eq!(records(&world).len(), usize::from(may_act));
    }
}

#[test]
fn a_block_of_the_ring_that_cannot_be_written_keeps_no_server_from_serving() {
    let mut world = taken_over();
    world.disk.bad_write = Some(world.super_block().geometry.fences);
    fence(&mut world, &victim(0, 1), 1, FenceOutcome::Done);
    world.settle();
    assert_eq!(world.server(1).state(), State::Serving);
    assert_eq!(records(&world).len(), 1, "in another block");
    let now = world.now;
    world.server(1).stop(now, false);
    world.pass(Duration::from_secs(1));
    assert!(!world.server(1).is_off(), "the write that failed may still land");
    let write_time_max = world.nodes[1].config.write_time_max;
    world.pass(write_time_max);
    assert!(world.server(1).is_off());
}

#[test]
fn what_finds_no_room_while_the_record_that_counts_it_is_written_is_counted_in_the_ring() {
    for fails in [false, true] {
        let mut world = taken_over();
        world.settle();
        let journal = world.server(1).journal();
        // All but the last are asked for and not answered.
        for node in 1..FENCES_WAITING_MAX {
            journal.asked(&victim(node + 10, 1), 1, by());
        }
        let ring = world.super_block().geometry.fences;
        world.disk.bad_write = Some(ring).filter(|_| fails);
        world.disk.writes_left = Some(0);
        fence(&mut world, &victim(40, 1), 1, FenceOutcome::Done);
        world.settle();
        assert!(world.disk.hung, "it is being written");
        let journal = world.server(1).journal();
        (50..53).for_each(|node| journal.asked(&victim(node, 1), 1, by()));
        world.disk.mend();
        world.settle();
        let records = records(&world);
        let others: Vec<_> = records.iter().map(|record| (record.rid, record.others)).collect();
        assert_eq!(others, [(rid(40), 3)], "{fails}");
    }
}

#[test]
fn a_ring_that_cannot_be_written_at_all_costs_the_records() {
    let mut world = taken_over();
    world.settle();
    world.disk.broken = Some(DiskError::Failed);
    for node in [7, 8] {
        fence(&mut world, &victim(node, 0), 1, FenceOutcome::Done);
    }
    world.settle();
    assert_eq!(world.server(1).state(), State::Serving);
    world.disk.broken = None;
    fence(&mut world, &victim(9, 0), 1, FenceOutcome::Done);
    world.settle();
    let kept: Vec<_> = records(&world).iter().map(|record| record.rid).collect();
    assert_eq!(kept, [rid(9)]);
}

#[test]
fn a_storm_of_evictions_leaves_one_record() {
    let mut world = World::with_voters(1, 2);
    for _ in 0..20 {
        world.plain();
        world.settle();
    }
    (2..22).for_each(|gone| world.kill(gone));
    let recovery = world.nodes[0].config.recovery_time;
    world.pass(recovery + Duration::from_secs(2));
    let records = records(&world);
    let others: Vec<_> = records.iter().map(|record| record.others).collect();
    assert_eq!(others, [19]);
}
