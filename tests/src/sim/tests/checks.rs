//! For each check, a world in which somebody does what must not be done; and one where all is well.

use ostrakon_core::event::Unmounted;
use ostrakon_core::fence::FenceRequest;
use ostrakon_core::format::SuperBlock;
use ostrakon_core::ids::{BlockNo, Mark, Term};

use super::puppet::{
    ballot, begin_super, entry, expect_violation, fence_block, lead, mark, region_block, seal, settle, stops,
    stranger, takes_over, update, withdraw, world, write, write_fence, write_region, write_super,
    write_table,
};
use crate::sim::check::Counts;
use crate::sim::disk::DiskStep;
use crate::sim::host::ProcId;
use crate::sim::scenario::voters;
use crate::sim::trace::Listen;
use crate::sim::world::World;

#[test]
fn an_orderly_succession_is_fine() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    write_table(&mut world, 0, 1, &[0, 1, 4]);
    let stopped = stops(&world);
    update(&mut world, 0, &stopped);
    let second = lead(&mut world, 2, 1);
    world.procs[0].evicted = true;
    write_table(&mut world, 1, 2, &[1, 4]);
    world.procs[1].fenced = true;
    lead(&mut world, 3, 2);
    assert_eq!(world.wrong, None);
    assert!(world.check.leaders[&first].stopped_at.is_some());
    assert!(world.check.leaders[&second].stopped_at.is_none());
}

#[test]
fn taking_over_without_being_elected() {
    let mut world = world(1);
    let state = takes_over(&world, ballot(&world, 1, 0));
    write_super(&mut world, 0, 0, &state);
    expect_violation(&world, "never won");
}

#[test]
fn taking_over_without_a_seal() {
    let mut world = world(1);
    let early = ballot(&world, 1, 0);
    world.elected(0, early);
    let state = takes_over(&world, early);
    write_super(&mut world, 0, 0, &state);
    expect_violation(&world, "sealed false");
}

#[test]
fn taking_over_under_the_name_of_another() {
    let mut world = world(1);
    let other = seal(&mut world, 1, 0);
    let state = takes_over(&world, other);
    write_super(&mut world, 1, 0, &state);
    expect_violation(&world, "writes a super block that names");
}

#[test]
fn taking_over_before_the_predecessor_is_silent() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    lead(&mut world, 2, 1);
    expect_violation(&world, "is not silent");
}

#[test]
fn a_clean_stop_in_one_copy_is_not_clean() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    let stopped = stops(&world);
    write_super(&mut world, 0, 0, &stopped);
    let second = seal(&mut world, 2, 1);
    let state = takes_over(&world, second);
    write_super(&mut world, 1, 1, &state);
    expect_violation(&world, "is not silent");
}

#[test]
fn a_clean_stop_that_stands_is_clean_though_the_zeros_behind_it_are_to_come() {
    for dies in [false, true] {
        let mut world = world(1);
        let first = lead(&mut world, 1, 0);
        let stopped = stops(&world);
        write_super(&mut world, 0, 0, &stopped);
        let flight = begin_super(&mut world, 0, 1, &stopped);
        assert!(world.check.leaders[&first].stopped_at.is_none());
        world.land(flight, 0);
        assert!(world.check.leaders[&first].stopped_at.is_some());
        if dies {
            world.procs[0].dead = true;
            world.abandon_flights(0);
        }
        lead(&mut world, 2, 1);
        world.disk_step(DiskStep::Piece(flight, 1));
        let [copy, other] = world.check.supers;
        assert_eq!(copy, other, "the late zeros have changed nothing");
        assert_eq!(world.wrong, None);
    }
}

#[test]
fn a_clean_stop_of_which_only_the_zeros_stand_is_not_clean() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    let stopped = stops(&world);
    write_super(&mut world, 0, 0, &stopped);
    let flight = begin_super(&mut world, 0, 1, &stopped);
    world.land(flight, 1);
    let second = seal(&mut world, 2, 1);
    let state = takes_over(&world, second);
    write_super(&mut world, 1, 0, &state);
    expect_violation(&world, "is not silent");
    // It goes on all the same, and what its predecessor was not silent with lands.
    world.wrong = None;
    settle(&mut world);
    write_super(&mut world, 1, 1, &state);
    assert_eq!(world.wrong, None);
    world.land(flight, 0);
    expect_violation(&world, "its sequence number goes back");
}

#[test]
fn a_fenced_leader_of_whose_update_something_is_to_come_is_not_silent() {
    for landed in [None, Some(1)] {
        let mut world = world(1);
        lead(&mut world, 1, 0);
        let stopped = stops(&world);
        let flight = begin_super(&mut world, 0, 0, &stopped);
        if let Some(piece) = landed {
            world.land(flight, piece);
        }
        world.procs[0].fenced = true;
        lead(&mut world, 2, 1);
        expect_violation(&world, "is not silent");
    }
}

#[test]
fn an_older_state_in_the_copy_that_holds_it_still() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    let old = *world.check.super_block().unwrap();
    let second = seal(&mut world, 2, 1);
    world.procs[0].fenced = true;
    let state = takes_over(&world, second);
    write_super(&mut world, 1, 0, &state);
    assert_eq!(world.wrong, None);
    // As if it had been issued before.
    let flight = begin_super(&mut world, 0, 1, &old);
    world.wrong = None;
    world.land(flight, 0);
    expect_violation(&world, "its sequence number goes back");
}

#[test]
fn one_that_gave_up_and_acts_all_the_same_is_not_silent() {
    for acts in [false, true] {
        let scenario = voters(3).quorum(1).nobody_started();
        let mut world = scenario.world(1, Listen::Nobody);
        world.restart(0);
        let server = world.expect_server();
        let first = world.serves(server).expect("it serves");
        // It keeps its right, and does not hear that anybody is about to take over.
        world.pause(server);
        assert!(world.may_act(world.check.leaders[&first].proc).is_some());
        if !acts {
            world.crash(server);
        }
        world
            .check
            .leaders
            .get_mut(&first)
            .expect("it was elected")
            .gave_up = true;
        let puppet = stranger(&mut world, 1);
        lead(&mut world, 2, puppet);
        if acts {
            expect_violation(&world, "is not silent");
        } else {
            assert_eq!(world.wrong, None);
        }
    }
}

#[test]
fn writing_the_super_block_after_a_newer_leader_took_over() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    world.procs[0].fenced = true;
    lead(&mut world, 2, 1);
    let back = SuperBlock {
        server: Some(first),
        ..takes_over(&world, first)
    };
    write_super(&mut world, 0, 0, &back);
    expect_violation(&world, "has taken over");
    // Nor may it land.
    world.wrong = None;
    settle(&mut world);
    expect_violation(&world, "goes back");
}

#[test]
fn fields_of_the_super_block_that_go_back() {
    type Change = fn(&mut SuperBlock);
    let changes: [(Change, &str); 7] = [
        (|state| state.fenced = Mark::NONE, "fenced goes back"),
        (|state| state.seq -= 2, "sequence number goes back"),
        (|state| state.seq += 1, "sequence number skips"),
        (|state| state.seq -= 1, "two states share a number"),
        (|state| state.unmount_barrier -= 1, "barrier goes back"),
        (|state| state.unmount_barrier += 2, "barrier skips"),
        (|state| state.quorum_count += 1, "what format fixed"),
    ];
    for (change, says) in changes {
        let mut world = world(1);
        let leader = lead(&mut world, 2, 0);
        let mut state = takes_over(&world, leader);
        state.unmount_barrier += 1;
        update(&mut world, 0, &state);
        assert_eq!(world.wrong, None);
        let mut state = takes_over(&world, leader);
        change(&mut state);
        if says.contains("share") {
            state.server_addr = Some(world.hosts[0].addr);
        }
        write_super(&mut world, 0, 0, &state);
        expect_violation(&world, says);
    }
}

#[test]
fn an_address_that_is_not_the_servers() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    let mut state = takes_over(&world, leader);
    state.server_addr = Some(world.hosts[1].addr);
    write_super(&mut world, 0, 0, &state);
    expect_violation(&world, "the address is not the server's");
}

#[test]
fn writing_the_table_before_leading() {
    let mut world = world(1);
    let leader = seal(&mut world, 1, 0);
    let state = takes_over(&world, leader);
    write_super(&mut world, 0, 0, &state);
    assert_eq!(world.wrong, None);
    write_table(&mut world, 0, 1, &[0]);
    expect_violation(&world, "writes the client table");
}

#[test]
fn writing_where_nobody_may() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    write(&mut world, 0, BlockNo(3), &[0; 4096]);
    expect_violation(&world, "where nobody may");
}

#[test]
fn a_plain_client_that_votes() {
    let mut world = world(1);
    write_region(&mut world, 4, 0, &[]);
    expect_violation(&world, "is no voter");
}

#[test]
fn two_region_writes_at_once() {
    let mut world = world(1);
    let (at, block) = region_block(&world, 0, 3, &[]);
    write(&mut world, 0, at, &block);
    let (at, block) = region_block(&world, 0, 4, &[]);
    write(&mut world, 0, at, &block);
    expect_violation(&world, "outstanding");
}

#[test]
fn a_region_block_under_the_name_of_another() {
    let mut world = world(1);
    let (at, block) = region_block(&world, 0, 3, &[]);
    write(&mut world, 1, at, &block);
    settle(&mut world);
    expect_violation(&world, "which now says");
}

#[test]
fn a_sealed_ballot_that_is_forgotten() {
    let mut world = world(1);
    seal(&mut world, 1, 0);
    for index in 0..26 {
        write_region(&mut world, 1, index, &[]);
    }
    expect_violation(&world, "forgotten");
}

#[test]
fn a_mark_of_a_fence_that_was_not() {
    let mut world = world(1);
    let first = seal(&mut world, 1, 0);
    mark(&mut world, 1, 40, first);
    expect_violation(&world, "is fenced, which it is not");
}

#[test]
fn a_sealed_ballot_is_missed_until_its_fence_is_marked() {
    for marked in [false, true] {
        let mut world = world(1);
        let first = seal(&mut world, 1, 0);
        world.procs[0].fenced = true;
        if marked {
            mark(&mut world, 1, 40, first);
            write_region(&mut world, 1, 40, &[]);
        }
        for index in 0..28 {
            write_region(&mut world, 1, index, &[]);
        }
        if marked {
            assert_eq!(world.wrong, None);
        } else {
            expect_violation(&world, "forgotten");
        }
    }
}

#[test]
fn a_ballot_used_twice() {
    let mut world = world(1);
    let twice = ballot(&world, 1, 0);
    world.elected(0, twice);
    world.elected(0, twice);
    expect_violation(&world, "used twice");
}

#[test]
fn giving_up_after_the_point_of_no_return() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    world.gave_up(leader);
    expect_violation(&world, "may still land");
}

#[test]
fn fencing_one_who_had_withdrawn() {
    for overwritten in [false, true] {
        let mut world = world(1);
        let first = seal(&mut world, 1, 0);
        withdraw(&mut world, first, 40);
        if overwritten {
            // Nothing says so any more: whoever comes now cannot know.
            write_region(&mut world, 2, 40, &[first]);
        }
        seal(&mut world, 2, 1);
        let request = FenceRequest {
            victim: entry(&world, first),
            attempt: 1,
        };
        world.fence_request(1, &request);
        if overwritten {
            assert_eq!(world.wrong, None);
        } else {
            expect_violation(&world, "had withdrawn");
        }
    }
}

#[test]
fn fencing_one_who_had_stopped() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    let stopped = stops(&world);
    update(&mut world, 0, &stopped);
    seal(&mut world, 2, 1);
    let request = FenceRequest {
        victim: entry(&world, first),
        attempt: 1,
    };
    world.fence_request(1, &request);
    expect_violation(&world, "had stopped cleanly");
}

#[test]
fn a_log_entry_that_says_what_is_not_true() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    seal(&mut world, 2, 1);
    let mut victim = entry(&world, first);
    victim.addr = world.hosts[2].addr;
    world.fence_request(1, &FenceRequest { victim, attempt: 1 });
    expect_violation(&world, "what is not true");
}

#[test]
fn a_mount_that_is_told_of_a_record_which_is_not_there() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    world.client_connected(4, leader);
    expect_violation(&world, "never had a record");
}

#[test]
fn a_mount_that_is_told_of_a_record_which_is_gone() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    write_table(&mut world, 0, 1, &[0, 4]);
    write_table(&mut world, 0, 2, &[0]);
    expect_violation(&world, "neither leaves nor was evicted");
    world.wrong = None;
    world.client_connected(4, leader);
    expect_violation(&world, "its record is gone");
}

#[test]
fn a_barrier_that_releases_one_who_stays() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    write_table(&mut world, 0, 1, &[0, 4]);
    world.procs[0].unmounting = true;
    let mut state = takes_over(&world, leader);
    state.unmount_barrier += 1;
    write_super(&mut world, 0, 0, &state);
    expect_violation(&world, "did not say farewell");
}

#[test]
fn a_mount_that_left_and_is_in_the_table() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    write_table(&mut world, 0, 1, &[0, 4]);
    world.procs[4].unmounting = true;
    world.procs[4].ended = Some(Unmounted::Farewell);
    world.check_end(4);
    expect_violation(&world, "still in the table");
}

#[test]
fn a_mount_that_comes_back_into_the_table() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    world.procs[4].dead = true;
    world.procs[4].ended = Some(Unmounted::Farewell);
    write_table(&mut world, 0, 1, &[0, 4]);
    expect_violation(&world, "in the table again");
}

#[test]
fn a_mount_that_leaves_without_being_asked() {
    let mut world = world(1);
    world.procs[4].ended = Some(Unmounted::Barrier);
    world.check_end(4);
    expect_violation(&world, "without being asked");
}

#[test]
fn a_void_ballot_is_no_longer_missed() {
    let mut world = world(1);
    let leader = seal(&mut world, 1, 0);
    world.gave_up(leader);
    for index in 0..28 {
        write_region(&mut world, 1, index, &[]);
    }
    assert_eq!(world.wrong, None);
    assert_eq!(leader.term, Term(1));
}

#[test]
fn a_fence_record_that_lands_late_over_a_newer_one() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    write_fence(&mut world, 0, 4, 5, leader);
    write_fence(&mut world, 0, 5, 6, leader);
    let (at, late) = fence_block(&world, 4, 5, leader);
    world.options.disk.error_ppm = 1_000_000;
    assert_eq!(world.wrong, None);
    // Reported as failed, and all the same it lands, in a ring that has gone round meanwhile.
    write_fence_that_fails(&mut world, 0, at, &late);
    assert_eq!(world.wrong, None, "in its own place it may");
    world.options.disk.error_ppm = 0;
    write_fence(&mut world, 0, 4, 37, leader);
    assert_eq!(world.wrong, None);
    world.options.disk.error_ppm = 1_000_000;
    write_fence_that_fails(&mut world, 0, at, &late);
    expect_violation(&world, "which is newer");
}

/// Half of those that fail land all the same.
fn write_fence_that_fails(world: &mut World, proc: ProcId, at: BlockNo, block: &[u8]) {
    for _ in 0..20 {
        write(world, proc, at, block);
        settle(world);
    }
    assert_eq!(world.device.blocks(at.0, 1), block, "one of them has landed");
}

#[test]
fn more_fences_on_the_innocent_than_chance_explains() {
    let counts = |fences, innocent_fenced| Counts {
        fences,
        innocent_fenced,
        ..Counts::default()
    };
    for (fences, most) in [(200, 21), (400, 36), (45_805, 2_904)] {
        assert!(
            !counts(fences, most).fences_too_many_innocents(),
            "{most} of {fences}"
        );
        assert!(
            counts(fences, most + 1).fences_too_many_innocents(),
            "{most} of {fences} and one more"
        );
    }
    assert!(
        !counts(199, 199).fences_too_many_innocents(),
        "so few show nothing"
    );
}
